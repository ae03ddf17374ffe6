"""The collector's own memory is what is watched."""

from __future__ import annotations

from tests.collect.child import collect
from tests.collect.site import as_html
from training.collect.settings import MOST_MEMORY_MB


def test_a_large_worker_starts_a_collector_that_is_not_taken_for_large(site, tmp_path):
    site.answers["/page"] = as_html("<p>found</p>")
    # The kernel hands the peak that `getrusage` tells down from the process that starts another.
    large = b"x" * ((MOST_MEMORY_MB + 64) << 20)
    assert large
    del large

    done = collect(tmp_path, "pages", urls=[f"{site.url}/page"], text="p")

    assert done.texts() == [["found"]]
