"""Tells a run's events in words, for the live page and the `finetune follow` command. Reads rows, changes none."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from training import wording
from training.models import RunEvent, TrainingRun

PLACE = re.compile(r"(?P<device>\w+), (?P<precision>\w+), (?P<threads>\d+) threads")


def in_words(event: RunEvent) -> str:
    """One sentence; empty for events that only feed a curve."""
    if "state" in event.data:
        return _state(event.data)
    teller = TELLERS.get(event.kind)
    return teller(event) if teller else ""


def _state(data: dict[str, Any]) -> str:
    label = str(TrainingRun.Status(data["state"]).label)
    if "device" in data:
        label = _("%(state)s on %(device)s") % {"state": label, "device": device_name(data["device"])}
    return _("%(state)s: %(why)s") % {"state": label, "why": wording.say(data["why"])} if "why" in data else label


def device_name(device: str) -> str:
    """`cpu`, `cuda` or `cuda:1`, as torch calls a device."""
    kind, _colon, number = device.partition(":")
    names = {"cpu": _("CPU"), "cuda": _("GPU"), "mps": _("Apple GPU")}
    return f"{names.get(kind, kind)} {number}".strip()


def place_in_words(place: str) -> str:
    """What the trainer says of where it computes (`ml.device.Placement.words`); as it is where it is no such text."""
    said = PLACE.fullmatch(place)
    if said is None:
        return place
    count = int(said["threads"])
    threads = ngettext("%(count)d thread", "%(count)d threads", count) % {"count": count}
    text = _("%(device)s, %(precision)s, %(threads)s")
    return text % {"device": device_name(said["device"]), "precision": said["precision"], "threads": threads}


def split_name(split: str) -> str:
    """What the rows of a split are to people."""
    if split.startswith("canary"):
        return _("Canaries")
    names = {
        "train": _("Training rows"),
        "test": _("Unseen facts"),
        "phrasing": _("Unseen phrasings of trained facts"),
        "validation": _("Validation"),
    }
    return names.get(split, split)


def metric_name(metric: str) -> str:
    """A figure in words, with the direction that is better."""
    names = {
        "loss": _("Loss ↓"),
        "perplexity": _("Perplexity ↓"),
        "bits_per_byte": _("Bits per byte ↓"),
        "token_accuracy": _("Token accuracy ↑"),
        "sequence_accuracy": _("Sequence accuracy ↑"),
        "exact_match": _("Exact answers ↑"),
        "bleu": _("BLEU ↑"),
        "preference_accuracy": _("Preference accuracy ↑"),
        "preference_accuracy_per_token": _("Preference accuracy a token ↑"),
    }
    return names.get(metric, metric)


def _started(event: RunEvent) -> str:
    text = _("Started at step %(step)d of %(total)d: %(parameters).1f M parameters, %(tokens)s tokens, %(device)s.")
    return text % {
        "step": event.step,
        "total": event.data.get("total_steps", 0),
        "parameters": event.data.get("parameters", 0) / 1e6,
        "tokens": f"{event.data.get('tokens', 0):,}",
        "device": place_in_words(event.data.get("device", "?")),
    }


def _evaluated(event: RunEvent) -> str:
    loss = event.data.get("loss")
    if loss is None:
        return ""
    return _("Step %(step)d: validation loss %(loss).4f.") % {"step": event.step, "loss": loss}


def _checkpoint(event: RunEvent) -> str:
    best = event.data.get("best_step", event.step)
    if not best:  # nothing was judged yet
        return _("Step %(step)d: checkpoint written.") % {"step": event.step}
    text = _("Step %(step)d: checkpoint written, the best so far is step %(best)d.")
    return text % {"step": event.step, "best": best}


def _note(event: RunEvent) -> str:
    if event.data.get("code") == "measured":
        return _measured(event.data)
    return wording.say(event.data["words"]) if "words" in event.data else ""


def _measured(data: dict[str, Any]) -> str:
    answered = data.get("phase") == "generate"
    text = _("%(split)s: %(count)d questions answered.") if answered else _("%(split)s: %(count)d rows measured.")
    return text % {"count": data.get("total", 0), "split": split_name(str(data.get("split", "")))}


TELLERS: dict[str, Callable[[RunEvent], str]] = {
    "started": _started,
    "evaluated": _evaluated,
    "checkpoint": _checkpoint,
    "note": _note,
}
