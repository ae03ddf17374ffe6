"""What people thought of answers, what the model really saw, and the keys of the API. Read, not edited.

Each thumb and rewrite names the training rows made of it; those name it back (`Example.provenance`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from chat import lessons, words
from chat.models import Flag, Generation, Message, Rating, Rewrite
from training import api_keys
from training.admin import teaching
from training.models import ApiKey, Example

# Every state: unfold shows the bare value of one that is missing here.
BADGES = {
    Generation.Status.COMPLETED: "success",
    Generation.Status.LENGTH: "warning",
    Generation.Status.STOPPED: "default",
    Generation.Status.FAILED: "danger",
    Generation.Status.INTERRUPTED: "warning",
    Generation.Status.RUNNING: "info",
    Generation.Status.QUEUED: "info",
}
SHOWN_CHARS = 80

teaching.ask_with(lessons.still_agrees)


class ReadOnlyAdmin(ModelAdmin):
    """A record: people with the right to see it see it, nobody edits it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


# Pieces of pages ----------------------------------------------------------------------------------------------------


def shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"


def turns_as_html(turns: Iterable[dict[str, Any]]) -> SafeString:
    names = {"system": gettext("System"), "user": gettext("Person"), "assistant": gettext("Assistant")}
    rows = ((names.get(turn["role"], turn["role"]), turn["content"]) for turn in turns)
    return format_html_join(
        "", '<p class="mb-2"><strong>{}</strong><br><span class="whitespace-pre-wrap">{}</span></p>', rows
    )


def text_as_html(text: str) -> SafeString:
    return format_html('<span class="whitespace-pre-wrap">{}</span>', text)


def page_link(row: Model | None, text: str = "") -> SafeString | str:
    if row is None:
        return "–"
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return format_html('<a class="underline" href="{}">{}</a>', reverse(name, args=[row.pk]), text or str(row))


def rows_as_html(answer: Message, user_id: int) -> SafeString | str:
    """The training rows made of one answer's feedback."""
    if not admin.site.is_registered(Example):
        return "–"
    lines = [
        (page_link(row, f"{row.get_kind_display()} #{row.pk}"), row.get_status_display())
        for row in lessons.rows_of(answer, user_id)
    ]
    return format_html_join("", "<p>{} · {}</p>", lines) or gettext("none")


def answer_link(message: Message) -> SafeString | str:
    """The answer's record, where there is one: a person's own answer has none."""
    return page_link(getattr(message, "generation", None), shortened(message.text))


def question_of(message: Message) -> str:
    return message.parent.text if message.parent else ""


# Feedback -----------------------------------------------------------------------------------------------------------


@admin.register(Rating)
class RatingAdmin(ReadOnlyAdmin):
    list_display = ("thumb", "question", "answer", "because", "rater", "state", "created_at")
    list_filter = ("value", ("rater", admin.RelatedOnlyFieldListFilter))
    search_fields = ("message__text", "message__parent__text", "comment")
    list_select_related = ("rater", "message__parent", "message__generation")
    fields = (
        "thumb_alone", "question", "answer", "because", "comment", "rater", "locale", "created_at", "state",
        "training_rows",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rating]:
        rows: QuerySet[Rating] = super().get_queryset(request)
        return rows.select_related("rater", "message__parent", "message__generation__model")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # The training rows point here by the answer they were made of.
        return lookup == "message__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description=_("thumb"), label={"up": "success", "down": "danger"})
    def thumb(self, rating: Rating) -> tuple[str, str]:
        return ("up", "👍") if rating.value > 0 else ("down", "👎")

    # A pair of value and label is understood by lists only.
    @display(description=_("thumb"))
    def thumb_alone(self, rating: Rating) -> str:
        return "👍" if rating.value > 0 else "👎"

    @display(description=_("question"))
    def question(self, rating: Rating) -> str:
        return shortened(question_of(rating.message))

    @display(description=_("answer"))
    def answer(self, rating: Rating) -> SafeString | str:
        return answer_link(rating.message)

    @display(description=_("reasons"))
    def because(self, rating: Rating) -> str:
        known = words.reasons(rating.value)
        return ", ".join(str(known.get(key, key)) for key in rating.reasons)

    @display(description=_("state"))
    def state(self, rating: Rating) -> str:
        if rating.withdrawn_at:
            return gettext("withdrawn")
        return gettext("superseded") if rating.superseded_at else gettext("counts")

    @display(description=_("training rows made of it"))
    def training_rows(self, rating: Rating) -> SafeString | str:
        return rows_as_html(rating.message, rating.rater_id)


@admin.register(Rewrite)
class RewriteAdmin(ReadOnlyAdmin):
    list_display = ("question", "original", "wish", "author", "state", "created_at")
    list_filter = (("author", admin.RelatedOnlyFieldListFilter),)
    search_fields = ("target__text", "new_message__text", "target__parent__text")
    fields = ("question", "original", "wish_whole", "author", "created_at", "state", "training_rows")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rewrite]:
        rows: QuerySet[Rewrite] = super().get_queryset(request)
        return rows.select_related("author", "new_message", "target__parent", "target__generation__model")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == "target__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description=_("question"))
    def question(self, rewrite: Rewrite) -> str:
        return shortened(question_of(rewrite.target))

    @display(description=_("the model's answer"))
    def original(self, rewrite: Rewrite) -> SafeString | str:
        return answer_link(rewrite.target)

    @display(description=_("the answer wanted"))
    def wish(self, rewrite: Rewrite) -> str:
        return shortened(rewrite.new_message.text)

    @display(description=_("the answer wanted"))
    def wish_whole(self, rewrite: Rewrite) -> SafeString:
        return text_as_html(rewrite.new_message.text)

    @display(description=_("state"))
    def state(self, rewrite: Rewrite) -> str:
        return gettext("superseded") if rewrite.superseded_at else gettext("counts")

    @display(description=_("training rows made of it"))
    def training_rows(self, rewrite: Rewrite) -> SafeString | str:
        return rows_as_html(rewrite.target, rewrite.author_id)


@admin.register(Flag)
class FlagAdmin(ReadOnlyAdmin):
    list_display = ("kind", "question", "answer", "text", "rater", "created_at", "resolved_at")
    list_filter = ("kind", ("resolved_at", admin.EmptyFieldListFilter))
    search_fields = ("message__text", "text")
    fields = ("kind", "question", "answer", "text", "rater", "created_at", "resolved_at")
    readonly_fields = fields
    actions = ("resolve",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Flag]:
        rows: QuerySet[Flag] = super().get_queryset(request)
        return rows.select_related("rater", "message__parent", "message__generation__model")

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_flag")

    @display(description=_("question"))
    def question(self, flag: Flag) -> str:
        return shortened(question_of(flag.message))

    @display(description=_("answer"))
    def answer(self, flag: Flag) -> SafeString | str:
        return answer_link(flag.message)

    @action(description=_("Mark as resolved"), permissions=["resolve"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Flag]) -> None:
        count = queryset.filter(resolved_at__isnull=True).update(resolved_at=timezone.now())
        text = ngettext("%d report resolved.", "%d reports resolved.", count) % count
        messages.success(request, text)


# Answers ------------------------------------------------------------------------------------------------------------


@admin.register(Generation)
class GenerationAdmin(ReadOnlyAdmin):
    list_display = ("question", "answer", "state", "model", "person", "created_at")
    list_filter = ("status", "model")
    search_fields = ("message__text", "message__parent__text", "id")
    fieldsets = (
        (None, {"fields": ("status", "model", "person", "created_at", "started_at", "first_token_at", "finished_at")}),
        (_("What the model saw"), {"fields": ("turns", "dropped", "tokens")}),
        (_("What it said"), {"fields": ("answer_whole", "finish_reason", "seen_chars_at_stop", "error_code", "error")}),
        (_("How it was drawn"), {"fields": ("params_requested", "params_resolved", "seed", "library_versions")}),
        (
            _("Exact ids"),
            {
                "classes": ("collapse",),
                "fields": ("id", "prompt_sha256", "template_sha256", "prompt_id_list", "response_id_list", "continues"),
            },
        ),
    )
    readonly_fields = tuple(name for _title, options in fieldsets for name in options["fields"])
    actions_detail = ("teach",)

    def has_teach_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(("chat.view_generation", "training.add_example"))

    @action(description=_("Teach"), icon="school", url_path="teach", permissions=["teach"])
    def teach(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the form for a question and an answer, filled with this exchange: only if its author agreed."""
        row = get_object_or_404(self.get_queryset(request), pk=object_id)
        owner = row.message.conversation.owner
        if lessons.consent_of(owner) != "granted":
            text = gettext(
                "%(name)s has not agreed that conversations are used for training. The chat asks at the first rating."
            )
            messages.warning(request, text % {"name": owner.get_username()})
            return HttpResponseRedirect(reverse("admin:chat_generation_change", args=(row.pk,)))
        return teaching.offer(
            request,
            question=question_of(row.message),
            answer=row.text,
            source_key=f"{lessons.taught_prefix(owner)}{row.message_id.hex}",
            provenance=lessons.taught_facts(row, owner)
            | {"link": reverse("admin:chat_generation_change", args=(row.pk,))},
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Generation]:
        rows: QuerySet[Generation] = super().get_queryset(request)
        return rows.select_related("model", "message__parent", "message__conversation__owner")

    @display(description=_("question"))
    def question(self, row: Generation) -> str:
        return shortened(question_of(row.message)) or "–"

    @display(description=_("answer"))
    def answer(self, row: Generation) -> str:
        return shortened(row.text)

    @display(description=_("status"), label=BADGES, ordering="status")
    def state(self, row: Generation) -> tuple[str, str]:
        return row.status, row.get_status_display()

    @display(description=_("person"))
    def person(self, row: Generation) -> str:
        return str(row.message.conversation.owner)

    @display(description=_("turns"))
    def turns(self, row: Generation) -> SafeString:
        return turns_as_html(row.prompt_messages)

    @display(description=_("turns left out, as they did not fit"))
    def dropped(self, row: Generation) -> SafeString | str:
        left_out = Message.objects.filter(pk__in=row.dropped_messages).order_by("created_at")
        return turns_as_html({"role": item.role, "content": item.text} for item in left_out) or gettext("none")

    @display(description=_("tokens"))
    def tokens(self, row: Generation) -> str:
        facts = {"prompt": len(row.prompt_ids), "answer": len(row.response_ids), "limit": row.model.context_length}
        return gettext("%(prompt)d in the prompt, %(answer)d in the answer, the window holds %(limit)d") % facts

    @display(description=_("ids of the prompt"))
    def prompt_id_list(self, row: Generation) -> str:
        return " ".join(map(str, row.prompt_ids))

    @display(description=_("ids of the answer"))
    def response_id_list(self, row: Generation) -> str:
        return " ".join(map(str, row.response_ids))

    @display(description=_("text"))
    def answer_whole(self, row: Generation) -> SafeString:
        return text_as_html(row.text)


# Keys ---------------------------------------------------------------------------------------------------------------


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """A key is shown once, when it is made; later it can only be revoked."""

    list_display = ("name", "begins_with", "user", "created_at", "last_used_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "prefix", "user__username")
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return ("name",) if obj is None else ("name", "begins_with", "user", "created_at", "last_used_at", "revoked_at")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("training.change_apikey")

    @display(description=_("begins with"))
    def begins_with(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ModelForm[ApiKey], change: bool) -> None:  # noqa: FBT001
        made, secret = api_keys.create(cast("User", request.user), name=obj.name)
        obj.pk, obj.prefix = made.pk, made.prefix
        request.new_api_key = secret  # type: ignore[attr-defined]  # for the page that answers this request, only

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        facts = self.admin_site.each_context(request) | {
            "title": gettext("Your new API key"),
            "secret": request.new_api_key,  # type: ignore[attr-defined]
            "address": request.build_absolute_uri("/v1"),
            "list_url": reverse("admin:training_apikey_changelist"),
        }
        return TemplateResponse(request, "admin/chat/new_api_key.html", facts)

    @action(description=_("Revoke"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            api_keys.revoke(key)
        messages.success(request, gettext("The keys open nothing any more."))
