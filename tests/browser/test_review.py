"""The review queue in a real browser: a hundred rows by keyboard, two reviewers at once, and a phone."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SHELVES = "/admin/training/example/review/?status=draft&tag=shelves"
PLACES = "/admin/training/example/review/?status=draft&tag=places"


@pytest.fixture(scope="module")
def examples(running_site: Site) -> Iterator[Callable[[str], list[Any]]]:
    """Fills the site, and asks its database."""
    environment = os.environ | {
        "CHATSITE_DATA_DIR": str(running_site.data),
        "CHATSITE_SECRET_KEY": "only for tests, and long enough for the check",
        "DJANGO_SETTINGS_MODULE": "chatsite.settings",
    }
    subprocess.run([sys.executable, "-m", "tests.browser.seed_examples"], cwd=ROOT, env=environment, check=True)

    def ask(query: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(running_site.data / "site.sqlite3")) as database:
            return database.execute(query, values).fetchall()

    yield ask


def open_queue(page: Page, site: Site, address: str) -> None:
    page.goto(site.url + address)
    expect(page.locator("#review")).to_have_attribute("data-ready", "1")


def shown(page: Page) -> str:
    return page.locator("#review").get_attribute("data-pk") or ""


def press(page: Page, key: str) -> None:
    """Presses a key that leads to another example."""
    before = shown(page)
    page.keyboard.press(key)
    expect(page.locator("#review")).not_to_have_attribute("data-pk", before)


def edit(page: Page, text: str) -> None:
    page.keyboard.press("e")
    page.locator("textarea").last.fill(text)
    press(page, "Control+Enter")


def reject(page: Page, reason: str) -> None:
    page.keyboard.press("r")
    page.keyboard.type(reason)
    press(page, "Enter")


def test_a_hundred_rows_are_curated_by_keyboard(page: Page, sign_in: Any, site: Site, examples: Any) -> None:
    sign_in(page, "cora")
    open_queue(page, site, SHELVES)
    expect(page.locator('[data-show="left"]')).to_have_text("120 left")
    first = shown(page)

    for number in range(1, 101):
        if number % 10 == 0:
            reject(page, "wrong shelf")
        elif number % 25 == 1:
            edit(page, f"搬到了{number}楼。")
        else:
            press(page, "a")
    expect(page.locator('[data-show="left"]')).to_have_text("20 left")
    with page.expect_response(re.compile(r"/undo/$")):
        page.keyboard.press("u")
    expect(page.locator('[data-show="left"]')).to_have_text("21 left")
    expect(page.locator('[data-show="badge"]')).to_have_attribute("data-state", "draft")
    press(page, "n")
    press(page, "k")
    with page.expect_response(re.compile(r"/decide/$")):
        press(page, "a")

    rows = examples("SELECT status, reviewer_id IS NOT NULL FROM training_example WHERE tags LIKE '%shelves%'")
    assert Counter(rows) == {("approved", 1): 91, ("rejected", 1): 9, ("draft", 0): 20}
    assert examples("SELECT count(*) FROM training_exampleevent WHERE note = 'wrong shelf'") == [(10,)]
    [(body,)] = examples("SELECT body FROM training_example WHERE id = ?", first)
    assert "\\u642c\\u5230\\u4e861\\u697c" in body
    assert examples("SELECT count(*) FROM training_example WHERE leased_until IS NOT NULL AND status != 'draft'") == [
        (0,)
    ]


def test_the_address_keeps_the_filter_and_the_place(page: Page, sign_in: Any, site: Site, examples: Any) -> None:
    sign_in(page, "cora")
    open_queue(page, site, f"{PLACES}&q=公路")
    press(page, "j")
    place = shown(page)

    page.reload()

    expect(page.locator("#review")).to_have_attribute("data-pk", place)
    expect(page.locator("mark").first).to_have_text("公路")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_two_reviewers_get_other_rows_and_the_second_is_told_who_was_first(
    open_page: Callable[..., Page], sign_in: Any, site: Site, examples: Any
) -> None:
    cora, kim = open_page(), open_page()
    for page, name in ((cora, "cora"), (kim, "kim")):
        sign_in(page, name)
    open_queue(cora, site, PLACES)
    row = shown(cora)
    open_queue(kim, site, PLACES)
    assert shown(kim) != row

    kim.goto(f"{site.url}/admin/training/example/{row}/change/")
    kim.get_by_role("button", name="Approve", exact=True).click()
    expect(kim.locator(".cs-badge").first).to_have_attribute("data-state", "approved")
    reject(cora, "late")

    expect(cora.get_by_role("alert").filter(has_text="Changed by kim at")).to_be_visible()
    cora.get_by_role("button", name="Show it").click()
    expect(cora.locator("#review")).to_have_attribute("data-pk", row)
    expect(cora.locator('[data-show="badge"]')).to_have_attribute("data-state", "approved")


def test_marks_make_a_margin_and_an_upside_down_pair_is_exchanged(
    page: Page, sign_in: Any, site: Site, examples: Any
) -> None:
    sign_in(page, "cora")
    open_queue(page, site, "/admin/training/example/review/?kind=pair&status=draft")
    expect(page.locator('[aria-current="true"]')).to_have_attribute("data-place", "rejected")
    page.keyboard.press("5")
    expect(page.locator('[data-place="rejected"] [aria-pressed="true"]')).to_have_text("5")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("2")
    expect(page.get_by_text("By its marks the worse answer is the better one.")).to_be_visible()

    page.keyboard.press("x")

    expect(page.locator('[data-show="about"]')).to_contain_text("margin 3")
    expect(page.locator('[data-place="chosen"] p')).to_have_text("在订单页点“退款”。")
    [(body,)] = examples("SELECT body FROM training_example WHERE source_key = 'seed:pair'")
    assert '"margin": 3.0' in body


def test_a_phone_has_every_button_in_reach_of_the_thumb(
    open_page: Callable[..., Page], sign_in: Any, site: Site, examples: Any
) -> None:
    phone = open_page(viewport={"width": 360, "height": 640}, has_touch=True, locale="zh-CN")
    sign_in(phone, "kim")
    open_queue(phone, site, PLACES)
    before = shown(phone)

    phone.locator('[data-do="reject"]').tap()
    phone.locator("[name=reason]").tap()
    phone.keyboard.type("太短")
    with phone.expect_response(re.compile(r"/decide/$")):
        phone.locator('[data-show="reason"] button.cs-danger').tap()

    expect(phone.locator("#review")).not_to_have_attribute("data-pk", before)
    assert examples("SELECT status FROM training_example WHERE id = ?", before) == [("rejected",)]
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = [button.bounding_box() for button in phone.locator('[data-show="deciding"] button').all()]
    assert all(box and box["height"] >= 44 and box["y"] + box["height"] <= 640 for box in boxes)


def test_a_curator_teaches_from_an_answer_in_the_chat_once_its_author_agreed(
    page: Page, sign_in: Any, site: Site, examples: Any
) -> None:
    sign_in(page, "cora")
    page.fill("#question", "几点开门？")
    page.press("#question", "Enter")
    expect(page.locator('.answer [data-tool="again"]')).to_be_visible()
    said = page.locator(".answer .prose").inner_text()

    def teach() -> Page:
        page.locator('.answer [data-tool="more"]').click()
        with page.context.expect_page() as opened:
            page.get_by_role("menuitem", name="Teach").click()
        return opened.value

    expect(teach().locator("body")).to_contain_text("cora has not agreed")
    page.locator('[data-tool="thumb-up"]').click()
    page.get_by_role("button", name=re.compile("agree|Allow|Yes", re.IGNORECASE)).first.click()
    expect(page.locator('[data-tool="thumb-up"]')).to_have_attribute("aria-pressed", "true")
    form = teach()

    expect(form.locator("[name=question]")).to_have_value("几点开门？")
    expect(form.locator("[name=answer]")).to_have_value(said)
    form.fill("[name=answer]", "早上九点开门。")
    form.get_by_role("button", name="Save", exact=True).click()
    expect(form.locator("body")).to_contain_text("早上九点开门。")
    assert examples("SELECT count(*) FROM training_example WHERE source_key LIKE 'taught:%'") == [(1,)]


def test_a_whole_selection_is_tagged_after_a_page_that_tells_how_many(
    page: Page, sign_in: Any, site: Site, examples: Any
) -> None:
    sign_in(page, "cora")
    page.goto(f"{site.url}/admin/training/example/?tag=shelves")
    page.select_option("[name=deed]", "tag")
    page.get_by_role("button", name="For all that are listed").click()
    expect(page.locator("#bulk")).to_contain_text("This is about 120 examples.")

    page.get_by_label("Tag", exact=True).fill("fruit")
    page.get_by_role("button", name="Add a tag: 120").click()

    expect(page.get_by_role("status").filter(has_text="Done: 120 of 120 changed.")).to_be_visible()
    assert examples("SELECT count(*) FROM training_example WHERE tags LIKE '%fruit%'") == [(120,)]
