"""Where text comes from and what becomes of it, up to the frozen version."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Corpus(models.Model):
    """One upload or collection.

    QUEUED -> READING -> READY    rows are Examples, unreadable lines are Findings
       ^         |-----> FAILED   `error` says why, in words
       '---------'                a lost reader: the lease ran out, it is read again from the start
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        READING = "reading", _("Being read")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")

    TRANSITIONS = {
        Status.QUEUED: (Status.READING,),
        Status.READING: (Status.READY, Status.FAILED, Status.QUEUED),
        Status.READY: (),
        Status.FAILED: (Status.QUEUED,),
    }

    name = models.CharField(_("name"), max_length=200)
    file = models.CharField(_("file"), max_length=500, blank=True, help_text=_("Relative to the data directory."))
    original_name = models.CharField(_("original name"), max_length=255, blank=True)
    sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    size_bytes = models.BigIntegerField(_("size in bytes"), default=0)
    format = models.CharField(_("format"), max_length=40, blank=True)
    encoding = models.CharField(_("encoding"), max_length=40, blank=True)
    licence = models.CharField(_("licence"), max_length=120, blank=True)
    source_url = models.URLField(_("source"), blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED)
    claim_token = models.CharField(max_length=32, blank=True)
    beat = models.DateTimeField(null=True, blank=True)
    bytes_read = models.BigIntegerField(default=0)
    rows_read = models.PositiveIntegerField(_("rows read"), default=0)
    rows_new = models.PositiveIntegerField(_("new examples"), default=0)
    rows_known = models.PositiveIntegerField(_("already known"), default=0)
    rows_bad = models.PositiveIntegerField(_("unreadable"), default=0)
    error = models.TextField(_("error"), blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("owner"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("corpus")
        verbose_name_plural = _("corpora")
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=~Q(status="reading") | ~Q(claim_token=""), name="corpus_reading_has_claim"
            ),
            # Two uploads of one file at once: the second one loses.
            models.UniqueConstraint(fields=("sha256",), condition=~Q(sha256=""), name="one_corpus_per_file"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def share_read(self) -> float:
        """0..1 of the file's bytes."""
        return min(1.0, self.bytes_read / self.size_bytes) if self.size_bytes else 0.0


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
    split = models.CharField(
        _("split"), max_length=10, blank=True, help_text=_("Sticky from its first frozen version on.")
    )
    row_version = models.PositiveIntegerField(default=1)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("reviewer")
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
        indexes = (models.Index(fields=("status", "-id")),)

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


class Finding(models.Model):
    """One thing that is wrong with a row, addressed by line: what, why, and how to mend it."""

    class Severity(models.TextChoices):
        ERROR = "error", _("Error")
        WARNING = "warning", _("Warning")

    corpus = models.ForeignKey(Corpus, models.CASCADE, null=True, blank=True, related_name="findings")
    example = models.ForeignKey(Example, models.CASCADE, null=True, blank=True, related_name="findings")
    rule = models.CharField(_("rule"), max_length=40)
    severity = models.CharField(_("severity"), max_length=10, choices=Severity)
    line = models.PositiveIntegerField(_("line"), null=True, blank=True)
    message = models.TextField(_("what"))
    facts = models.JSONField(default=dict, blank=True)
    excerpt = models.CharField(_("excerpt"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.line}: {self.rule}" if self.line else self.rule


class Recipe(models.Model):
    """An ordered list of cleaning steps, as training.ml.clean reads it. Never changed: an edit is a new row."""

    name = models.CharField(_("name"), max_length=120)
    steps = models.JSONField(_("steps"), default=list)
    sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("cleaning recipe")
        verbose_name_plural = _("cleaning recipes")
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """A frozen set of rows: content-addressed, split so that nothing leaks, never changed.

    QUEUED -> FREEZING -> FROZEN
       ^         |------> FAILED
       '---------'         a lost freezer: the lease ran out
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        FREEZING = "freezing", _("Being frozen")
        FROZEN = "frozen", _("Frozen")
        FAILED = "failed", _("Failed")

    TRANSITIONS = {
        Status.QUEUED: (Status.FREEZING,),
        Status.FREEZING: (Status.FROZEN, Status.FAILED, Status.QUEUED),
        Status.FROZEN: (),
        Status.FAILED: (Status.QUEUED,),
    }

    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(_("kind"), max_length=10, choices=Example.Kind)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED)
    claim_token = models.CharField(max_length=32, blank=True)
    beat = models.DateTimeField(null=True, blank=True)
    selection = models.JSONField(_("selection"), default=dict, help_text=_("Which approved examples: corpora, tags."))
    recipe = models.ForeignKey(Recipe, models.PROTECT, null=True, blank=True, verbose_name=_("cleaning recipe"))
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, verbose_name=_("earlier version"))
    sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    counts = models.JSONField(_("rows per split"), default=dict)
    report = models.JSONField(_("report"), default=dict, help_text=_("Kept, changed and dropped rows with reasons."))
    error = models.TextField(_("error"), blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("owner"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    frozen_at = models.DateTimeField(_("frozen"), null=True, blank=True)

    class Meta:
        verbose_name = _("dataset version")
        verbose_name_plural = _("dataset versions")
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=~Q(status="frozen") | (~Q(sha256="") & Q(frozen_at__isnull=False)),
                name="frozen_version_has_hash",
            ),
        )

    def __str__(self) -> str:
        return self.name


class VersionRow(models.Model):
    """Which example went into which version, and into which split: lineage both ways."""

    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="rows")
    example = models.ForeignKey(Example, models.PROTECT, related_name="+")
    split = models.CharField(max_length=10)
    row_hash = models.CharField(max_length=64)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("version", "example"), name="one_row_per_version_and_example"),)

    def __str__(self) -> str:
        return f"{self.example_id} {self.split}"
