"""The words spoken on the socket `/ws/chat/`, both ways, and the reader of what a browser sends.

Lengths are Unicode code points. Every frame from the browser has a `cmd_id` and is answered once, by `ack` or
`nack`; the same `cmd_id` twice gets the same answer. Knows no Django and no database. The page's JavaScript uses
the same words.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, NotRequired, TypedDict
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MAX_FRAME_BYTES = 64 * 1024
MAX_TEXT_CHARS = 8_000
MAX_COMMENT_CHARS = 2_000


def _without_nul(text: str) -> str:
    # Some databases cannot store it, and nobody types it.
    return text.replace("\0", "")


Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS), AfterValidator(_without_nul)]
Comment = Annotated[str, Field(max_length=MAX_COMMENT_CHARS), AfterValidator(_without_nul)]


class Command(BaseModel):
    """What every frame from the browser has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cmd_id: str = Field(min_length=1, max_length=64)


class Params(BaseModel):
    """The settings a person chose; absent ones take the site's default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None


class Send(Command):
    """A new question. `conversation` None starts one; `parent` None is its first turn."""

    type: Literal["send"]
    conversation: UUID | None = None
    parent: UUID | None = None
    text: Text
    params: Params = Params()
    generation: UUID


class Regenerate(Command):
    """Another answer beside `message`, which stays."""

    type: Literal["regenerate"]
    message: UUID
    params: Params = Params()
    generation: UUID


class Edit(Command):
    """Another question beside `message`, and its answer."""

    type: Literal["edit"]
    message: UUID
    text: Text
    params: Params = Params()
    generation: UUID


class Continue(Command):
    """Go on where the stopped, cut or interrupted answer `message` ended, as a sibling of it."""

    type: Literal["continue"]
    message: UUID
    params: Params = Params()
    generation: UUID


class Resume(Command):
    """Follow an answer; `after_seq` is how many code points the page already has."""

    type: Literal["resume"]
    generation: UUID
    after_seq: int = Field(ge=0)


class Stop(Command):
    """End an answer and cut it to the `seen_chars` that were on the screen."""

    type: Literal["stop"]
    generation: UUID
    seen_chars: int = Field(ge=0)


class Rate(Command):
    """One thumb; reasons and comment may come later, in a second frame that supersedes the first."""

    type: Literal["rate"]
    message: UUID
    value: Literal[1, -1]
    reasons: list[Annotated[str, Field(max_length=40)]] = Field(default=[], max_length=8)
    comment: Comment = ""


class Withdraw(Command):
    """Take one's thumb back."""

    type: Literal["withdraw"]
    message: UUID


class Rewrite(Command):
    """The answer the person wanted."""

    type: Literal["rewrite"]
    message: UUID
    text: Text


class Flag(Command):
    """Tell the curators that an answer is harmful."""

    type: Literal["flag"]
    message: UUID
    kind: Literal["spam", "pii", "unsafe", "illegal"]
    text: Comment = ""


class GiveConsent(Command):
    """May this person's ratings and rewrites become training data?"""

    type: Literal["consent"]
    granted: bool


class Ping(Command):
    """Is the line alive?"""

    type: Literal["ping"]


Incoming = Annotated[
    Send | Regenerate | Edit | Continue | Resume | Stop | Rate | Withdraw | Rewrite | Flag | GiveConsent | Ping,
    Field(discriminator="type"),
]
_INCOMING: TypeAdapter[Incoming] = TypeAdapter(Incoming)


class BadFrame(ValueError):
    """Raised when a frame is not JSON, not known, or has a wrong field; `cmd_id` is empty when it had none."""

    def __init__(self, cmd_id: str, field: str) -> None:
        super().__init__(field)
        self.cmd_id = cmd_id
        self.field = field


def parse(text: str) -> Incoming:
    """Read one frame from the browser. Raises BadFrame."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES:
        raise BadFrame("", "size")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFrame("", "json") from error
    cmd_id = value.get("cmd_id", "") if isinstance(value, dict) else ""
    try:
        return _INCOMING.validate_python(value, strict=False)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "type"
        raise BadFrame(cmd_id if isinstance(cmd_id, str) else "", where) from error


# What the server sends ------------------------------------------------------------------------------------------


class Ack(TypedDict):
    """Done. A question's ack carries the ids made for it; a rating's carries the consent known so far."""

    type: Literal["ack"]
    cmd_id: str
    conversation: NotRequired[str]
    message: NotRequired[str]  # the person's message
    answer: NotRequired[str]  # the model's message
    generation: NotRequired[str]
    consent: NotRequired[Literal["unknown", "granted", "refused"]]


class Nack(TypedDict):
    """Refused; `text` is for the person, in the person's language."""

    type: Literal["nack"]
    cmd_id: str
    code: str
    text: str


class QueuedFrame(TypedDict):
    type: Literal["queued"]
    generation: str
    ahead: int


class StartedFrame(TypedDict):
    """`model` is the version's public name; `dropped` counts the older turns the model no longer sees."""

    type: Literal["started"]
    generation: str
    model: str
    prompt_tokens: int
    limit: int
    dropped: int


class Snapshot(TypedDict):
    """All text so far; what the page had is replaced."""

    type: Literal["snapshot"]
    generation: str
    seq: int
    text: str


# `from` is a Python keyword: the delta frame needs the functional form.
Delta = TypedDict(
    "Delta",
    {"type": Literal["delta"], "generation": str, "from": int, "seq": int, "text": str},
)


class Done(TypedDict):
    """`hash` is the first 16 hex digits of sha256 over the UTF-8 text; the page checks it with `chars`."""

    type: Literal["done"]
    generation: str
    status: str
    chars: int
    hash: str
    error: NotRequired[str]


class Title(TypedDict):
    type: Literal["title"]
    conversation: str
    title: str


class ConversationChanged(TypedDict):
    """Another tab or process changed it: reload the tree."""

    type: Literal["conversation_changed"]
    conversation: str


class ModelActivated(TypedDict):
    type: Literal["model_activated"]
    name: str


class Kick(TypedDict):
    """The session ended or the account changed; the socket closes."""

    type: Literal["kick"]
    reason: str


class Pong(TypedDict):
    type: Literal["pong"]
    cmd_id: str


Outgoing = (
    Ack
    | Nack
    | QueuedFrame
    | StartedFrame
    | Snapshot
    | Delta
    | Done
    | Title
    | ConversationChanged
    | ModelActivated
    | Kick
    | Pong
)


def dump(frame: Outgoing) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
