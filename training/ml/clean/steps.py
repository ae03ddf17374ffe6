"""The table of all steps, in the order in which they make sense. A step is never changed: a better one is a new @."""

from __future__ import annotations

from training.ml.clean import characters, chinese, length, safety, web
from training.ml.clean.kinds import StepInfo, always
from training.ml.clean.parameters import Parameter
from training.ml.privacy import DEFAULT_KINDS, KINDS
from training.ml.texts import gettext_noop

_TO = gettext_noop("Put in its place")
_EMPTY_IS_NOTHING = gettext_noop("Empty: nothing is put there.")
_EACH = (("text", gettext_noop("each turn")), ("row", gettext_noop("the whole row")))

_WEB: dict[str, StepInfo] = {
    "html@1": StepInfo(
        make=always(web.markup),
        label=gettext_noop("HTML tags and entities"),
        help=gettext_noop(
            "Takes tags, comments, scripts and styles out and turns &amp; into &. For text from web pages; "
            "not for rows that teach HTML, whose examples would go too."
        ),
        group="web",
        settles=False,
    ),
    "urls@1": StepInfo(
        make=web.make_urls,
        label=gettext_noop("Web addresses"),
        help=gettext_noop("A model cannot know addresses, it makes them up. Takes http, www and t.cn addresses out."),
        group="web",
        parameters=(Parameter(name="to", kind="text", label=_TO, default="", help=_EMPTY_IS_NOTHING),),
        settles=False,
    ),
    "reposts@1": StepInfo(
        make=always(web.reposts),
        label=gettext_noop("Repost chains (//@name: …)"),
        help=gettext_noop("Keeps the reposter's own words. A repost without any is dropped as empty."),
        group="web",
    ),
    "mentions@1": StepInfo(
        make=web.make_mentions,
        label=gettext_noop("@names"),
        help=gettext_noop(
            "Takes @name, “@name:” and “回复@name:” out. A name ends at the first space or mark, as on Weibo. "
            "E-mail addresses stay."
        ),
        group="web",
        parameters=(Parameter(name="to", kind="text", label=_TO, default="", help=_EMPTY_IS_NOTHING),),
        settles=False,
    ),
    "topics@1": StepInfo(
        make=web.make_topics,
        label=gettext_noop("#topics#"),
        group="web",
        parameters=(
            Parameter(
                name="topics",
                kind="choice",
                label=gettext_noop("What happens to them"),
                default="words",
                choices=(
                    ("words", gettext_noop("the words stay, the marks go")),
                    ("remove", gettext_noop("they go whole")),
                ),
            ),
        ),
    ),
}

_CHARACTERS: dict[str, StepInfo] = {
    "whitespace@1": StepInfo(
        make=always(characters.whitespace),
        label=gettext_noop("Tidy white space"),
        help=gettext_noop(
            "Unusual spaces to plain ones, one space between words, none at line ends, at most one blank line. "
            "Indentation stays."
        ),
        group="characters",
    ),
    "control@1": StepInfo(
        make=always(characters.control),
        label=gettext_noop("Remove control and invisible characters"),
        help=gettext_noop("Byte order marks, zero-width and direction marks. Tabs and line breaks stay."),
        group="characters",
    ),
    "width@1": StepInfo(
        make=always(characters.width),
        label=gettext_noop("Full-width letters and digits to half width"),
        help=gettext_noop("ＡＢ１２ to AB12. Full-width punctuation is good Chinese and stays."),
        group="characters",
    ),
    "punctuation@1": StepInfo(
        make=always(characters.punctuation),
        label=gettext_noop("Half-width marks after Chinese to full width"),
        help=gettext_noop("你好,在吗? to 你好，在吗？ English sentences, numbers and addresses stay."),
        group="characters",
    ),
    "nfkc@1": StepInfo(
        make=always(characters.nfkc),
        label=gettext_noop("Unicode compatibility form (NFKC)"),
        help=gettext_noop(
            "① to 1, ㎏ to kg, ﬁ to fi; but also ，！ to ,! and x² to x2. Choose it only if you want all of that."
        ),
        group="characters",
    ),
    "emoji@1": StepInfo(
        make=characters.make_emoji,
        label=gettext_noop("Emoji"),
        help=gettext_noop(
            "Small vocabularies spell an emoji in four pieces; a name in brackets is learned more easily."
        ),
        group="characters",
        parameters=(
            Parameter(
                name="emoji",
                kind="choice",
                label=gettext_noop("Emoji"),
                default="name",
                choices=(
                    ("keep", gettext_noop("stay")),
                    ("remove", gettext_noop("go")),
                    ("name", gettext_noop("become names: 😂 to [笑cry]")),
                ),
            ),
            Parameter(
                name="codes",
                kind="choice",
                label=gettext_noop("Names in brackets such as [doge]"),
                default="keep",
                choices=(("keep", gettext_noop("stay")), ("remove", gettext_noop("go"))),
            ),
        ),
    ),
    "laughter@1": StepInfo(
        make=always(characters.laughter),
        label=gettext_noop("Laughter (呵呵呵, 哈哈, hhh, 233) to 笑"),
        group="characters",
        newer="laughter@2",
    ),
    "laughter@2": StepInfo(
        make=characters.make_laughter,
        label=gettext_noop("Laughter (呵呵呵, 哈哈, hahaha, hhh, 2333) to one word"),
        help=gettext_noop("Words such as 哈哈镜, 乐呵呵, 嘻嘻哈哈 and numbers such as 233元 or 第2333页 stay."),
        group="characters",
        parameters=(Parameter(name="to", kind="text", label=_TO, default="笑"),),
        settles=False,
    ),
    "repeats@1": StepInfo(
        make=always(characters.repeats),
        label=gettext_noop("Characters repeated four times or more to three"),
        group="characters",
        newer="repeats@2",
    ),
    "repeats@2": StepInfo(
        make=characters.make_repeats,
        label=gettext_noop("Repeated characters"),
        help=gettext_noop("啊啊啊啊啊！！！！！ to 啊啊啊！！！ Letters, digits and lines of dashes stay."),
        group="characters",
        parameters=(
            Parameter(name="most", kind="number", label=gettext_noop("At most in a row"), default=3, low=1, high=20),
        ),
    ),
}

_CHINESE: dict[str, StepInfo] = {
    "simplify@1": StepInfo(
        make=chinese.make_simplify,
        label=gettext_noop("Traditional Chinese to simplified"),
        help=gettext_noop(
            "By OpenCC. Do it when all users write simplified; else the model loses half of its readers."
        ),
        group="chinese",
        parameters=(
            Parameter(
                name="from",
                kind="choice",
                label=gettext_noop("The text is from"),
                default="t2s",
                choices=(
                    ("t2s", gettext_noop("anywhere: characters only")),
                    ("tw2s", gettext_noop("Taiwan: characters only")),
                    ("tw2sp", gettext_noop("Taiwan: characters and words (軟體 to 软件)")),
                    ("hk2s", gettext_noop("Hong Kong: characters only")),
                ),
            ),
        ),
        libraries=("opencc",),
        settles=False,
    ),
}

_SAFETY: dict[str, StepInfo] = {
    "personal@1": StepInfo(
        make=safety.make_personal,
        label=gettext_noop("Mask personal data"),
        help=gettext_noop(
            "What a model has learned it may say to anybody. Identity and bank cards are known by their check digits, "
            "QQ and WeChat by the words before them; order numbers, dates and prices stay."
        ),
        group="safety",
        parameters=(
            Parameter(
                name="kinds",
                kind="choices",
                label=gettext_noop("Which"),
                default=list(DEFAULT_KINDS),
                choices=tuple((kind, safety.KIND_LABELS[kind]) for kind in KINDS),
            ),
            Parameter(
                name="mask",
                kind="choice",
                label=_TO,
                default="zh",
                choices=(
                    ("zh", gettext_noop("a word in Chinese: <手机号>")),
                    ("en", gettext_noop("a word in English: <phone>")),
                    ("shape", gettext_noop("stars of the same shape: ***-****-****")),
                ),
            ),
        ),
    ),
    "sensitive@1": StepInfo(
        make=safety.make_sensitive,
        label=gettext_noop("Sensitive words"),
        help=gettext_noop("Case and width do not matter; an English word is not found inside a longer one."),
        group="safety",
        parameters=(
            Parameter(name="words", kind="words", label=gettext_noop("Word list"), use="sensitive"),
            Parameter(
                name="action",
                kind="choice",
                label=gettext_noop("What happens"),
                default="mask",
                choices=(
                    ("mask", gettext_noop("the word becomes stars")),
                    ("drop", gettext_noop("the row is dropped")),
                    ("flag", gettext_noop("the row is only counted")),
                ),
            ),
        ),
    ),
    "adverts@1": StepInfo(
        make=safety.make_adverts,
        label=gettext_noop("Advertisements"),
        help=gettext_noop(
            "Counts the signs in a line: each different phrase (加微信, 包邮, 点击链接 …) is one, and a telephone "
            "number, a name or an address beside a phrase is one more. Long lines need more signs."
        ),
        group="safety",
        parameters=(
            Parameter(
                name="least",
                kind="number",
                label=gettext_noop("Signs that make an advertisement"),
                default=2,
                low=1,
                high=10,
            ),
            Parameter(
                name="action",
                kind="choice",
                label=gettext_noop("What happens"),
                default="row",
                choices=(("row", gettext_noop("the row is dropped")), ("line", gettext_noop("the line goes"))),
            ),
            Parameter(
                name="words",
                kind="words",
                label=gettext_noop("More phrases"),
                default="",
                use="advert",
            ),
        ),
    ),
}

_LENGTH: dict[str, StepInfo] = {
    "characters@1": StepInfo(
        make=length.make_characters,
        label=gettext_noop("Length in characters"),
        help=gettext_noop("A row outside of the range is dropped."),
        group="length",
        parameters=(
            Parameter(name="least", kind="number", label=gettext_noop("At least"), default=1, low=1),
            Parameter(name="most", kind="number", label=gettext_noop("At most"), default=2000, low=1),
            Parameter(name="of", kind="choice", label=gettext_noop("Counted over"), default="text", choices=_EACH),
        ),
    ),
    "tokens@1": StepInfo(
        make=length.make_tokens,
        label=gettext_noop("Length in tokens"),
        help=gettext_noop(
            "A row outside of the range is dropped. Counted with the tokenizer of a model, whose fingerprint becomes "
            "part of the recipe; the chat template adds a few tokens for each turn."
        ),
        group="length",
        parameters=(
            Parameter(name="tokenizer", kind="tokenizer", label=gettext_noop("Tokenizer of")),
            Parameter(name="least", kind="number", label=gettext_noop("At least"), default=1, low=0),
            Parameter(name="most", kind="number", label=gettext_noop("At most"), default=1024, low=1),
            Parameter(name="of", kind="choice", label=gettext_noop("Counted over"), default="row", choices=_EACH),
        ),
    ),
}

_DICTIONARY = gettext_noop("User dictionary")
_WORDS: dict[str, StepInfo] = {
    "segment@1": StepInfo(
        make=chinese.make_segment,
        label=gettext_noop("Segmentation (jieba): spaces between Chinese words"),
        help=gettext_noop(
            "Off for training text: the model would learn to write with spaces, and its own tokenizer cuts the words "
            "anyway. Statistics and search segment for themselves."
        ),
        group="words",
        parameters=(
            Parameter(
                name="mode",
                kind="choice",
                label=gettext_noop("How"),
                default="exact",
                choices=(
                    ("exact", gettext_noop("each character once")),
                    ("search", gettext_noop("long words also in their parts, as for search")),
                ),
            ),
            Parameter(name="words", kind="words", label=_DICTIONARY, default="", use="dictionary"),
        ),
        libraries=("jieba",),
        settles=False,
    ),
    "stopwords@1": StepInfo(
        make=chinese.make_stop_words,
        label=gettext_noop("Remove stop words"),
        help=gettext_noop(
            "Off for training text: stop words are the grammar of a language, and mutilated text trains a mute model. "
            "Statistics and search leave them out for themselves."
        ),
        group="words",
        parameters=(
            Parameter(
                name="lists",
                kind="choices",
                label=gettext_noop("Lists"),
                default=["cn"],
                choices=(
                    ("cn", gettext_noop("Chinese, the common list")),
                    ("hit", gettext_noop("Chinese, Harbin Institute of Technology")),
                    ("baidu", gettext_noop("Chinese and English, Baidu")),
                    ("scu", gettext_noop("Chinese, Sichuan University")),
                    ("zh", gettext_noop("Chinese, Stopwords ISO")),
                    ("en", gettext_noop("English, Stopwords ISO")),
                ),
            ),
            Parameter(name="words", kind="words", label=gettext_noop("A list of your own"), default="", use="stop"),
            Parameter(name="dictionary", kind="words", label=_DICTIONARY, default="", use="dictionary"),
        ),
        libraries=("jieba", "pystopwords", "stopwordsiso"),
        settles=False,
    ),
}

STEPS: dict[str, StepInfo] = _WEB | _CHARACTERS | _CHINESE | _SAFETY | _LENGTH | _WORDS
