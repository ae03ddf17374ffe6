"""The use cases of the chat, top to bottom: ask, ask again, edit, go on, stop. Each returns what its ack says.

Knows no sockets. Raises Refused with a code and words for the person.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from chat import conversations, prompts
from chat.conversations import User
from chat.database import run_in_thread
from chat.live import Job, manager
from chat.models import Generation, Message
from chat.protocol import Continue, Edit, Params, Regenerate, Resume, Send, Stop
from training import registry, serving
from training.ml.errors import BadConfig, PipelineError, PromptTooLong

# One answer being written and two waiting, a person; more is refused, so that one person's tabs starve nobody.
MOST_UNFINISHED = 3


class Refused(Exception):
    """Raised when a command cannot be done; `code` is for the page, the text for the person."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The ids made for one question and its answer."""

    conversation: UUID
    message: UUID
    answer: UUID
    generation: UUID

    def ack(self) -> dict[str, str]:
        return {
            "conversation": str(self.conversation),
            "message": str(self.message),
            "answer": str(self.answer),
            "generation": str(self.generation),
        }


async def send(user: User, command: Send) -> Asked:
    return await _begin(user, command.generation, command.params, _place_question, command)


async def regenerate(user: User, command: Regenerate) -> Asked:
    return await _begin(user, command.generation, command.params, _place_sibling, command)


async def edit(user: User, command: Edit) -> Asked:
    return await _begin(user, command.generation, command.params, _place_edit, command)


async def continue_(user: User, command: Continue) -> Asked:
    return await _begin(user, command.generation, command.params, _place_sibling, command, go_on=True)


async def stop(user: User, command: Stop) -> None:
    generation = await run_in_thread(conversations.get_generation, user, command.generation)
    if await manager.stop(generation.pk, command.seen_chars):
        return
    # Another process writes it, or wrote it before it died: the row decides, and its writer finds the row ended.
    await run_in_thread(_stop_row, generation, command.seen_chars)


async def resume(user: User, command: Resume) -> UUID:
    """Whose answer it is has to be checked here: whoever may follow it reads it."""
    return (await run_in_thread(conversations.get_generation, user, command.generation)).pk


def _stop_row(generation: Generation, seen_chars: int) -> None:
    conversations.finish_generation(
        generation.pk,
        Generation.Status.STOPPED,
        text=generation.text[:seen_chars],
        seen_chars_at_stop=seen_chars,
    )


# Where the new turns go ---------------------------------------------------------------------------------------------


def _place_question(user: User, command: Send) -> Message:
    if command.conversation is None:
        return conversations.add_question(conversations.start(user, command.text), None, command.text)
    conversation = conversations.get(user, command.conversation)
    parent = None
    if command.parent is not None:
        parent = conversations.get_message(user, command.parent)
        if parent.conversation_id != conversation.pk:
            raise conversations.NotYours(command.parent)
        if parent.role != Message.Role.ASSISTANT:
            raise Refused("not_an_answer", _("A question can only follow an answer."))
    return conversations.add_question(conversation, parent, command.text)


def _place_sibling(user: User, command: Regenerate | Continue) -> Message:
    answer = conversations.get_message(user, command.message)
    if answer.role != Message.Role.ASSISTANT or answer.parent is None:
        raise Refused("not_an_answer", _("Only an answer can be generated again."))
    return answer.parent


def _place_edit(user: User, command: Edit) -> Message:
    question = conversations.get_message(user, command.message)
    if question.role != Message.Role.USER:
        raise Refused("not_a_question", _("Only a question can be edited."))
    return conversations.add_question(question.conversation, question.parent, command.text, edited_from=question)


# Beginning an answer ------------------------------------------------------------------------------------------------


async def _begin(
    user: User, generation_id: UUID, params: Params, place: Any, command: Any, *, go_on: bool = False
) -> Asked:
    asked, job = await run_in_thread(_open, user, generation_id, params, place, command, go_on)
    if job is not None:
        manager.begin(job)
    return asked


def _open(
    user: User, generation_id: UUID, params: Params, place: Any, command: Any, go_on: bool
) -> tuple[Asked, Job | None]:
    """Make the rows and what the engine is to be asked. A resent frame finds the rows it made: no second answer."""
    known = Generation.objects.filter(pk=generation_id).select_related("message").first()
    if known is not None:
        return _asked(conversations.get_generation(user, generation_id)), None
    _refuse_too_many(user)
    model = registry.active_model()
    if model is None:
        raise Refused("no_model", _("No model is active yet. An operator has to activate one first."))
    try:
        # One transaction: a question whose answer could not be opened must not stay behind.
        with transaction.atomic():
            generation, prompt = _make_rows(user, generation_id, model, params, place, command, go_on)
    except IntegrityError:
        return _asked(conversations.get_generation(user, generation_id)), None
    except PromptTooLong as error:
        text = _("Your message is too long for this model: it has %(tokens)d tokens, %(limit)d fit.")
        raise Refused("too_long", text % error.facts) from error
    except BadConfig as error:
        raise Refused("bad_setting", _("The setting “%s” is out of its range.") % error.facts["field"]) from error
    except PipelineError as error:
        raise Refused("model_broken", _("The model cannot be used: %s") % error.message) from error
    return _asked(generation), _job(user, generation, prompt)


def _refuse_too_many(user: User) -> None:
    unfinished = Generation.objects.filter(
        message__conversation__owner=user, status__in=Generation.UNFINISHED
    ).count()
    if unfinished >= MOST_UNFINISHED:
        raise Refused("busy", _("You already have %d answers under way. Wait for one to end, or stop it.") % unfinished)


def _make_rows(
    user: User, generation_id: UUID, model: Any, params: Params, place: Any, command: Any, go_on: bool
) -> tuple[Generation, prompts.Prompt]:
    question: Message = place(user, command)
    begun = _begun(user, command.message) if go_on else None
    prompt = prompts.build(model, conversations.path(question), params)
    if begun is not None:
        prompt = prompts.continued(prompt, model, begun.text)
    answer = conversations.add_answer(question)
    generation = Generation.objects.create(
        pk=generation_id,
        message=answer,
        model=model,
        text=begun.text if begun else "",
        seq=len(begun.text) if begun else 0,
        continues=begun,
        template_sha256=prompts.template_sha256(model),
        prompt_ids=prompt.ids,
        prompt_sha256=prompt.sha256,
        prompt_messages=[turn.to_json() for turn in prompt.turns],
        dropped_messages=prompt.dropped,
        params_requested=params.model_dump(exclude_none=True),
        params_resolved=prompt.sampling.to_json(),
        seed=prompt.sampling.seed,
        library_versions={"tokenizers": importlib.metadata.version("tokenizers")},
    )
    return generation, prompt


def _begun(user: User, message_id: UUID) -> Generation:
    """The cut, stopped or interrupted answer to go on from; what was shown, not what was generated after the stop."""
    message = conversations.get_message(user, message_id)
    begun: Generation | None = getattr(message, "generation", None)
    open_ends = (Generation.Status.LENGTH, Generation.Status.STOPPED, Generation.Status.INTERRUPTED)
    if begun is None or begun.status not in open_ends:
        raise Refused("cannot_continue", _("This answer has ended; it cannot be continued."))
    return begun


def _job(user: User, generation: Generation, prompt: prompts.Prompt) -> Job:
    request = serving.CompletionRequest(
        model=generation.model.uid,
        prompt=prompt.ids,
        sampling=prompt.sampling,
        stop_token_ids=prompt.stop_ids,
        logprobs=True,
        user=str(user.pk),
        request_id=str(generation.pk),
    )
    return Job(
        generation_id=generation.pk,
        request=request,
        model_name=generation.model.name,
        prompt_tokens=len(prompt.ids),
        limit=prompt.limit,
        dropped=len(prompt.dropped),
        prefix=generation.text,
    )


def _asked(generation: Generation) -> Asked:
    answer = generation.message
    return Asked(
        conversation=answer.conversation_id,
        message=answer.parent_id or answer.pk,
        answer=answer.pk,
        generation=generation.pk,
    )
