"""Is the site fit to answer: the database, the engine, the worker and the disk, each in one word or one sentence."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import httpx
from django.conf import settings
from django.db import Error, connection

from chatsite import heartbeat

ENGINE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """`problem` is empty where all is well."""

    name: str
    problem: str = ""


def database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        return Finding("database", f"no answer: {error}")
    return Finding("database")


def engine() -> Finding:
    if not settings.ENGINE_URL:
        return Finding("engine", "no address: is the site running?")
    try:
        answer = httpx.get(f"{settings.ENGINE_URL}/health", timeout=ENGINE_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError as error:
        return Finding("engine", f"no answer: {type(error).__name__}")
    return Finding("engine", "" if answer.is_success else f"answered {answer.status_code}")


def worker() -> Finding:
    try:
        age = heartbeat.age_s()
    except Error as error:
        return Finding("worker", f"unknown: {error}")
    if age is None:
        return Finding("worker", "gave no sign of life yet")
    late = age > settings.HEARTBEAT_MAX_AGE_S
    return Finding("worker", f"last sign of life {age:.0f} s ago" if late else "")


def disk() -> Finding:
    try:
        free = shutil.disk_usage(Path(settings.DATA_DIR)).free
    except OSError as error:
        return Finding("disk", str(error))
    return Finding("disk", f"only {free // 1024**2} MB are free" if free < settings.LOW_DISK_BYTES else "")


def examine() -> list[Finding]:
    return [database(), engine(), worker(), disk()]
