"""Fills an empty data directory for the browser tests: tables, a tiny model that answers, and two people.

CHATSITE_DATA_DIR=... python -m tests.browser.seed
"""

from __future__ import annotations

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "chatsite.settings"

import django
from django.core.management import call_command

PASSWORD = "a-long-password-1"
PEOPLE = ("alice", "bob")
TEXTS = ("你好，今天想聊点什么？", "What can you do?")


def make_model() -> None:
    from django.conf import settings

    from training import registry, storage
    from training.ml import bundle
    from training.ml.tokenizer import train_tokenizer
    from training.models import ModelVersion

    tokenizer = settings.DATA_DIR / "tokenizer"
    train_tokenizer(TEXTS, 300, tokenizer)
    bundle.new_base(storage.model_dir("small"), tokenizer, layers=1, heads=2, width=16, context=1024)
    row = registry.register(storage.model_dir("small"), name="small")
    ModelVersion.objects.filter(pk=row.pk).update(is_active=True)


def make_people() -> None:
    from django.contrib.auth.models import User

    for name in PEOPLE:
        User.objects.create_user(name, password=PASSWORD)


if __name__ == "__main__":
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    make_model()
    make_people()
