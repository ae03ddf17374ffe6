"""The answers that this web process is writing: one task and one append-only buffer an answer.

An answer belongs to the process, never to a socket: sockets only follow it with a cursor of their own, so a closed
tab ends nothing and a slow one gets fewer, longer deltas. The row is saved every half second; an answer of another
process, or of before a restart, is followed by reading its row.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from django.utils import timezone

from chat import conversations
from chat.database import run_in_thread
from chat.models import Generation
from chat.protocol import Done, Outgoing
from training import serving

log = structlog.get_logger(__name__)

SAVE_SECONDS = 0.5
POLL_SECONDS = 0.5
# A stopped answer's task must end within this even when the engine hangs.
STOP_SECONDS = 5.0

Status = Generation.Status


@dataclass(slots=True)
class Job:
    """What is needed to write one answer. `prefix` is the text that a continued answer begins with."""

    generation_id: UUID
    request: serving.CompletionRequest
    model_name: str
    prompt_tokens: int
    limit: int
    dropped: int
    prefix: str = ""


@dataclass(slots=True)
class Answer:
    """The buffer. `text` only grows until `status` is an end state; `changed` is replaced at every change."""

    job: Job
    text: str = ""
    status: str = Status.QUEUED
    ahead: int = 0
    error: str = ""
    error_code: str = ""
    seen_chars: int | None = None
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    first_token_at: Any = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return self.status not in Generation.UNFINISHED

    def tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


def done_frame(generation_id: UUID, status: str, text: str, error: str) -> Done:
    frame = Done(
        type="done",
        generation=str(generation_id),
        status=status,
        chars=len(text),
        hash=conversations.text_hash(text),
    )
    if error:
        frame["error"] = error
    return frame


class RunManager:
    """All answers that this process is writing."""

    def __init__(self) -> None:
        self._answers: dict[UUID, Answer] = {}

    @property
    def running(self) -> list[UUID]:
        return [key for key, answer in self._answers.items() if not answer.ended]

    def begin(self, job: Job) -> None:
        """Start writing. Twice the same answer is one answer."""
        if job.generation_id in self._answers:
            return
        answer = Answer(job=job, text=job.prefix)
        self._answers[job.generation_id] = answer
        # An empty context: the request's would keep its database thread alive for as long as the answer runs.
        answer.task = asyncio.create_task(self._write(answer), context=contextvars.Context())

    async def stop(self, generation_id: UUID, seen_chars: int) -> bool:
        """End an answer and keep what was seen. False when this process is not writing it."""
        answer = self._answers.get(generation_id)
        if answer is None or answer.task is None or answer.ended:
            return False
        answer.seen_chars = seen_chars
        answer.task.cancel()
        with suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(answer.task), STOP_SECONDS)
        return True

    async def shutdown(self) -> None:
        """Save every answer as interrupted: the process is going away."""
        tasks = [answer.task for answer in self._answers.values() if answer.task and not answer.task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Writing --------------------------------------------------------------------------------------------------

    async def _write(self, answer: Answer) -> None:
        structlog.contextvars.bind_contextvars(
            request_id=answer.job.request.request_id, generation=str(answer.job.generation_id)
        )
        saver = asyncio.create_task(self._save_often(answer))
        status: str = Status.INTERRUPTED
        try:
            status = await self._pump(answer)
        except asyncio.CancelledError:
            status = Status.INTERRUPTED if answer.seen_chars is None else Status.STOPPED
        except serving.EngineError as error:
            status = Status.INTERRUPTED if answer.token_ids else Status.FAILED
            answer.error, answer.error_code = str(error), error.code
        except Exception:
            log.exception("answer failed")
            status, answer.error_code = Status.FAILED, "internal"
        finally:
            saver.cancel()
            await asyncio.shield(self._finish(answer, status))

    async def _pump(self, answer: Answer) -> str:
        async with aclosing(serving.engine().stream(answer.job.request)) as events:
            async for event in events:
                match event:
                    case serving.Queued(ahead=ahead):
                        answer.ahead = ahead
                    case serving.Started():
                        await run_in_thread(conversations.begin_generation, answer.job.generation_id)
                        answer.status = Status.RUNNING
                    case serving.Delta():
                        self._grow(answer, event)
                    case serving.Finished(reason=reason):
                        return Status.LENGTH if reason == "length" else Status.COMPLETED
                answer.tell()
        return Status.INTERRUPTED

    def _grow(self, answer: Answer, delta: serving.Delta) -> None:
        if answer.first_token_at is None:
            answer.first_token_at = timezone.now()
        answer.text += delta.text
        answer.token_ids += delta.token_ids
        answer.logprobs += delta.logprobs or []

    async def _save_often(self, answer: Answer) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            if answer.status == Status.RUNNING:
                await run_in_thread(conversations.save_progress, answer.job.generation_id, answer.text)
            else:
                await run_in_thread(conversations.touch, [answer.job.generation_id])

    async def _finish(self, answer: Answer, status: str) -> None:
        if status == Status.STOPPED and answer.seen_chars is not None:
            answer.text = answer.text[: answer.seen_chars]
        await run_in_thread(
            conversations.finish_generation,
            answer.job.generation_id,
            status,
            text=answer.text,
            response_ids=answer.token_ids,
            response_logprobs=answer.logprobs,
            seen_chars_at_stop=answer.seen_chars,
            first_token_at=answer.first_token_at,
            error=answer.error,
            error_code=answer.error_code,
        )
        answer.status = status
        answer.tell()
        log.info("answer ended", status=status, tokens=len(answer.token_ids), chars=len(answer.text))
        # Followers that come later read the row.
        self._answers.pop(answer.job.generation_id, None)

    # Following ------------------------------------------------------------------------------------------------

    async def follow(self, generation_id: UUID) -> AsyncIterator[Outgoing]:
        """One snapshot, then deltas, then `done`. The caller has checked whose answer it is."""
        answer = self._answers.get(generation_id)
        frames = self._follow_row(generation_id) if answer is None else self._follow_buffer(answer)
        async with aclosing(frames):
            async for frame in frames:
                yield frame

    async def _follow_buffer(self, answer: Answer) -> AsyncIterator[Outgoing]:
        name = str(answer.job.generation_id)
        cursor = len(answer.text)
        yield {"type": "snapshot", "generation": name, "seq": cursor, "text": answer.text}
        ahead: int | None = None
        started = False
        while True:
            changed = answer.changed
            if answer.status == Status.QUEUED and answer.ahead != ahead:
                ahead = answer.ahead
                yield {"type": "queued", "generation": name, "ahead": ahead}
            if answer.status == Status.RUNNING and not started:
                started = True
                yield self._started_frame(answer)
            text, ended = answer.text, answer.ended
            if len(text) > cursor:
                yield {"type": "delta", "generation": name, "from": cursor, "seq": len(text), "text": text[cursor:]}
                cursor = len(text)
            if ended:
                yield done_frame(answer.job.generation_id, answer.status, text, answer.error)
                return
            if changed is answer.changed:
                await changed.wait()

    def _started_frame(self, answer: Answer) -> Outgoing:
        job = answer.job
        return {
            "type": "started",
            "generation": str(job.generation_id),
            "model": job.model_name,
            "prompt_tokens": job.prompt_tokens,
            "limit": job.limit,
            "dropped": job.dropped,
        }

    async def _follow_row(self, generation_id: UUID) -> AsyncIterator[Outgoing]:
        name = str(generation_id)
        row = await run_in_thread(Generation.objects.get, pk=generation_id)
        yield {"type": "snapshot", "generation": name, "seq": len(row.text), "text": row.text}
        cursor, until = len(row.text), time.monotonic() + 3600
        while row.status in Generation.UNFINISHED and time.monotonic() < until:
            await asyncio.sleep(POLL_SECONDS)
            row = await run_in_thread(Generation.objects.get, pk=generation_id)
            if len(row.text) > cursor:
                yield {"type": "delta", "generation": name, "from": cursor, "seq": len(row.text), "text": row.text[cursor:]}
                cursor = len(row.text)
        yield done_frame(generation_id, row.status, row.text, row.error)


manager = RunManager()
