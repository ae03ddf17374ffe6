"""Direct preference optimisation (Rafailov et al. 2023) through TRL's DPOTrainer, with our ids and our life.

TRL computes the loss and its metrics; it never tokenises: prompts and answers come from our renderer.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor, nn
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from training.ml.answers import SampleWriter
from training.ml.batches import Step, micro_batches
from training.ml.decode import probe
from training.ml.device import Placement, place
from training.ml.errors import BadDataset
from training.ml.loop import Life, Supervised, Tally, arguments
from training.ml.records import Dialogue, Event, Message, Pair, Record, Split
from training.ml.render import Renderer
from training.ml.rows import records
from training.ml.texts import gettext_noop, words

if TYPE_CHECKING:
    from transformers.modeling_utils import PreTrainedModel

    from training.ml.dataset import FrozenDataset
    from training.ml.fit import Job

# TRL's names of what we show
METRICS = {
    "rewards/margins": "margin",
    "rewards/accuracies": "preference_accuracy",
    "rewards/chosen": "chosen_reward",
    "rewards/rejected": "rejected_reward",
}
PairIds = dict[str, list[int]]


@dataclass(slots=True)
class PairRows:
    """Prompts with a better and a worse answer, as ids. dropped: pairs too long for a row."""

    pairs: list[PairIds]
    dropped: int = 0

    @property
    def lengths(self) -> np.ndarray:
        """Ids a pair takes in a batch: both of its sides, padded to the longer one."""
        return np.array([2 * longest(pair) for pair in self.pairs], dtype=np.int64)

    @property
    def tokens(self) -> int:
        return sum(tokens_of(pair) for pair in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> int:
        return index


def longest(pair: PairIds) -> int:
    return len(pair["prompt_ids"]) + max(len(pair["chosen_ids"]), len(pair["rejected_ids"]))


def tokens_of(pair: PairIds) -> int:
    return 2 * len(pair["prompt_ids"]) + len(pair["chosen_ids"]) + len(pair["rejected_ids"])


def pair_ids(renderer: Renderer, pair: Pair) -> PairIds:
    """The ids of a pair; each answer ends with the end of a turn, as it does in training and serving."""
    prompt = renderer.prompt_ids(pair.prompt)
    sides = {"chosen_ids": pair.chosen, "rejected_ids": pair.rejected}
    return {"prompt_ids": prompt} | {
        name: renderer.answer_ids(pair.prompt, Message(role="assistant", content=text)) for name, text in sides.items()
    }


def prepare_pairs(renderer: Renderer, dataset: FrozenDataset, split: Split, max_length: int) -> PairRows:
    """A pair that does not fit is left out: a cut answer would teach the model to break off."""
    listed = [pair_ids(renderer, record) for record in records(dataset, split) if isinstance(record, Pair)]
    kept = [pair for pair in listed if longest(pair) <= max_length]
    return PairRows(pairs=kept, dropped=len(listed) - len(kept))


class PairCollator:
    """Pair numbers of a step -> micro-batches in TRL's own form: chosen rows first, then rejected rows."""

    def __init__(self, rows: PairRows, *, budget: int, pad_id: int) -> None:
        self.rows, self.budget = rows, budget
        self._collate = DataCollatorForPreference(pad_token_id=pad_id)

    def __call__(self, indices: Sequence[int]) -> Step:
        groups = micro_batches(indices, self.rows.lengths, self.budget)
        pairs = self.rows.pairs
        return {
            "micro": [self._collate([pairs[index] for index in group]) for group in groups],
            "targets": len(indices),
            "tokens": sum(tokens_of(pairs[index]) for index in indices),
            "rows": len(indices),
        }


class PreferenceTrainer(Supervised, DPOTrainer):
    """TRL's DPO loss inside our loop. Its unit is a pair: losses are summed over pairs."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        return dataset  # it is tokenised already, by our renderer

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The manifest takes the place of TRL's README."""

    def micro_loss(self, model: nn.Module, micro: dict[str, Tensor], tally: Tally, *, count: bool) -> Tensor:
        pairs = micro["input_ids"].shape[0] // 2
        with self.life.placement.autocast():
            loss: Tensor = self.compute_loss(model, micro)
        metrics = self._metrics["train" if model.training else "eval"]
        for name, ours in METRICS.items():
            tally.add(ours, metrics[name][-1] * pairs)
        metrics.clear()
        return loss * pairs


def build(job: Job) -> Supervised:
    """A DPO trainer with its life. The reference is the base itself. Raises BadDataset without usable pairs."""
    from training.ml.fit import attach_life, row_length, schedule

    renderer, frozen = job.renderer, job.frozen
    length = row_length(job.config, renderer)
    train = prepare_pairs(renderer, frozen, "train", length)
    if not train.pairs:
        raise BadDataset(gettext_noop("No pair of this dataset fits in %(limit)d tokens."), limit=length, split="train")
    if train.dropped:
        text = gettext_noop("%(dropped)d pairs are longer than %(limit)d tokens and were left out.")
        said = words(text, dropped=train.dropped, limit=length)
        job.tell(Event(kind="note", data={"code": "pairs_dropped", "words": said}))
    # TRL 1.16 asks transformers 5.23 by an old name.
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
    placement = _float32_on_cpu(place())
    model = _load(job.base)
    probe(model)
    life = Life(
        config=job.config,
        placement=placement,
        out=job.out,
        tell=job.tell,
        stopped=job.stopped,
        train=train,
        validation=prepare_pairs(renderer, frozen, "validation", length),
        collator=partial(PairCollator, budget=placement.micro_tokens, pad_id=renderer.pad_id or 0),
        parameters=model.num_parameters(),
        schedule=schedule(job.config, train.lengths),
        sample=SampleWriter(renderer, map(_as_dialogue, records(frozen, "validation"))),
    )
    return attach_life(_trainer(model, job.base, life, train), life)


def _as_dialogue(record: Record) -> Record:
    if not isinstance(record, Pair):
        return record
    return Dialogue(messages=(*record.prompt, Message(role="assistant", content=record.chosen)))


def _float32_on_cpu(placement: Placement) -> Placement:
    # A preference is a small difference of two long sums of log-probabilities: bfloat16 drowns it.
    return replace(placement, bf16=placement.bf16 and placement.device.type != "cpu")


def _load(base: Path) -> PreTrainedModel:
    """TRL brings its own way of making logits only at targets; dropout is off in DPO."""
    from transformers import AutoModelForCausalLM

    from training.ml.head import fast_gelu

    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
    )
    fast_gelu(model)
    return cast("PreTrainedModel", model)


def _trainer(model: PreTrainedModel, base: Path, life: Life, train: PairRows) -> PreferenceTrainer:
    from transformers import AutoTokenizer

    on_cpu = life.placement.device.type == "cpu"
    args = DPOConfig(
        **arguments(life.config, life.out, total=life.total, on_cpu=on_cpu),
        gradient_checkpointing=False,
        beta=life.config.beta,
        loss_type=["sigmoid"],
        label_smoothing=0.0,
        max_length=None,  # prepare_pairs left out what does not fit
        truncation_mode="keep_start",
        disable_dropout=True,
        precompute_ref_log_probs=False,
        sync_ref_model=False,
        padding_free=False,
        f_divergence_type="reverse_kl",
        use_weighting=False,
    )
    reference = _load(base)
    reference.requires_grad_(requires_grad=False)
    return PreferenceTrainer(
        model=model,
        ref_model=reference,
        args=args,
        train_dataset=Dataset.from_list(train.pairs[:1]),  # only looked at; rows come from the schedule
        processing_class=AutoTokenizer.from_pretrained(base, local_files_only=True),
    )
