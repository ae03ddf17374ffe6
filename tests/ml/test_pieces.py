"""A row as tokens for people: the same ids that are trained on, every character readable, what is cut is told."""

from __future__ import annotations

import pytest

from tests.ml.tiny import say
from training.ml.pieces import seen
from training.ml.records import Dialogue, Document, Label, Pair
from training.ml.render import Renderer
from training.ml.rows import shorten


@pytest.fixture(scope="session")
def renderer(base) -> Renderer:
    return Renderer.load(base)


def test_the_pieces_are_the_ids_and_the_mask_that_are_trained_on(renderer):
    messages = say("上传", "点 red 😀")

    [view] = seen(renderer, "dialogue", Dialogue(messages=messages).body())

    rendered = renderer.render(messages)
    assert [token for piece in view.pieces for token in piece.ids] == rendered.ids
    assert [int(piece.trained) for piece in view.pieces for _ in piece.ids] == rendered.mask
    assert (view.tokens, view.trained, view.cut) == (len(rendered.ids), sum(rendered.mask), 0)
    assert "\ufffd" not in "".join(piece.text for piece in view.pieces)
    assert any(piece.text == "传" and len(piece.ids) > 1 for piece in view.pieces)
    assert view.pieces[0].special and not view.pieces[0].trained


def test_what_does_not_fit_is_cut_where_training_cuts_it(renderer):
    messages = say("a", "red", "b", "green " * 60, "c", "blue")

    [view] = seen(renderer, "dialogue", Dialogue(messages=messages).body())

    kept = shorten(renderer, messages, renderer.render(messages), renderer.context_length)
    assert (view.kept, view.trained, view.limit) == (len(kept.ids), sum(kept.mask), renderer.context_length)
    assert sum(len(piece.ids) for piece in view.pieces if piece.cut) == view.cut > 0


def test_a_pair_is_seen_twice_a_thumb_once_and_one_that_does_not_fit_not_at_all(renderer):
    prompt = say("q")

    pair = seen(renderer, "pair", Pair(prompt=prompt, chosen="red", rejected="blue " * 90).body())
    [label] = seen(renderer, "label", Label(prompt=prompt, completion="red", desirable=True).body())

    assert [view.part for view in pair] == ["chosen", "rejected"]
    assert (pair[0].cut, pair[1].kept) == (0, 0)
    assert label.trained > 0


def test_every_token_of_a_document_is_learned(renderer):
    [view] = seen(renderer, "document", Document(text="The fig is red. " * 40).body())

    assert view.tokens == view.trained == view.kept > view.limit
