"""The last words of the old tool: the command to go on with, the separator and stop to remember, the time it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from training.ml.legacy_prepare.checks import Table, common_suffix, is_classification

# Seconds; what the estimate was made of.
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_BINARY = 2
_A_CLASSIFIED_ROW, _A_BYTE, _START = 1.44, 0.0515, 140
# What it took for the size of the data: two pointers a row and the index of the rows, whatever the texts hold.
_ROW_BYTES, _EVEN_INDEX_BYTES = 16, 132
# An index with gaps has eight bytes a row and a hash table, which doubles when it is 77 % full.
_LABEL_BYTES, _TABLE_BYTES, _BUCKET_BYTES, _FULL = 8, 40, 16, 0.77


def unchanged(path: str, table: Table) -> str:
    return (
        f'\nYou can use your file for fine-tuning:\n> openai api fine_tunes.create -t "{path}"\n\n'
        f"{_remember(table.column('prompt'))}{_stop(table)}\n{_time(table)}"
    )


def written(files: Sequence[str], table: Table) -> str:
    names = " and ".join(f"`{name}`" for name in files)
    several = "s" if len(files) > 1 else ""
    validation = f' -v "{files[1]}"{_classes(table)}' if len(files) > 1 else ""
    # Without a separator nothing is said of it, but only where something was written.
    remember = _remember(table.column("prompt")) if _suffix(table.column("prompt")) else ""
    return (
        f"\nWrote modified file{several} to {names}\nFeel free to take a look!\n\nNow use that file when fine-tuning:\n"
        f'> openai api fine_tunes.create -t "{files[0]}"{validation}\n\n{remember}{_stop(table)}\n{_time(table)}'
    )


def _classes(table: Table) -> str:
    counts = Counter(table.column("completion"))
    metrics = " --compute_classification_metrics"
    if len(counts) == _BINARY:
        return f'{metrics} --classification_positive_class "{counts.most_common(1)[0][0]}"'
    return f"{metrics} --classification_n_classes {len(counts)}"


def _suffix(texts: Sequence[str]) -> str:
    return common_suffix(texts).replace("\n", "\\n")


def _remember(prompts: Sequence[str]) -> str:
    return (
        f"After you’ve fine-tuned a model, remember that your prompt has to end with the indicator string "
        f"`{_suffix(prompts)}` for the model to start generating completions, rather than continuing with the prompt."
    )


def _stop(table: Table) -> str:
    suffix = _suffix(table.column("completion"))
    if not suffix:
        return ""
    return f' Make sure to include `stop=["{suffix}"]` so that the generated texts ends at the expected place.'


def _time(table: Table) -> str:
    rows = len(table.rows)
    size = rows * _ROW_BYTES + (_gapped_index(rows) if table.gaps else _EVEN_INDEX_BYTES)
    work = rows * _A_CLASSIFIED_ROW if is_classification(table) else size * _A_BYTE
    return (
        f"Once your model starts training, it'll approximately take {_duration(work + _START)} to train a `curie` "
        "model, and less for `ada` and `babbage`. Queue will approximately take half an hour per job ahead of you.\n"
    )


def _gapped_index(rows: int) -> int:
    buckets = 4
    while rows > int(buckets * _FULL + 0.5):
        buckets *= 2
    return rows * _LABEL_BYTES + _TABLE_BYTES + buckets * _BUCKET_BYTES + max(1, buckets // 32) * 4


def _duration(seconds: float) -> str:
    if seconds < _HOUR:
        return f"{round(seconds / _MINUTE, 2)} minutes"
    if seconds < _DAY:
        return f"{round(seconds / _HOUR, 2)} hours"
    return f"{round(seconds / _DAY, 2)} days"
