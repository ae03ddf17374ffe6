"""One training run from a frozen dataset and a base to a model directory: pretrain, sft or dpo.

`fit` works inside its output directory, goes on by itself from the newest complete checkpoint there, and leaves the
best weights of a run that was not stopped as a Hugging Face directory in `out/model`. Knows paths and callables;
knows nothing of Django or rows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.ml import bundle, checkpoints
from training.ml.config import FitConfig
from training.ml.errors import BadModel
from training.ml.records import Event
from training.ml.render import Renderer
from training.ml.texts import gettext_noop

if TYPE_CHECKING:
    from transformers.modeling_utils import PreTrainedModel

    from training.ml.batches import TokenRows
    from training.ml.dataset import FrozenDataset
    from training.ml.loop import Life, OnEvent, Stopped, Supervised

# What one evaluation reads at most: enough for two digits, little enough for ten of them a run.
VALIDATION_TOKENS = 50_000
DROPOUT_FIELDS = ("resid_pdrop", "embd_pdrop", "hidden_dropout", "hidden_dropout_prob", "resid_dropout")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """stopped: `stopped()` ended the run and nothing is in `model`, a later `fit` with the same `out` goes on.

    early: patience ended it.

    best_loss is the validation loss in nats a token of the weights in `model` (None without validation rows).
    """

    model: Path
    stopped: bool
    early: bool
    steps: int
    total_steps: int
    best_step: int
    best_loss: float | None
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What `fit` was asked for, opened and checked."""

    config: FitConfig
    frozen: FrozenDataset
    base: Path
    renderer: Renderer
    out: Path
    tell: OnEvent
    stopped: Stopped


def fit(config: FitConfig, *, dataset: Path, base: Path, out: Path, on_event: OnEvent, stopped: Stopped) -> FitResult:
    """Run or resume. Raises BadModel, BadDataset, BadConfig, ParityError, Diverged, DiskFull."""
    from training.ml import dataset as datasets
    from training.ml.device import seed_everything
    from training.ml.parity import check_dataset
    from training.ml.rows import check_kind

    frozen = datasets.load(dataset)
    check_kind(config.method, frozen.kind)
    bundle.inspect_base(base)
    renderer = Renderer.load(base)
    check_dataset(renderer, frozen)
    quiet()
    seed_everything(config.seed)
    out.mkdir(parents=True, exist_ok=True)
    tell = on_event if _is_first_process() else _say_nothing
    job = Job(config=config, frozen=frozen, base=base, renderer=renderer, out=out, tell=tell, stopped=stopped)
    trainer = _build(job)
    _train(trainer)
    return _finish(trainer, job)


def _is_first_process() -> bool:
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def _say_nothing(_event: Event) -> None:
    """Of several processes only the first one tells."""


def quiet() -> None:
    """Libraries talk through logging only: standard output belongs to the caller."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    logging.getLogger("accelerate").setLevel(logging.ERROR)


def _build(job: Job) -> Supervised:
    if job.config.method == "dpo":
        from training.ml import preference

        return preference.build(job)
    return _supervised(job)


def _supervised(job: Job) -> Supervised:
    from transformers import TrainingArguments

    from training.ml.answers import SampleWriter
    from training.ml.batches import Collator
    from training.ml.device import place
    from training.ml.loop import ChatTrainer, Life, arguments
    from training.ml.rows import records

    train, validation = _token_rows(job)
    model, placement = load_model(job.base, job.config.dropout), place()
    life = Life(
        config=job.config,
        placement=placement,
        out=job.out,
        tell=job.tell,
        stopped=job.stopped,
        train=train,
        validation=validation,
        collator=partial(Collator, budget=placement.micro_tokens, pad_id=job.renderer.pad_id or 0),
        parameters=model.num_parameters(),
        schedule=schedule(job.config, train.lengths),
        sample=SampleWriter(job.renderer, records(job.frozen, "validation")) if job.config.method == "sft" else None,
    )
    args = TrainingArguments(**arguments(job.config, job.out, total=life.total, on_cpu=placement.device.type == "cpu"))
    return attach_life(ChatTrainer(model=model, args=args), life)


def _token_rows(job: Job) -> tuple[TokenRows, TokenRows]:
    """Training and validation rows; a note says what was cut."""
    from training.ml.rows import cut_note, prepare, require_rows

    length = row_length(job.config, job.renderer)
    prepared = partial(prepare, job.renderer, job.frozen, method=job.config.method, max_length=length)
    train = prepared("train")
    require_rows(train, "train")
    if note := cut_note(train, length):
        job.tell(Event(kind="note", data=note))
    return train.rows, prepared("validation", most_tokens=VALIDATION_TOKENS).rows


def row_length(config: FitConfig, renderer: Renderer) -> int:
    return min(config.max_length, renderer.context_length)


def schedule(config: FitConfig, lengths: Any) -> Any:
    """The order of rows; of several processes each gets its share."""
    from accelerate import PartialState

    from training.ml.batches import Schedule

    state = PartialState()
    return Schedule(
        lengths,
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        rank=state.process_index,
        ranks=state.num_processes,
    )


def load_model(base: Path, dropout: float) -> PreTrainedModel:
    """The base in float32, ready to train: fast GELU, logits only at targets, dropout outside attention.

    Dropout inside attention is off: it forces the slow path of scaled_dot_product_attention.
    Raises BadModel for what transformers or our engine cannot run.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from training.ml.decode import probe
    from training.ml.head import attach, fast_gelu

    try:
        settings = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    except (ValueError, OSError) as error:
        text = gettext_noop("%(name)s is of a kind that transformers does not know: %(why)s.")
        raise BadModel(text, name=base.name, why=str(error), file="config.json") from error
    for name in DROPOUT_FIELDS:
        if hasattr(settings, name):
            setattr(settings, name, dropout)
    for name in ("attn_pdrop", "attention_dropout", "attention_probs_dropout_prob"):
        if hasattr(settings, name):
            setattr(settings, name, 0.0)
    model = AutoModelForCausalLM.from_pretrained(
        base,
        config=settings,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    )
    fast_gelu(model)
    attach(model)
    probe(model)  # what cannot be served is not worth training
    return model


def attach_life(trainer: Any, life: Life) -> Supervised:
    """Give a trainer its life and its pulse."""
    from training.ml.loop import Pulse

    trainer.life = life
    trainer.add_callback(Pulse(life))
    given: Supervised = trainer
    return given


def _train(trainer: Supervised) -> None:
    life = trainer.life
    found = checkpoints.newest(life.out)
    if found is not None:
        life.progress = found[1]
        text = gettext_noop("Going on from the checkpoint at step %(step)d of %(total)d.")
        life.note("resumed", text, step=life.progress.step, total=life.total)
    data = {"total_steps": life.total, "parameters": life.parameters, "tokens": life.train.tokens}
    life.tell(Event(kind="started", step=life.progress.step, data={**data, "device": life.placement.words}))
    if not len(life.validation):
        text = gettext_noop("There are no validation rows: the last weights are kept, nothing stops early.")
        life.note("no_validation", text)
    if not life.progress.finished:
        trainer.train(resume_from_checkpoint=str(found[0]) if found else None)  # type: ignore[attr-defined]


def _finish(trainer: Supervised, job: Job) -> FitResult:
    """Bring the best weights back and write `out/model`; after a stop the checkpoints are all that is needed."""
    life = trainer.life
    best = life.progress.best_step or life.progress.step
    if not life.was_stopped:
        best = _write_best(trainer, job)
    return FitResult(
        model=life.out / "model",
        stopped=life.was_stopped,
        early=life.progress.finished and life.progress.step < life.total,
        steps=life.progress.step,
        total_steps=life.total,
        best_step=best,
        best_loss=life.progress.best_loss,
        tokens=life.progress.tokens,
        seconds=round(life.progress.seconds, 1),
    )


def _write_best(trainer: Supervised, job: Job) -> int:
    """Returns the step that the weights are from."""
    life = trainer.life
    model: PreTrainedModel = trainer.model  # type: ignore[attr-defined]
    best = _restore_best(model, life)
    checkpoints.require_space(life.out, life.parameters, bytes_per_parameter=4)
    with checkpoints.telling_disk_full(life.out, life.parameters):
        if life.schedule.rank == 0:
            bundle.save_model(model, job.base, life.out / "model", **_facts(life, job, best))
    return best


def _restore_best(model: PreTrainedModel, life: Life) -> int:
    """Load the best checkpoint's weights into the model, unless it has them. Returns the step they are from."""
    from safetensors.torch import load_model as load_weights

    best = life.progress.best_step or life.progress.step
    directory = checkpoints.path_of(life.out, best)
    if best != life.progress.step or life.progress.finished:
        for path in bundle.weight_files(directory):
            load_weights(model, path, strict=False, device=str(model.device))
    return best


def _facts(life: Life, job: Job, best: int) -> dict[str, Any]:
    base = job.base
    parent = bundle.load_manifest(base) if (base / bundle.MANIFEST).is_file() else {}
    return {
        "parent": parent.get("name", base.name),
        "lineage": {
            "method": life.config.method,
            "config": life.config.to_json(),
            "dataset": job.frozen.hash,
            "base_weights": parent.get("hashes", {}).get("weights"),
            "steps": best,
            "tokens": life.progress.tokens,
            "device": life.placement.words,
        },
        "metrics": [] if life.progress.best_loss is None else [_validation_metric(life)],
    }


def _validation_metric(life: Life) -> dict[str, Any]:
    return {"name": "loss", "split": "validation", "value": life.progress.best_loss, "n": len(life.validation)}
