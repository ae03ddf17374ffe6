"""Feeds: RSS 2.0 and Atom as they are documented."""

from __future__ import annotations

from tests.collect.child import collect
from tests.collect.site import Answer

RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>
<title>校报</title><copyright>CC BY 4.0</copyright>
<item><title>开学</title><link>https://news.example/1</link><guid>tag:1</guid>
<pubDate>Mon, 01 Sep 2025 08:00:00 +0800</pubDate><description>&lt;p&gt;第一天&lt;/p&gt;</description></item>
<item><title>放假</title><link>https://news.example/2</link>
<content:encoded><![CDATA[<p>全文<br>两行</p><script>alert(1)</script>]]></content:encoded>
<description>摘要</description></item>
</channel></rss>"""

ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>blog</title><rights>all rights reserved</rights>
<link rel="next" href="older.xml"/>
<entry><title>One</title><id>urn:1</id><link rel="self" href="/x"/><link href="/posts/1"/>
<updated>2025-01-02T03:04:05Z</updated><content type="xhtml">
<div xmlns="http://www.w3.org/1999/xhtml"><p>hello <b>there</b></p></div></content></entry></feed>"""

OLDER = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><title type="html">Two &amp;amp; three</title>
<id>urn:2</id><link rel="license" href="https://creativecommons.org/licenses/by/4.0/"/></entry></feed>"""


def test_each_entry_of_rss_is_a_document_with_its_address_time_and_licence(site, tmp_path):
    site.answers["/rss.xml"] = Answer(RSS)

    done = collect(tmp_path, "feed", urls=[f"{site.url}/rss.xml"])

    assert done.texts() == [["开学\n第一天"], ["放假\n全文\n两行"]]
    source = done.rows[0]["source"]
    assert source.pop("fetched")
    assert source == {
        "key": "tag:1",
        "site": "feed",
        "url": "https://news.example/1",
        "time": "2025-09-01T08:00:00+08:00",
        "title": "开学",
        "licence": "CC BY 4.0",
    }


def test_atom_is_read_with_its_older_pages(site, tmp_path):
    site.answers |= {"/atom.xml": Answer(ATOM), "/older.xml": Answer(OLDER)}

    done = collect(tmp_path, "feed", urls=[f"{site.url}/atom.xml"])

    assert done.texts() == [["One\nhello there"], ["Two & three"]]
    found = {row["source"]["key"]: (row["source"]["url"], row["source"]["licence"]) for row in done.rows}
    assert found["urn:1"] == (f"{site.url}/posts/1", "all rights reserved")
    assert found["urn:2"][1] == "https://creativecommons.org/licenses/by/4.0/"


def test_an_address_that_is_none_is_counted_and_the_rest_goes_on(site, tmp_path):
    next_page = ATOM.replace("older.xml", "http://site:port/x")
    site.answers |= {"/odd.xml": Answer(next_page), "/rss.xml": Answer(RSS)}

    done = collect(tmp_path, "feed", urls=[f"{site.url}/odd.xml", f"{site.url}/rss.xml"])

    assert len(done.rows) == 3
    assert done.end["end"] == "done"
    assert sum(done.refused.values()) == 1


def test_entities_are_never_expanded_and_other_xml_is_told(site, tmp_path):
    bomb = '<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b SYSTEM "file:///etc/passwd">]>'
    item = "<rss><channel><item><title>t</title><description>&a;&b;</description></item></channel></rss>"
    site.answers |= {"/bomb": Answer(bomb + item), "/other": Answer("<html/>"), "/none": Answer("")}

    done = collect(tmp_path, "feed", urls=[f"{site.url}/{name}" for name in ("bomb", "other", "none")])

    assert done.texts() == [["t\n&a;&b;"]]
    assert done.refused == {"shape": 2}
