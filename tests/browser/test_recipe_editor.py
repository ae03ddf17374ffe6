"""The recipe editor in a real browser: by keyboard, with the effect of each step shown while it is changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEXT = "哈哈哈哈哈，你好！\n我的电话13812345678\n加微信包邮"


@pytest.fixture(scope="module", autouse=True)
def _curator(running_site: Site) -> None:
    environment = os.environ | {
        "CHATSITE_DATA_DIR": str(running_site.data),
        "CHATSITE_SECRET_KEY": "only for tests, and long enough for the check",
    }
    subprocess.run([sys.executable, "-m", "tests.browser.seed_curator", "rita"], cwd=ROOT, env=environment, check=True)


def labels(page: Page) -> list[str]:
    return page.locator(".cs-step h2").all_inner_texts()


def add_step(page: Page, name: str) -> None:
    count = page.locator(".cs-step").count()
    page.select_option("#new", name)
    page.press("#new", "Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".cs-step")).to_have_count(count + 1)


def test_a_recipe_is_made_tried_ordered_and_saved_by_keyboard(site: Site, page: Page, sign_in: Callable[..., Page]):
    sign_in(page, "rita")
    page.goto(f"{site.url}/admin/training/recipe/add/")
    page.select_option("#source", "pasted")
    page.fill("#pasted", TEXT)
    for step in ("adverts@1", "personal@1", "laughter@2"):
        add_step(page, step)

    expect(page.locator("ins", has_text="<手机号>")).to_be_visible()
    expect(page.locator("del", has_text="哈哈哈哈哈")).to_be_visible()
    expect(page.locator(".cs-gone", has_text="加微信包邮")).to_be_visible()
    expect(page.locator("[data-said]")).to_contain_text("2 of 3 rows stay.")

    # A changed setting shows at once, and the field keeps the focus.
    mask = page.get_by_label("Put in its place").first
    mask.focus()
    mask.select_option("en")
    expect(page.locator("ins", has_text="<phone>")).to_be_visible()

    # Up to the top: the button is off there, and the focus stays at its step.
    up = page.get_by_role("button", name=re.compile("Move up: Laughter"))
    up.focus()
    for place in (3, 2, 1, 0):
        page.keyboard.press("Enter")
        expect(page.locator(".cs-step h2").nth(place)).to_contain_text("Laughter")
    expect(page.get_by_role("button", name=re.compile("Move down: Laughter"))).to_be_focused()
    page.get_by_role("button", name=re.compile("Remove: Tidy white space")).press("Enter")
    expect(page.locator(".cs-step")).to_have_count(4)

    before = labels(page)
    page.fill("#name", "weibo")
    page.press("#name", "Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/recipe/\d+/change/"))
    assert labels(page) == before
    expect(page.locator("h1", has_text="weibo")).to_be_visible()
