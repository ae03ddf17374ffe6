"""The training loop: transformers' Trainer with our batches, loss, evaluation, checkpoints and events.

A step is one item of the data loader: a list of micro-batches, whose gradients are summed and divided by the number
of targets of the whole step. `Supervised` is a mixin, so that TRL's trainers get the same life.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from training.ml import checkpoints
from training.ml.batches import Schedule, Step
from training.ml.checkpoints import Progress
from training.ml.config import FitConfig
from training.ml.device import Placement
from training.ml.errors import Diverged
from training.ml.head import count_right, target_loss
from training.ml.records import Event
from training.ml.texts import gettext_noop, words

SECONDS_BETWEEN_STEP_EVENTS = 0.5
SECONDS_BETWEEN_CHECKPOINTS = 60.0

OnEvent = Callable[[Event], None]
Stopped = Callable[[], bool]


class Rows(Protocol):
    """What a run learns from: token rows or preference pairs."""

    @property
    def lengths(self) -> np.ndarray: ...

    @property
    def tokens(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> int: ...


# Called at each evaluation with the model in evaluation mode; gives the data of `sample` events.
Sampler = Callable[[nn.Module], list[dict[str, Any]]]


@dataclass(slots=True)
class Tally:
    """Sums over micro-batches. loss in nats (or, for preferences, its own unit), per `targets`."""

    loss: float = 0.0
    targets: int = 0
    hits: int = 0
    exact: int = 0
    rows: int = 0
    counted_targets: int = 0  # of the steps whose accuracy was counted
    counted_rows: int = 0
    extra: dict[str, float] = field(default_factory=dict)  # summed over rows

    def add(self, name: str, value: float) -> None:
        self.extra[name] = self.extra.get(name, 0.0) + value

    def figures(self) -> dict[str, float]:
        found = {"loss": self.loss / max(self.targets, 1)}
        if self.counted_targets:
            found["token_accuracy"] = self.hits / self.counted_targets
            found["sequence_accuracy"] = self.exact / max(self.counted_rows, 1)
        return found | {name: value / max(self.rows, 1) for name, value in self.extra.items()}


@dataclass(slots=True, kw_only=True)
class Life:
    """Everything around a run that is not mathematics. tell and stopped come from the caller of `fit`."""

    config: FitConfig
    placement: Placement
    out: Path
    tell: OnEvent
    stopped: Stopped
    train: Rows
    validation: Rows
    collator: Callable[[Any], Callable[[list[int]], Step]]
    parameters: int
    schedule: Schedule
    sample: Sampler | None = None
    progress: Progress = field(default_factory=Progress)
    was_stopped: bool = False
    gradient: float = 0.0  # norm before clipping, of the last step
    window: Tally = field(default_factory=Tally)
    window_tokens: int = 0
    step_seconds: float = 0.0  # of the last step
    last_event: float = 0.0
    last_checkpoint: float = field(default_factory=time.monotonic)
    started: float = field(default_factory=time.monotonic)

    @property
    def total(self) -> int:
        return self.schedule.total

    @property
    def every(self) -> int:
        """Steps between evaluations."""
        return max(1, math.ceil(self.total / self.config.evaluations))

    def note(self, code: str, text: str, **facts: Any) -> None:
        self.tell(Event(kind="note", step=self.progress.step, data={"code": code, "words": words(text, **facts)}))


class Supervised:
    """Mixed into a transformers Trainer, left of it. `life` is set right after construction."""

    life: Life

    # --- data ---

    def get_train_dataloader(self) -> DataLoader[Any]:
        life = self.life
        # A generator of its own: an iterator otherwise draws from torch's global one and dropout would change.
        return DataLoader(
            cast("Any", life.train),
            batch_sampler=life.schedule,
            collate_fn=life.collator(life.train),
            generator=torch.Generator(),
        )

    # --- a step ---

    def training_step(self, model: nn.Module, inputs: Step, num_items_in_batch: Any = None) -> Tensor:
        model.train()
        life = self.life
        scale = self._targets_of_all_processes(inputs["targets"])
        began = time.monotonic()
        # Counting costs a pass over the logits, so only steps that will probably be told are counted.
        told = began - life.last_event + life.step_seconds >= SECONDS_BETWEEN_STEP_EVENTS
        told = told or life.progress.step + 1 >= life.total
        loss = torch.zeros((), device=life.placement.device)
        for position, micro in enumerate(inputs["micro"]):
            last = position == len(inputs["micro"]) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):  # type: ignore[attr-defined]
                part = self.micro_loss(model, _moved(micro, life.placement.device), life.window, count=told)
                (part / scale).backward()
            loss += part.detach()
        value = float(loss) / max(inputs["targets"], 1)
        if not math.isfinite(value):
            raise _diverged(life.progress.step + 1, value)
        life.window.loss += float(loss)
        life.window.targets += inputs["targets"]
        life.window.rows += inputs["rows"]
        life.window_tokens += inputs["tokens"]
        life.step_seconds = time.monotonic() - began
        life.progress.tokens += inputs["tokens"]
        mean: Tensor = loss / max(inputs["targets"], 1)
        return mean

    def _targets_of_all_processes(self, targets: int) -> float:
        """What to divide summed losses by. DistributedDataParallel averages gradients, so its mean is undone here."""
        ranks = self.life.schedule.ranks
        if ranks == 1:
            return max(targets, 1)
        count = torch.tensor([targets], device=self.life.placement.device)
        return float(self.accelerator.gather(count).sum()) / ranks  # type: ignore[attr-defined]

    @abstractmethod
    def micro_loss(self, model: nn.Module, micro: dict[str, Tensor], tally: Tally, *, count: bool) -> Tensor:
        """Summed loss of one micro-batch; adds what it counts to `tally`, accuracies only when `count`."""

    # --- evaluation ---

    @torch.no_grad()
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Token-weighted loss and accuracies over the whole validation split."""
        life, tally = self.life, Tally()
        model: nn.Module = self.model  # type: ignore[attr-defined]
        model.eval()
        collate = life.collator(life.validation)
        order = life.validation.lengths.argsort(kind="stable").tolist()
        for start in range(0, len(order), 256):
            step = collate(order[start : start + 256])
            tally.targets += step["targets"]
            tally.rows += step["rows"]
            for micro in step["micro"]:
                tally.loss += float(self.micro_loss(model, _moved(micro, life.placement.device), tally, count=True))
        return tally.figures()

    def _evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        # Trainer asks once more at the end of an epoch; the last step would be judged and told twice.
        self.control.should_evaluate = False  # type: ignore[attr-defined]
        figures = self.evaluate() if len(self.life.validation) else {}
        self._judge(figures.get("loss"))
        step = self.life.progress.step
        if figures:
            self.life.tell(Event(kind="evaluated", step=step, data=figures))
        if self.life.sample is not None:
            model: nn.Module = self.model  # type: ignore[attr-defined]
            for sample in self.life.sample(model.eval()):
                self.life.tell(Event(kind="sample", step=step, data=sample))
        return figures

    def _judge(self, loss: float | None) -> None:
        """Early stopping: the best evaluation so far, and how many in a row were no better."""
        life = self.life
        progress = life.progress
        if loss is None:
            progress.best_step = progress.step
            return
        if not math.isfinite(loss):
            raise _diverged(progress.step, loss)
        # Without patience the last weights are wanted, whatever the validation rows say.
        if progress.best_loss is None or loss < progress.best_loss or not life.config.patience:
            progress.best_loss, progress.best_step, progress.worse = loss, progress.step, 0
            return
        progress.worse += 1
        if progress.worse >= life.config.patience:
            progress.finished = True
            life.note(
                "early_stop",
                gettext_noop(
                    "Stopped early: the validation loss did not get better in %(worse)d evaluations. "
                    "The best was %(loss).4f at step %(step)d, and that one is kept."
                ),
                worse=progress.worse,
                loss=progress.best_loss,
                step=progress.best_step,
            )

    # --- checkpoints ---

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        life = self.life
        checkpoints.require_space(life.out, life.parameters)
        with checkpoints.telling_disk_full(life.out, life.parameters):
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
            if life.schedule.rank == 0:
                checkpoints.seal(life.out, life.progress)
        life.last_checkpoint = time.monotonic()
        life.tell(Event(kind="checkpoint", step=life.progress.step, data={"best_step": life.progress.best_step}))

    # --- what Trainer would do on its own and we do not want ---

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        self.life.gradient = float(grad_norm)
        return grad_norm

    def floating_point_ops(self, inputs: Any) -> int:
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Events take the place of Trainer's log."""


class Pulse(TrainerCallback):
    """Decides after each step what is due: an event, an evaluation, a checkpoint, the end."""

    def __init__(self, life: Life) -> None:
        self.life = life

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        life, now = self.life, time.monotonic()
        step = life.progress.step = state.global_step
        last = step >= life.total
        stopped = life.stopped()
        if last or stopped or now - life.last_event >= SECONDS_BETWEEN_STEP_EVENTS:
            self._tell(now, kwargs["lr_scheduler"].get_last_lr()[0])
        control.should_evaluate = last or step % life.every == 0
        due = now - life.last_checkpoint >= SECONDS_BETWEEN_CHECKPOINTS
        control.should_save = control.should_evaluate or stopped or due
        life.was_stopped = stopped and not last
        life.progress.finished = last
        control.should_training_stop = last or stopped
        return control

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        # An evaluation may have found that the run is over.
        control.should_training_stop = control.should_training_stop or self.life.progress.finished
        return control

    def _tell(self, now: float, rate: float) -> None:
        life = self.life
        seconds = max(now - (life.last_event or life.started), 1e-9)
        speed = life.window_tokens / seconds
        done = max(life.progress.step, 1)
        life.progress.seconds += seconds
        data = {
            "step": life.progress.step,
            "total": life.total,
            **life.window.figures(),
            "learning_rate": rate,
            "grad_norm": life.gradient,
            "tokens_per_second": round(speed, 1),
            "eta_seconds": round(life.progress.seconds / done * (life.total - life.progress.step), 1),
        }
        life.window, life.window_tokens, life.last_event = Tally(), 0, now
        life.tell(Event(kind="step", step=life.progress.step, data=data))


class ChatTrainer(Supervised, Trainer):
    """Pre-training and supervised fine-tuning: next-token loss on the ids the mask names."""

    def micro_loss(self, model: nn.Module, micro: dict[str, Tensor], tally: Tally, *, count: bool) -> Tensor:
        labels = micro["labels"]
        with self.life.placement.autocast():
            logits = model(input_ids=micro["input_ids"], targets=labels)
        if count:
            hits, exact = count_right(logits, labels)
            tally.hits += hits
            tally.exact += exact
            tally.counted_targets += logits.shape[0]
            tally.counted_rows += labels.shape[0]
        return target_loss(logits, labels)


def arguments(config: FitConfig, out: Path, *, total: int, on_cpu: bool) -> dict[str, Any]:
    """Keyword arguments for TrainingArguments and its subclasses: every default that matters, said aloud."""
    return {
        "output_dir": str(out),
        "max_steps": total,
        "per_device_train_batch_size": 1,  # one step of the schedule; its size is ours
        "gradient_accumulation_steps": 1,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
        "warmup_steps": max(1, math.ceil(total * config.warmup_share)) if config.warmup_share else 0,
        "weight_decay": config.weight_decay,
        "max_grad_norm": 1.0,
        "optim": "adamw_torch_fused",
        "adam_beta1": 0.9,
        "adam_beta2": 0.99,
        "seed": config.seed,
        "use_cpu": on_cpu,
        "bf16": False,  # our own autocast covers the linear layers and leaves the loss in float32
        "fp16": False,
        "activation_checkpointing": False,
        "eval_strategy": "no",  # Pulse decides
        "save_strategy": "no",
        "logging_strategy": "no",
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": [],
        "remove_unused_columns": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
    }


def _moved(micro: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in micro.items()}


def _diverged(step: int, value: float) -> Diverged:
    return Diverged(
        gettext_noop(
            "The loss became %(value)s at step %(step)d. Try a learning rate ten times smaller, "
            "and look for damaged rows in the data."
        ),
        value=str(value),  # NaN is no JSON
        step=step,
    )
