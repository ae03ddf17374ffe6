"""From a thumb in the chat to a model that answers otherwise, by clicks alone, on the site that `up` starts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WholeSite
from tests.browser.test_admin_way import (
    JOB_MS,
    administrator,
    answering,
    ask,
    badge,
    boss,
    open_chat,
    page_of_model,
    start,
    who_gave,
)

__all__ = ["administrator", "boss"]

pytestmark = [pytest.mark.browser, pytest.mark.slow]

QUESTION, WANTED = "请推荐一座小城", "去绍兴走走吧，坐乌篷船，慢慢看桥。"


def test_a_correction_becomes_a_pair_a_dpo_run_and_a_model_that_answers(boss: Page, whole_site: WholeSite) -> None:
    starter = answering(boss, whole_site)
    correct(boss, whole_site)
    approve_pair(boss, whole_site)

    boss.goto(f"{whole_site.url}/admin/training/datasetversion/")
    boss.locator("a[href$='/datasetversion/add/']").first.click()
    boss.select_option("[name=kind]", "pair")
    pairs = freeze_here(boss, "Corrections")
    start(boss, pairs, base=starter, epochs="4", name="preferred")
    expect(badge(boss)).to_have_attribute("data-state", "succeeded", timeout=JOB_MS)

    page_of_model(boss, whole_site, run="preferred")
    preferred = boss.locator("h2.cs-title").inner_text()
    boss.get_by_role("button", name="Activate").click()
    expect(boss.locator("body")).to_contain_text(f"{preferred} answers from now on.")
    open_chat(boss, whole_site)
    assert who_gave(ask(boss, QUESTION)) == preferred


def correct(page: Page, site: WholeSite) -> None:
    """A thumb down, consent, and the answer that one wanted."""
    open_chat(page, site)
    who_gave(ask(page, QUESTION))
    page.locator('[data-thumb="-1"]').click()
    page.click("text=Yes, learn from it")
    page.click(".feedback >> text=Submit")
    page.click("[aria-label='More']")
    page.click("text=Write the answer you wanted")
    page.fill(".feedback textarea.long", WANTED)
    page.click(".feedback >> text=Submit")
    expect(page.locator(".answer .prose").last).to_have_text(WANTED)


def approve_pair(page: Page, site: WholeSite) -> None:
    page.goto(f"{site.url}/admin/training/example/?kind=pair")
    page.locator("#result_list tbody td a, #result_list tbody th a").first.click()
    expect(page.locator("body")).to_contain_text(WANTED)
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".cs-badge").first).to_have_attribute("data-state", "approved")


def freeze_here(page: Page, name: str) -> str:
    page.fill("[name=name]", name)
    page.get_by_role("button", name=re.compile("^Freeze$")).click()
    expect(badge(page)).to_have_attribute("data-state", "frozen", timeout=JOB_MS)
    return page.url
