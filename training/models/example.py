"""The rows that people curate, what happened to them and what experts think of them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from training.models.corpus import Corpus


class Example(models.Model):
    """One row of training material; `body` is what training.ml.records.record_from_body reads.

    DRAFT -> APPROVED <-> REJECTED; an edit of an approved one makes it DRAFT again.
    """

    class Kind(models.TextChoices):
        DIALOGUE = "dialogue", _("Dialogue")
        DOCUMENT = "document", _("Document")
        PAIR = "pair", _("Preference pair")
        LABEL = "label", _("Thumb")

    class Status(models.TextChoices):
        DRAFT = "draft", _("Draft")
        APPROVED = "approved", _("Approved")
        REJECTED = "rejected", _("Rejected")

    TRANSITIONS = {
        Status.DRAFT: (Status.APPROVED, Status.REJECTED),
        Status.APPROVED: (Status.REJECTED, Status.DRAFT),
        Status.REJECTED: (Status.APPROVED, Status.DRAFT),
    }

    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.DRAFT)
    body = models.JSONField(_("content"))
    preview = models.CharField(_("preview"), max_length=200, blank=True)
    content_hash = models.CharField(max_length=64, db_index=True)
    source_key = models.CharField(
        max_length=120, unique=True, help_text=_("Where it came from; the same source never makes two rows.")
    )
    corpus = models.ForeignKey(
        Corpus, models.PROTECT, null=True, blank=True, related_name="examples", verbose_name=_("corpus")
    )
    line = models.PositiveIntegerField(_("line"), null=True, blank=True)
    group = models.CharField(
        _("paraphrase group"),
        max_length=80,
        blank=True,
        db_index=True,
        help_text=_("Rows that ask for one fact share a group."),
    )
    cluster = models.CharField(_("near-duplicate cluster"), max_length=64, blank=True, db_index=True)
    tags = models.JSONField(_("tags"), default=list, blank=True)
    language = models.CharField(_("language"), max_length=8, blank=True)
    provenance = models.JSONField(_("provenance"), default=dict, blank=True)
    # Few rows have this or a reviewer: an index of those alone costs an import nothing.
    leased_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    leased_until = models.DateTimeField(null=True, blank=True)  # a review item is one person's for five minutes
    split = models.CharField(
        _("split"), max_length=10, blank=True, help_text=_("Sticky from its first frozen version on.")
    )
    row_version = models.PositiveIntegerField(default=1)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("reviewer"),
        db_index=False,
    )
    reviewed_at = models.DateTimeField(_("reviewed"), null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("author")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name = _("example")
        verbose_name_plural = _("examples")
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("status", "-id")),
            # All that lists are filtered by, in the order in which they are read: a rare row among a million is found
            # without a look at the others' texts.
            models.Index(
                fields=("id", "status", "kind", "language", "split", "corpus", "tags"), name="example_filters"
            ),
            models.Index(fields=("tags",), name="example_tags"),
            models.Index(fields=("leased_by",), name="example_leased_by", condition=Q(leased_by__isnull=False)),
            models.Index(fields=("reviewer",), name="example_reviewer", condition=Q(reviewer__isnull=False)),
            models.Index(fields=("leased_until",), name="example_leases", condition=Q(leased_until__isnull=False)),
        )

    def __str__(self) -> str:
        return self.preview or f"#{self.pk}"


class ExampleEvent(models.Model):
    """What happened to an example, who did it and why. Append-only."""

    example = models.ForeignKey(Example, models.CASCADE, related_name="events")
    at = models.DateTimeField(auto_now_add=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    action = models.CharField(max_length=20)
    note = models.TextField(blank=True)
    before = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.action} {self.at:%Y-%m-%d %H:%M}"


class AnswerScore(models.Model):
    """An expert's mark for one answer, 1 (useless) to 5 (right and well said). Append-only: the newest counts."""

    example = models.ForeignKey(Example, models.CASCADE, related_name="scores")
    answer = models.CharField(max_length=20)  # chosen, rejected, completion, or messages[N]
    content_hash = models.CharField(max_length=64)  # of the example as it was marked
    value = models.PositiveSmallIntegerField(_("score"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)
        constraints = (models.CheckConstraint(condition=Q(value__gte=1) & Q(value__lte=5), name="score_is_1_to_5"),)

    def __str__(self) -> str:
        return f"{self.answer}: {self.value}"
