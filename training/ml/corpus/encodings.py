"""Which encoding the bytes of a text are in: a mark, the zeros of UTF-16, else what decodes to the likelier text.

UTF-8 comes first, because text that is valid UTF-8 by chance is rare. GB18030 and Big5 both decode most of the
other's bytes; what tells them apart is how many of the characters are common ones. Knows no format.
"""

from __future__ import annotations

import codecs
import functools
import re
from io import BufferedReader

from training.ml.corpus.base import Source
from training.ml.corpus.rules import bad_file
from training.ml.errors import BadFile
from training.ml.texts import gettext_noop, words

ENCODING_NAMES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 (BOM)",
    "gb18030": "GB18030",
    "big5": "Big5",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
}
# Big5 with the characters of Hong Kong and of Windows, which files named Big5 do have.
_CODECS = {"utf-8-sig": "utf-8", "big5": "big5hkscs"}
BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"7z\xbc\xaf", "7-Zip"),
    (b"Rar!", "RAR"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\xd0\xcf\x11\xe0", "XLS or DOC"),
    (b"SQLite format 3", "SQLite"),
    (b"ARROW1", "Arrow"),
    (b"PAR1", "Parquet"),
    (b"\x7fELF", gettext_noop("a program")),
)
PICKLE_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill", ".ckpt")
_PICKLE_PROTOCOLS = b"\x02\x03\x04\x05"
_TAR = (257, b"ustar")

# Looked at to guess encoding and format: the head and some windows spread over the rest.
_HEAD_BYTES = 512 << 10
_WINDOW_BYTES = 64 << 10
_WINDOWS = 8
_ZEROS_OF_UTF16 = 0.02
# Below this share of decodable lines the encoding is another one; above it single lines are at fault.
_FEWEST_DECODABLE = 0.5
_JUDGED_BYTES = 128 << 10
_USUAL = re.compile("[\t\n\r -~\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\u2010-\u2026]")
_MOST_USUAL = 0.9


def codec_of(encoding: str) -> str:
    """Python's name of the codec; the mark at the start of a file is passed over by whoever opens it."""
    return _CODECS.get(encoding, encoding)


def detect_encoding(source: Source) -> str:
    """One of ENCODING_NAMES. Raises BadFile for a file that is empty, binary or in no known encoding."""
    pieces = _windows(source)
    head = pieces[0]
    refuse_binary(source, head)
    for mark, encoding in BOMS:
        if head.startswith(mark):
            return encoding
    if encoding := _utf16_without_mark(head[: 64 << 10]) or _utf16_of_chinese(pieces):
        return encoding
    if _looks_binary(head):
        raise bad_file("binary_file", what=words(gettext_noop("binary data")))
    return _likeliest(pieces)


def check_encoding(source: Source, encoding: str) -> str:
    """The encoding that a person named, once it fits. Raises BadFile when hardly a line decodes in it."""
    pieces = _windows(source)
    refuse_binary(source, pieces[0])
    if encoding not in ENCODING_NAMES or (
        not encoding.startswith("utf-16") and _share_decodable(pieces, codec_of(encoding)) < _FEWEST_DECODABLE
    ):
        raise bad_file("other_encoding", encoding=ENCODING_NAMES.get(encoding, encoding))
    has_mark = pieces[0].startswith(codecs.BOM_UTF8)
    return "utf-8-sig" if encoding == "utf-8" and has_mark else encoding


def refuse_binary(source: Source, head: bytes) -> None:
    """Raises BadFile for what is no text by its name or its first bytes."""
    if not head:
        raise bad_file("empty_file")
    if source.suffix in PICKLE_SUFFIXES or (head[:1] == b"\x80" and head[1:2] in _PICKLE_PROTOCOLS):
        raise bad_file("pickle")
    for magic, what in _MAGIC:
        if head.startswith(magic):
            raise bad_file("binary_file", what=words(what))
    if head[_TAR[0] :].startswith(_TAR[1]):
        raise bad_file("binary_file", what="TAR")


def _windows(source: Source) -> list[bytes]:
    """The head, then pieces from all over the file that begin at a line. Of a packed file only the head."""
    with source.open() as file:
        pieces = [_start(file)]
        for index in range(1, 1 if source.packed else _WINDOWS + 1):
            offset = source.size * index // (_WINDOWS + 1)
            if offset > _HEAD_BYTES:
                file.seek(offset)
                file.readline(_WINDOW_BYTES)
                pieces.append(file.read(_WINDOW_BYTES))
    return pieces


def _start(file: BufferedReader) -> bytes:
    """The head; of an archive that was cut off as much as there is."""
    head = bytearray()
    try:
        while len(head) < _HEAD_BYTES and (piece := file.read1(_HEAD_BYTES - len(head))):
            head += piece
    except BadFile:
        if not head:
            raise
    return bytes(head)


def _looks_binary(head: bytes) -> bool:
    control = sum(head.count(byte) for byte in range(32) if byte not in b"\t\n\r\x0c\x1b")
    return control > len(head) / 50


def _utf16_without_mark(head: bytes) -> str:
    """ASCII characters (braces, quotes, line breaks) leave a zero in every second byte of UTF-16."""
    pairs = max(1, len(head) // 2)
    even, odd = head[::2].count(0) / pairs, head[1::2].count(0) / pairs
    if max(even, odd) < _ZEROS_OF_UTF16 or min(even, odd) > max(even, odd) / 10:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _utf16_of_chinese(pieces: list[bytes]) -> str:
    """Chinese in UTF-16 has few zeros, and on both sides; but read from the right side it is Chinese throughout."""
    head = pieces[0][: 64 << 10]
    if b"\x00" not in head or _share_decodable(pieces, "utf-8") > _FEWEST_DECODABLE:
        return ""
    for encoding in ("utf-16-le", "utf-16-be"):
        text = head[: len(head) // 2 * 2].decode(encoding, "replace")
        if len(_USUAL.findall(text)) > _MOST_USUAL * len(text):
            return encoding
    return ""


def _likeliest(pieces: list[bytes]) -> str:
    shares = {name: _share_decodable(pieces, codec_of(name)) for name in ("utf-8", "gb18030", "big5")}
    if shares["utf-8"] >= max(_FEWEST_DECODABLE, shares["gb18030"], shares["big5"]):
        return "utf-8"
    sample = b"\n".join(pieces)
    best = max(shares, key=lambda name: shares[name] if name == "utf-8" else shares[name] * _plausible(sample, name))
    if shares[best] < _FEWEST_DECODABLE:
        raise bad_file("unknown_encoding")
    return best


def _share_decodable(pieces: list[bytes], codec: str) -> float:
    """0..1 of the lines with bytes above 127 that decode; 1 where there are none. Cut-off last lines do not count."""
    good = bad = 0
    for piece in pieces:
        lines = piece.split(b"\n")
        for line in lines[:-1] if len(piece) >= _WINDOW_BYTES else lines:
            if line.isascii():
                continue
            try:
                line.decode(codec)
                good += 1
            except UnicodeDecodeError:
                bad += 1
    return good / (good + bad) if good + bad else 1.0


def _plausible(sample: bytes, encoding: str) -> float:
    """0..1: how many of the sample's characters beyond ASCII are among the common ones of the encoding."""
    text = sample[:_JUDGED_BYTES].decode(codec_of(encoding), "replace")
    beyond = [character for character in text if character > "\x7f"]
    common = _common(encoding)
    return sum(character in common for character in beyond) / len(beyond) if beyond else 1.0


@functools.cache
def _common(encoding: str) -> frozenset[str]:
    """The level of everyday characters that both standards put first, and their punctuation."""
    leads, trails = ((0xB0, 0xD7), (0xA1, 0xFE)) if encoding == "gb18030" else ((0xA4, 0xC6), (0x40, 0xFE))
    codec = codec_of(encoding)
    pairs = (
        bytes((lead, trail)) for lead in range(leads[0], leads[1] + 1) for trail in range(trails[0], trails[1] + 1)
    )
    return frozenset("".join(pair.decode(codec, "ignore") for pair in pairs)) | frozenset(
        "　、。，．：；？！“”‘’「」『』（）《》〈〉【】…—～·"
    )
