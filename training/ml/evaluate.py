"""How good a model is on the splits of a frozen dataset, with intervals.

Teacher-forced figures come from every row; BLEU and exact match from greedy answers to a limited number of rows.
`test` holds unseen facts, `phrasing` unseen ways to ask about trained ones: they are never mixed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from training.ml import dataset as datasets
from training.ml import metrics
from training.ml.answers import LONGEST_ANSWER, SAMPLES, greedy, last_exchange
from training.ml.batches import IGNORED, Collator, RowsBuilder, micro_batches
from training.ml.errors import BadDataset
from training.ml.records import FINAL_SPLITS, Dialogue, Document, Event, Message, Metric, Pair, Record, Split
from training.ml.render import Renderer
from training.ml.rows import records
from training.ml.texts import gettext_noop

if TYPE_CHECKING:
    from transformers.modeling_utils import PreTrainedModel

    from training.ml.device import Placement

GENERATE_LIMIT = 100
SECONDS_BETWEEN_EVENTS = 0.5

OnEvent = Callable[[Event], None]
Stopped = Callable[[], bool]


@dataclass(slots=True)
class Scored:
    """Sums of one row of the dataset: summed nats, targets, right targets, UTF-8 bytes of what was scored."""

    bytes: int
    nats: float = 0.0
    targets: int = 0
    hits: int = 0


@dataclass(slots=True)
class _Material:
    """Token rows, and for each the row of the dataset it belongs to (a long document has several)."""

    builder: RowsBuilder = field(default_factory=RowsBuilder)
    owners: list[int] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)

    def start(self, size: int) -> None:
        self.scored.append(Scored(bytes=size))

    def add(self, ids: Sequence[int], mask: Sequence[int]) -> None:
        self.builder.add(ids, mask)
        self.owners.append(len(self.scored) - 1)


@dataclass(slots=True, kw_only=True)
class Examiner:
    """A loaded model with its renderer, asked split by split."""

    model: PreTrainedModel
    renderer: Renderer
    placement: Placement
    on_event: OnEvent
    stopped: Stopped
    last_event: float = 0.0

    def tell(self, phase: str, split: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - self.last_event >= SECONDS_BETWEEN_EVENTS:
            self.last_event = now
            data = {"phase": phase, "split": split, "done": done, "total": total}
            self.on_event(Event(kind="step", step=done, data=data))


def evaluate(
    model_dir: Path,
    dataset: Path,
    *,
    splits: Sequence[Split] = FINAL_SPLITS,
    on_event: OnEvent = lambda _event: None,
    stopped: Stopped = lambda: False,
    generate_limit: int = GENERATE_LIMIT,
) -> list[Metric]:
    """All figures of all splits that have rows. `stopped()` ends it early with what is complete.

    Raises BadModel, BadDataset.
    """
    frozen = datasets.load(dataset)
    if frozen.kind == "label":
        raise BadDataset(
            gettext_noop("Rows with thumbs alone cannot be evaluated: choose dialogues, documents or pairs.")
        )
    examiner = _load(model_dir, on_event, stopped)
    found: list[Metric] = []
    for split in splits:
        rows = list(records(frozen, split))
        if rows and not stopped():
            found.extend(_split(examiner, split, rows, generate_limit))
    return found


def answer(model_dir: Path, prompts: Sequence[Sequence[Message]]) -> list[str]:
    """The greedy answer to each conversation, without old turns that do not fit. Raises BadModel, PromptTooLong."""
    examiner = _load(model_dir)
    renderer = examiner.renderer
    room = min(LONGEST_ANSWER, renderer.context_length // 2)
    return greedy(examiner.model, renderer, [renderer.fit(messages, max_new=room).ids for messages in prompts])


def _load(model_dir: Path, on_event: OnEvent = lambda _event: None, stopped: Stopped = lambda: False) -> Examiner:
    from training.ml.device import place
    from training.ml.fit import load_model, quiet

    quiet()
    placement = place()
    model = load_model(model_dir, dropout=0.0).eval()
    model.to(device=placement.device)
    return Examiner(
        model=model, renderer=Renderer.load(model_dir), placement=placement, on_event=on_event, stopped=stopped
    )


def _split(examiner: Examiner, split: Split, rows: Sequence[Record], generate_limit: int) -> Iterator[Metric]:
    pairs = [row for row in rows if isinstance(row, Pair)]
    scored = score(examiner, split, _pair_sides(pairs) if pairs else rows)
    if scored is None:
        return
    if pairs:
        yield from preference_accuracies(split, scored)
        scored = scored[::2]  # the chosen sides
    yield from teacher_forced(split, [row for row in scored if row.targets])
    dialogues = [row for row in rows if isinstance(row, Dialogue)]
    if dialogues and generate_limit:
        yield from generated(examiner, split, dialogues[:generate_limit])


def _pair_sides(pairs: Iterable[Pair]) -> list[Record]:
    """Chosen, rejected, chosen, rejected ... as dialogues with one trained answer."""
    sides: list[Record] = []
    for pair in pairs:
        context = tuple(Message(role=turn.role, content=turn.content, weight=0) for turn in pair.prompt)
        for text in (pair.chosen, pair.rejected):
            sides.append(Dialogue(messages=(*context, Message(role="assistant", content=text))))
    return sides


# --- teacher-forced ---


def teacher_forced(split: str, rows: Sequence[Scored]) -> Iterator[Metric]:
    if not rows:
        return
    nats, targets = [row.nats for row in rows], [row.targets for row in rows]
    hits = [row.hits for row in rows]
    yield metrics.ratio("loss", split, nats, targets)
    yield metrics.ratio("perplexity", split, nats, targets, scale=metrics.perplexity)
    yield metrics.ratio("bits_per_byte", split, nats, [row.bytes for row in rows], scale=metrics.bits)
    yield metrics.ratio("token_accuracy", split, hits, targets)
    right = [float(row.hits == row.targets) for row in rows]
    yield metrics.ratio("sequence_accuracy", split, right, [1] * len(rows))


def preference_accuracies(split: str, sides: Sequence[Scored]) -> Iterator[Metric]:
    """By summed and by mean log-probability: the first likes short answers. sides: chosen and rejected in turn.

    A pair of which a side did not fit is left out.
    """
    both = [(a, b) for a, b in zip(sides[::2], sides[1::2], strict=True) if a.targets and b.targets]
    summed = [float(chosen.nats < rejected.nats) for chosen, rejected in both]
    mean = [float(a.nats / a.targets < b.nats / b.targets) for a, b in both]
    if both:
        yield metrics.ratio("preference_accuracy", split, summed, [1] * len(both))
        yield metrics.ratio("preference_accuracy_per_token", split, mean, [1] * len(both))


@torch.no_grad()
def score(examiner: Examiner, split: str, rows: Sequence[Record]) -> list[Scored] | None:
    """One Scored a row, in order; a row too long for the model has no targets. None when stopped."""
    material = _material(examiner.renderer, rows)
    tokens = material.builder.build()
    order = tokens.lengths.argsort(kind="stable").tolist()
    groups = micro_batches(order, tokens.lengths, examiner.placement.micro_tokens)
    collator = Collator(tokens, budget=0, pad_id=examiner.renderer.pad_id or 0)
    done = 0
    for group in groups:
        if examiner.stopped():
            return None
        _score_batch(examiner, collator.pad(group), [material.scored[material.owners[index]] for index in group])
        done += len(group)
        examiner.tell("score", split, done, len(tokens))
    return material.scored


def _score_batch(examiner: Examiner, micro: dict[str, Tensor], rows: Sequence[Scored]) -> None:
    device = examiner.placement.device
    labels = micro["labels"].to(device)
    # float32: an evaluation is compared across machines, and some of them have no bfloat16
    logits = examiner.model(input_ids=micro["input_ids"].to(device), targets=labels).float()
    chosen = labels[:, 1:] != IGNORED
    targets = labels[:, 1:][chosen]
    nats = torch.zeros(chosen.shape, dtype=torch.float64, device=device)
    hits = torch.zeros_like(chosen)
    nats[chosen] = torch.nn.functional.cross_entropy(logits, targets, reduction="none").double()
    hits[chosen] = logits.argmax(dim=-1) == targets
    sums = zip(rows, nats.sum(1).tolist(), chosen.sum(1).tolist(), hits.sum(1).tolist(), strict=True)
    for row, nat, count, hit in sums:
        row.nats += nat
        row.targets += count
        row.hits += hit


def _material(renderer: Renderer, rows: Sequence[Record]) -> _Material:
    material = _Material()
    for row in rows:
        if isinstance(row, Document):
            _add_document(material, renderer, row)
        elif isinstance(row, Dialogue):
            _add_dialogue(material, renderer, row.messages)
    return material


def _add_document(material: _Material, renderer: Renderer, row: Document) -> None:
    material.start(len(row.text.encode("utf-8", "replace")))
    ids = renderer.documents([row.text])[0]
    for start in range(0, len(ids), renderer.context_length):
        window = ids[start : start + renderer.context_length]
        material.add(window, [1] * len(window))


def _add_dialogue(material: _Material, renderer: Renderer, messages: Sequence[Message]) -> None:
    """Whole exchanges from the start, as many as the model can hold."""
    ends = [index + 1 for index, message in enumerate(messages) if message.role == "assistant"]
    for end in reversed(ends):
        rendered = renderer.render(messages[:end])
        if len(rendered.ids) <= renderer.context_length:
            answers = [turn for turn in messages[:end] if turn.role == "assistant" and turn.weight > 0]
            material.start(sum(len(turn.content.encode("utf-8", "replace")) for turn in answers))
            material.add(rendered.ids, rendered.mask)
            return
    material.start(0)


# --- generated ---


def generated(examiner: Examiner, split: str, dialogues: Sequence[Dialogue]) -> Iterator[Metric]:
    """BLEU and exact match of the last answer of each dialogue, greedy."""
    asked = [found for row in dialogues if (found := last_exchange(examiner.renderer, row)) is not None]
    answers: list[str] = []
    for start in range(0, len(asked), 16):
        if examiner.stopped():
            return
        batch = asked[start : start + 16]
        prompts = [prompt for prompt, _ in batch]
        answers.extend(greedy(examiner.model, examiner.renderer, prompts, stopped=examiner.stopped))
        examiner.tell("generate", split, len(answers), len(asked))
    if not asked or examiner.stopped():
        return
    references = [reference for _, reference in asked]
    for (prompt, reference), answer in list(zip(asked, answers, strict=True))[:SAMPLES]:
        data = {"split": split, "prompt": examiner.renderer.decode(prompt), "answer": answer, "reference": reference}
        examiner.on_event(Event(kind="sample", data=data))
    yield metrics.bleu(split, answers, references)
    right = [float(metrics.exact(a, r)) for a, r in zip(answers, references, strict=True)]
    yield metrics.ratio("exact_match", split, right, [1] * len(right))
