"""One command of one person, done once: finds its use case, and turns what comes out into the frame that answers it.

A page whose line broke sends again, under the same `cmd_id`, what it holds to be unanswered; so the latest answers
are kept for all sockets of the process. What makes rows is safe beyond that: a generation's id is the page's own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from chat import feedback, protocol, replies
from chat.database import run_in_thread
from chat.errors import NotYours, Refused
from chat.protocol import Ack, Incoming, Nack, Outgoing

log = structlog.get_logger(__name__)

REMEMBERED = 2000

Facts = dict[str, Any]
Handler = Callable[[User, Any], Awaitable[Facts]]
_answered: OrderedDict[tuple[int, str], asyncio.Future[Outgoing]] = OrderedDict()


async def answer_once(user: User, command: Incoming) -> Outgoing:
    """The answer to a command; to one that came before, even a moment ago on another socket, the same answer."""
    if isinstance(command, protocol.Ping):
        return {"type": "pong", "cmd_id": command.cmd_id}
    key = (user.pk, command.cmd_id)
    known = _answered.get(key)
    if known is None or (known.done() and (known.cancelled() or known.exception())):
        # A task of its own: a socket that closes must not leave the command half done.
        known = asyncio.ensure_future(answer(user, command))
        _answered[key] = known
        if len(_answered) > REMEMBERED:
            _answered.popitem(last=False)
    return await asyncio.shield(known)


async def answer(user: User, command: Incoming) -> Outgoing:
    """`ack` with the facts of the use case, or `nack` with words for the person."""
    with structlog.contextvars.bound_contextvars(request_id=_request_id(command), cmd=command.type, user=user.pk):
        try:
            facts = await HANDLERS[type(command)](user, command)
        except NotYours:
            return _told(nack(command.cmd_id, "not_found", _("This no longer exists, or it is not yours.")))
        except Refused as refused:
            return _told(nack(command.cmd_id, refused.code, refused.text))
        except Exception:  # a frame must never take the socket down
            log.exception("command failed")
            return nack(command.cmd_id, "internal", _("Something went wrong on the server. Try again."))
        log.info("command done")
    return cast("Ack", {"type": "ack", "cmd_id": command.cmd_id, **facts})


def nack(cmd_id: str, code: str, text: str) -> Nack:
    return {"type": "nack", "cmd_id": cmd_id, "code": code, "text": text}


def _told(refusal: Nack) -> Nack:
    log.info("command refused", code=refusal["code"])
    return refusal


def _request_id(command: Incoming) -> str:
    """One id from the click to the last token: an answer's own id, where the command is about one."""
    return str(getattr(command, "generation", command.cmd_id))


def _asking(case: Callable[[User, Any], Awaitable[replies.Asked]]) -> Handler:
    async def handle(user: User, command: Any) -> Facts:
        return dict((await case(user, command)).ack())

    return handle


def _storing(verb: Callable[[User, Any], Facts]) -> Handler:
    async def handle(user: User, command: Any) -> Facts:
        return await run_in_thread(verb, user, command)

    return handle


async def _resume(user: User, command: protocol.Resume) -> Facts:
    return dict((await replies.find(user, command.generation)).ack())


HANDLERS: dict[type, Handler] = {
    protocol.Send: _asking(replies.send),
    protocol.Regenerate: _asking(replies.regenerate),
    protocol.Edit: _asking(replies.edit),
    protocol.Continue: _asking(replies.continue_),
    protocol.Resume: _resume,
    protocol.Stop: _asking(replies.stop),
    protocol.Rate: _storing(feedback.rate),
    protocol.Withdraw: _storing(feedback.withdraw),
    protocol.Rewrite: _storing(feedback.rewrite),
    protocol.Flag: _storing(feedback.flag),
    protocol.GiveConsent: _storing(feedback.consent),
}
