"""Chinese whose words or characters stand apart by spaces, as corpora for old segmenters have it. Pure."""

from __future__ import annotations

import re

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff"
_WIDE = _HAN + "\u3000-\u303f\uff00-\uffef“”‘’…—"
_SPACED = re.compile(rf"(?<=[{_WIDE}]) +(?=[{_WIDE}])")
_HANS = re.compile(f"[{_HAN}]")
_RUNS = re.compile(f"[{_HAN}]{{5,}}")
_FEWEST_HAN = 20
# Of text that is not segmented, most characters stand in runs of five and more.
_MOST_IN_RUNS = 0.2


def is_spaced(text: str) -> bool:
    """Is a whole file, of which this is the start, written so?"""
    han = len(_HANS.findall(text))
    in_runs = sum(map(len, _RUNS.findall(text)))
    return han >= _FEWEST_HAN and in_runs < _MOST_IN_RUNS * han and has_many_spaces(text)


def has_many_spaces(text: str) -> bool:
    """No number of texts for which this is false makes a file that is taken for spaced."""
    return len(_SPACED.findall(text)) > len(_HANS.findall(text)) / 4


def joined(text: str) -> str:
    """The text without the spaces between Chinese characters; those around Latin words stay."""
    return _SPACED.sub("", text)
