"""A collection that was stopped or killed goes on where it was: nothing lost, nothing twice, nothing asked again."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.collect.child import begin, collect, finish, rows_of, wait_for
from tests.collect.site import Answer, Asked, Site, as_html
from training.collect.ledger import JOURNAL, RECORDS, Ledger, Task

PAGES = 12


def pages(site: Site) -> list[str]:
    def answer(asked: Asked) -> Answer:
        page = as_html(f"<p>text of {asked.path}</p>")
        page.wait_seconds = 0.1
        return page

    paths = [f"/{number}" for number in range(PAGES)]
    site.answers |= dict.fromkeys(paths, answer)
    return [site.url + path for path in paths]


def have_rows(directory: Path, count: int) -> bool:
    return (directory / RECORDS).exists() and len(rows_of(directory)) >= count


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "kill -9"])
def test_it_goes_on_without_doubled_or_lost_records(site, tmp_path, number):
    urls = pages(site)
    process = begin(tmp_path, "pages", urls=urls, text="p")
    wait_for(lambda: have_rows(tmp_path, 4))
    os.kill(process.pid, number)
    process.communicate(timeout=30)
    before = len(rows_of(tmp_path))

    done = collect(tmp_path, "pages", urls=urls, text="p")

    assert 4 <= before < PAGES
    assert done.end["end"] == "done"
    assert done.end["records"] == PAGES
    assert done.texts() == sorted([f"text of /{number}"] for number in range(PAGES))
    # At the moment of a kill one answer was under way, or two; no other page was asked for twice.
    assert sum(count - 1 for count in Counter(site.paths).values()) <= 2


def test_a_stop_says_so_and_leaves_the_rest_open(site, tmp_path):
    urls = pages(site)
    process = begin(tmp_path, "pages", urls=urls, text="p")
    wait_for(lambda: have_rows(tmp_path, 2))

    os.kill(process.pid, signal.SIGTERM)

    assert finish(process, tmp_path).end["end"] == "stopped"
    ledger = Ledger(tmp_path)
    assert len(ledger.open) == PAGES - ledger.records
    ledger.shut()


def test_a_second_process_waits_until_the_first_is_gone(site, tmp_path):
    urls = pages(site)
    first = begin(tmp_path, "pages", urls=urls, text="p")
    wait_for(lambda: have_rows(tmp_path, 1))

    second = collect(tmp_path, "pages", urls=urls, text="p")

    assert finish(first, tmp_path).end["records"] == PAGES
    assert len(second.rows) == PAGES
    assert Counter(site.paths) == Counter(f"/{number}" for number in range(PAGES))


def test_pages_that_failed_are_asked_for_again_and_those_that_are_gone_are_not(site, tmp_path):
    site.answers |= {"/gone": Answer(status=404), "/shut": Answer(status=403), "/good": as_html("<p>good</p>")}
    urls = [f"{site.url}/{name}" for name in ("gone", "shut", "good")]
    first = collect(tmp_path, "pages", urls=urls, text="p")
    site.answers["/shut"] = as_html("<p>open now</p>")

    second = collect(tmp_path, "pages", urls=urls, text="p")

    assert first.refused == {"gone": 1, "blocked": 1}
    assert (second.refused, second.texts()) == ({}, [["good"], ["open now"]])
    assert Counter(site.paths) == {"/gone": 1, "/shut": 2, "/good": 1}


# --- the ledger by itself -------------------------------------------------------------------------------------------


def row(key: str) -> dict[str, object]:
    return {"text": f"text {key}", "source": {"key": key}}


def task(number: int) -> Task:
    return Task(kind="page", url=f"http://site/{number}")


def kept(directory: Path) -> list[str]:
    return [str(row["source"]["key"]) for row in rows_of(directory)]


def a_ledger(directory: Path) -> None:
    ledger = Ledger(directory)
    ledger.begin([task(1), task(2)])
    ledger.close(task(1), [row("a"), row("b"), row("a")], [task(2), task(3)])
    ledger.close(task(2), [row("b"), row("c")])
    ledger.shut()


def test_rows_and_tasks_are_taken_once(tmp_path):
    a_ledger(tmp_path)

    again = Ledger(tmp_path)

    assert kept(tmp_path) == ["a", "b", "c"]
    assert again.open == [task(3)]
    assert (again.records, again.count("page"), again.is_new) == (3, 3, False)
    again.shut()


def test_wherever_a_write_is_cut_off_the_ledger_is_one_that_once_was(tmp_path):
    a_ledger(tmp_path / "whole")
    journal, records = ((tmp_path / "whole" / name).read_bytes() for name in (JOURNAL, RECORDS))
    states = set()

    for length in range(len(journal) + 1):
        place = tmp_path / str(length)
        place.mkdir()
        (place / JOURNAL).write_bytes(journal[:length])
        (place / RECORDS).write_bytes(records)  # rows are written before the line that vouches for them
        ledger = Ledger(place)
        states.add((tuple(kept(place)), tuple(each.url[-1] for each in ledger.open)))
        ledger.shut()

    assert states == {((), ()), ((), ("1", "2")), (("a", "b"), ("2", "3")), (("a", "b", "c"), ("3",))}


def test_after_a_cut_the_next_row_begins_on_a_line_of_its_own(tmp_path):
    a_ledger(tmp_path)
    with (tmp_path / RECORDS).open("ab") as file:
        file.write(b'{"text": "half a ro')
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"done": "page')

    ledger = Ledger(tmp_path)
    ledger.close(task(3), [row("d")])
    ledger.shut()

    assert kept(tmp_path) == ["a", "b", "c", "d"]
    assert Ledger(tmp_path).open == []
