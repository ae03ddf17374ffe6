"""Frozen datasets: a directory `<hash>/` with one Arrow file a split and `dataset.json`, written last.

The hash covers every (row hash, split), the recipe, the kind and the format: the same rows and recipe give the same
hash in any order on any machine. Damage is found on load. Knows nothing of the database or of tokens.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from training.ml import clean, splits
from training.ml.clean import Recipe, Tally
from training.ml.cluster import DEFINITION, cluster, normalise, text_of
from training.ml.errors import BadDataset, DiskFull, is_disk_full
from training.ml.files import sha256
from training.ml.records import SPLITS, Body, Kind, Split
from training.ml.splits import DEFAULT_SHARES, FEWEST_UNITS, Item, Placement, Shares
from training.ml.texts import gettext_noop

FORMAT = 1
MANIFEST = "dataset.json"
RULES: dict[str, str] = {
    "no_rows": gettext_noop("There is nothing to freeze: no approved row fits the selection, or cleaning dropped all."),
    "no_training_rows": gettext_noop(
        "Every row of this selection was already held out for validation or test, so nothing is left to train on."
    ),
    "missing": gettext_noop("There is no frozen dataset in %(directory)s."),
    "damaged": gettext_noop("The frozen dataset is damaged: %(file)s is not as it was written. Freeze it again."),
    "other_format": gettext_noop("The dataset has format %(format)s, this version of the site reads format %(known)d."),
}

_SCHEMA = pa.schema([(name, pa.string()) for name in ("key", "group", "cluster", "hash", "body")])
_BATCH_ROWS = 5000
_SHORTEST_ANSWER = 8
# A row that was trained on must never move to test; so of two copies the trained one is kept.
_KNOWN_ORDER = {"train": 0, "phrasing": 1, "validation": 2, "test": 3, "": 4}

Progress = Callable[[str, int, int], None]


def bad(rule: str, **facts: Any) -> BadDataset:
    return BadDataset(RULES[rule], rule=rule, **facts)


def _no_progress(_stage: str, _done: int, _total: int) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A row that may be frozen. `split`: where an earlier version put it, empty when it was in none."""

    key: str
    kind: Kind
    body: Body
    group: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A frozen row; `hash` is records.body_hash of the cleaned body."""

    key: str
    group: str
    cluster: str
    hash: str
    body: Body


@dataclass(slots=True)
class _Kept:
    """A row on its way into a dataset; the body as the JSON that is written, which takes a fifth of the memory."""

    key: str
    group: str
    known: str
    text: str
    answer: str
    hash: str = ""
    body: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenDataset:
    """A dataset directory that was checked. `report` says what freezing did; it is empty after `load`.

    keys: row hash -> key of the row that was given to `freeze`, empty after `load`. The files may be those of an
    earlier freezing, which had the same rows under other keys.
    """

    directory: Path
    manifest: dict[str, Any]
    report: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        kind: Kind = self.manifest["kind"]
        return kind

    @property
    def hash(self) -> str:
        return str(self.manifest["hash"])

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.manifest["counts"])

    def iterate(self, split: Split) -> Iterator[Row]:
        """The rows of a split in the order of their hashes, a batch at a time."""
        with pa.memory_map(str(self.directory / f"{split}.arrow")) as source:
            reader = pa.ipc.open_file(source)
            for number in range(reader.num_record_batches):
                for plain in reader.get_batch(number).to_pylist():
                    yield Row(**(plain | {"body": json.loads(plain["body"])}))

    def rows(self, split: Split) -> list[Row]:
        return list(self.iterate(split))

    def row(self, split: Split, number: int) -> Row:
        """One row by its place in the split. Raises IndexError."""
        if number < 0:
            raise IndexError(number)
        with pa.memory_map(str(self.directory / f"{split}.arrow")) as source:
            reader = pa.ipc.open_file(source)
            for batch in map(reader.get_batch, range(reader.num_record_batches)):
                if number < batch.num_rows:
                    plain = batch.slice(number, 1).to_pylist()[0]
                    return Row(**(plain | {"body": json.loads(plain["body"])}))
                number -= batch.num_rows
        raise IndexError(number)

    def places(self, split: Split) -> Iterator[tuple[str, str, str]]:
        """Hash, key and cluster of each row of a split, in order; the texts are not read."""
        with pa.memory_map(str(self.directory / f"{split}.arrow")) as source:
            reader = pa.ipc.open_file(source)
            for batch in map(reader.get_batch, range(reader.num_record_batches)):
                columns = (batch.column(name).to_pylist() for name in ("hash", "key", "cluster"))
                yield from zip(*columns, strict=True)


def freeze(
    candidates: Iterable[Candidate],
    root: Path,
    *,
    kind: Kind,
    recipe: Recipe = clean.DEFAULT,
    anchors: Iterable[Candidate] = (),
    shares: Shares = DEFAULT_SHARES,
    on_progress: Progress = _no_progress,
) -> FrozenDataset:
    """Clean, cluster, split and write `root/<hash>/`; an equal dataset that is already there is returned instead.

    anchors: rows of earlier versions that are not to be in this one. New rows that resemble them follow them into
    their split. Raises BadDataset when nothing is left, DiskFull when it does not fit.
    """
    tally = Tally()
    kept = _cleaned(candidates, kind, recipe, tally)
    if not kept:
        raise bad("no_rows")
    placement = splits.place(_items(kept, [_kept(anchor) for anchor in anchors], on_progress), shares)
    on_progress("write", 0, 1)
    rows, duplicates = _rows(kept, placement)
    if not rows["train"]:
        raise bad("no_training_rows")
    manifest = _manifest(rows, kind=kind, recipe=recipe, shares=shares)
    report = tally.to_json() | _notes(placement, kept, duplicates)
    keys = {row.hash: row.key for members in rows.values() for row in members}
    return replace(_publish(rows, manifest, report, root, on_progress), keys=keys)


def _cleaned(candidates: Iterable[Candidate], kind: Kind, recipe: Recipe, tally: Tally) -> list[_Kept]:
    under_way: deque[Candidate] = deque()  # they come out in the order in which they went in

    def bodies() -> Iterator[Body]:
        for candidate in candidates:
            under_way.append(candidate)
            yield candidate.body

    kept = []
    for row in clean.clean_many(recipe, kind, bodies()):
        candidate = under_way.popleft()
        tally.count(changed=row.changed, dropped=row.dropped, flags=row.flags)
        if row.body is not None:
            one = _kept(replace(candidate, kind=kind, body=row.body))
            one.hash, one.body = row.hash, json.dumps(row.body, ensure_ascii=False, sort_keys=True)
            kept.append(one)
    return kept


def _kept(row: Candidate) -> _Kept:
    text, answer = text_of(row.kind, row.body), _answer_of(row)
    return _Kept(key=row.key, group=row.group, known=row.split, text=text, answer=answer)


def _answer_of(candidate: Candidate) -> str:
    """A short hash of what a single exchange answers; empty for anything else and for answers of a few letters."""
    messages = candidate.body.get("messages", [])
    roles = [message["role"] for message in messages if message["role"] != "system"]
    if candidate.kind != "dialogue" or roles != ["user", "assistant"]:
        return ""
    text = normalise(messages[-1]["content"])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24] if len(text) >= _SHORTEST_ANSWER else ""


def _items(rows: Sequence[_Kept], anchors: Sequence[_Kept], on_progress: Progress) -> Iterator[Item]:
    everything = [*rows, *anchors]
    texts = [row.text for row in everything]
    names = cluster(texts, on_progress=lambda done: on_progress("cluster", done, len(texts)))
    for number, (row, name) in enumerate(zip(everything, names, strict=True)):
        row.cluster, row.text = name, ""
        anchor = number >= len(rows)
        yield Item(key=row.key, cluster=name, group=row.group, answer=row.answer, known=row.known, anchor=anchor)


def _rows(kept: list[_Kept], placement: Placement) -> tuple[dict[Split, list[_Kept]], int]:
    """Rows by split, sorted by hash; and how many were left out because an equal one is there."""
    rows: dict[Split, list[_Kept]] = {name: [] for name in SPLITS}
    last = ""
    duplicates = 0
    for row in sorted(kept, key=lambda row: (row.hash, _KNOWN_ORDER.get(row.known, 4), row.key)):
        split = placement.splits.get(row.key)
        if split is None:
            continue
        if row.hash == last:
            duplicates += 1
            continue
        last = row.hash
        rows[split].append(row)
    return rows, duplicates


def _notes(placement: Placement, kept: Sequence[_Kept], duplicates: int) -> dict[str, Any]:
    between = sum(row.key in placement.between for row in kept)
    return {
        "duplicates": duplicates,
        "between_splits": between,
        "units": placement.units,
        "too_small_to_hold_out": placement.units < FEWEST_UNITS,
    }


def _digest(rows: dict[Split, list[_Kept]], kind: Kind, recipe: Recipe) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, kind, recipe.to_json()]).encode())
    for line in sorted(f"{row.hash} {split}\n" for split, members in rows.items() for row in members):
        digest.update(line.encode())
    return digest.hexdigest()


def _manifest(rows: dict[Split, list[_Kept]], *, kind: Kind, recipe: Recipe, shares: Shares) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": kind,
        "hash": _digest(rows, kind, recipe),
        "counts": {split: len(members) for split, members in rows.items()},
        "recipe": recipe.to_json(),
        "shares": dict(shares),
        "clusters": DEFINITION,
        "versions": {name: version(name) for name in ("datasketch", "jieba", "pyarrow")},
    }


def _publish(
    rows: dict[Split, list[_Kept]],
    manifest: dict[str, Any],
    report: dict[str, Any],
    root: Path,
    on_progress: Progress,
) -> FrozenDataset:
    target = root / manifest["hash"]
    if (present := _present(target)) is not None:
        return FrozenDataset(directory=target, manifest=present.manifest, report=report)
    aside = root / f".{manifest['hash'][:16]}-{uuid.uuid4().hex[:8]}"
    try:
        aside.mkdir(parents=True)
        manifest["files"] = {
            f"{split}.arrow": _write(aside / f"{split}.arrow", members) for split, members in rows.items()
        }
        on_progress("write", 1, 1)
        _write_text(aside / MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1))
        aside.rename(target)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        # Another freezer was faster with the same rows: its directory is as good.
        if (present := _present(target)) is not None:
            return FrozenDataset(directory=target, manifest=present.manifest, report=report)
        raise _disk_error(error, root) from error
    return FrozenDataset(directory=target, manifest=manifest, report=report)


def _disk_error(error: OSError, root: Path) -> Exception:
    if not is_disk_full(error):
        return error
    free = shutil.disk_usage(root).free
    text = gettext_noop("The disk is full: %(free_bytes)d bytes are left. Nothing was frozen.")
    return DiskFull(text, free_bytes=free)


def _present(target: Path) -> FrozenDataset | None:
    """What is already there; a damaged directory, or one with another version's files, is moved out of the way."""
    try:
        present = load(target)
        if present.hash != target.name:
            raise bad("damaged", file=MANIFEST)
        return present
    except BadDataset:
        if target.exists():
            target.rename(target.with_name(f".damaged-{uuid.uuid4().hex[:8]}-{target.name[:16]}"))
        return None


def _write(path: Path, rows: Sequence[_Kept]) -> dict[str, Any]:
    with path.open("wb") as file:
        with pa.ipc.new_file(file, _SCHEMA) as writer:
            for start in range(0, len(rows), _BATCH_ROWS):
                writer.write_batch(_batch(rows[start : start + _BATCH_ROWS]))
        file.flush()
        os.fsync(file.fileno())
    return {"sha256": sha256(path), "bytes": path.stat().st_size, "rows": len(rows)}


def _batch(rows: Sequence[_Kept]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array([row.key for row in rows], pa.string()),
            pa.array([row.group for row in rows], pa.string()),
            pa.array([row.cluster for row in rows], pa.string()),
            pa.array([row.hash for row in rows], pa.string()),
            pa.array([row.body for row in rows], pa.string()),
        ],
        schema=_SCHEMA,
    )


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def load(directory: Path) -> FrozenDataset:
    """The dataset of a directory. Raises BadDataset when it is missing, damaged or of another format."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text("utf-8"))
        found, files = manifest["format"], manifest.get("files", {})
    except OSError as error:
        raise bad("missing", directory=directory.name) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise bad("damaged", file=MANIFEST) from error
    if found != FORMAT:
        raise bad("other_format", format=found, known=FORMAT)
    for split in SPLITS:
        _check(directory / f"{split}.arrow", files.get(f"{split}.arrow", {}))
    return FrozenDataset(directory=directory, manifest=manifest)


def _check(path: Path, written: dict[str, Any]) -> None:
    if not path.is_file() or sha256(path) != written.get("sha256"):
        raise bad("damaged", file=path.name)


def counted(report: dict[str, Any]) -> Counter[str]:
    """All reasons for which rows are not in a version, with their numbers."""
    reasons = Counter(report.get("dropped", {}))
    reasons.update({name: report[name] for name in ("duplicates", "between_splits") if report.get(name)})
    return reasons
