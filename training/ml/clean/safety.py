"""Steps that keep out what must not be learned: personal data, sensitive words, advertisements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from training.ml.clean.finder import WordFinder, lines_of
from training.ml.clean.kinds import KEEP, Judge, Ready, Verdict
from training.ml.clean.mapping import TextStep, texts_of
from training.ml.clean.parameters import Materials, Settings
from training.ml.privacy import PersonalKind, Span, find_personal
from training.ml.records import Record
from training.ml.texts import gettext_noop

# --- personal data --------------------------------------------------------------------------------------------------

KIND_LABELS: dict[PersonalKind, str] = {
    "mobile": gettext_noop("mobile numbers"),
    "id_card": gettext_noop("identity card numbers"),
    "bank_card": gettext_noop("bank card numbers"),
    "email": gettext_noop("e-mail addresses"),
    "qq": gettext_noop("QQ numbers"),
    "wechat": gettext_noop("WeChat names"),
    "plate": gettext_noop("licence plates"),
    "ip": gettext_noop("IP addresses"),
}
PLACEHOLDERS: dict[str, dict[PersonalKind, str]] = {
    "zh": {
        "mobile": "<手机号>",
        "id_card": "<身份证号>",
        "bank_card": "<银行卡号>",
        "email": "<邮箱>",
        "qq": "<QQ号>",
        "wechat": "<微信号>",
        "plate": "<车牌号>",
        "ip": "<IP地址>",
    },
    "en": {
        "mobile": "<phone>",
        "id_card": "<id_number>",
        "bank_card": "<card_number>",
        "email": "<email>",
        "qq": "<qq>",
        "wechat": "<wechat>",
        "plate": "<plate>",
        "ip": "<ip>",
    },
}
_SIGN = re.compile(r"\w")


def replace_spans(text: str, spans: Iterable[Span], to: Callable[[Span], str]) -> str:
    """The text with each span in its new words; spans from left to right, without overlaps."""
    parts, place = [], 0
    for span in spans:
        parts += [text[place : span.start], to(span)]
        place = span.end
    return "".join([*parts, text[place:]])


def make_personal(settings: Settings, _materials: Materials) -> Ready:
    kinds, style = settings["kinds"], settings["mask"]

    def run(text: str) -> str:
        # A number that is masked may have hidden the one beside it.
        while spans := find_personal(text, kinds):
            text = replace_spans(text, spans, lambda span, text=text: _masked(text, span, style))  # type: ignore[misc]
        return text

    return run


def _masked(text: str, span: Span, style: str) -> str:
    if style == "shape":
        return _SIGN.sub("*", text[span.start : span.end])
    return PLACEHOLDERS[style][span.kind]


# --- sensitive words ------------------------------------------------------------------------------------------------


def make_sensitive(settings: Settings, materials: Materials) -> Ready:
    finder = WordFinder(lines_of(materials[settings["words"]]))
    if settings["action"] == "mask":
        return _masking(finder)
    verdict = Verdict(dropped="sensitive") if settings["action"] == "drop" else Verdict(flags=("sensitive",))
    return Judge(lambda record: verdict if any(finder.find(text) for text in texts_of(record)) else KEEP)


def _masking(finder: WordFinder) -> TextStep:
    def run(text: str) -> str:
        parts, place = [], 0
        for start, end in finder.find(text):
            parts += [text[place:start], "*" * (end - start)]
            place = end
        return "".join([*parts, text[place:]])

    return run


# --- advertisements -------------------------------------------------------------------------------------------------

ADVERT_PHRASES = (
    "加微信", "加我微信", "加V", "加薇", "加VX", "微信号", "VX", "扫码", "扫描二维码", "二维码", "长按识别", "点击链接",
    "点击下方", "戳链接", "免费领取", "限时领取", "领取红包", "领红包", "优惠券", "淘口令", "复制这段", "打开淘宝",
    "淘宝店", "代购", "代理加盟", "招代理", "招商加盟", "诚招", "包邮", "清仓", "秒杀", "厂家直销", "低价出售",
    "高价回收", "私聊我", "私信我", "欢迎咨询", "咨询热线", "联系客服", "兼职", "日结", "日赚", "月入过万", "轻松赚钱",
    "网赚", "刷单", "返利", "返现", "低息贷款", "无抵押", "秒到账", "套现", "办证", "代开发票", "刻章", "博彩", "彩金",
    "首充", "注册送", "送彩金", "投资理财", "稳赚不赔", "荐股", "减肥产品", "祛斑", "丰胸", "壮阳", "求关注",
    "互粉", "关注公众号", "公众号", "转发抽奖", "转发有奖", "关注并转发", "click here", "buy now", "order now",
    "limited offer", "free shipping", "promo code", "discount code", "subscribe now", "sign up now", "earn money",
    "work from home", "act now", "100% free", "cheap price",
)  # fmt: skip
_ADDRESS = re.compile(r"https?://|www\.|t\.cn/", re.IGNORECASE)
_CHARACTERS_A_SIGN = 200
_CONTACTS: tuple[PersonalKind, ...] = ("mobile", "qq", "wechat", "email")


class _Adverts:
    """A line is an advertisement by the number of its signs: different phrases, and one for a way to make contact.

    Long lines have phrases by chance: each further 200 characters ask for one sign more.
    """

    def __init__(self, phrases: Iterable[str], least: int) -> None:
        self._finder = WordFinder(phrases)
        self._least = least

    def is_advert(self, line: str) -> bool:
        signs = len({line[start:end].lower() for start, end in self._finder.find(line)})
        least = self._least + len(line) // _CHARACTERS_A_SIGN
        if signs == 0 or signs >= least:
            return signs >= least
        return signs + 1 >= least and bool(_ADDRESS.search(line) or find_personal(line, _CONTACTS))

    def in_text(self, text: str) -> bool:
        return any(self.is_advert(line) for line in text.split("\n"))

    def without(self, text: str) -> str:
        return "\n".join(line for line in text.split("\n") if not self.is_advert(line)) if self.in_text(text) else text


def make_adverts(settings: Settings, materials: Materials) -> Ready:
    own = lines_of(materials[settings["words"]]) if settings["words"] else []
    adverts = _Adverts([*ADVERT_PHRASES, *own], settings["least"])
    if settings["action"] == "line":
        return adverts.without

    def judge(record: Record) -> Verdict:
        return Verdict(dropped="advert") if any(map(adverts.in_text, texts_of(record))) else KEEP

    return Judge(judge)
