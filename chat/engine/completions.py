"""One completion from the checked request to the objects that go out: text, counts, the end.

Joins the scheduler's ids with the tokenizer's text. Knows OpenAI's object shapes; sends nothing itself.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from chat.engine.errors import ApiError, BadRequest
from chat.engine.jobs import Ended, Failed, Happening, Job, Outbox, Queued, Reason, Sampling, Started, Token
from chat.engine.metrics import Metrics
from chat.engine.requests import Completion
from chat.engine.scheduler import Scheduler
from chat.engine.text import StopStrings, TextStream

if TYPE_CHECKING:
    from chat.engine.loading import Version

log = structlog.get_logger("chatsite.engine.completions")


@dataclass(slots=True)
class Piece:
    """Text and ids that go out together."""

    text: str = ""
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    reason: Reason | None = None


Event = Queued | Started | Piece


def make_job(asked: Completion, version: Version) -> Job:
    """Raises BadRequest for a prompt that this version cannot read. Must run in the event loop."""
    prompt = version.renderer.text_ids(asked.prompt) if isinstance(asked.prompt, str) else asked.prompt
    _check_prompt(prompt, version)
    stops = version.renderer.stop_ids if asked.stop_token_ids is None else asked.stop_token_ids
    return Job(
        version=version,
        prompt=prompt,
        sampling=Sampling(temperature=asked.temperature, top_k=max(0, asked.top_k), top_p=asked.top_p, seed=asked.seed),
        max_tokens=min(asked.max_tokens, version.context - len(prompt)),
        stop_ids=frozenset(stops),
        # Without a name nobody can be told apart, so each request is a user of its own.
        user=asked.user or object(),
        outbox=Outbox(),
    )


def _check_prompt(prompt: list[int], version: Version) -> None:
    if not prompt:
        raise BadRequest("prompt is empty: at least one token is needed.", param="prompt")
    last = version.decoder.vocabulary - 1
    wrong = next((item for item in prompt if not 0 <= item <= last), None)
    if wrong is not None:
        raise BadRequest(f"prompt has the id {wrong}; this model's ids go from 0 to {last}.", param="prompt")
    if len(prompt) >= version.context:
        raise BadRequest(
            f"The prompt has {len(prompt)} tokens, but the model's window is {version.context} tokens and at least "
            "one is for the answer.",
            param="prompt",
            code="context_length_exceeded",
        )


class Answer:
    """One running completion: `events` once, `close` always (it may come more than once)."""

    def __init__(
        self, job: Job, asked: Completion, scheduler: Scheduler, metrics: Metrics, on_close: Callable[[], None]
    ) -> None:
        self.job = job
        self._on_close = on_close
        self.id = f"cmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self._model = asked.model
        self._with_logprobs = asked.logprobs
        self._scheduler = scheduler
        self._metrics = metrics
        self._text = TextStream(job.version.vocabulary)
        self._stops = StopStrings(asked.stop)
        self._begun = time.perf_counter()
        self._first_token_s: float | None = None
        self._count = 0
        self._outcome = "cancelled"
        self._closed = False

    def submit(self) -> None:
        self._scheduler.submit(self.job)

    def close(self) -> None:
        """Whatever ended it, the row is given back."""
        if self._closed:
            return
        self._closed = True
        self._scheduler.cancel(self.job)
        self._on_close()
        self._metrics.requests.labels(self._outcome).inc()
        self._metrics.tokens.labels("prompt").inc(len(self.job.prompt))
        self._metrics.tokens.labels("completion").inc(self._count)
        log.info(
            "completion",
            model=self._model,
            outcome=self._outcome,
            prompt_tokens=len(self.job.prompt),
            tokens=self._count,
            first_token_ms=None if self._first_token_s is None else round(self._first_token_s * 1000, 1),
            ms=round((time.perf_counter() - self._begun) * 1000, 1),
        )

    async def events(self) -> AsyncIterator[Event]:
        """Ends with a piece that has a reason. Raises ApiError."""
        while True:
            for event in self._read(await self.job.outbox.take()):
                yield event
                if isinstance(event, Piece) and event.reason:
                    return

    def _read(self, happenings: list[Happening]) -> list[Event]:
        """What happened since the last look, the tokens of it joined into one piece."""
        events: list[Event] = []
        piece = Piece()
        for item in happenings:
            match item:
                case Queued() | Started():
                    events.append(item)
                case Token():
                    self._add(piece, item)
                case Ended():
                    self._finish(piece, item.reason)
                case Failed():
                    self._outcome = item.error.code
                    raise item.error
            if piece.reason:
                break
        return [*events, piece] if piece.ids or piece.text or piece.reason else events

    def _add(self, piece: Piece, token: Token) -> None:
        if self._first_token_s is None:
            self._first_token_s = time.perf_counter() - self._begun
            self._metrics.first_token.observe(self._first_token_s)
        self._count += 1
        piece.ids.append(token.id)
        piece.logprobs.append(token.logprob)
        # The end mark is counted and told as an id, but it is not part of the text.
        if token.id not in self.job.stop_ids:
            self._show(piece, self._text.push(token.id))

    def _show(self, piece: Piece, text: str) -> None:
        shown, hit = self._stops.push(text)
        piece.text += shown
        if hit:
            piece.reason = self._outcome = "stop"

    def _finish(self, piece: Piece, reason: Reason) -> None:
        self._show(piece, self._text.flush())
        if piece.reason is None:
            piece.text += self._stops.flush()
            piece.reason = self._outcome = reason

    # --- shapes ---

    def to_json(self, piece: Piece) -> dict[str, Any]:
        """A chunk of a stream, or with everything in one piece the whole completion."""
        choice = {
            "index": 0,
            "text": piece.text,
            "token_ids": piece.ids,
            "logprobs": piece.logprobs if self._with_logprobs else None,
            "finish_reason": piece.reason,
        }
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self._model,
            "choices": [choice],
            "usage": self._usage() if piece.reason else None,
        }

    def _usage(self) -> dict[str, int]:
        prompt = len(self.job.prompt)
        return {"prompt_tokens": prompt, "completion_tokens": self._count, "total_tokens": prompt + self._count}


async def whole(answer: Answer) -> dict[str, Any]:
    """Everything at once. Raises ApiError."""
    total = Piece()
    async for event in answer.events():
        if isinstance(event, Piece):
            total.text += event.text
            total.ids += event.ids
            total.logprobs += event.logprobs
            total.reason = event.reason
    return answer.to_json(total)


async def chunks(answer: Answer) -> AsyncIterator[dict[str, Any]]:
    """The objects of a stream; an error is the last of them."""
    try:
        async for event in answer.events():
            match event:
                case Queued(ahead=ahead):
                    yield {"object": "text_completion.queued", "ahead": ahead}
                case Started():
                    yield {"object": "text_completion.started"}
                case Piece():
                    yield answer.to_json(event)
    except ApiError as error:
        yield error.to_json()
