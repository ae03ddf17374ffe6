"""Trained models, their figures, and which of them answers."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ModelVersion(models.Model):
    """One model directory under `models/<uid>/`. Immutable but for `is_active`, `retired_at` and the note."""

    class Origin(models.TextChoices):
        STARTER = "starter", _("Came with the site")
        TRAINED = "trained", _("Trained here")
        ADDED = "added", _("Added from a directory")

    uid = models.CharField(_("id"), max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=120, unique=True)
    origin = models.CharField(_("origin"), max_length=10, choices=Origin)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, verbose_name=_("base"))
    run = models.OneToOneField(
        "training.TrainingRun", models.PROTECT, null=True, blank=True, related_name="model", verbose_name=_("run")
    )
    dataset = models.ForeignKey(
        "training.DatasetVersion", models.PROTECT, null=True, blank=True, verbose_name=_("dataset version")
    )
    weights_sha256 = models.CharField(max_length=64)
    tokenizer_sha256 = models.CharField(max_length=64)
    template = models.TextField(_("chat template"))
    context_length = models.PositiveIntegerField(_("context length in tokens"))
    parameters = models.BigIntegerField(_("parameters"))
    size_bytes = models.BigIntegerField(_("size in bytes"))
    licence = models.CharField(_("licence"), max_length=120, blank=True)
    manifest = models.JSONField(default=dict)
    note = models.TextField(_("note"), blank=True)
    is_active = models.BooleanField(_("active"), default=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    retired_at = models.DateTimeField(_("retired"), null=True, blank=True)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("is_active",), condition=Q(is_active=True), name="one_active_model"),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(retired_at__isnull=True), name="active_model_is_not_retired"
            ),
        )

    def __str__(self) -> str:
        return self.name


class Evaluation(models.Model):
    """One figure of one model on one split of one version. Append-only."""

    model = models.ForeignKey(ModelVersion, models.CASCADE, related_name="evaluations", verbose_name=_("model"))
    dataset = models.ForeignKey(
        "training.DatasetVersion", models.PROTECT, null=True, blank=True, verbose_name=_("dataset version")
    )
    split = models.CharField(_("split"), max_length=20)
    metric = models.CharField(_("metric"), max_length=40)
    value = models.FloatField(_("value"))
    low = models.FloatField(_("lower bound"), null=True, blank=True)
    high = models.FloatField(_("upper bound"), null=True, blank=True)
    n = models.PositiveIntegerField(_("rows"), default=0)
    signature = models.CharField(_("signature"), max_length=200, blank=True)
    rows = models.JSONField(default=list)  # training.ml.records.Metric.rows, of the figures that a gate decides by
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("evaluation")
        verbose_name_plural = _("evaluations")
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("model", "dataset", "split", "metric"), name="one_figure_per_model_split_and_metric"
            ),
        )

    def __str__(self) -> str:
        return f"{self.metric} {self.value:.4g}"


class Activation(models.Model):
    """One switch of the model that answers: who, when, instead of which, and what the gate said. Append-only."""

    model = models.ForeignKey(ModelVersion, models.PROTECT, related_name="activations", verbose_name=_("model"))
    replaced = models.ForeignKey(
        ModelVersion, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("replaced")
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, verbose_name=_("by"))
    gate = models.JSONField(_("gate report"), default=dict)
    overridden = models.BooleanField(_("gate overridden"), default=False)
    traffic_share = models.FloatField(_("share of conversations"), default=1.0)
    at = models.DateTimeField(_("when"), auto_now_add=True)

    class Meta:
        verbose_name = _("activation")
        verbose_name_plural = _("activations")
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(traffic_share__gt=0) & Q(traffic_share__lte=1), name="traffic_share_is_a_share"
            ),
        )

    def __str__(self) -> str:
        return f"{self.model} ({self.at:%Y-%m-%d %H:%M})"
