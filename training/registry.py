"""Registers model directories as versions and decides which of them answers.

Activation loads and tries the model in the engine first; only then one row changes, by compare-and-set against what
the operator saw. Knows nothing of how a model is made.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import formats, timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from training import gate as gates
from training import serving, storage
from training.gate import GateReport
from training.leash import leashed
from training.ml import bundle
from training.ml.errors import BadModel, PipelineError
from training.ml.texts import Words, is_words, words
from training.models import Activation, ModelVersion, TrainingRun

if TYPE_CHECKING:
    from django.contrib.auth.models import User

STARTER_UID = "starter"
STARTER_DIR = Path(__file__).parent / "starter" / "model"
NAME_LENGTH = 120
ADOPT_TIMEOUT_SECONDS = 600

log = structlog.get_logger(__name__)


class GateBlocked(Exception):
    """Raised when the gate is closed and nobody overrode it; `report` says why."""

    def __init__(self, report: GateReport) -> None:
        super().__init__(" ".join(report.reasons))
        self.report = report


class StaleActivation(Exception):
    """Raised when another model answers than the operator saw; nothing was changed."""

    def __init__(self, by: str, at: datetime) -> None:
        when = formats.date_format(timezone.localtime(at), "DATETIME_FORMAT")
        super().__init__(_("Changed by %(who)s at %(when)s: look again.") % {"who": by, "when": when})
        self.by, self.at = by, at


class NoEarlierModel(PipelineError):
    """Raised when a roll back finds no activation left to undo; nothing was changed."""

    code = "no_earlier_model"


# --- which models there are -----------------------------------------------------------------------------------------


def active_model() -> ModelVersion | None:
    return ModelVersion.objects.filter(is_active=True).first()


def register(
    directory: Path,
    *,
    name: str,
    origin: str = ModelVersion.Origin.ADDED,
    parent: ModelVersion | None = None,
    run: TrainingRun | None = None,
    note: str = "",
) -> ModelVersion:
    """The row of a published directory; its facts come from the directory. Idempotent for the same directory."""
    manifest = bundle.load_manifest(directory)
    row, created = ModelVersion.objects.get_or_create(
        uid=directory.name,
        defaults={
            "name": name[:NAME_LENGTH],
            "origin": origin,
            "parent": parent,
            "run": run,
            "dataset": run.dataset if run else None,
            "weights_sha256": manifest["hashes"]["weights"],
            "tokenizer_sha256": manifest["hashes"]["tokenizer"],
            "template": _template(directory),
            "context_length": manifest["context_length"],
            "parameters": bundle.count_parameters(directory),
            "size_bytes": storage.directory_bytes(directory),
            "licence": str(manifest.get("licence", ""))[:120],
            "manifest": manifest,
            "note": note,
        },
    )
    if created:
        log.info("model registered", model=row.uid, name=row.name)
    return row


def _template(directory: Path) -> str:
    return (directory / "chat_template.jinja").read_text(encoding="utf-8")


def trained_name(run: TrainingRun, uid: str) -> str:
    """`ft:<first base>:<site>:<run>:<8 hex>`, as people know it from OpenAI; at most NAME_LENGTH characters."""
    base = run.base.name.split(":")[1] if run.base.name.startswith("ft:") else run.base.name
    suffix = slugify(run.name, allow_unicode=True)[:30]
    return f"ft:{base[:50]}:chatsite:{suffix}:{uid[-8:]}"


# --- models from elsewhere ------------------------------------------------------------------------------------------


def add_base(source: Path, *, name: str, note: str = "") -> ModelVersion:
    """Inspect a foreign directory, adopt it (tokenizer, template, hashes) and register it. Raises BadModel in words.

    Runs in a process of its own: it needs torch, and a damaged file must not take the caller down.
    """
    if ModelVersion.objects.filter(name=name).exists():
        raise BadModel(gettext_noop("A model named %(name)s exists already."), name=name)
    uid = _free_uid(name)
    _adopt(source, storage.model_dir(uid))
    return register(storage.model_dir(uid), name=name, note=note)


def _adopt(source: Path, dest: Path) -> None:
    command = [sys.executable, "-m", "training.adopter", str(source), str(dest)]
    try:
        done = subprocess.run(
            leashed(command),
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=ADOPT_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BadModel(gettext_noop("The model could not be read within ten minutes.")) from error
    if done.returncode != 0:
        raise BadModel(_last_words(done.stderr))


def _last_words(output: str) -> Words:
    """What the adopter said is wrong; the last line as it is when it broke before it could say so."""
    last = (output.strip().splitlines() or [""])[-1]
    with suppress(ValueError):
        if is_words(told := json.loads(last)):
            return told
    return words(gettext_noop("The model could not be read: %(why)s"), why=last or "–")


def _free_uid(name: str) -> str:
    stem = slugify(name)[:28] or "base"
    taken = set(ModelVersion.objects.values_list("uid", flat=True))
    candidates = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
    return next(uid for uid in candidates if uid not in taken and not storage.model_dir(uid).exists())


def install_starter() -> ModelVersion | None:
    """Bring in the model that came with the site, and let it answer when none does. Idempotent; no engine needed."""
    if not (STARTER_DIR / bundle.MANIFEST).is_file():
        return None
    uid = _starter_uid()
    dest = storage.model_dir(uid)
    if not (dest / bundle.MANIFEST).is_file():
        shutil.rmtree(dest, ignore_errors=True)
        bundle.publish(STARTER_DIR, dest)
    starter = register(dest, name=uid, origin=ModelVersion.Origin.STARTER)
    if active_model() is None:
        # Nothing answers, so no stream can break; the engine loads it at the first question.
        _switch(starter, replaces=None, user=None, report=GateReport())
    return starter


def _starter_uid() -> str:
    """A new starter in a newer program is a new version beside the old one."""
    weights: str = bundle.load_manifest(STARTER_DIR)["hashes"]["weights"]
    return f"{STARTER_UID}-{weights[:8]}"


# --- which model answers --------------------------------------------------------------------------------------------


def gate(candidate: ModelVersion, active: ModelVersion | None) -> GateReport:
    return gates.compare(candidate, active)


def activate(
    model: ModelVersion, *, replaces: ModelVersion | None, user: User | None, override: bool = False, note: str = ""
) -> Activation:
    """Let `model` answer from now on, in place of `replaces`, the active model that the operator saw.

    Raises GateBlocked, StaleActivation, BadModel (retired) or serving.EngineError; each changes nothing.
    """
    if model.retired_at:
        raise BadModel(gettext_noop("This model is retired."))
    report = gate(model, replaces)
    if report.blocked and not override:
        raise GateBlocked(report)
    facts = {"override_reason": note} if report.blocked and note else {}
    return _load_and_switch(model, replaces=replaces, user=user, report=report, **facts)


def roll_back(*, user: User | None, replaces: ModelVersion | None = None) -> Activation:
    """Undo the last activation that still counts: one more each time, never forward again.

    No gate: the model has answered before. replaces: the active model that the operator saw.
    Raises NoEarlierModel, StaleActivation or serving.EngineError; each changes nothing.
    """
    back = _way_back()
    if back is None:
        raise NoEarlierModel(gettext_noop("There is no earlier model to go back to."))
    model, undone = back
    return _load_and_switch(
        model, replaces=replaces or active_model(), user=user, report=gates.going_back(), undoes=undone
    )


def earlier_model() -> ModelVersion | None:
    """What a roll back would bring."""
    back = _way_back()
    return back[0] if back else None


def _way_back() -> tuple[ModelVersion, list[int]] | None:
    """The model that a roll back brings, and the activations it undoes: several where a model between is retired."""
    undone: list[int] = []
    active = active_model()
    for activation in _standing():
        undone.append(activation.pk)
        earlier = activation.replaced
        if earlier is not None and earlier != active and not earlier.retired_at:
            return earlier, undone
    return None


def _standing() -> Iterator[Activation]:
    """Newest first, without roll backs and without what they undid."""
    undone: set[int] = set()
    for activation in Activation.objects.order_by("-id").select_related("replaced"):
        undoes = activation.gate.get("undoes", [])
        undone.update(undoes)
        if not undoes and activation.pk not in undone:
            yield activation


def _load_and_switch(
    model: ModelVersion, *, replaces: ModelVersion | None, user: User | None, report: GateReport, **facts: Any
) -> Activation:
    _check_still_active(replaces)
    # Loading takes seconds: outside any transaction, and before the row, so that no question meets a cold model.
    serving.load_version(model.uid)
    return _switch(model, replaces=replaces, user=user, report=report, **facts)


def _switch(
    model: ModelVersion, *, replaces: ModelVersion | None, user: User | None, report: GateReport, **facts: Any
) -> Activation:
    """`facts` are kept beside the gate's report: `override_reason`, and `undoes` of a roll back."""
    # Two operators at once: the second one's first update finds no row, or meets one_active_model.
    try:
        with transaction.atomic():
            _check_still_active(replaces)
            if replaces is not None:
                ModelVersion.objects.filter(pk=replaces.pk, is_active=True).update(is_active=False)
            ModelVersion.objects.filter(pk=model.pk).update(is_active=True)
            activation = Activation.objects.create(
                model=model, replaced=replaces, user=user, gate=report.to_json() | facts, overridden=report.blocked
            )
    except IntegrityError:
        raise _stale() from None
    model.refresh_from_db()
    log.info("model activated", model=model.uid, replaced=replaces and replaces.uid, overridden=report.blocked)
    return activation


def _check_still_active(seen: ModelVersion | None) -> None:
    # Locked where the database can: the loser of a race waits here, then sees the winner's row.
    now = ModelVersion.objects.select_for_update().filter(is_active=True).first() if _in_atomic() else active_model()
    if (now and now.pk) != (seen and seen.pk):
        raise _stale()


def _in_atomic() -> bool:
    return bool(transaction.get_connection().in_atomic_block)


def _stale() -> StaleActivation:
    last = Activation.objects.order_by("-id").first()
    who = str(last.user) if last and last.user else _("the system")
    return StaleActivation(who, last.at if last else timezone.now())
