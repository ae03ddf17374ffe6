"""What is wrong with rows, and the passes that looked for it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from training.models.corpus import Corpus
from training.models.example import Example


class Check(models.Model):
    """One pass of the checks over a selection of examples, or over a frozen version.

    QUEUED -> RUNNING -> DONE
       ^         |-----> FAILED | CANCELLED
       '---------'                a lost worker: the lease ran out, it begins again
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Being checked")
        DONE = "done", _("Checked")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    TRANSITIONS = {
        Status.QUEUED: (Status.RUNNING, Status.CANCELLED),
        Status.RUNNING: (Status.DONE, Status.FAILED, Status.QUEUED, Status.CANCELLED),
        Status.DONE: (),
        Status.FAILED: (Status.QUEUED,),
        Status.CANCELLED: (),
    }

    selection = models.JSONField(_("selection"), default=dict, help_text=_("Which examples: corpora, tags, states."))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.QUEUED)
    claim_token = models.CharField(max_length=32, blank=True)
    beat = models.DateTimeField(null=True, blank=True)
    rows_total = models.PositiveIntegerField(_("rows"), default=0)
    rows_done = models.PositiveIntegerField(_("rows checked"), default=0)
    counts = models.JSONField(_("findings by rule"), default=dict)
    error = models.TextField(_("error"), blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("owner"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("check")
        verbose_name_plural = _("checks")
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"#{self.pk}"


class Finding(models.Model):
    """One thing that is wrong with a row, addressed by line: what, why, and how to mend it.

    OPEN -> APPLIED (its remedy was done; `undo` leads back) | DISMISSED (a person said that it is right so)
    """

    class Severity(models.TextChoices):
        ERROR = "error", _("Error")
        WARNING = "warning", _("Warning")
        NOTE = "note", _("Note")

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        APPLIED = "applied", _("Mended")
        DISMISSED = "dismissed", _("Left as it is")

    TRANSITIONS = {
        State.OPEN: (State.APPLIED, State.DISMISSED),
        State.APPLIED: (State.OPEN,),
        State.DISMISSED: (State.OPEN,),
    }

    corpus = models.ForeignKey(Corpus, models.CASCADE, null=True, blank=True, related_name="findings")
    example = models.ForeignKey(Example, models.CASCADE, null=True, blank=True, related_name="findings")
    checked_by = models.ForeignKey(Check, models.CASCADE, null=True, blank=True, related_name="findings")
    rule = models.CharField(_("rule"), max_length=40)
    severity = models.CharField(_("severity"), max_length=10, choices=Severity)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    line = models.PositiveIntegerField(_("line"), null=True, blank=True)
    where = models.CharField(max_length=60, blank=True)  # which text of the row, such as messages[1].content
    start = models.PositiveIntegerField(null=True, blank=True)  # Unicode code points into that text
    end = models.PositiveIntegerField(null=True, blank=True)
    message = models.TextField(_("what"))
    facts = models.JSONField(default=dict, blank=True)
    excerpt = models.CharField(_("excerpt"), max_length=200, blank=True)
    remedy = models.CharField(_("remedy"), max_length=40, blank=True)

    class Meta:
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        ordering = ("id",)
        indexes = (
            models.Index(fields=("checked_by", "rule", "state")),
            models.Index(fields=("state", "example"), name="finding_examples"),
        )

    def __str__(self) -> str:
        return f"{self.line}: {self.rule}" if self.line else self.rule
