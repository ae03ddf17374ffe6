"""Steps on Chinese: traditional to simplified, segmentation, stop words.

The packages are loaded when a recipe needs them. Segmenters are made by us: the package's own one is shared by the
whole process, and a user dictionary would change it for everybody.
"""

from __future__ import annotations

import io
import json
import logging
import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from training.ml.clean.finder import lines_of
from training.ml.clean.kinds import Ready
from training.ml.clean.parameters import Materials, Settings

if TYPE_CHECKING:
    import jieba
    import opencc

_SURROGATES = re.compile("([\ud800-\udfff\x00]+)")
_CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

# --- traditional to simplified --------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _converter(config: str) -> opencc.OpenCC:
    import opencc

    return opencc.OpenCC(config)


def make_simplify(settings: Settings, _materials: Materials) -> Ready:
    converter = _converter(settings["from"])

    def run(text: str) -> str:
        if not _CHINESE.search(text):
            return text
        # The library speaks UTF-8, which has no lone surrogates.
        parts = _SURROGATES.split(text)
        return "".join(part if number % 2 else converter.convert(part) for number, part in enumerate(parts))

    return run


# --- words ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)  # each holds a dictionary of about 100 MB
def segmenter(dictionary: str = "") -> jieba.Tokenizer:
    """A segmenter of our own; `dictionary` has a word a line, with its frequency if it has one."""
    import jieba

    jieba.setLogLevel(logging.WARNING)
    made = jieba.Tokenizer()
    # Not through `initialize`: it trusts a cache in the common temporary directory, whoever wrote it.
    made.FREQ, made.total = made.gen_pfdict(made.get_dict_file())
    made.initialized = True
    for line in lines_of(dictionary):
        _add(made, line)
    return made


def _add(made: jieba.Tokenizer, line: str) -> None:
    word, _, rest = line.partition(" ")
    frequency = rest.split(" ")[0]
    # Zero would put the word on a list that all segmenters share.
    made.add_word(word, int(frequency) if frequency.isdecimal() and int(frequency) else None)


def make_segment(settings: Settings, materials: Materials) -> Ready:
    made = segmenter(materials[settings["words"]] if settings["words"] else "")
    cut = made.cut_for_search if settings["mode"] == "search" else made.cut

    def line(text: str) -> str:
        return " ".join(word for word in cut(text) if not word.isspace())

    return lambda text: "\n".join(line(part) for part in text.split("\n"))


# --- stop words -----------------------------------------------------------------------------------------------------


def _package_file(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text("utf-8")


@lru_cache(maxsize=8)
def shipped_stop_words(name: str) -> frozenset[str]:
    """A list that comes with a package: of pystopwords by its name there, of stopwordsiso by its language."""
    if name in ("en", "zh"):
        return frozenset(json.loads(_package_file("stopwordsiso", "stopwords-iso.json"))[name])
    return frozenset(io.StringIO(_package_file("pystopwords", f"data/stopwords.zh.{name}.txt")).read().split("\n"))


def make_stop_words(settings: Settings, materials: Materials) -> Ready:
    stop: frozenset[str] = frozenset()
    for name in settings["lists"]:
        stop |= shipped_stop_words(name)
    stop |= frozenset(lines_of(materials[settings["words"]])) if settings["words"] else frozenset()
    stop = frozenset(word for word in stop if word.strip())
    made = segmenter(materials[settings["dictionary"]] if settings["dictionary"] else "")

    def line(text: str) -> str:
        kept = "".join(word for word in made.cut(text) if word.lower() not in stop)
        return re.sub(" {2,}", " ", kept).strip() if kept != text else text

    return lambda text: "\n".join(line(part) for part in text.split("\n"))
