"""Training runs and what they tell."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class TrainingRun(models.Model):
    """One training job. The row is the truth; the queue only rings.

    DRAFT -> QUEUED -> RUNNING -> EVALUATING -> SUCCEEDED
                ^         |  '-> PAUSED -> QUEUED
                |         |-> FAILED      an exception, a diverged loss, a full disk, too many lost trainers
                '---------'               trainer killed by a signal or worker lost: attempt + 1, resumes
    any unfinished -> CANCELLED           like every end it takes the run's directory along
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("Draft")
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("In training")
        PAUSED = "paused", _("Paused")
        EVALUATING = "evaluating", _("Being evaluated")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    class Method(models.TextChoices):
        PRETRAIN = "pretrain", _("Pre-training")
        SFT = "sft", _("Fine-tuning")
        DPO = "dpo", _("Preference tuning (DPO)")

    TRANSITIONS = {
        Status.DRAFT: (Status.QUEUED, Status.CANCELLED),
        Status.QUEUED: (Status.RUNNING, Status.CANCELLED, Status.FAILED),
        Status.RUNNING: (Status.EVALUATING, Status.PAUSED, Status.QUEUED, Status.FAILED, Status.CANCELLED),
        Status.PAUSED: (Status.QUEUED, Status.CANCELLED),
        Status.EVALUATING: (Status.SUCCEEDED, Status.QUEUED, Status.FAILED, Status.CANCELLED),
        Status.SUCCEEDED: (),
        Status.FAILED: (),
        Status.CANCELLED: (),
    }
    TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
    ON_DEVICE = (Status.RUNNING, Status.EVALUATING)

    request_key = models.CharField(
        max_length=40,
        unique=True,
        null=True,
        blank=True,
        editable=False,
        help_text=_("A second click makes no second run."),
    )
    name = models.CharField(_("name"), max_length=80)
    method = models.CharField(_("method"), max_length=10, choices=Method)
    base = models.ForeignKey("training.ModelVersion", models.PROTECT, related_name="runs", verbose_name=_("base"))
    dataset = models.ForeignKey("training.DatasetVersion", models.PROTECT, verbose_name=_("dataset version"))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.DRAFT)
    priority = models.SmallIntegerField(_("priority"), default=0, help_text=_("Higher goes first."))
    device = models.CharField(_("device"), max_length=80, default="auto")
    config = models.JSONField(_("settings"), default=dict)
    reasons = models.JSONField(_("why these automatic values"), default=dict)

    claim_token = models.CharField(max_length=32, blank=True)
    worker = models.CharField(_("worker"), max_length=120, blank=True)
    pid = models.PositiveIntegerField(_("process"), null=True, blank=True)
    beat = models.DateTimeField(_("last sign of life"), null=True, blank=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=0)
    cancel_requested_at = models.DateTimeField(_("cancel asked"), null=True, blank=True)
    pause_requested_at = models.DateTimeField(_("pause asked"), null=True, blank=True)

    step = models.PositiveIntegerField(_("step"), default=0)
    total_steps = models.PositiveIntegerField(_("steps"), default=0)
    eta_seconds = models.FloatField(_("seconds left"), null=True, blank=True)
    loss = models.FloatField(_("loss"), null=True, blank=True)
    validation_loss = models.FloatField(_("validation loss"), null=True, blank=True)
    tokens_per_second = models.FloatField(_("tokens per second"), null=True, blank=True)

    error = models.TextField(_("error"), blank=True)
    error_log = models.TextField(_("end of the trainer's output"), blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("owner"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    queued_at = models.DateTimeField(_("queued"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        verbose_name = _("training run")
        verbose_name_plural = _("training runs")
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=(Q(status__in=("succeeded", "failed", "cancelled")) & Q(finished_at__isnull=False))
                | (~Q(status__in=("succeeded", "failed", "cancelled")) & Q(finished_at__isnull=True)),
                name="run_finished_at_iff_terminal",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("running", "evaluating")) | ~Q(claim_token=""), name="run_on_device_has_claim"
            ),
            # One run a device at a time, whatever two workers believe.
            models.UniqueConstraint(
                fields=("device",), condition=Q(status__in=("running", "evaluating")), name="one_run_per_device"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_finished(self) -> bool:
        return self.status in self.TERMINAL

    @property
    def share_done(self) -> float:
        """0..1 of the optimiser steps."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0


class RunEvent(models.Model):
    """What a run told, in order. Append-only; `seq` is given by the one process that holds the claim."""

    run = models.ForeignKey(TrainingRun, models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=20)
    step = models.PositiveIntegerField(default=0)
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ("seq",)
        constraints = (models.UniqueConstraint(fields=("run", "seq"), name="one_event_per_seq"),)

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"
