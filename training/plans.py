"""Plans a training run: fills what the operator left open, keeps the reasons, refuses what cannot work.

Looks at the frozen rows through the base's own tokenizer; loads no torch, so the web process may call it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_noop

from training import storage
from training.ml import dataset as datasets
from training.ml.config import METHODS_FOR, Automatic, DataFacts, FitConfig, Method, automatic
from training.ml.errors import BadConfig
from training.ml.records import Dialogue, Document, Message, Pair, Record, record_from_body
from training.ml.render import Renderer
from training.models import DatasetVersion, ModelVersion, TrainingRun

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SAMPLE_ROWS = 300


def methods_for(dataset: DatasetVersion) -> tuple[Method, ...]:
    return METHODS_FOR.get(dataset.kind, ())


def plan_run(
    *,
    base: ModelVersion,
    dataset: DatasetVersion,
    method: str = "",
    name: str = "",
    owner: User | None = None,
    chosen: dict[str, Any] | None = None,
    request_key: str | None = None,
) -> TrainingRun:
    """A saved draft with every setting filled in. `chosen` values win over automatic ones.

    request_key: the same key gives the same run, so a second click starts nothing.
    Raises BadConfig; facts["field"] names the field.
    """
    plan = plan_values(base=base, dataset=dataset, method=method, chosen=chosen or {})
    facts = {
        "name": (name or dataset.name)[:80],
        "method": plan.config.method,
        "base": base,
        "dataset": dataset,
        "owner": owner,
        "config": plan.config.to_json(),
        "reasons": plan.reasons,
    }
    if request_key is None:
        return TrainingRun.objects.create(**facts)
    run, _created = TrainingRun.objects.get_or_create(request_key=request_key, defaults=facts)
    return run


def plan_values(*, base: ModelVersion, dataset: DatasetVersion, method: str = "", chosen: dict[str, Any]) -> Automatic:
    """Every setting of such a run, and why. Raises BadConfig."""
    wanted = _method(dataset, method)
    _check_ready(base, dataset)
    rows, p99 = _rows_and_length(base.uid, dataset.sha256)
    if not rows:
        raise BadConfig(gettext_noop("This version has no training rows."), field="dataset")
    facts = DataFacts(
        rows=rows,
        p99_tokens=p99,
        context_length=base.context_length,
        parameters=base.parameters,
        phrasings=dataset.counts.get("phrasing", 0),
    )
    plan = automatic(wanted, facts, **chosen)
    _check_length(plan.config, base)
    return plan


def _method(dataset: DatasetVersion, method: str) -> Method:
    known = methods_for(dataset)
    if not known:
        raise BadConfig(gettext_noop("No training method here learns from rows of this kind."), field="dataset")
    if method and method not in known:
        text = gettext_noop("This method does not learn from rows of this kind; choose one of: %(known)s.")
        raise BadConfig(text, known=", ".join(known), field="method")
    return method if method in known else known[0]


def _check_ready(base: ModelVersion, dataset: DatasetVersion) -> None:
    if base.retired_at:
        raise BadConfig(gettext_noop("This model is retired."), field="base")
    if dataset.status != DatasetVersion.Status.FROZEN:
        raise BadConfig(gettext_noop("This version is not frozen yet."), field="dataset")


def _check_length(config: FitConfig, base: ModelVersion) -> None:
    if config.max_length > base.context_length:
        text = gettext_noop("max_length is %(value)d, this model reads at most %(limit)d tokens.")
        raise BadConfig(text, value=config.max_length, limit=base.context_length, field="max_length")


@lru_cache(maxsize=64)
def _rows_and_length(base_uid: str, dataset_sha256: str) -> tuple[int, int]:
    """(training rows, 99th percentile of their tokens under the base's tokenizer, from a sample). Never changes."""
    frozen = datasets.load(storage.dataset_dir(dataset_sha256))
    renderer = Renderer.load(storage.model_dir(base_uid))
    # Rows lie in the order of their hashes, so the first ones are a fair sample.
    sample = islice(frozen.iterate("train"), SAMPLE_ROWS)
    lengths = [_tokens(renderer, record_from_body(frozen.kind, row.body)) for row in sample]
    return frozen.counts["train"], _p99(lengths)


def _p99(lengths: Sequence[int]) -> int:
    return sorted(lengths)[math.ceil(0.99 * len(lengths)) - 1] if lengths else 0


def _tokens(renderer: Renderer, record: Record) -> int:
    match record:
        case Dialogue():
            return len(renderer.render(record.messages).ids)
        case Pair():
            answers = (record.chosen, record.rejected)
            return max(_turns(renderer, record.prompt, answer) for answer in answers)
        case Document():
            return len(renderer.text_ids(record.text))
        case _:
            return _turns(renderer, record.prompt, record.completion)


def _turns(renderer: Renderer, prompt: tuple[Message, ...], answer: str) -> int:
    return len(renderer.render((*prompt, Message(role="assistant", content=answer))).ids)
