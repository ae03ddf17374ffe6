"""How fast the data side is and how much memory it takes: `python -m tests.benchmarks.data [--rows 10000,100000]`.

Every measure runs in a process of its own, so that its peak memory is its own. Prints a table for people, then one JSON
object as the very last line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks import made_rows

Figures = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
PAIRS_COMPARED, ROWS_FROZEN = 100_000, 100_000
PAGE_TRIES = 9
# Figure of the issue, the limit, and whether more or less is better.
PROMISES: tuple[tuple[str, str, float, str], ...] = (
    ("import", "rows_per_second", 20_000, "at least"),
    ("import", "peak_rss_mb", 600, "at most"),
    ("recipe", "rows_per_second_2", 10_000, "at least"),
    ("near_duplicates", "seconds_per_100000", 60, "at most"),
    ("near_duplicates", "recall", 0.95, "at least"),
    ("freeze", "seconds_per_100000", 30, "at most"),
    ("pages", "review_ms", 300, "at most"),
)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def _peak_mb(who: int = resource.RUSAGE_SELF) -> float:
    scale = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(who).ru_maxrss * scale / 1e6, 1)


def _django(work: Path) -> None:
    import django

    os.environ |= {"CHATSITE_DATA_DIR": str(work), "DJANGO_SETTINGS_MODULE": "chatsite.settings"}
    django.setup()


# --- the measures, each called in a process of its own --------------------------------------------------------------


def measure_import(rows: int, work: Path) -> Figures:
    """One file of short dialogues, from upload to the last row, into an empty SQLite database."""
    _django(work)
    from django.core.management import call_command

    from training import corpora
    from training.models import Example

    call_command("migrate", verbosity=0)
    call_command("createcachetable")
    made_rows.write(work / "rows.jsonl", rows)
    with (work / "rows.jsonl").open("rb") as file:
        corpus = corpora.add_upload(file, name="made", original_name="rows.jsonl", owner=None)
    seconds, _ = _timed(corpora.read_queued)
    corpus.refresh_from_db()
    if corpus.status != "ready" or Example.objects.count() < 0.99 * rows:
        raise SystemExit(f"the import went wrong: {corpus.status} {corpus.error}")
    return {"seconds": seconds, "rows_per_second": rows / seconds}


def measure_index(rows: int, work: Path) -> Figures:
    """The search index over what was imported."""
    _django(work)
    from training import search

    def build() -> None:
        while search.index_waiting():
            pass

    seconds, _ = _timed(build)
    return {"seconds": seconds, "rows_per_second": rows / seconds}


def measure_recipe(rows: int, work: Path) -> Figures:
    """The default recipe over dialogues in memory, on one process and on two."""
    from training.ml import clean

    bodies = [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in made_rows.dialogues(min(rows, 100_000))
    ]

    def run(processes: int) -> float:
        seconds, count = _timed(
            lambda: sum(1 for _ in clean.clean_many(clean.DEFAULT, "dialogue", bodies, processes=processes))
        )
        return float(count / seconds)

    one, two = run(1), run(2)
    return {"rows_per_second_1": one, "rows_per_second_2": two, "ratio": two / one}


def measure_near_duplicates(rows: int, work: Path) -> Figures:
    """Questions, a tenth of them copies with known changes, and as many with one word exchanged for another."""
    from training.ml.cluster import cluster

    draw, words = random.Random(5), made_rows.vocabulary()
    originals = [question for question, _answer in made_rows.dialogues(int(rows * 0.8))]
    kinds = list(made_rows.COPIES)
    copied = [(n, kinds[n % len(kinds)]) for n in draw.sample(range(len(originals)), rows // 10)]
    other = draw.sample(range(len(originals)), rows - len(originals) - len(copied))
    copies = [made_rows.COPIES[kind](originals[n], draw) for n, kind in copied]
    others = [made_rows.another_word(originals[n], draw, words) for n in other]
    seconds, names = _timed(lambda: cluster([*originals, *copies, *others]))
    found: dict[str, list[bool]] = defaultdict(list)
    for (n, kind), name in zip(copied, names[len(originals) :], strict=False):
        found[kind].append(names[n] == name)
    merged = [names[n] == name for n, name in zip(other, names[len(originals) + len(copies) :], strict=True)]
    recalls = {f"recall_{kind}": statistics.mean(hits) for kind, hits in found.items()}
    return {
        "seconds": seconds,
        "seconds_per_100000": seconds * 100_000 / rows,
        "recall": statistics.mean(itertools.chain.from_iterable(found.values())),
        **recalls,
        "precision": _precision(names, originals, copied),
        "exchanged_words_merged": statistics.mean(merged),
    }


def _precision(names: list[str], originals: list[str], copied: list[tuple[int, str]]) -> float:
    """Of the pairs of originals and copies that were put together, how many belong together."""
    origins = [*range(len(originals)), *(n for n, _kind in copied)]
    members: dict[str, Counter[int]] = defaultdict(Counter)
    for name, origin in zip(names, origins, strict=False):
        members[name][origin] += 1
    together = sum(sum(counts.values()) * (sum(counts.values()) - 1) for counts in members.values())
    rightly = sum(count * (count - 1) for counts in members.values() for count in counts.values())
    return rightly / together if together else 1.0


def measure_freeze(rows: int, work: Path) -> Figures:
    """From the queue to the frozen version: read, clean, compare, split, write, record."""
    _django(work)
    from training import versions
    from training.models import Example

    chosen = Example.objects.order_by("pk").values_list("pk", flat=True)[: min(rows, ROWS_FROZEN)]
    last = list(chosen)[-1]
    Example.objects.filter(pk__lte=last).update(status="approved")
    version = versions.queue_freeze({}, name="measured", kind="dialogue", owner=None)
    seconds, _ = _timed(versions.freeze_queued)
    version.refresh_from_db()
    count = sum(version.counts.values())
    if version.status != "frozen":
        raise SystemExit(f"freezing went wrong: {version.error}")
    return {"rows": count, "seconds": seconds, "seconds_per_100000": seconds * 100_000 / count}


def measure_pages(rows: int, work: Path) -> Figures:
    """The median answer time of the pages that curators live in, with every row in the database."""
    _django(work)
    from django.contrib.auth.models import User
    from django.test import Client
    from django.urls import reverse

    user = User.objects.create_superuser(f"measuring{time.time_ns()}")
    client = Client(headers={"host": "localhost", "accept-language": "zh"})
    client.force_login(user)
    examples, review = reverse("admin:training_example_changelist"), reverse("admin:training_example_review")
    addresses = {
        "review_page": review,
        # What the page's script asks for at once: how many wait, and the first of them.
        "review_first": f"{review}next/?status=draft&count=1",
        "review_next": f"{review}next/?status=draft&after=1",
        "examples": examples,
        "examples_drafts": f"{examples}?status__exact=draft",
        "examples_search": f"{examples}?q=开始",
    }
    figures = {f"{name}_ms": _page_ms(client, address) for name, address in addresses.items()}
    return {"review_ms": figures["review_page_ms"] + figures["review_first_ms"]} | figures


def _page_ms(client: Any, address: str) -> float:
    times = []
    for _ in range(PAGE_TRIES):
        seconds, answer = _timed(lambda: client.get(address, follow=True))
        if answer.status_code != 200:
            raise SystemExit(f"{address} answered {answer.status_code}")
        times.append(seconds * 1000)
    return statistics.median(times)


def measure_statistics(rows: int, work: Path) -> Figures:
    """Every figure of the statistics page, over all rows."""
    _django(work)
    from training import statistics as verbs

    asked = verbs.ask({})
    seconds, _ = _timed(verbs.compute_queued)
    asked.refresh_from_db()
    if asked.status != "done":
        raise SystemExit(f"the statistics went wrong: {asked.error}")
    return {"seconds": seconds, "rows_per_second": rows / seconds}


MEASURES: dict[str, Callable[[int, Path], Figures]] = {
    "import": measure_import,
    "index": measure_index,
    "pages": measure_pages,
    "recipe": measure_recipe,
    "near_duplicates": measure_near_duplicates,
    "freeze": measure_freeze,
    "statistics": measure_statistics,
}


# --- the whole ------------------------------------------------------------------------------------------------------


def _in_child(name: str, rows: int, work: Path) -> Figures:
    environment = os.environ | {"CHATSITE_SECRET_KEY": "only for measuring, and long enough for the check"}
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.data",
        "--measure",
        name,
        "--rows",
        str(rows),
        "--work",
        str(work),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{done.stderr[-4000:]}\n{name} at {rows} rows failed")
    figures: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def _measured(sizes: list[int], names: list[str]) -> Iterator[tuple[int, str, Figures]]:
    for rows in sizes:
        with tempfile.TemporaryDirectory() as work:
            for name in names:
                count = min(rows, PAIRS_COMPARED) if name in ("near_duplicates", "recipe") else rows
                yield rows, name, _in_child(name, count, Path(work))


def _promised(results: dict[str, dict[str, Figures]]) -> list[Figures]:
    """Each promise against the largest run that measured it."""
    told = []
    for name, figure, limit, sense in PROMISES:
        measured = [(int(rows), found[name][figure]) for rows, found in results.items() if name in found]
        if measured:
            rows, value = max(measured)
            kept = value >= limit if sense == "at least" else value <= limit
            told.append({"what": f"{name}.{figure}", "rows": rows, "value": value, sense: limit, "kept": kept})
    return told


def _say(rows: int, name: str, figures: Figures) -> None:
    said = "  ".join(f"{key} {value:,.4g}" if value < 100 else f"{key} {value:,.0f}" for key, value in figures.items())
    print(f"{rows:>9,}  {name:<16} {said}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="10000,100000,1000000", help="how many rows, several apart by commas")
    parser.add_argument(
        "--only", default=",".join(MEASURES), help="which measures; all but recipe need `import` before"
    )
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.rows.split(",")]
    if asked.measure:
        figures = MEASURES[asked.measure](sizes[0], asked.work)
        print(
            json.dumps(
                figures | {"peak_rss_mb": _peak_mb(), "peak_rss_of_a_child_mb": _peak_mb(resource.RUSAGE_CHILDREN)}
            )
        )
        return
    results: dict[str, dict[str, Figures]] = {}
    for rows, name, figures in _measured(sizes, asked.only.split(",")):
        results.setdefault(str(rows), {})[name] = figures
        _say(rows, name, figures)
    promises = _promised(results)
    for promise in promises:
        print(f"{'kept  ' if promise['kept'] else 'BROKEN'} {json.dumps(promise)}")
    print(json.dumps({"benchmark": "data", "cores": os.cpu_count(), "results": results, "promises": promises}))


if __name__ == "__main__":
    main()
