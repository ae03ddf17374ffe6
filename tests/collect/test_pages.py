"""Web pages by a list or a site map, read with CSS selectors."""

from __future__ import annotations

import gzip

from tests.collect.child import collect
from tests.collect.site import Answer, as_html

FAQ = as_html(
    "<title>帮助</title><dl><dt>怎么 退款？</dt><dd>点<b>退款</b>。<ul><li>三天内到账</li></ul></dd>"
    "<dt>怎么开票？</dt><dd>联系<!-- 内部 -->客服。<script>x()</script></dd></dl>"
)


def test_questions_and_answers_are_paired(site, tmp_path):
    site.answers["/faq"] = FAQ

    done = collect(tmp_path, "pages", urls=[f"{site.url}/faq"], question="dl dt", answer="dl dd", licence="ours")

    assert done.texts() == [["怎么 退款？", "点退款。\n三天内到账"], ["怎么开票？", "联系客服。"]]
    assert {row["source"]["url"] for row in done.rows} == {f"{site.url}/faq"}
    assert {(row["source"]["title"], row["source"]["licence"]) for row in done.rows} == {("帮助", "ours")}


def test_more_questions_than_answers_are_told(site, tmp_path):
    site.answers["/faq"] = as_html("<dt>a</dt><dt>b</dt><dd>c</dd>")

    done = collect(tmp_path, "pages", urls=[f"{site.url}/faq"], question="dt", answer="dd")

    assert (done.rows, done.refused) == ([], {"uneven": 1})


def test_a_site_map_leads_to_its_own_pages_and_to_no_more_than_asked_for(site, tmp_path):
    maps = f"<sitemapindex xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><sitemap><loc>{site.url}/2.xml.gz</loc>"
    locations = "".join(f"<url><loc>{site.url}/p{number}</loc></url>" for number in range(5))
    urls = f"<urlset><url><loc>https://elsewhere.example/</loc></url>{locations}</urlset>"
    site.answers |= {
        "/sitemap.xml": Answer(maps + "</sitemap></sitemapindex>"),
        "/2.xml.gz": Answer(gzip.compress(urls.encode()), headers={"Content-Type": "application/gzip"}),
    } | {f"/p{number}": as_html(f"<h1>第{number}页</h1><article><p>正文{number}</p></article>") for number in range(5)}

    done = collect(tmp_path, "pages", sitemap=f"{site.url}/sitemap.xml", title="h1", text="article p", pages=3)

    assert done.texts() == [[f"第{number}页\n正文{number}"] for number in range(3)]
    assert done.refused == {"offsite": 1}


def test_a_page_without_the_text_and_a_picture_are_told(site, tmp_path):
    site.answers |= {"/empty": as_html("<p></p>"), "/picture": Answer(b"\x89PNG\r\n\x1a\n\x00\x00\x00")}

    done = collect(tmp_path, "pages", urls=[f"{site.url}/empty", f"{site.url}/picture"], text="p")

    assert done.refused == {"shape": 2}
