"""Who begins next."""

from __future__ import annotations

from dataclasses import dataclass

from chat.engine.fairness import FairQueue


@dataclass(eq=False)
class Request:
    user: str
    name: str


def queue_of(*requests: tuple[str, str]) -> tuple[FairQueue[Request], dict[str, Request]]:
    queue: FairQueue[Request] = FairQueue()
    named = {name: Request(user, name) for user, name in requests}
    for request in named.values():
        queue.push(request)
    return queue, named


def order(queue: FairQueue[Request]) -> list[str]:
    return [request.name for request in queue.order()]


def test_strangers_are_served_in_the_order_they_came():
    queue, _ = queue_of(("ada", "a1"), ("ben", "b1"), ("cy", "c1"))

    assert order(queue) == ["a1", "b1", "c1"]


def test_a_second_request_waits_behind_everyones_first():
    queue, _ = queue_of(("ada", "a1"), ("ada", "a2"), ("ada", "a3"), ("ben", "b1"), ("ben", "b2"))

    assert order(queue) == ["a1", "b1", "a2", "b2", "a3"]


def test_what_has_begun_still_counts_as_the_first():
    queue, named = queue_of(("ada", "a1"))
    queue.begin(named["a1"])
    queue.push(Request("ada", "a2"))
    queue.push(Request("ben", "b1"))

    assert order(queue) == ["b1", "a2"]


def test_nobody_saves_up_turns_by_staying_away():
    queue, named = queue_of(*[("ada", f"a{index}") for index in range(5)])
    for request in named.values():
        queue.begin(request)
    for name in ("b1", "b2", "b3"):
        queue.push(Request("ben", name))
    queue.push(Request("ada", "a6"))

    assert order(queue) == ["b1", "b2", "a6", "b3"]


def test_one_who_leaves_moves_the_others_up():
    queue, named = queue_of(("ada", "a1"), ("ada", "a2"))

    assert queue.discard(named["a1"])
    assert not queue.discard(named["a1"])
    assert order(queue) == ["a2"]
    assert queue.clear() == [named["a2"]]
    assert len(queue) == 0


def test_the_memory_of_users_is_bounded():
    queue: FairQueue[Request] = FairQueue()
    for index in range(10_000):
        request = Request(f"u{index}", "r")
        queue.push(request)
        queue.begin(request)

    assert len(queue._last) <= 4097
