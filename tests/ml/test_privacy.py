"""Personal data is found by shape, checksum and cue; what only looks like it is left alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.ml.privacy import KINDS, find_personal


def found(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in find_personal(text, KINDS)]


@pytest.mark.parametrize(
    ("text", "kind", "part"),
    [
        ("我的电话是13812345678，晚上打", "mobile", "13812345678"),
        ("+86 138-1234-5678 随时联系", "mobile", "+86 138-1234-5678"),
        ("手机：１３８１２３４５６７８", "mobile", "１３８１２３４５６７８"),
        ("Tel13912345678", "mobile", "13912345678"),
        ("0086 191 2345 6789", "mobile", "0086 191 2345 6789"),
        ("Mobile No. 13812345678", "mobile", "13812345678"),
        ("➕V：abc_12345", "wechat", "abc_12345"),
        ("13812345678微信同号", "mobile", "13812345678"),
        ("微信13812345678", "mobile", "13812345678"),
        ("身份证 11010519491231002X。", "id_card", "11010519491231002X"),
        ("证件号码：440308199901010012", "id_card", "440308199901010012"),
        ("身份证编号：440308 19990101 0012", "id_card", "440308 19990101 0012"),
        ("老身份证110105491231002", "id_card", "110105491231002"),
        ("卡号 6222 0212 3456 7890 128", "bank_card", "6222 0212 3456 7890 128"),
        ("打到4111111111111111吧", "bank_card", "4111111111111111"),
        ("写信给li.ming+a@mail.example.com.cn谢谢", "email", "li.ming+a@mail.example.com.cn"),
        ("12345678@qq.com", "email", "12345678@qq.com"),
        ("加我QQ：12345678", "qq", "12345678"),
        ("扣扣号是 987654321", "qq", "987654321"),
        ("Q群 123456789", "qq", "123456789"),
        ("微信号：zhangsanfeng", "wechat", "zhangsanfeng"),
        ("加V wx_2024abc", "wechat", "wx_2024abc"),
        ("vx:abc12345", "wechat", "abc12345"),
        ("加微信 lily_520", "wechat", "lily_520"),
        ("车牌京A12345违章了", "plate", "京A12345"),
        ("粤B·D12345是绿牌", "plate", "粤B·D12345"),
        ("沪AF12345", "plate", "沪AF12345"),
        ("苏E12345F", "plate", "苏E12345F"),
        ("鲁B1234挂", "plate", "鲁B1234挂"),
        ("从 8.8.8.8 来的", "ip", "8.8.8.8"),
    ],
)
def test_personal_data_is_found_with_its_kind_and_place(text, kind, part):
    assert found(text) == [(kind, part)]


@pytest.mark.parametrize(
    "text",
    [
        "23333333 哈哈 233 666 2333333333",
        "2026-11-21 10:44:53，20261121104453",
        "订单号：13812345678",
        "快递单号 13812345678901",
        "售价13800000000元",
        "1700000000000 毫秒，1700000000 秒",
        "圆周率3.14159265358979323846",
        "π≈0.13812345678",
        "热线 400-800-8888、10086、110、95588",
        "身份证 110105194912310021",  # checksum is wrong
        "440308199902300019",  # 30 February
        "6222021234567890123",  # Luhn is wrong
        "0000000000000000 1111111111111111 4444444444444444",
        "IMEI 490154203237518",
        "订单 4111111111111111",
        "微信 android 版，微信支付 windows 客户端，微信8.0.30",
        "微信：https://example.com/abcdefgh",
        "QQ2010版 QQ音乐10000首 QQ群有10000人",
        "https://weibo.com/1234567890/13812345678",
        "logo@2x.png @张三丰 我@李四.你",
        "新CHINESE 云A 京东A1234567 川A10000元",
        "10.0.0.1 127.0.0.1 192.168.1.1 999.1.1.1 1.2.3",
        "UUID 550e8400-e29b-138-1234-5678",
        "价格 138 1234 元",
        "ISBN 9787111213826",
        "",
    ],
)
def test_what_only_looks_personal_is_left_alone(text):
    assert found(text) == []


def test_each_piece_is_found_once_and_in_order():
    text = "张三 13812345678，zs@example.com，QQ 12345678，京A12345"

    assert [kind for kind, _ in found(text)] == ["mobile", "email", "qq", "plate"]


def test_an_address_of_a_machine_is_looked_for_on_demand_only():
    assert find_personal("从 8.8.8.8 来的") == []


@given(text=st.text(alphabet=st.sampled_from("13861102@.微信QQ京Avx:： -X９\ud800元"), max_size=60))
def test_spans_lie_within_the_text_and_never_overlap(text):
    spans = find_personal(text, KINDS)

    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))
