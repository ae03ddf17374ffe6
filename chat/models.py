"""The rows of the users' side: what was asked, what the model really saw and did, and what people thought of it.

Messages are a tree and are never overwritten: an edit or another answer is a sibling. Ratings, rewrites and consent
are append-only: a change supersedes. The server fills every fact but the person's own choice and words.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Conversation(models.Model):
    """One thread of one person. `leaf` is the last message of the branch that was open last."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="conversations", verbose_name=_("owner")
    )
    title = models.CharField(_("title"), max_length=120, blank=True)
    leaf = models.ForeignKey("chat.Message", models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True, db_index=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering = ("-updated_at",)
        indexes = (models.Index(fields=("owner", "-updated_at")),)

    def __str__(self) -> str:
        return self.title or str(self.id)


class Message(models.Model):
    """One turn. The text of a model's turn is written by its Generation and is final once that is."""

    class Role(models.TextChoices):
        USER = "user", _("Person")
        ASSISTANT = "assistant", _("Assistant")

    class Author(models.TextChoices):
        USER = "user", _("Person")
        MODEL = "model", _("Model")
        HUMAN_EDITOR = "human_editor", _("Rewritten by a person")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", models.CASCADE, null=True, blank=True, related_name="children")
    role = models.CharField(_("role"), max_length=10, choices=Role)
    author = models.CharField(_("author"), max_length=12, choices=Author)
    text = models.TextField(_("text"), blank=True)
    edited_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ("created_at",)
        constraints = (
            models.CheckConstraint(
                condition=(Q(role="user") & Q(author="user")) | (Q(role="assistant") & ~Q(author="user")),
                name="author_fits_role",
            ),
        )

    def __str__(self) -> str:
        return self.text[:60]


class Generation(models.Model):
    """What the model really saw and did for one answer.

    QUEUED -> RUNNING -> COMPLETED     the model ended its turn
       |         |-----> LENGTH        max tokens or the window ended it
       |-----------> STOPPED           the person ended it; text is cut to what was seen, ids stay whole
       |-----------> FAILED            the engine refused or broke; `error` says how
       '-----------> INTERRUPTED       web or engine went away; the text so far is kept
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Answering")
        COMPLETED = "completed", _("Completed")
        LENGTH = "length", _("Cut by length")
        STOPPED = "stopped", _("Stopped")
        FAILED = "failed", _("Failed")
        INTERRUPTED = "interrupted", _("Interrupted")

    _ENDS = (Status.COMPLETED, Status.LENGTH, Status.STOPPED, Status.FAILED, Status.INTERRUPTED)
    TRANSITIONS = {
        Status.QUEUED: (Status.RUNNING, Status.STOPPED, Status.FAILED, Status.INTERRUPTED),
        Status.RUNNING: _ENDS,
        Status.COMPLETED: (),
        Status.LENGTH: (),
        Status.STOPPED: (),
        Status.FAILED: (),
        Status.INTERRUPTED: (),
    }
    UNFINISHED = (Status.QUEUED, Status.RUNNING)

    # Chosen by the browser, so that a resent frame cannot make a second answer.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.OneToOneField(Message, models.CASCADE, related_name="generation")
    model = models.ForeignKey("training.ModelVersion", models.PROTECT, verbose_name=_("model"))
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.QUEUED)
    text = models.TextField(blank=True)
    seq = models.PositiveIntegerField(default=0, help_text=_("Code points of `text`."))
    beat = models.DateTimeField(null=True, blank=True)

    template_sha256 = models.CharField(max_length=64)
    prompt_ids = models.JSONField(default=list)
    prompt_sha256 = models.CharField(max_length=64, db_index=True)
    prompt_messages = models.JSONField(default=list, help_text=_("The turns that the prompt was rendered from."))
    dropped_messages = models.JSONField(default=list, help_text=_("Ids of older turns that did not fit."))
    params_requested = models.JSONField(_("settings asked for"), default=dict)
    params_resolved = models.JSONField(_("settings used"), default=dict)
    seed = models.BigIntegerField(_("seed"))
    continues = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("goes on from")
    )

    response_ids = models.JSONField(default=list)
    response_logprobs = models.JSONField(default=list)
    seen_chars_at_stop = models.PositiveIntegerField(_("characters seen at the stop"), null=True, blank=True)
    finish_reason = models.CharField(_("how it ended"), max_length=20, blank=True)
    error = models.TextField(_("error"), blank=True)
    error_code = models.CharField(_("kind of error"), max_length=40, blank=True)
    device = models.CharField(max_length=40, blank=True)
    library_versions = models.JSONField(_("versions of the libraries"), default=dict)
    created_at = models.DateTimeField(_("when"), auto_now_add=True)
    started_at = models.DateTimeField(_("begun"), null=True, blank=True)
    first_token_at = models.DateTimeField(_("first token"), null=True, blank=True)
    finished_at = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        verbose_name = _("answer")
        verbose_name_plural = _("answers")
        ordering = ("-created_at",)
        indexes = (models.Index(fields=("status", "beat")),)
        constraints = (
            models.CheckConstraint(
                condition=(Q(status__in=("queued", "running")) & Q(finished_at__isnull=True))
                | (~Q(status__in=("queued", "running")) & Q(finished_at__isnull=False)),
                name="generation_finished_at_iff_ended",
            ),
        )

    def __str__(self) -> str:
        return f"{self.message} · {self.model}"


class Presentation(models.Model):
    """What was shown side by side, to whom and in which order, when answers were compared."""

    class Mode(models.TextChoices):
        SINGLE = "single", _("One answer")
        SIBLINGS = "siblings", _("Answers one after another")
        BLIND = "blind", _("Two answers, names hidden")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE)
    parent = models.ForeignKey(Message, models.CASCADE, related_name="+")
    mode = models.CharField(max_length=10, choices=Mode)
    items = models.JSONField(default=list, help_text=_("Message ids in the order shown."))
    shown_at = models.DateTimeField(auto_now_add=True)
    revealed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.get_mode_display()


class Rating(models.Model):
    """One thumb of one person. A change is a new row; the current one is neither superseded nor withdrawn."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="ratings")
    rater = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="ratings", verbose_name=_("rated by")
    )
    value = models.SmallIntegerField(_("thumb"))
    reasons = models.JSONField(_("reasons"), default=list)
    comment = models.TextField(_("comment"), blank=True)
    locale = models.CharField(_("language"), max_length=12, blank=True)
    created_at = models.DateTimeField(_("when"), auto_now_add=True)
    superseded_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("rating")
        verbose_name_plural = _("ratings")
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=Q(value__in=(1, -1)), name="thumb_is_up_or_down"),
            models.UniqueConstraint(
                fields=("message", "rater"),
                condition=Q(superseded_at__isnull=True, withdrawn_at__isnull=True),
                name="one_current_rating_per_person",
            ),
        )

    def __str__(self) -> str:
        return "👍" if self.value > 0 else "👎"


class Comparison(models.Model):
    """Which of the answers of a presentation a person preferred. Append-only."""

    class Outcome(models.TextChoices):
        PREFER = "prefer", _("One is better")
        TIE = "tie", _("Equally good")
        BOTH_BAD = "both_bad", _("Both bad")

    presentation = models.ForeignKey(Presentation, models.CASCADE, related_name="comparisons")
    rater = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="comparisons")
    outcome = models.CharField(max_length=10, choices=Outcome)
    preferred = models.ForeignKey(Message, models.CASCADE, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    superseded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=(Q(outcome="prefer") & Q(preferred__isnull=False))
                | (~Q(outcome="prefer") & Q(preferred__isnull=True)),
                name="a_preference_names_its_answer",
            ),
        )

    def __str__(self) -> str:
        return self.get_outcome_display()


class Rewrite(models.Model):
    """The answer a person wanted, beside the one it replaces. Append-only."""

    target = models.ForeignKey(Message, models.CASCADE, related_name="rewrites")
    new_message = models.OneToOneField(Message, models.CASCADE, related_name="rewrite_of")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="rewrites", verbose_name=_("written by")
    )
    created_at = models.DateTimeField(_("when"), auto_now_add=True)
    superseded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("rewrite")
        verbose_name_plural = _("rewrites")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("target", "author"),
                condition=Q(superseded_at__isnull=True),
                name="one_current_rewrite_per_person",
            ),
        )

    def __str__(self) -> str:
        return self.new_message.text[:60]


class Flag(models.Model):
    """A report that an answer is harmful."""

    class Kind(models.TextChoices):
        SPAM = "spam", _("Spam")
        PII = "pii", _("Personal data")
        UNSAFE = "unsafe", _("Unsafe")
        ILLEGAL = "illegal", _("Illegal")

    message = models.ForeignKey(Message, models.CASCADE, related_name="flags")
    rater = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("reported by"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    text = models.TextField(_("comment"), blank=True)
    resolved_at = models.DateTimeField(_("resolved"), null=True, blank=True)
    created_at = models.DateTimeField(_("when"), auto_now_add=True)

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.get_kind_display()


class Consent(models.Model):
    """May this person's ratings and rewrites become training data? The newest row counts; none means no."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="consents")
    granted = models.BooleanField(_("granted"))
    text_version = models.CharField(max_length=20)
    at = models.DateTimeField(_("when"), auto_now_add=True)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        ordering = ("-id",)

    def __str__(self) -> str:
        return str(_("granted") if self.granted else _("refused"))
