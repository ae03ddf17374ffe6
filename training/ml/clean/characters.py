"""Steps on characters: white space, invisible ones, widths, repeats, laughter, emoji."""

from __future__ import annotations

import re
import unicodedata

from training.ml.clean.kinds import Ready
from training.ml.clean.mapping import TextStep
from training.ml.clean.parameters import Materials, Settings

# --- white space ----------------------------------------------------------------------------------------------------

_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Only a text with one of these can be untidy: most are not, and this one search is cheaper than five replacements.
_UNTIDY = re.compile("[\r\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]|[ \t][ \t\n]|\n\n\n|\\A\\s|\\s\\Z")


def whitespace(text: str) -> str:
    """Unusual spaces to plain ones, runs inside a line to one, no space at line ends, at most one blank line.

    Spaces at the start of a line stay: they are the shape of code and lists.
    """
    return _tidied(text) if _UNTIDY.search(text) else text


def _tidied(text: str) -> str:
    text = _SPACES.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = re.sub(r"(?<=[^\s])[ \t]{2,}", " ", text)
    text = re.sub(r"[ \t]+(?=\n|$)", "", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n").strip() if text else text


# --- characters one by one ------------------------------------------------------------------------------------------

# ZWJ and ZWNJ stay: they hold emoji and some scripts together.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_HALF = {code: code - 0xFEE0 for first, last in ("０９", "ＡＺ", "ａｚ") for code in range(ord(first), ord(last) + 1)}
_HAS_WIDE = re.compile("[０-９Ａ-Ｚａ-ｚ]")
_WIDE_MARKS = str.maketrans({half: chr(ord(half) + 0xFEE0) for half in ",!?;:"} | {"(": "（", ")": "）"})
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HALF_MARK = re.compile(
    # Faces stay: 好:)
    rf"(?<=[{_CHINESE}])(?:[,!?](?![0-9A-Za-z/\-])|[;:](?![0-9A-Za-z/)(\-]))"
    rf"|(?<=[{_CHINESE}，。！？；：,!?;:])[(](?=[{_CHINESE}])"
)
_CLOSING = re.compile(rf"(（[^()（）\n]{{0,200}})\)(?=[{_CHINESE}，。！？；：]|$)")


def control(text: str) -> str:
    """Without control characters, byte order marks, zero-width and direction marks; tabs and line breaks stay."""
    return _CONTROL.sub("", text)


def width(text: str) -> str:
    """Full-width Latin letters and digits to half width; full-width punctuation is good Chinese and stays."""
    return text.translate(_HALF) if _HAS_WIDE.search(text) else text


def punctuation(text: str) -> str:
    """Half-width marks after a Chinese character to full width."""
    text = _HALF_MARK.sub(lambda mark: mark[0].translate(_WIDE_MARKS), text)
    return _CLOSING.sub(r"\1）", text) if "（" in text else text


def nfkc(text: str) -> str:
    """Unicode's compatibility form: ① to 1, ﬁ to fi, ㎏ to kg, and full-width punctuation to half width."""
    return unicodedata.normalize("NFKC", text)


# --- repeats --------------------------------------------------------------------------------------------------------

_REPEATS = re.compile(r"([^\d\s])\1{3,}")


def repeats(text: str) -> str:
    """The same character four times or more becomes three; digits are left alone."""
    return _REPEATS.sub(r"\1\1\1", text)


def make_repeats(settings: Settings, _materials: Materials) -> Ready:
    """Letters, digits and the strokes of tables and rules are left alone: www, 10000, ------, ======."""
    most = settings["most"]
    longer = re.compile(rf"([^\W\da-zA-Z_]|[!?~.,;。！？，、～…·*^])\1{{{most},}}")
    return lambda text: longer.sub(lambda run: run[1] * most, text)


# --- laughter -------------------------------------------------------------------------------------------------------

_LAUGHTER = re.compile(
    "呵{2,}|哈{2,}(?!镜)|嘿{2,}|嘻{2,}"
    "|(?<![A-Za-z])[hH]{3,}(?![A-Za-z])"
    # 233 alone may be a number: it laughs only where no number or unit goes on. 2333 always laughs.
    r"|(?<![\d.])2333+(?!\d|\.\d)|(?<![\d.\w])233(?=$|[\s,.!?，。！？~～])(?!\.\d)"
)
# Words that are made of laughter and are none.
_WORDS = (
    "哈哈镜|(?:哈哈|呵呵|嘿嘿|嘻嘻)(?:大笑|一笑|地笑)|[乐笑傻美憨暖]呵呵(?!呵)|笑嘻嘻(?!嘻)|笑哈哈(?!哈)|哈哈儿"
    "|(?<![嘻哈])嘻嘻哈哈(?![嘻哈])"
)
_UNIT = (
    "[元块毛角分厘米克斤吨千万亿年月日号页楼层室路栋条个人次名位台件张章节题期集班街票%％度岁秒点时天倍家只本首线区套]"
)
_LAUGHTER_2 = re.compile(
    rf"(?P<word>{_WORDS})|(?:呵{{2,}}|哈{{2,}}+(?!镜)|嘿{{2,}}|嘻{{2,}})+"
    r"|(?<![A-Za-z])(?:[hH]{3,}|(?:[hH][aA]){2,}[hH]?|(?:[hH][eE]){2,}|(?:[xX][iI]){3,})(?![A-Za-z]|\d(?!33))"
    rf"|(?<![A-Za-z0-9.,第号共约近是有为了￥¥$#=+\-*/×:：/])2333+(?![0-9A-Za-z\-*/=×:：]|[.,]\d|\s?{_UNIT})"
    r"|(?:(?<![\w.])|(?<=[啊吧呢哈呀啦嘛的死我啥笑]))233(?=$|[\s,!?，。！？~～…]|\.(?!\d))"
)


# The one set of characters in front lets the search skip all others.
_MAY_LAUGH = re.compile(
    "[呵哈嘿嘻hHxX2](?:(?<=呵)呵|(?<=哈)哈|(?<=嘿)嘿|(?<=嘻)嘻|(?<=[hH])[hHaAeE]|(?<=[xX])[iI]|(?<=2)33)"
)
_MOST_ROUNDS = 8


def laughter(text: str) -> str:
    return _LAUGHTER.sub("笑", text)


def make_laughter(settings: Settings, _materials: Materials) -> Ready:
    to = settings["to"]

    def replaced(match: re.Match[str]) -> str:
        return match[0] if match["word"] else to

    # A laugh may have hidden the one after it: hhh233.
    return settled(lambda text: _LAUGHTER_2.sub(replaced, text) if _MAY_LAUGH.search(text) else text)


def settled(step: TextStep) -> TextStep:
    """`step` until nothing changes; a few rounds do for all that people write."""

    def run(text: str) -> str:
        for _round in range(_MOST_ROUNDS):
            after = step(text)
            if after == text:
                break
            text = after
        return text

    return run


# --- emoji ----------------------------------------------------------------------------------------------------------

# Emoji by presentation; stars, arrows and ticks of plain text are none.
_FACE = (
    "\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u2600\u2614\u2615\u2639\u263a\u2648-\u2653\u2665\u267f\u2693\u26a1"
    "\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a-\u270c\u2728"
    "\u274c\u274e\u2753-\u2755\u2757\u2764\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55"
    "\U0001f004\U0001f0cf\U0001f18e\U0001f191-\U0001f19a\U0001f201\U0001f21a\U0001f22f\U0001f232-\U0001f236"
    "\U0001f238-\U0001f23a\U0001f250\U0001f251\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7eb"
    "\U0001f90c-\U0001f9ff\U0001fa70-\U0001faff"
)
_TONE = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\u20e3]"
_EMOJI = re.compile(
    f"[\U0001f1e6-\U0001f1ff]{{1,2}}|[0-9#*]\ufe0f?\u20e3"
    f"|[{_FACE}]{_TONE}*(?:\u200d[{_FACE}\u2640\u2642\u2695\u2696\u2708]{_TONE}*)*"
    "|[\u00a9\u00ae\u2122\u2194-\u2199\u21a9\u21aa\u2139\u2328\u2602-\u27bf\u3030\u303d\u3297\u3299]\ufe0f"
)
_NAMES = {
    "😂": "笑cry", "🤣": "笑cry", "😄": "哈哈", "😀": "哈哈", "😁": "嘻嘻", "😊": "微笑", "🙂": "微笑", "😍": "色",
    "😘": "亲亲", "😭": "泪", "😢": "泪", "😡": "怒", "😠": "怒", "😱": "吃惊", "😅": "汗", "😓": "汗", "🙄": "白眼",
    "😏": "坏笑", "🤔": "思考", "😴": "睡", "😎": "酷", "😳": "害羞", "☺": "害羞", "😷": "感冒", "🤮": "吐",
    "😈": "阴险", "😒": "鄙视", "😔": "失望", "😞": "失望", "😤": "哼", "😜": "挤眼", "😉": "挤眼", "😋": "馋嘴",
    "🙏": "作揖", "👍": "赞", "👎": "弱", "👌": "ok", "✌": "耶", "👏": "鼓掌", "💪": "加油", "✊": "拳头", "👊": "拳头",
    "❤": "心", "♥": "心", "💔": "伤心", "💕": "爱你", "🌹": "鲜花", "🎂": "蛋糕", "🎉": "干杯", "🍻": "干杯",
    "🐶": "doge", "🐱": "喵喵", "🐷": "猪头", "🐼": "熊猫", "🐰": "兔子", "☀": "太阳", "🌙": "月亮", "🕯": "蜡烛",
    "🤗": "抱抱", "🥰": "爱你", "🤩": "哇", "🥺": "可怜", "😚": "亲亲", "😆": "哈哈", "😃": "哈哈", "🤭": "偷笑",
    "😩": "累", "😫": "累", "😪": "困", "😟": "担心", "😰": "冷汗", "😨": "害怕", "😥": "难过", "🥲": "泪", "😵": "晕",
    "🤢": "恶心", "🤒": "生病", "🤤": "馋嘴", "😬": "尴尬", "😐": "无语", "😑": "无语", "😶": "闭嘴", "🙃": "倒脸",
    "🤫": "嘘", "🤍": "心", "💰": "钱",
    "💖": "心", "💗": "心", "💓": "心", "💛": "心", "💙": "心", "💚": "心", "💜": "心", "🧡": "心", "🖤": "心",
    "⭐": "星星", "🌟": "星星", "✨": "闪亮", "🎵": "音乐", "🎶": "音乐", "👋": "拜拜", "🤝": "握手", "🤞": "好运",
    "✅": "对", "❌": "错", "❓": "问号", "❗": "叹号", "🌸": "花", "☕": "咖啡", "🍺": "啤酒", "💯": "满分",
    "🎁": "礼物", "💩": "便便", "👀": "围观", "🔥": "火", "⚡": "闪电", "☔": "下雨",
}  # fmt: skip
_CODES = re.compile(
    r"\[(?:doge|二哈|喵喵|笑cry|允悲|泪|泪奔|哈哈|嘻嘻|微笑|爱你|偷笑|偷乐|亲亲|害羞|可怜|可爱|拜拜|白眼|鄙视|怒|怒骂|哼|汗|晕|衰"
    r"|抓狂|思考|疑问|吃惊|委屈|失望|悲伤|伤心|心|鼓掌|作揖|赞|good|弱|ok|NO|no|耶|来|haha|给力|威武|加油|握手|拳头|中国赞"
    r"|蜡烛|鲜花|蛋糕|干杯|礼物|话筒|围观|吃瓜|跪了|摊手|酷|色|馋嘴|钱|挖鼻|黑线|阴险|坏笑|右哼哼|左哼哼|哈欠|打哈气|困|睡"
    r"|睡觉|生病|感冒|吐|闭嘴|嘘|挤眼|费解|顶|互粉|奥特曼|兔子|熊猫|猪头|最右|囧|萌|浮云|沙尘暴|太阳|月亮|下雨|酸|怂|憧憬"
    r"|裂开|并不简单|舔屏|哇|苦涩|捂脸|破涕为笑|流泪|呲牙|抠鼻|尴尬|难过|发呆|得意|惊讶|撇嘴|大哭|发怒|调皮|强|玫瑰|表情)\]"
)


def _said(match: re.Match[str]) -> str:
    bare = match[0].replace("\ufe0f", "").replace("\ufe0e", "")
    if bare[0] in "0123456789#*":
        return bare[0]
    if "\U0001f1e6" <= bare[0] <= "\U0001f1ff":  # a flag is spelt in letters of its own
        return f"[{''.join(chr(ord(letter) - 0x1F1E6 + ord('A')) for letter in bare)}]"
    name = _NAMES.get(bare) or _NAMES.get(bare[0]) or unicodedata.name(bare[0], "emoji").lower()
    return f"[{name}]"


def make_emoji(settings: Settings, _materials: Materials) -> Ready:
    """Names that were there go first, so that those which emoji become may stay."""
    to = "" if settings["emoji"] == "remove" else _said

    def run(text: str) -> str:
        if settings["codes"] == "remove" and "[" in text:
            text = _CODES.sub("", text)
        return text if settings["emoji"] == "keep" or text.isascii() else _EMOJI.sub(to, text)

    return run
