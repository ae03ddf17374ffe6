"""The answers that this web process is writing: one task and one append-only buffer an answer.

An answer belongs to the process, never to a socket: sockets only follow it (`following.py`), so a closed tab ends
nothing. The row is saved every half second; it has the last word, because another process may stop this answer there.
"""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog
from django.db import DatabaseError
from django.utils import timezone

from chat import conversations, metrics
from chat.database import run_in_thread
from chat.models import Generation
from training import serving

log = structlog.get_logger(__name__)

SAVE_SECONDS = 0.5
# A stopped answer's task must end within this even when the engine or the database hangs.
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
    ahead: int | None = None  # known once the engine has told
    error_code: str = ""
    error: str = ""
    seen_chars: int | None = None
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    first_token_at: datetime | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return self.status not in Generation.UNFINISHED

    def tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def wait_for_end(self) -> None:
        while not self.ended:
            await self.changed.wait()


class RunManager:
    """All answers that this process is writing."""

    def __init__(self) -> None:
        self._answers: dict[UUID, Answer] = {}

    def get(self, generation_id: UUID) -> Answer | None:
        return self._answers.get(generation_id)

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
        if answer.seen_chars is None:
            answer.seen_chars = seen_chars
            await _let_begin()
            answer.task.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(answer.wait_for_end(), STOP_SECONDS)
        return True

    async def shutdown(self) -> None:
        """Save every answer as interrupted: the process is going away."""
        await _let_begin()
        open_answers = [answer for answer in self._answers.values() if not answer.ended]
        for answer in open_answers:
            if answer.task is not None:
                answer.task.cancel()
        waits = [asyncio.wait_for(answer.wait_for_end(), STOP_SECONDS) for answer in open_answers]
        await asyncio.gather(*waits, return_exceptions=True)

    # Writing --------------------------------------------------------------------------------------------------

    async def _write(self, answer: Answer) -> None:
        structlog.contextvars.bind_contextvars(request_id=answer.job.request.request_id)
        saver = asyncio.create_task(self._save_often(answer))
        status: str = Status.INTERRUPTED
        try:
            status = await self._pump(answer)
        except asyncio.CancelledError:
            if answer.seen_chars is not None:
                status = Status.STOPPED
            else:
                answer.error_code = "lost"
        except serving.EngineError as error:
            status = self._broken(answer, error)
        except Exception as error:  # whatever it was, the row must end and the person be told
            log.exception("answer failed")
            status, answer.error, answer.error_code = Status.FAILED, repr(error), "internal"
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
                        await self._begin(answer)
                    case serving.Delta():
                        # An engine that is not ours sends no `started`.
                        await self._begin(answer)
                        self._grow(answer, event)
                    case serving.Finished(reason=reason):
                        await self._begin(answer)
                        return Status.LENGTH if reason == "length" else Status.COMPLETED
                answer.tell()
        answer.error_code = "engine_lost"
        return Status.INTERRUPTED

    async def _begin(self, answer: Answer) -> None:
        if answer.status == Status.QUEUED:
            await run_in_thread(conversations.begin_generation, answer.job.generation_id)
            answer.status = Status.RUNNING

    def _grow(self, answer: Answer, delta: serving.Delta) -> None:
        if answer.first_token_at is None:
            answer.first_token_at = timezone.now()
        answer.text += delta.text
        answer.token_ids += delta.token_ids
        answer.logprobs += delta.logprobs or []

    def _broken(self, answer: Answer, error: serving.EngineError) -> str:
        log.warning("engine failed", cause=str(error), code=error.code, tokens=len(answer.token_ids))
        answer.error = str(error)
        if answer.token_ids:
            answer.error_code = "engine_lost"
            return Status.INTERRUPTED
        answer.error_code = _KINDS.get(type(error), "engine_refused")
        return Status.FAILED

    async def _save_often(self, answer: Answer) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                saved = await run_in_thread(conversations.save_progress, answer.job.generation_id, answer.text)
            except DatabaseError as error:
                log.warning("answer not saved yet", cause=str(error))
                continue
            if not saved and answer.task is not None:
                # Stopped through another process: that row is final, so there is nothing left to write.
                answer.task.cancel()
                return

    async def _finish(self, answer: Answer, status: str) -> None:
        if status == Status.STOPPED and answer.seen_chars is not None:
            answer.text = answer.text[: answer.seen_chars]
        try:
            answer.status, answer.text = await run_in_thread(_store, answer, status)
        except Exception as error:  # a full disk, a locked database: the followers must still be told
            log.exception("answer not stored")
            answer.status, answer.error, answer.error_code = Status.INTERRUPTED, repr(error), "internal"
        finally:
            # Followers that come later read the row.
            self._answers.pop(answer.job.generation_id, None)
            answer.tell()
        metrics.observe_answer(answer.status, tokens=len(answer.token_ids))
        log.info("answer ended", status=answer.status, tokens=len(answer.token_ids), chars=len(answer.text))


async def _let_begin() -> None:
    """A task that is cancelled before its first step runs nothing of itself, and its answer would never end."""
    await asyncio.sleep(0)


_KINDS: dict[type[serving.EngineError], str] = {
    serving.EngineDown: "engine_down",
    serving.EngineBusy: "engine_busy",
    serving.EngineRefused: "engine_refused",
}


def _store(answer: Answer, status: str) -> tuple[str, str]:
    """Returns the status and text that the row has in the end: another process may have ended it first."""
    pk = answer.job.generation_id
    tokens = {
        "response_ids": answer.token_ids,
        "response_logprobs": answer.logprobs,
        "first_token_at": answer.first_token_at,
    }
    moved = conversations.finish_generation(
        pk,
        status,
        text=answer.text,
        seen_chars_at_stop=answer.seen_chars if status == Status.STOPPED else None,
        finish_reason=status if status in (Status.COMPLETED, Status.LENGTH) else "",
        error=answer.error,
        error_code=answer.error_code,
        **tokens,
    )
    if moved:
        return status, answer.text
    # The ids stay whole whoever stopped it.
    Generation.objects.filter(pk=pk).update(**tokens)
    conversations.lengthen_stopped(pk, answer.text)
    row = Generation.objects.only("status", "text", "error_code").get(pk=pk)
    answer.error_code = row.error_code
    return row.status, row.text


manager = RunManager()
