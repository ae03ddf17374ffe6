"""How rows are cleaned, frozen and counted."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from training.models.example import Example


class WordList(models.Model):
    """One word a line, uploaded for cleaning. A recipe names it by hash, so a list is never changed: a new one is."""

    class Use(models.TextChoices):
        SENSITIVE = "sensitive", _("Sensitive words")
        STOP = "stop", _("Stop words")
        DICTIONARY = "dictionary", _("Words for the segmenter (jieba user dictionary)")
        ADVERT = "advert", _("Advertisement phrases")

    name = models.CharField(_("name"), max_length=120)
    use = models.CharField(_("used for"), max_length=12, choices=Use)
    text = models.TextField(_("words"))
    sha256 = models.CharField(max_length=64)
    words = models.PositiveIntegerField(_("number of words"), default=0)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("owner"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("word list")
        verbose_name_plural = _("word lists")
        ordering = ("-id",)
        constraints = (models.UniqueConstraint(fields=("use", "sha256"), name="one_word_list_per_content"),)

    def __str__(self) -> str:
        return self.name


class Recipe(models.Model):
    """An ordered list of cleaning steps, as training.ml.clean reads it. Never changed: an edit is a new row."""

    name = models.CharField(_("name"), max_length=120)
    steps = models.JSONField(_("steps"), default=list)
    sha256 = models.CharField(max_length=64, unique=True)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, verbose_name=_("earlier version"))
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("owner"))
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


class Statistics(models.Model):
    """Figures of a selection of examples or of a version, computed in the background.

    QUEUED -> RUNNING -> DONE | FAILED; a lost worker: QUEUED again.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Being computed")
        DONE = "done", _("Ready")
        FAILED = "failed", _("Failed")

    TRANSITIONS = {
        Status.QUEUED: (Status.RUNNING,),
        Status.RUNNING: (Status.DONE, Status.FAILED, Status.QUEUED),
        Status.DONE: (Status.QUEUED,),
        Status.FAILED: (Status.QUEUED,),
    }

    selection = models.JSONField(default=dict)
    version = models.OneToOneField(
        DatasetVersion, models.CASCADE, null=True, blank=True, related_name="statistics", verbose_name=_("version")
    )
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED)
    claim_token = models.CharField(max_length=32, blank=True)
    beat = models.DateTimeField(null=True, blank=True)
    rows_total = models.PositiveIntegerField(default=0)
    rows_done = models.PositiveIntegerField(default=0)
    figures = models.JSONField(default=dict)
    error = models.TextField(_("error"), blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("statistics")
        verbose_name_plural = _("statistics")
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"#{self.pk}"
