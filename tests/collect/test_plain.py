"""Pieces of HTML as text, and the times that sites write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.collect import plain


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("", ""),
        ("  \n ", ""),
        ("just text", "just text"),
        ("a &lt;b&gt; &amp; c&nbsp;d", "a <b> & c d"),
        ("<p>one</p><p>two<br>three</p>", "one\ntwo\nthree"),
        ("line\nbroken in   the source", "line broken in the source"),
        ("<ul><li>a</li><li>b <b>bold</b>, c</li></ul>", "a\nb bold, c"),
        ("x<script>bad()</script>y<style>p{}</style>z<!-- no -->!", "xyz!"),
        ("<span><img alt=[哈哈]></span>好", "[哈哈]好"),
        ("<img src=x>", ""),
        ("<a href='/n/x'>@x</a>:你好", "@x:你好"),
        ("a\x00b", "ab"),
        ("<div>" * 200 + "deep" + "</div>" * 200, "deep"),
    ],
)
def test_a_fragment_is_read_as_people_read_it(fragment, text):
    assert plain.of_html(fragment) == text


@given(st.text(alphabet=st.sampled_from("<>/&;\"'=!-[]ap br\n\x00\ud800中👍")))
def test_any_fragment_gives_tidy_text(fragment):
    text = plain.of_html(fragment)

    assert text == plain.tidy(text)


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("Tue Feb 23 12:28:47 +0800 2021", "2021-02-23T12:28:47+08:00"),
        ("2023-04-01 10:02:00", "2023-04-01T10:02:00"),
        ("2023-04-01 10:02", "2023-04-01T10:02:00"),
        ("Mon, 01 Sep 2025 08:00:00 +0800", "2025-09-01T08:00:00+08:00"),
        ("2025-01-02T03:04:05Z", "2025-01-02T03:04:05Z"),
        ("昨天 10:00", "昨天 10:00"),
        ("", ""),
    ],
)
def test_times_become_iso_where_they_are_understood(written, iso):
    assert plain.iso_time(written) == iso
