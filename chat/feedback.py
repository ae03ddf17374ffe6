"""What people think of an answer: a thumb, the answer they wanted, a report, and whether this may be learnt from.

Append-only: a change supersedes, a withdrawal is marked. The person gives the choice and the words, the server every
other fact. Each verb returns what its ack says. Raises NotYours and Refused.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from chat import conversations, lessons, words
from chat.errors import Refused
from chat.models import Consent, Flag, Generation, Message, Rating, Rewrite
from chat.protocol import Flag as FlagCommand
from chat.protocol import GiveConsent, Rate, Withdraw
from chat.protocol import Rewrite as RewriteCommand

# Of the sentences that the page shows when it asks: a new wording is a new version.
CONSENT_TEXT_VERSION = "1"

Facts = dict[str, Any]


@transaction.atomic
def rate(user: User, command: Rate) -> Facts:
    answer = _ended_answer(user, command.message)
    if not set(command.reasons) <= set(words.reasons(command.value)):
        raise Refused("bad_reason", _("This reason is not one of the list."))
    current = _current_rating(user, answer)
    # The same frame again, after a broken line, is the same vote.
    if current is None or not _says(current, command):
        _retire(current, "superseded_at")
        Rating.objects.create(
            message=answer,
            rater=user,
            value=command.value,
            reasons=command.reasons,
            comment=command.comment.strip(),
            locale=translation.get_language() or "",
        )
        _learn(user, answer)
    return {"consent": lessons.consent_of(user)}


@transaction.atomic
def withdraw(user: User, command: Withdraw) -> Facts:
    answer = _locked(user, command.message)
    _retire(_current_rating(user, answer), "withdrawn_at")
    _learn(user, answer)
    return {"consent": lessons.consent_of(user)}


@transaction.atomic
def rewrite(user: User, command: RewriteCommand) -> Facts:
    """A finished answer by a person, beside the one it replaces; writing again supersedes."""
    target = _rewritten(_ended_answer(user, command.message))
    text = command.text.strip()
    if not text:
        raise Refused("empty", _("Write the answer you wanted."))
    if text == target.text.strip():
        raise Refused("unchanged", _("Change the answer first: it is still the same."))
    current = Rewrite.objects.filter(target=target, author=user, superseded_at__isnull=True).first()
    if current is None or current.new_message.text != text:
        current = _store_rewrite(user, target, text, current)
    return {
        "conversation": str(target.conversation_id),
        "answer": str(current.new_message_id),
        "consent": lessons.consent_of(user),
    }


@transaction.atomic
def flag(user: User, command: FlagCommand) -> Facts:
    message = _locked(user, command.message)
    if message.role != Message.Role.ASSISTANT:
        raise Refused("not_an_answer", _("Only an answer can be reported."))
    Flag.objects.update_or_create(
        message=message, rater=user, kind=command.kind, resolved_at=None, defaults={"text": command.text.strip()}
    )
    return {}


@transaction.atomic
def consent(user: User, command: GiveConsent) -> Facts:
    """Granted: what was rated before is learnt from too. Refused: what was made of it is taken back."""
    wanted = "granted" if command.granted else "refused"
    if lessons.consent_of(user) != wanted:
        Consent.objects.create(user=user, granted=command.granted, text_version=CONSENT_TEXT_VERSION)
        lessons.sync_all(user)
    return {"consent": wanted}


# Pieces -------------------------------------------------------------------------------------------------------------


def _locked(user: User, message_id: Any) -> Message:
    """The person's own message; two tabs that vote at once go one after the other."""
    message = conversations.get_message(user, message_id)
    Message.objects.select_for_update().get(pk=message.pk)
    return message


def _ended_answer(user: User, message_id: Any) -> Message:
    message = _locked(user, message_id)
    if message.role != Message.Role.ASSISTANT:
        raise Refused("not_an_answer", _("Only an answer can be rated or rewritten."))
    generation: Generation | None = getattr(message, "generation", None)
    if generation is not None and generation.status in Generation.UNFINISHED:
        raise Refused("unfinished", _("Wait until the answer is complete."))
    return message


def _rewritten(answer: Message) -> Message:
    """Writing again what a person wrote is writing again for the model's answer below it."""
    made: Rewrite | None = getattr(answer, "rewrite_of", None)
    return made.target if made is not None else answer


def _current_rating(user: User, answer: Message) -> Rating | None:
    return Rating.objects.filter(
        message=answer, rater=user, superseded_at__isnull=True, withdrawn_at__isnull=True
    ).first()


def _says(rating: Rating, command: Rate) -> bool:
    said = (rating.value, rating.reasons, rating.comment)
    return said == (command.value, command.reasons, command.comment.strip())


def _retire(row: Rating | Rewrite | None, field: str) -> None:
    if row is not None:
        type(row).objects.filter(pk=row.pk).update(**{field: timezone.now()})


def _store_rewrite(user: User, target: Message, text: str, current: Rewrite | None) -> Rewrite:
    question = target.parent
    if question is None:
        raise Refused("not_an_answer", _("Only an answer can be rated or rewritten."))
    _retire(current, "superseded_at")
    wish = conversations.add_answer(question, author=Message.Author.HUMAN_EDITOR, text=text)
    stored = Rewrite.objects.create(target=target, new_message=wish, author=user)
    _learn(user, target)
    return stored


def _learn(user: User, answer: Message) -> None:
    if answer.parent is not None:
        lessons.sync_question(user, answer.parent)
