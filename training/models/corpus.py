"""Where text comes from: uploads and collections."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Corpus(models.Model):
    """One upload or collection.

    QUEUED -> READING -> READY       rows are Examples, unreadable lines are Findings
       ^         |-----> FAILED      `error` says why, in words
       |         |-----> ASKING      a table whose columns a person has to name; then QUEUED again
       |         |-----> CANCELLED   by a person; what was read stays, reading again goes on
       '---------'                   a lost reader: the lease ran out, it is read again from the start
    READY -> QUEUED when a person has it read anew as another format.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        READING = "reading", _("Being read")
        ASKING = "asking", _("Waiting for your choice of columns")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    TRANSITIONS = {
        Status.QUEUED: (Status.READING, Status.CANCELLED),
        Status.READING: (Status.READY, Status.FAILED, Status.QUEUED, Status.ASKING, Status.CANCELLED),
        Status.ASKING: (Status.QUEUED, Status.CANCELLED),
        Status.READY: (Status.QUEUED,),
        Status.FAILED: (Status.QUEUED,),
        Status.CANCELLED: (Status.QUEUED,),
    }

    name = models.CharField(_("name"), max_length=200)
    file = models.CharField(_("file"), max_length=500, blank=True, help_text=_("Relative to the data directory."))
    original_name = models.CharField(_("original name"), max_length=255, blank=True)
    sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    size_bytes = models.BigIntegerField(_("size in bytes"), default=0)
    format = models.CharField(_("format"), max_length=40, blank=True)
    encoding = models.CharField(_("encoding"), max_length=40, blank=True)
    options = models.JSONField(
        _("options"),
        default=dict,
        blank=True,
        help_text=_("What a person said of the file: format, encoding, which column is what."),
    )
    licence = models.CharField(_("licence"), max_length=120, blank=True)
    source_url = models.URLField(_("source"), blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED)
    claim_token = models.CharField(max_length=32, blank=True)
    beat = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
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


class Collection(models.Model):
    """One job that gathers text from the web into a corpus, in a process of its own.

    QUEUED -> RUNNING -> DONE        the corpus holds what was gathered
       ^         |-----> FAILED      `error` says why, in words
       |         |-----> STOPPED     by a person; going on continues where it stopped
       '---------'                   a lost process: it goes on where it was
    STOPPED, FAILED -> DONE          a person takes what was found so far
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Collecting")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        STOPPED = "stopped", _("Stopped")

    class Source(models.TextChoices):
        WEIBO_TOPIC = "weibo-topic", _("Weibo: a topic's posts and replies")
        DOUBAN_GROUP = "douban-group", _("Douban: a group's topics and replies")
        FEED = "feed", _("A feed (RSS or Atom)")
        PAGES = "pages", _("Web pages (a list of addresses or a site map)")

    TRANSITIONS = {
        Status.QUEUED: (Status.RUNNING, Status.STOPPED),
        Status.RUNNING: (Status.DONE, Status.FAILED, Status.STOPPED, Status.QUEUED),
        Status.DONE: (),
        Status.FAILED: (Status.QUEUED, Status.DONE),
        Status.STOPPED: (Status.QUEUED, Status.DONE),
    }

    name = models.CharField(_("name"), max_length=200)
    source = models.CharField(_("source"), max_length=20, choices=Source)
    parameters = models.JSONField(_("parameters"), default=dict)
    cookie = models.TextField(_("cookie"), blank=True)  # the operator's own; never shown again, never logged
    licence = models.CharField(_("licence"), max_length=120, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED)
    claim_token = models.CharField(max_length=32, blank=True)
    beat = models.DateTimeField(null=True, blank=True)
    requests = models.PositiveIntegerField(_("requests"), default=0)
    records = models.PositiveIntegerField(_("dialogues found"), default=0)
    refused = models.JSONField(_("not fetched"), default=dict, help_text=_("By reason: how many, and the first."))
    error = models.TextField(_("error"), blank=True)
    corpus = models.ForeignKey(Corpus, models.PROTECT, null=True, blank=True, verbose_name=_("corpus"))
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("owner"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("collection")
        verbose_name_plural = _("collections")
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.name
