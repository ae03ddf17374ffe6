"""Deltas are whole characters, and together they are the text of all ids, whatever the ids."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from chat.engine.text import BROKEN, StopStrings, TextStream, Vocabulary

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def byte_level() -> Tokenizer:
    """Every byte is an id, so any ids make any bytes, broken ones included."""
    tokenizer = Tokenizer(models.BPE(vocab={sign: index for index, sign in enumerate(BYTES)}, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    tokenizer.add_tokens([AddedToken("«mark»", special=False)])
    return tokenizer


def byte_fallback() -> Tokenizer:
    """The way of Llama 2: words with a space mark, and a token for each byte."""
    words = ["<unk>", "▁", "▁hi", "there", "▁你", "好", BROKEN, *[f"<0x{byte:02X}>" for byte in range(256)]]
    tokenizer = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken("<s>", special=True)])
    return tokenizer


def metaspace() -> Tokenizer:
    words = ["<unk>", "▁", "▁hi", "there", "▁you", "!"]
    tokenizer = Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken("<s>", special=True)])
    return tokenizer


def word_piece() -> Tokenizer:
    words = ["[UNK]", "hi", "##there", ".", ",", "你", "好", "n't", "do"]
    tokenizer = Tokenizer(models.WordPiece(vocab={word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    tokenizer.add_special_tokens([AddedToken("[SEP]", special=True)])
    return tokenizer


TOKENIZERS = {make.__name__: make() for make in (byte_level, byte_fallback, metaspace, word_piece)}


def vocabulary(name: str) -> Vocabulary:
    tokenizer = TOKENIZERS[name]
    return Vocabulary(tokenizer, lambda ids: tokenizer.decode(list(ids), skip_special_tokens=True))


def deltas(name: str, ids: list[int]) -> list[str]:
    stream = TextStream(vocabulary(name))
    return [*[stream.push(token) for token in ids], stream.flush()]


def byte_ids(text: bytes) -> list[int]:
    table = TOKENIZERS["byte_level"].get_vocab()
    return [table[_sign(byte)] for byte in text]


def _sign(byte: int) -> str:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    if byte in printable:
        return chr(byte)
    return chr(256 + [value for value in range(256) if value not in printable].index(byte))


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_deltas_join_to_the_text_of_any_ids(name: str, data: st.DataObject):
    size = TOKENIZERS[name].get_vocab_size()
    # Two ids beyond the vocabulary: models often have more rows than their tokenizer has words.
    ids = data.draw(st.lists(st.integers(0, size + 1), max_size=40))

    assert "".join(deltas(name, ids)) == vocabulary(name).decode(ids)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20), st.binary(max_size=6), st.text(max_size=10))
def test_deltas_join_across_broken_bytes(before: str, broken: bytes, after: str):
    ids = byte_ids(before.encode("utf-8", "replace") + broken + after.encode("utf-8", "replace"))

    assert "".join(deltas("byte_level", ids)) == vocabulary("byte_level").decode(ids)


def test_a_character_comes_whole_and_as_soon_as_it_is_whole():
    ids = byte_ids("你a".encode())

    assert deltas("byte_level", ids) == ["", "", "你", "a", ""]


def test_broken_bytes_come_at_the_end_or_as_soon_as_they_are_certain():
    assert deltas("byte_level", byte_ids(b"\xe4\xbd")) == ["", "", BROKEN]
    assert deltas("byte_level", byte_ids(b"\xe4\xbda")) == ["", "", f"{BROKEN}a", ""]
    assert deltas("byte_level", byte_ids(b"\x80\x80\x80")) == ["", BROKEN, BROKEN, BROKEN]


def test_a_run_of_byte_tokens_waits_for_its_end():
    table = TOKENIZERS["byte_fallback"].get_vocab()
    run = [table[f"<0x{byte:02X}>"] for byte in "好".encode()]

    assert deltas("byte_fallback", [table["▁hi"], *run, table["there"]]) == ["hi", "", "", "", "好there", ""]
    assert deltas("byte_fallback", [*run, table["<0x80>"]]) == ["", "", "", "", BROKEN * 4]


def test_a_long_answer_is_decoded_in_small_windows():
    seen: list[int] = []
    tokenizer = TOKENIZERS["byte_level"]

    def decode(ids) -> str:
        seen.append(len(ids))
        return tokenizer.decode(list(ids), skip_special_tokens=True)

    stream = TextStream(Vocabulary(tokenizer, decode))
    text = "".join(stream.push(token) for token in byte_ids(("你好 ok " * 200).encode())) + stream.flush()

    assert text == "你好 ok " * 200
    assert max(seen) <= 8


def stopped(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    finder = StopStrings(stops)
    shown = ""
    for piece in pieces:
        text, hit = finder.push(piece)
        shown += text
        if hit:
            return shown, True
    return shown + finder.flush(), False


def test_a_stop_string_never_shows_not_even_in_part():
    assert stopped(["\nUser:"], ["hi", "\nUs", "er", ": no"]) == ("hi", True)
    assert StopStrings(["\nUser:"]).push("hi\nUs") == ("hi", False)


def test_what_only_looked_like_a_stop_string_is_shown():
    assert stopped(["\nUser:"], ["hi\nUs", "ually"]) == ("hi\nUsually", False)
    assert stopped(["ab"], ["aaa"]) == ("aaa", False)


def test_the_first_of_several_stop_strings_counts():
    assert stopped(["END", "."], ["one. two END"]) == ("one", True)


@given(
    st.lists(st.text(alphabet="ab.", max_size=4), max_size=8),
    st.lists(st.text(alphabet="ab.", min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_cutting_piece_by_piece_is_cutting_the_whole(pieces: list[str], stops: list[str]):
    whole = "".join(pieces)
    # A stop string ends the text as soon as it is complete, so the one that is complete first counts.
    ends = [end for end in range(len(whole) + 1) if any(whole[:end].endswith(stop) for stop in stops)]

    shown, hit = stopped(stops, list(whole))

    assert hit == bool(ends)
    if ends:
        part = whole[: ends[0]]
        assert shown == part[: min(part.find(stop) for stop in stops if stop in part)]
    else:
        assert shown == whole
