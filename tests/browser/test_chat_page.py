"""The chat page as a person uses it: ask, stop, reload, choose, rate, rewrite, on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.browser.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WHOLE = "好的，我们一步一步来：先听，再想，然后回答😀。"


def ask(page: Page, text: str = "你好") -> None:
    page.fill("#question", text)
    page.press("#question", "Enter")


def answer(page: Page) -> Locator:
    return page.locator(".answer .prose").last


def ended(page: Page) -> Locator:
    """The tools below an answer come when it has ended."""
    return page.locator(".answer").last.locator('[data-tool="again"]')


def ready(page: Page) -> None:
    expect(page.locator("body")).to_have_attribute("data-ready", "1")


def hold(site: Site, pieces: int) -> None:
    """The engine says so many characters and then waits."""
    site.engine.pieces = list(WHOLE)
    site.engine.hold_after = pieces


def test_a_newcomer_signs_up_asks_and_sees_the_answer_grow(page: Page, site: Site) -> None:
    hold(site, 6)
    page.goto(f"{site.url}/accounts/signup/")
    page.fill("[name=username]", "carol")
    page.fill("[name=password1]", "quite-a-long-one-7")
    page.fill("[name=password2]", "quite-a-long-one-7")
    page.click("form.stack [type=submit]")
    ready(page)

    ask(page, "第一个问题")

    expect(answer(page)).to_have_text(WHOLE[:6])
    site.engine.release()
    expect(answer(page)).to_have_text(WHOLE)
    expect(page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}/$"))
    expect(page.locator("#title")).to_have_text("第一个问题")
    expect(page.locator(".answer .who")).to_have_text("small")


def test_a_reload_in_mid_answer_loses_nothing(alice: Page, site: Site) -> None:
    hold(site, 9)
    ask(alice)
    expect(answer(alice)).to_have_text(WHOLE[:9])

    alice.reload()

    expect(answer(alice)).to_have_text(WHOLE[:9])
    site.engine.release()
    expect(answer(alice)).to_have_text(WHOLE)


@pytest.mark.parametrize("is_in_a_hurry", [False, True])
def test_a_broken_line_comes_back_and_misses_nothing(alice: Page, site: Site, *, is_in_a_hurry: bool) -> None:
    lines: list[WebSocketRoute] = []
    is_broken = False

    def connect(line: WebSocketRoute) -> None:
        lines.append(line)
        if is_broken:
            line.close(code=1011)
        else:
            line.connect_to_server()

    alice.route_web_socket("**/ws/chat/", connect)
    alice.reload()
    ready(alice)
    hold(site, 5)
    ask(alice)
    expect(answer(alice)).to_have_text(WHOLE[:5])

    is_broken = True
    lines[-1].close(code=1011)
    expect(alice.locator("#line-state")).to_have_text("Connection lost, trying again…")
    site.engine.release()
    is_broken = False
    if is_in_a_hurry:
        alice.click("text=Try now")

    expect(answer(alice)).to_have_text(WHOLE)
    expect(alice.locator("#line-state")).to_be_empty()
    expect(alice.locator("text=Try now")).to_be_hidden()


def test_stop_keeps_exactly_what_was_seen(alice: Page, site: Site) -> None:
    hold(site, 7)
    ask(alice)
    expect(answer(alice)).to_have_text(WHOLE[:7])

    alice.keyboard.press("Escape")

    expect(alice.locator(".status")).to_have_text("You stopped this answer")
    expect(alice.locator("#send")).to_be_visible()
    assert site.engine.wait_until_cancelled()
    alice.reload()
    expect(answer(alice)).to_have_text(WHOLE[:7])


def test_a_stopped_answer_goes_on_beside_itself(alice: Page, site: Site) -> None:
    hold(site, 4)
    ask(alice)
    expect(answer(alice)).to_have_text(WHOLE[:4])
    alice.click("#stop")
    site.engine.pieces = list("我知道了。")
    site.engine.hold_after = None

    alice.click("text=Continue")

    expect(answer(alice)).to_have_text(WHOLE[:4] + "我知道了。")
    expect(alice.locator(".answer .pager")).to_contain_text("2/2")


def test_the_place_in_the_queue_is_shown(alice: Page, site: Site) -> None:
    site.engine.ahead = [2] * 40
    ask(alice)

    expect(alice.locator(".status")).to_have_text("2 people are ahead of you")
    expect(ended(alice)).to_be_visible()


def test_a_question_waits_while_the_engine_loads(alice: Page, site: Site) -> None:
    site.engine.is_loading = True
    ask(alice)
    expect(alice.locator(".status")).to_have_text("Waiting for its turn…")

    site.engine.release()

    expect(answer(alice)).to_have_text("你好！")
    expect(ended(alice)).to_be_visible()


def test_a_stop_keeps_an_answer_on_another_branch(alice: Page, site: Site) -> None:
    site.engine.pieces = ["第一"]
    ask(alice)
    expect(ended(alice)).to_be_visible()
    hold(site, 5)
    ended(alice).click()
    expect(answer(alice)).to_have_text(WHOLE[:5])
    alice.click("[aria-label='Previous version']")
    expect(answer(alice)).to_have_text("第一")

    alice.click("#stop")

    assert site.engine.wait_until_cancelled()
    alice.click("[aria-label='Next version']")
    expect(answer(alice)).to_have_text(WHOLE[:5])


def test_other_answers_stand_beside_the_first_and_the_branch_stays_open(alice: Page, site: Site) -> None:
    site.engine.pieces = ["第一"]
    ask(alice)
    expect(ended(alice)).to_be_visible()
    site.engine.pieces = ["第二"]

    ended(alice).click()

    expect(answer(alice)).to_have_text("第二")
    alice.click("[aria-label='Previous version']")
    expect(answer(alice)).to_have_text("第一")
    alice.wait_for_load_state("networkidle")
    alice.reload()
    expect(answer(alice)).to_have_text("第一")
    expect(alice.locator(".pager")).to_contain_text("1/2")


def test_a_question_can_be_asked_in_other_words(alice: Page, site: Site) -> None:
    ask(alice, "原来的问题")
    expect(ended(alice)).to_be_visible()
    alice.hover(".question")
    alice.click("[aria-label='Edit and ask again']")
    alice.fill(".edit-box textarea", "改过的问题")

    alice.click("text=Ask again")

    expect(alice.locator(".bubble")).to_have_text("改过的问题")
    expect(alice.locator(".question .pager")).to_contain_text("2/2")
    expect(ended(alice)).to_be_visible()


def test_a_thumb_counts_at_once_consent_is_asked_once_and_the_second_click_takes_it_back(
    page: Page, site: Site, sign_in: Callable[[Page, str], Page]
) -> None:
    bob = sign_in(page, "bob")
    sent: list[str] = []
    bob.on("websocket", lambda line: line.on("framesent", lambda frame: sent.append(str(frame))))
    bob.reload()
    ready(bob)
    ask(bob)
    expect(ended(bob)).to_be_visible()
    bad = bob.locator('[data-thumb="-1"]')

    bad.click()

    expect(bob.locator("dialog")).to_contain_text("May the model learn from your feedback?")
    assert '"value":-1' in next(frame for frame in sent if '"rate"' in frame)
    bob.click("text=Yes, learn from it")
    bob.locator(".chip").first.click()
    bob.fill(".feedback textarea >> nth=0", "没有答到点上")
    bob.click(".feedback >> text=Submit")
    expect(bob.locator(".feedback")).to_have_count(0)
    bob.reload()
    expect(bad).to_have_attribute("aria-pressed", "true")
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "false")
    bad.click()
    expect(bad).to_have_attribute("aria-pressed", "true")
    expect(bob.locator("dialog")).to_have_count(0)


def test_the_answer_one_wanted_stands_beside_the_one_that_came(alice: Page, site: Site) -> None:
    site.engine.pieces = ["不好的回答"]
    ask(alice)
    expect(ended(alice)).to_be_visible()
    alice.click("[aria-label='More']")
    alice.click("text=Write the answer you wanted")
    expect(alice.locator(".feedback textarea.long")).to_have_value("不好的回答")
    alice.click(".feedback >> text=Submit")
    expect(alice.locator(".feedback .problem")).to_have_text("Please change the answer first, or close this.")

    alice.fill(".feedback textarea.long", "好的回答")
    alice.click(".feedback >> text=Submit")

    expect(answer(alice)).to_have_text("好的回答")
    expect(alice.locator(".byline")).to_be_visible()
    expect(alice.locator(".answer .pager")).to_contain_text("2/2")


COMPOSE = """(order) => {
  const box = document.querySelector("#question");
  const isComposing = order === "chromium";
  const key = new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, isComposing, bubbles: true });
  box.dispatchEvent(new CompositionEvent("compositionstart", { bubbles: true }));
  if (isComposing) box.dispatchEvent(key);
  box.dispatchEvent(new CompositionEvent("compositionend", { bubbles: true }));
  if (!isComposing) box.dispatchEvent(key);
}"""


@pytest.mark.parametrize("order", ["chromium", "webkit"])
def test_the_enter_that_ends_a_composition_never_sends(alice: Page, order: str) -> None:
    alice.fill("#question", "你hao")

    alice.evaluate(COMPOSE, order)

    expect(alice.locator("#question")).to_have_value("你hao")
    expect(alice.locator(".question")).to_have_count(0)


def test_a_text_that_is_too_long_stays_and_is_not_sent(alice: Page) -> None:
    long = "长" * 8001
    ask(alice, long)

    expect(alice.locator("#composer-problem")).to_contain_text("8,001")
    assert alice.input_value("#question") == long


def test_what_the_server_refuses_goes_back_into_the_box(alice: Page) -> None:
    alice.evaluate("localStorage.setItem(`chatsite.${document.body.dataset.user}.params`, '{\"temperature\": 9}')")
    ask(alice, "带着错误设置的问题")

    expect(alice.locator("#composer-problem")).not_to_be_empty()
    expect(alice.locator("#question")).to_have_value("带着错误设置的问题")
    expect(alice.locator(".question")).to_have_count(0)


def test_a_conversation_is_renamed_found_and_deleted(alice: Page) -> None:
    ask(alice, "关于菜园的问题")
    expect(ended(alice)).to_be_visible()
    row = alice.locator(".row.open")
    row.get_by_role("button").click()
    alice.click("text=Rename")
    alice.keyboard.type("小菜园")
    alice.keyboard.press("Enter")
    expect(alice.locator("#title")).to_have_text("小菜园")

    alice.fill("#search", "菜园")

    expect(alice.locator(".conversations h2")).to_have_text("Found")
    row.get_by_role("button").click()
    alice.click(".popup >> text=Delete")
    alice.click("dialog >> text=Delete >> nth=-1")
    expect(alice.locator(".row", has_text="小菜园")).to_have_count(0)
    expect(alice.locator(".welcome")).to_be_visible()


def test_a_change_of_language_keeps_the_place_and_the_draft(alice: Page) -> None:
    ask(alice)
    expect(ended(alice)).to_be_visible()
    address = alice.url
    alice.fill("#question", "还没写完")

    alice.click("#account summary")
    alice.click("[data-language] >> text=简体中文")

    ready(alice)
    expect(alice.locator("html")).to_have_attribute("lang", "zh-hans")
    expect(alice).to_have_url(address)
    expect(alice.locator("#question")).to_have_value("还没写完")


def test_settings_go_with_the_next_question(alice: Page, site: Site) -> None:
    alice.click("#settings-open")
    alice.fill("#setting-temperature", "0")
    alice.fill("#setting-seed", "7")
    alice.keyboard.press("Tab")
    alice.keyboard.press("Escape")

    ask(alice)

    expect(ended(alice)).to_be_visible()
    asked: dict[str, Any] = site.engine.asked[-1]
    assert (asked["temperature"], asked["seed"]) == (0, 7)


def test_another_persons_conversation_is_not_there(
    alice: Page, site: Site, open_page: Callable[..., Page], sign_in: Callable[[Page, str], Page]
) -> None:
    ask(alice, "秘密")
    expect(ended(alice)).to_be_visible()
    bob = sign_in(open_page(), "bob")

    bob.goto(alice.url)

    expect(bob.locator(".toast")).to_have_text("This conversation does not exist.")
    expect(bob.locator(".bubble")).to_have_count(0)


def test_a_phone_needs_no_sideways_scroll_and_enter_is_a_new_line(
    open_page: Callable[..., Page], site: Site, sign_in: Callable[[Page, str], Page]
) -> None:
    phone = sign_in(open_page(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True), "alice")
    site.engine.pieces = [
        "```python\n" + "x" * 200 + "\n```\n\n",
        "| a | b |\n|---|---|\n",
        "| 1 | " + "长" * 60 + " |",
    ]
    phone.tap("#question")
    phone.keyboard.type("一")
    phone.keyboard.press("Enter")
    phone.keyboard.type("二")
    assert phone.input_value("#question") == "一\n二"

    phone.tap("#send")

    expect(ended(phone)).to_be_visible()
    assert phone.evaluate("document.documentElement.scrollWidth") == 360
