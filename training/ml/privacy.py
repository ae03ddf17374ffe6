"""Personal data in text: where it stands and of what kind, by shape, checksum and cue word.

Made to be precise: an order number, a date or a price is no telephone number. Knows no rows and no recipes; what is
done with a hit is its caller's affair.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import date
from ipaddress import AddressValueError, IPv4Address
from typing import Literal

PersonalKind = Literal["mobile", "id_card", "bank_card", "email", "qq", "wechat", "plate", "ip"]

# In the order in which they win where two claim the same characters.
KINDS: tuple[PersonalKind, ...] = ("email", "id_card", "mobile", "bank_card", "wechat", "qq", "plate", "ip")
# An address of a machine is rarely that of a person: it is looked for on demand only.
DEFAULT_KINDS: tuple[PersonalKind, ...] = KINDS[:-1]


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of personal data; `start` and `end` count Unicode code points, as slices do."""

    kind: PersonalKind
    start: int
    end: int


Hit = tuple[int, int]
Check = Callable[[re.Match[str]], Hit | None]

_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
# Nothing personal stands in a text without one of these; a text of chat mostly ends here. The one set of characters
# in front lets the search skip all others.
_WORTH_LOOKING = re.compile(
    rf"[\d@＠Ａ-Ｚａ-ｚ加+＋➕扣抠微薇威徽VvWw{_PROVINCES}](?:(?<=[@＠Ａ-Ｚａ-ｚ扣抠])|(?<=\d)(?:\d\d|\.\d{{1,3}}\.\d)|(?<=[{_PROVINCES}])[A-Za-z]"
    r"|(?<=[微薇威徽Vv])信|(?<=[VvWw])[Xx]|(?<=[Ww])(?i:echat|eixin)|(?<=[加+＋➕])\s?[Vv微薇Qq])"
)
# Full-width forms are as good as plain ones; one character stays one, so that places hold.
_PLAIN = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_URL = re.compile(r"(?:https?|ftp)://[^\s。；！？、）】」\"'<>]+|www\.[^\s。；！？、）】」\"'<>]+", re.IGNORECASE)
# A number after one of these is named as something else.
_OTHER_NUMBER = re.compile(
    r"(?:订单|单号|运单|快递|物流|流水|编号|编码|货号|型号|条码|发票|序列号|批号|书号|合同|保单|学号|工号|价格|售价|金额|总价"
    r"|order|isbn|imei|serial|invoice|tracking|s/?n|no\.?)(?:号码?|编号|是|为|[\s:#=(¥]){0,6}$",
    re.IGNORECASE,
)
_OWN_NUMBER = re.compile(r"手机|电话|联系方式|身份证|证件|银行卡|卡号|mobile|phone|\btel|cell|contact", re.IGNORECASE)
_CUE_CHARACTERS = 16
_NOT_A_COUNT = r"(?!\s?(?:元|块钱|万|亿|美元|%))"
# Telephone, card and identity numbers do not go on with a digit, a letter or decimals.
_END = r"(?![0-9A-Za-z_]|\.\d)" + _NOT_A_COUNT
_START = r"(?<![0-9A-Za-z_.])(?<![0-9A-Za-z]-)"


def _whole(match: re.Match[str]) -> Hit:
    return match.span("it")


def _named_otherwise(match: re.Match[str]) -> bool:
    start = match.start("it")
    before = match.string[max(0, start - _CUE_CHARACTERS) : start]
    return bool(_OTHER_NUMBER.search(before)) and not _OWN_NUMBER.search(before)


def _digits(match: re.Match[str]) -> list[int]:
    return [int(character) for character in match["it"] if character.isdecimal()]


# --- mobile ---------------------------------------------------------------------------------------------------------

_GAP = r"[ \-–—]?"
_MOBILE = re.compile(
    rf"(?:{_START}|(?<=[Tt][Ee][Ll])|(?<=phone)|(?<=mobile)|(?<=[VvWw][Xx])|(?<=[Qq]{{2}}))"
    rf"(?P<it>(?:(?:\+|00)?86{_GAP}|\(\+?86\){_GAP})?"
    r"1(?:3\d|4[014-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])"
    rf"(?:{_GAP}\d{{4}}{_GAP}\d{{4}}|\d{_GAP}\d{{3}}{_GAP}\d{{4}}))"
    rf"(?![0-9]|[A-UY-Za-uy-z_]|\.\d){_NOT_A_COUNT}"
)


def _mobile(match: re.Match[str]) -> Hit | None:
    return None if _named_otherwise(match) else _whole(match)


# --- identity card (GB 11643) ---------------------------------------------------------------------------------------

_ID_18 = re.compile(rf"{_START}(?P<it>[1-9]\d{{5}}{_GAP}(?:18|19|20)\d{{6}}{_GAP}\d{{3}}[\dXx])(?![0-9A-Za-z_]|\.\d)")
_ID_15 = re.compile(rf"{_START}(?P<it>[1-9]\d{{14}}){_END}")
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECK = "10X98765432"
_REGIONS = frozenset(
    [*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82, 83, 91]
)


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _number(digits: Iterable[int]) -> int:
    return int("".join(map(str, digits)))


def _id_18(match: re.Match[str]) -> Hit | None:
    digits = _digits(match)[:17]
    year, month, day = _number(digits[6:10]), _number(digits[10:12]), _number(digits[12:14])
    last = "X" if match["it"][-1] in "Xx" else str(int(match["it"][-1]))
    right = _ID_CHECK[sum(weight * digit for weight, digit in zip(_ID_WEIGHTS, digits, strict=True)) % 11]
    fits = _number(digits[:2]) in _REGIONS and _is_date(year, month, day) and last == right
    return _whole(match) if fits else None


def _id_15(match: re.Match[str]) -> Hit | None:
    digits = _digits(match)
    dated = _is_date(1900 + _number(digits[6:8]), _number(digits[8:10]), _number(digits[10:12]))
    fits = _number(digits[:2]) in _REGIONS and dated and not _named_otherwise(match)
    return _whole(match) if fits else None


# --- bank card (ISO/IEC 7812) ---------------------------------------------------------------------------------------

_CARD = re.compile(
    rf"{_START}(?P<it>\d{{15,19}}|\d{{4}}(?P<gap>[ \-])\d{{4}}(?P=gap)\d{{4}}(?P=gap)\d{{4}}(?:(?P=gap)\d{{1,3}})?"
    rf"|\d{{6}} \d{{10,13}}){_END}"
)
# Issuers and their lengths: UnionPay, Visa and old domestic, Mastercard, JCB, American Express, 9558/9559.
_ISSUERS = re.compile(
    r"62\d{14,17}|60\d{14}|4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|35\d{14}|3[47]\d{13}|955[89]\d{12}(?:\d{3})?"
)


def _luhn(digits: list[int]) -> bool:
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])  # noqa: PLR2004 (twice 5 has two digits)
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _bank_card(match: re.Match[str]) -> Hit | None:
    digits = _digits(match)
    fits = _ISSUERS.fullmatch("".join(map(str, digits))) and _luhn(digits) and len(set(digits)) > 1
    return _whole(match) if fits and not _named_otherwise(match) else None


# --- addresses and names --------------------------------------------------------------------------------------------

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])(?P<it>[A-Za-z0-9_][A-Za-z0-9._%+\-]{0,63}@"
    r"(?:[A-Za-z0-9\-]{1,63}\.)+(?!(?i:png|jpe?g|gif|webp|svg|css|js)(?![A-Za-z]))[A-Za-z]{2,24})"
)
_QQ = re.compile(
    r"(?:(?<![A-Za-z])[Qq]{2}(?![A-Za-z])|扣扣|抠抠|企鹅|加[Qq]|(?<![A-Za-z])[Qq](?=号|群|[:]\s?\d{6}))"
    r"(?:号码?|群号?|账号|帐号|邮箱|是|为|加|[\s:,=(]){0,6}"
    r"(?P<it>[1-9]\d{4,11})(?![0-9A-Za-z_]|\.\d)(?!\s?(?:元|块|万|亿|人|个|年|首|版|级|分|%))"
)
_WECHAT = re.compile(
    r"(?:微信|[薇威徽]信|[Vv]信|[加+➕]\s?[Vv微薇](?![A-Za-z])|(?<![A-Za-z])[VvWw][Xx](?![A-Za-z])"
    r"|(?<![A-Za-z])(?i:wechat|weixin)(?![A-Za-z]))"
    r"(?P<link>(?:号码?|账号|帐号|(?i:id)|同号|是|为|联系|加我?|搜索?|[\s:,=(→-]){0,8})"
    r"(?P<it>[A-Za-z][A-Za-z0-9_\-]{5,19}|\d{5,11})(?![A-Za-z0-9_]|[.:]/?/?[A-Za-z0-9])"
    r"(?!\s?(?:元|块|万|亿|人|个|年|版|分|%))"
)
_NAMED_ID = re.compile(r"号|id|[:=是为]", re.IGNORECASE)
_PLATE = re.compile(
    rf"(?P<it>[{_PROVINCES}][A-HJ-NP-Za-hj-np-z][·•・.\- ]?(?:"
    r"[A-HJ-Ka-hj-k][A-HJ-NP-Za-hj-np-z0-9]\d{4}|\d{5}[A-HJ-Ka-hj-k]"
    r"|[A-HJ-NP-Za-hj-np-z0-9]{5}|[A-HJ-NP-Za-hj-np-z0-9]{4}[挂学警港澳领]))"
    rf"(?![A-Za-z0-9])(?!\s?(?:元|块钱|万|亿|%))"
)
_FEWEST_PLATE_DIGITS = 3
_IP = re.compile(r"(?<![\w.\-])(?P<it>(?:\d{1,3}\.){3}\d{1,3})(?![\w\-]|\.\d)", re.ASCII)


def _wechat(match: re.Match[str]) -> Hit | None:
    """A plain English word after the cue is a name only where it is said to be one: 微信 android is none."""
    plain = match["it"].isalpha()
    return None if plain and not _NAMED_ID.search(match["link"]) else _whole(match)


def _plate(match: re.Match[str]) -> Hit | None:
    return _whole(match) if sum(map(str.isdigit, match["it"])) >= _FEWEST_PLATE_DIGITS else None


def _ip(match: re.Match[str]) -> Hit | None:
    try:
        return _whole(match) if IPv4Address(match["it"]).is_global else None
    except AddressValueError:
        return None


# --- looking --------------------------------------------------------------------------------------------------------

_FINDERS: dict[PersonalKind, tuple[tuple[re.Pattern[str], Check], ...]] = {
    "email": ((_EMAIL, _whole),),
    "id_card": ((_ID_18, _id_18), (_ID_15, _id_15)),
    "mobile": ((_MOBILE, _mobile),),
    "bank_card": ((_CARD, _bank_card),),
    "wechat": ((_WECHAT, _wechat),),
    "qq": ((_QQ, _whole),),
    "plate": ((_PLATE, _plate),),
    "ip": ((_IP, _ip),),
}
_ALLOWED_IN_URLS: frozenset[PersonalKind] = frozenset(["email"])


def find_personal(text: str, kinds: Collection[PersonalKind] = DEFAULT_KINDS) -> list[Span]:
    """The personal data of a text, from left to right, without overlaps."""
    if not _WORTH_LOOKING.search(text):
        return []
    text = text.translate(_PLAIN)
    addresses = [match.span() for match in _URL.finditer(text)] if "://" in text or "www." in text else []
    found: list[Span] = []
    for kind in KINDS:
        if kind in kinds:
            taken = [(span.start, span.end) for span in found]
            found += _of_kind(text, kind, taken if kind in _ALLOWED_IN_URLS else [*taken, *addresses])
    return sorted(found, key=lambda span: span.start)


def _of_kind(text: str, kind: PersonalKind, taken: list[Hit]) -> list[Span]:
    spans = []
    for pattern, check in _FINDERS[kind]:
        for match in pattern.finditer(text):
            hit = check(match)
            if hit and all(hit[1] <= start or end <= hit[0] for start, end in taken):
                spans.append(Span(kind, *hit))
                taken.append(hit)
    return spans
