"""Following an answer with a cursor of one's own: what there is so far, then deltas, then `done`.

From the buffer when this process writes it; by reading its row when another one does, or did before a restart.
A slow reader gets fewer, longer deltas. The caller has checked whose answer it is and set the language.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from chat import conversations, words
from chat.database import run_in_thread
from chat.live import Answer, RunManager
from chat.models import Generation
from chat.protocol import Delta, Done, Outgoing, Snapshot, StartedFrame

POLL_SECONDS = 0.4
# Tokens that come faster than the eye reads share a frame.
PACE_SECONDS = 0.03


async def follow(manager: RunManager, generation_id: UUID, *, after: int = 0) -> AsyncGenerator[Outgoing, None]:
    """`after`: code points that the page already has; 0 asks for a snapshot of everything."""
    answer = manager.get(generation_id)
    frames = _follow_row(generation_id, after) if answer is None else _follow_buffer(answer, after)
    async with aclosing(frames):
        async for frame in frames:
            yield frame


async def _follow_buffer(answer: Answer, after: int) -> AsyncGenerator[Outgoing, None]:
    name, started = str(answer.job.generation_id), False
    ahead: int | None = None
    # The text grows while a slow reader takes a frame, so the cursor is where the frame ended, not the text.
    begun = answer.text
    yield _first(name, begun, after)
    cursor = len(begun)
    while True:
        changed, text, ended = answer.changed, answer.text, answer.ended
        if answer.status == Generation.Status.QUEUED and answer.ahead is not None and answer.ahead != ahead:
            ahead = answer.ahead
            yield {"type": "queued", "generation": name, "ahead": ahead}
        if answer.status == Generation.Status.RUNNING and not started:
            started = True
            yield _started(answer)
        if len(text) > cursor:
            yield _delta(name, text, cursor)
            cursor = len(text)
            await asyncio.sleep(0 if ended else PACE_SECONDS)
        if ended:
            yield done_frame(name, answer.status, text, answer.error_code)
            return
        await changed.wait()


async def _follow_row(generation_id: UUID, after: int) -> AsyncGenerator[Outgoing, None]:
    name = str(generation_id)
    row = await run_in_thread(_read, generation_id)
    yield _first(name, row.text, after)
    cursor = len(row.text)
    # A row whose writer is gone ends too: the watcher interrupts it.
    while row.status in Generation.UNFINISHED:
        await asyncio.sleep(POLL_SECONDS)
        row = await run_in_thread(_read, generation_id)
        if len(row.text) > cursor:
            yield _delta(name, row.text, cursor)
            cursor = len(row.text)
    yield done_frame(name, row.status, row.text, row.error_code)


def _read(generation_id: UUID) -> Generation:
    return Generation.objects.only("status", "text", "error_code").get(pk=generation_id)


def _first(name: str, text: str, after: int) -> Snapshot | Delta:
    if 0 < after <= len(text):
        return _delta(name, text, after)
    return {"type": "snapshot", "generation": name, "seq": len(text), "text": text}


def _delta(name: str, text: str, cursor: int) -> Delta:
    return {"type": "delta", "generation": name, "from": cursor, "seq": len(text), "text": text[cursor:]}


def _started(answer: Answer) -> StartedFrame:
    job = answer.job
    return {
        "type": "started",
        "generation": str(job.generation_id),
        "model": job.model_name,
        "prompt_tokens": job.prompt_tokens,
        "limit": job.limit,
        "dropped": job.dropped,
    }


def done_frame(name: str, status: str, text: str, error_code: str) -> Done:
    frame = Done(type="done", generation=name, status=status, chars=len(text), hash=conversations.text_hash(text))
    if error_code:
        frame["error"] = words.error(error_code)
    return frame
