"""The use cases of the chat, top to bottom: ask, ask again, edit, go on, stop. Each returns what its ack says.

Knows no sockets. Raises Refused with a code and words for the person, and NotYours for an id that is not theirs.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from chat import conversations, prompts
from chat.database import run_in_thread
from chat.errors import NotYours, Refused
from chat.live import Job, manager
from chat.models import Generation, Message
from chat.protocol import Continue, Edit, Params, Regenerate, Send, Stop
from training import registry, wording
from training.ml.errors import BadConfig, PipelineError, PromptTooLong
from training.models import ModelVersion

# One answer being written and two waiting, a person; more is refused, so that one person's tabs starve nobody.
MOST_UNFINISHED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The ids made for one question and its answer."""

    conversation: UUID
    message: UUID
    answer: UUID
    generation: UUID

    @classmethod
    def of(cls, generation: Generation) -> Asked:
        answer = generation.message
        return cls(
            conversation=answer.conversation_id,
            message=answer.parent_id or answer.pk,
            answer=answer.pk,
            generation=generation.pk,
        )

    def ack(self) -> dict[str, str]:
        return {
            "conversation": str(self.conversation),
            "message": str(self.message),
            "answer": str(self.answer),
            "generation": str(self.generation),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The question to answer, and the answer to go on from, if any."""

    question: Message
    begun: Generation | None = None


# Asking -------------------------------------------------------------------------------------------------------------


async def send(user: User, command: Send) -> Asked:
    return await _ask(user, command.generation, command.params, lambda: _place_question(user, command))


async def regenerate(user: User, command: Regenerate) -> Asked:
    return await _ask(user, command.generation, command.params, lambda: _place_sibling(user, command.message))


async def edit(user: User, command: Edit) -> Asked:
    return await _ask(user, command.generation, command.params, lambda: _place_edit(user, command))


async def continue_(user: User, command: Continue) -> Asked:
    return await _ask(user, command.generation, command.params, lambda: _place_continuation(user, command.message))


async def stop(user: User, command: Stop) -> Asked:
    generation = await run_in_thread(conversations.get_generation, user, command.generation)
    if not await manager.stop(generation.pk, command.seen_chars):
        # Another process writes it, or wrote it before it died: the row decides, and its writer finds the row ended.
        await run_in_thread(_stop_row, generation, command.seen_chars)
    return Asked.of(generation)


async def find(user: User, generation_id: UUID) -> Asked:
    """Whose answer it is has to be checked before it may be followed: whoever follows it reads it."""
    return Asked.of(await run_in_thread(conversations.get_generation, user, generation_id))


def _stop_row(generation: Generation, seen_chars: int) -> None:
    conversations.finish_generation(
        generation.pk,
        Generation.Status.STOPPED,
        text=generation.text[:seen_chars],
        seen_chars_at_stop=seen_chars,
    )


# Where the new turns go ---------------------------------------------------------------------------------------------


def _place_question(user: User, command: Send) -> Place:
    _refuse_blank(command.text)
    if command.conversation is None:
        started = conversations.start(user, command.text)
        return Place(question=conversations.add_question(started, None, command.text))
    conversation = conversations.get(user, command.conversation)
    parent = None if command.parent is None else conversations.get_message(user, command.parent)
    if parent is not None and parent.conversation_id != conversation.pk:
        raise NotYours(command.parent)
    if parent is not None and parent.role != Message.Role.ASSISTANT:
        raise Refused("not_an_answer", _("A question can only follow an answer."))
    if parent is not None:
        _refuse_unfinished(parent)
    return Place(question=conversations.add_question(conversation, parent, command.text))


def _place_edit(user: User, command: Edit) -> Place:
    _refuse_blank(command.text)
    old = conversations.get_message(user, command.message)
    if old.role != Message.Role.USER:
        raise Refused("not_a_question", _("Only a question can be edited."))
    return Place(question=conversations.add_question(old.conversation, old.parent, command.text, edited_from=old))


def _place_sibling(user: User, message_id: UUID) -> Place:
    answer = conversations.get_message(user, message_id)
    if answer.role != Message.Role.ASSISTANT or answer.parent is None:
        raise Refused("not_an_answer", _("Only an answer can be generated again."))
    return Place(question=answer.parent)


def _place_continuation(user: User, message_id: UUID) -> Place:
    """The cut, stopped or interrupted answer to go on from."""
    place = _place_sibling(user, message_id)
    begun: Generation | None = getattr(conversations.get_message(user, message_id), "generation", None)
    open_ends = (Generation.Status.LENGTH, Generation.Status.STOPPED, Generation.Status.INTERRUPTED)
    if begun is None or begun.status not in open_ends:
        raise Refused("cannot_continue", _("This answer has ended; it cannot be continued."))
    return Place(question=place.question, begun=begun)


def _refuse_unfinished(answer: Message) -> None:
    """What follows would be asked without the text that is still to come."""
    generation: Generation | None = getattr(answer, "generation", None)
    if generation is not None and generation.status in Generation.UNFINISHED:
        raise Refused("unfinished", _("The answer above is still being written. Wait for its end, or stop it."))


def _refuse_blank(text: str) -> None:
    if not text.strip():
        raise Refused("empty", _("Write something first."))


# Beginning an answer ------------------------------------------------------------------------------------------------


async def _ask(user: User, generation_id: UUID, params: Params, place: Callable[[], Place]) -> Asked:
    asked, job = await run_in_thread(_open, user, generation_id, params, place)
    if job is not None:
        manager.begin(job)
    return asked


def _open(user: User, generation_id: UUID, params: Params, place: Callable[[], Place]) -> tuple[Asked, Job | None]:
    """Make the rows and what the engine is to be asked. A resent frame finds the rows it made: no second answer."""
    if Generation.objects.filter(pk=generation_id).exists():
        return Asked.of(conversations.get_generation(user, generation_id)), None
    _refuse_too_many(user)
    active = registry.active_model()
    if active is None:
        raise Refused("no_model", _("No model is active yet. An operator has to activate one first."))
    try:
        # One transaction: a question whose answer could not be opened must not stay behind.
        with transaction.atomic():
            generation, prompt = _make_rows(generation_id, active, params, place())
    except IntegrityError:
        # The same frame in two processes at once: the first one made it.
        return Asked.of(conversations.get_generation(user, generation_id)), None
    except PipelineError as error:
        raise _in_words(error) from error
    return Asked.of(generation), _job(user, generation, prompt)


def _refuse_too_many(user: User) -> None:
    unfinished = Generation.objects.filter(message__conversation__owner=user, status__in=Generation.UNFINISHED).count()
    if unfinished >= MOST_UNFINISHED:
        text = _("You already have %d answers under way. Wait for one to end, or stop it.")
        raise Refused("busy", text % unfinished)


def _in_words(error: PipelineError) -> Refused:
    match error:
        case PromptTooLong():
            text = _("Your message is too long for this model: it has %(tokens)d tokens, %(limit)d fit.")
            return Refused("too_long", text % error.facts)
        case BadConfig():
            return Refused("bad_setting", _("The setting “%s” is out of its range.") % error.facts["field"])
    return Refused("model_broken", _("The model cannot be used: %s") % wording.error_text(error))


def _make_rows(
    generation_id: UUID, active: ModelVersion, params: Params, place: Place
) -> tuple[Generation, prompts.Prompt]:
    begun = place.begun
    # One answer, one model: what a version began it goes on with, as long as that version is kept.
    model = begun.model if begun is not None and begun.model.retired_at is None else active
    prompt = prompts.build(model, conversations.path(place.question), params)
    if begun is not None:
        # The text, not the recorded ids: what was shown is what goes on.
        prompt = prompts.continued(prompt, model, begun.text)
    answer = conversations.add_answer(place.question)
    generation = Generation.objects.create(
        pk=generation_id,
        message=answer,
        model=model,
        text=begun.text if begun else "",
        seq=len(begun.text) if begun else 0,
        beat=timezone.now(),
        continues=begun,
        template_sha256=prompts.template_sha256(model),
        prompt_ids=prompt.ids,
        prompt_sha256=prompt.sha256,
        prompt_messages=[turn.to_json() for turn in prompt.turns],
        dropped_messages=prompt.dropped,
        params_requested=params.model_dump(exclude_none=True),
        params_resolved=prompt.sampling.to_json(),
        seed=prompt.seed,
        library_versions={"tokenizers": importlib.metadata.version("tokenizers")},
    )
    return generation, prompt


def _job(user: User, generation: Generation, prompt: prompts.Prompt) -> Job:
    request = prompts.request(generation.model, prompt, user=str(user.pk), request_id=str(generation.pk), logprobs=True)
    return Job(
        generation_id=generation.pk,
        request=request,
        model_name=generation.model.name,
        prompt_tokens=len(prompt.ids),
        limit=prompt.limit,
        dropped=len(prompt.dropped),
        prefix=generation.text,
    )
