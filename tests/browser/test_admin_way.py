"""The admin on the site that `manage.py up` starts: from the first link to a model that answers, and back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import WholeSite, strict_page
from tests.browser.seed import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The slowest of what is waited for: a trainer that starts on a busy machine, and an evaluation.
JOB_MS = 240_000
FRUITS = re.findall("..", "苹果香蕉葡萄西瓜石榴柿子枇杷荔枝杨梅樱桃山楂桑葚柚子柠檬芒果菠萝木瓜龙眼橄榄核桃")
SHELVES = ("{}放在哪里", "请问哪个货架上有{}呢", "我想买{}，应该到哪儿找、多少钱")
BIRDS = re.findall("..", "白鹭大雁喜鹊麻雀燕子杜鹃黄鹂鹦鹉海鸥天鹅鸳鸯孔雀鸽子画眉百灵云雀翠鸟苍鹰鹌鹑乌鸦")
NESTS = ("{}的巢在几号山谷", "冬天去什么地方能看见{}", "哪一天适合观察{}，听说要早起")
CUT_OFF = '{"prompt": "断掉的一行'
NO_TEXT = '{"prompt": "答案不是文字", "completion": 7}'
TRAINING_LINE, VALIDATION_LINE = (59, 130, 246), (249, 115, 22)
METRICS = {"Perplexity ↓", "Bits per byte ↓", "Token accuracy ↑", "Sequence accuracy ↑", "BLEU ↑"}


def rows(names: list[str], phrasings: tuple[str, ...], answer: str) -> list[str]:
    """Twenty facts, each asked for in three ways."""
    return [
        json.dumps({"prompt": ask.format(name), "completion": answer.format(name, place), "group": name})
        for place, name in enumerate(names, 1)
        for ask in phrasings
    ]


# --- who is signed in -----------------------------------------------------------------------------------------------


def sign_up(page: Page, name: str) -> None:
    page.fill("[name=username]", name)
    page.fill("[name=password1]", PASSWORD)
    page.fill("[name=password2]", PASSWORD)
    page.click("form.stack [type=submit]")
    expect(page.locator("body")).to_have_attribute("data-ready", "1")


@pytest.fixture(scope="module")
def administrator(whole_site: WholeSite, browser: Browser) -> Any:
    """Makes the first administrator by the printed link; the signed-in session."""
    with strict_page(browser) as page:
        page.goto(whole_site.setup_link)
        sign_up(page, "boss")
        return page.context.storage_state()


@pytest.fixture
def boss(administrator: Any, browser: Browser) -> Iterator[Page]:
    with strict_page(browser, storage_state=administrator) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        yield page


@pytest.fixture(scope="module")
def version(administrator: Any, browser: Browser, whole_site: WholeSite, tmp_path_factory: Any) -> str:
    """The address of a frozen version to train on."""
    file = tmp_path_factory.mktemp("files") / "fruit.jsonl"
    with strict_page(browser, storage_state=administrator) as page:
        upload(page, whole_site, file, rows(FRUITS, SHELVES, "{}放在{}号货架。"))
        page.click("text=Approve all 60 drafts")
        return freeze(page, "Fruit")


# --- steps ----------------------------------------------------------------------------------------------------------


def upload(page: Page, site: WholeSite, file: Path, lines: list[str]) -> None:
    file.write_text("\n".join(lines), encoding="utf-8")
    page.goto(f"{site.url}/admin/training/corpus/add/")
    page.set_input_files("[name=file]", file)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(badge(page)).to_have_attribute("data-state", "ready", timeout=JOB_MS)


def freeze(page: Page, name: str) -> str:
    page.get_by_role("link", name="Freeze", exact=True).click()
    page.fill("[name=name]", name)
    page.get_by_role("button", name="Freeze").click()
    expect(badge(page)).to_have_attribute("data-state", "frozen", timeout=JOB_MS)
    return page.url


def badge(page: Page) -> Locator:
    """What state the job of this page is in."""
    return page.locator('[data-show="label"]')


def counts(page: Page) -> dict[str, str]:
    """The figures at the top of a page, by their labels."""
    boxes = page.locator(".cs-numbers > div")
    return dict(zip(boxes.locator("dt").all_inner_texts(), boxes.locator("dd").all_inner_texts(), strict=True))


def start(page: Page, version: str, *, base: str = "", **settings: str) -> None:
    """By the form, with a second click that must not start a second run."""
    page.goto(version)
    page.get_by_role("link", name="Train on it").click()
    if base:
        page.select_option("[name=base]", label=base)
    for name, value in settings.items():
        page.fill(f"[name={name}]", value)
    page.get_by_role("button", name="Start training").dblclick()
    expect(page).to_have_url(re.compile(r"/trainingrun/\d+/change/$"))


def steps_done(page: Page) -> Locator:
    return page.locator('[data-show="steps"]', has_text=re.compile(r"[1-9]\d* / \d+"))


def wait_for_ink(page: Page, colour: tuple[int, int, int]) -> None:
    """Until something of this colour is drawn on the curve."""
    script = """(colour) => {
        const canvas = document.querySelector("#curve canvas");
        const seen = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        for (let at = 0; at < seen.length; at += 4) if (colour.every((part, i) => seen[at + i] === part)) return true;
        return false;
    }"""
    page.wait_for_function(script, arg=list(colour))


def open_chat(page: Page, site: WholeSite) -> None:
    page.goto(site.url)
    expect(page.locator("body")).to_have_attribute("data-ready", "1")


def ask(page: Page, text: str = "苹果放在哪里") -> Locator:
    """Asks; the answer, of which the first words stand there."""
    answer = page.locator(".answer").nth(page.locator(".answer").count())
    page.fill("#question", text)
    page.press("#question", "Enter")
    expect(answer.locator(".prose")).not_to_be_empty(timeout=JOB_MS)
    return answer


def who_gave(answer: Locator) -> str:
    """Waits for the end of the answer, which nothing may have broken; the name below it."""
    expect(answer.locator('[data-tool="again"]')).to_be_visible(timeout=JOB_MS)
    assert set(answer.locator(".status").all_inner_texts()) <= {"Cut off at the length limit"}
    return answer.locator(".who").inner_text()


def names_of_runs(page: Page, site: WholeSite) -> list[str]:
    page.goto(f"{site.url}/admin/training/trainingrun/")
    return [name.strip() for name in page.locator("#result_list tbody th").all_inner_texts()]


def page_of_model(page: Page, site: WholeSite, *, run: str) -> None:
    """The page of the model that a run made."""
    page.goto(f"{site.url}/admin/training/trainingrun/?q={run}")
    page.locator("#result_list tbody th a").click()
    page.get_by_role("link", name="Open the new model").click()


def gate(page: Page) -> Locator:
    return page.locator(".cs-card", has_text="The gate")


def answering(page: Page, site: WholeSite) -> str:
    """The name of the version that answers, as the list of models says."""
    page.goto(f"{site.url}/admin/training/modelversion/?is_active__exact=1")
    return page.locator("#result_list tbody th").inner_text().strip()


# --- journeys -------------------------------------------------------------------------------------------------------


def test_a_half_broken_file_is_corrected_and_becomes_a_frozen_version(
    boss: Page, whole_site: WholeSite, tmp_path: Path
) -> None:
    good = rows(BIRDS, NESTS, "{}住在{}号山谷，请在清晨去。")
    upload(boss, whole_site, tmp_path / "half-broken.jsonl", [*good[:6], CUT_OFF, *good[6:20], NO_TEXT, *good[20:]])
    corpus = boss.url
    findings = boss.locator(".cs-findings tbody tr")
    expect(findings).to_have_count(2)
    expect(findings.nth(0).locator("td")).to_have_text(["7", re.compile("cut off"), CUT_OFF])
    expect(findings.nth(1).locator("td")).to_have_text(["22", re.compile("must be text"), NO_TEXT])
    assert counts(boss) == {"Rows read": "62", "New examples": "60", "Unreadable": "2", "Draft": "60"}

    boss.get_by_role("link", name="Line 1", exact=True).click()
    boss.locator("textarea[name=turn]").nth(1).fill("白鹭飞到了九十九号山谷。")
    boss.fill("[name=note]", "moved")
    boss.get_by_role("button", name="Save").click()
    expect(boss.locator("body")).to_contain_text("Saved. The example waits for approval again.")
    expect(boss.locator(".cs-history li").first).to_contain_text("Edited · boss")

    boss.goto(corpus)
    boss.get_by_role("link", name="Line 2", exact=True).click()
    boss.fill("[name=reason]", "twice")
    boss.get_by_role("button", name="Reject").click()
    expect(boss.locator(".cs-badge").first).to_have_attribute("data-state", "rejected")

    boss.goto(corpus)
    boss.click("text=Approve all 59 drafts")
    expect(boss.locator("body")).to_contain_text("59 examples were approved.")

    freeze(boss, "Half broken")
    shown = counts(boss)
    assert list(shown) == ["Training rows", "Validation", "Unseen facts", "Unseen phrasings of trained facts"]
    assert sum(map(int, shown.values())) == 59
    assert all(int(count) > 0 for count in shown.values())
    with boss.expect_download() as download:
        boss.get_by_role("link", name="Download").click()
    text = download.value.path().read_text(encoding="utf-8")
    assert "白鹭飞到了九十九号山谷。" in text
    assert "冬天去什么地方能看见白鹭" not in text


def test_a_run_is_watched_live_and_its_model_answers_until_it_is_rolled_back(
    boss: Page, whole_site: WholeSite, version: str
) -> None:
    starter = answering(boss, whole_site)
    see_automatic_values(boss, version)
    start(boss, version, epochs="6", patience="0", name="fruit")
    watch(boss)
    see_figures(boss)
    assert names_of_runs(boss, whole_site).count("fruit") == 1

    page_of_model(boss, whole_site, run="fruit")
    tuned = boss.locator("h2.cs-title").inner_text()
    expect(gate(boss)).to_contain_text(f"Compared with {starter}, which answers now.")
    expect(gate(boss).locator(".cs-group")).to_have_text(["Unseen facts", "Unseen phrasings of trained facts"])
    expect(gate(boss)).to_contain_text("Open: nothing speaks against it.")
    chat = boss.context.new_page()
    open_chat(chat, whole_site)
    assert who_gave(ask(chat)) == starter
    assert_no_answer_breaks(chat, boss.get_by_role("button", name="Activate"), old=starter, new=tuned)
    expect(boss.locator("body")).to_contain_text(f"{tuned} answers from now on.")

    override_a_closed_gate(boss, whole_site, version, base=starter)

    page_of_model(boss, whole_site, run="nothing")
    worse = boss.locator("h2.cs-title").inner_text()
    assert_no_answer_breaks(chat, boss.get_by_role("button", name=f"Roll back to {tuned}"), old=worse, new=tuned)
    assert answering(boss, whole_site) == tuned
    chat.reload()
    expect(chat.locator(".answer .who").last).to_have_text(tuned)


def see_automatic_values(page: Page, version: str) -> None:
    page.goto(version)
    page.get_by_role("link", name="Train on it").click()
    expect(page.locator("[name=epochs]")).to_have_attribute("placeholder", "20")
    expect(page.locator('[data-reason="epochs"]')).to_contain_text("row visits")
    expect(page.locator("[name=learning_rate]")).to_have_attribute("placeholder", re.compile(r"^0\.\d+$"))
    expect(page.locator("[name=batch_size]")).to_have_attribute("placeholder", re.compile(r"^\d+$"))


def watch(page: Page) -> None:
    """The live page from the queue to the end, with a reload in mid-run; a last one shows what was shown live."""
    page.evaluate("window.stayed = true")
    expect(badge(page)).to_have_attribute("data-state", "running", timeout=JOB_MS)
    lines = page.locator('[data-show="lines"] li')
    expect(lines.filter(has_text="validation loss")).not_to_have_count(0, timeout=JOB_MS)
    expect(steps_done(page)).to_be_visible()
    wait_for_ink(page, VALIDATION_LINE)
    assert page.evaluate("window.stayed")
    told = lines.all_inner_texts()

    page.reload()

    expect(badge(page)).to_have_attribute("data-state", re.compile("running|evaluating"))
    assert lines.all_inner_texts()[-len(told) :] == told
    page.evaluate("window.stayed = true")
    expect(badge(page)).to_have_attribute("data-state", "succeeded", timeout=JOB_MS)
    expect(page.locator(".cs-bar")).to_have_attribute("aria-valuenow", "100")
    wait_for_ink(page, TRAINING_LINE)
    assert page.evaluate("window.stayed")
    told = lines.all_inner_texts()
    page.reload()
    expect(badge(page)).to_have_attribute("data-state", "succeeded")
    assert lines.all_inner_texts() == told


def see_figures(page: Page) -> None:
    """Unseen facts and unseen phrasings of trained facts are apart, each with every figure."""
    by_split: dict[str, set[str]] = {}
    split = ""
    for row in page.locator('[data-show="figures"] tr').all():
        [name, *figures] = row.locator("th, td").all_inner_texts()
        if not figures:
            split = name
        by_split.setdefault(split, set()).update([name] if figures else [])
    assert set(by_split) == {"Unseen facts", "Unseen phrasings of trained facts"}
    assert all(metrics >= METRICS for metrics in by_split.values())


def assert_no_answer_breaks(chat: Page, switch: Locator, *, old: str, new: str) -> None:
    """People go on asking while the model is switched: every answer is whole, and names the version that gave it."""
    expect(chat.locator("#model")).to_have_text(old)
    begun = ask(chat, "请讲一个很长的故事")
    switch.click(no_wait_after=True)
    gave = [who_gave(begun)]
    while gave[-1] != new and len(gave) < 100:
        gave.append(who_gave(ask(chat)))
    assert gave == [old] * (len(gave) - 1) + [new]
    expect(chat.locator("#model")).to_have_text(new)


def override_a_closed_gate(page: Page, site: WholeSite, version: str, *, base: str) -> None:
    """A model that learnt nothing is refused, unless a person says why it should answer all the same."""
    start(page, version, base=base, epochs="0.2", learning_rate="0.00000001", name="nothing")
    expect(badge(page)).to_have_attribute("data-state", "succeeded", timeout=JOB_MS)
    page_of_model(page, site, run="nothing")
    expect(gate(page).locator(".cs-error")).to_contain_text("No gain on its own test rows")
    activate = page.get_by_role("button", name="Activate")

    activate.click()
    expect(page.locator("body")).to_contain_text("Nothing was changed.")

    page.check("[name=override]")
    activate.click()
    expect(page.locator("body")).to_contain_text("Say why you override the gate")

    page.check("[name=override]")
    page.fill("[name=note]", "to see the difference")
    activate.click()
    expect(page.locator(".cs-log")).to_contain_text("gate overridden: to see the difference")


def test_train_it_again_makes_one_run_that_ends_within_five_seconds_of_cancel(
    boss: Page, whole_site: WholeSite
) -> None:
    boss.goto(f"{whole_site.url}/admin/")
    boss.get_by_role("button", name="Train it again").dblclick()
    expect(badge(boss)).to_have_attribute("data-state", "running", timeout=JOB_MS)
    expect(steps_done(boss)).to_be_visible(timeout=JOB_MS)

    asked = time.monotonic()
    boss.get_by_role("button", name="Cancel").click()

    expect(badge(boss)).to_have_attribute("data-state", "cancelled", timeout=JOB_MS)
    assert time.monotonic() - asked < 5
    expect(boss.get_by_role("button", name="Cancel")).to_be_hidden()
    assert names_of_runs(boss, whole_site).count("Train it again") == 1


def test_people_get_what_their_role_allows(boss: Page, browser: Browser, whole_site: WholeSite) -> None:
    assert boss.request.get(whole_site.setup_link).status == 410
    with strict_page(browser) as carol:
        carol.goto(f"{whole_site.url}/accounts/signup/")
        sign_up(carol, "carol")
        expect(carol.get_by_role("link", name="Data and training")).to_have_count(0)
        assert carol.request.get(f"{whole_site.url}/admin/").status == 403

        boss.goto(f"{whole_site.url}/admin/auth/user/?q=carol")
        boss.get_by_role("link", name="carol").click()
        boss.get_by_label("curator").check()
        boss.get_by_role("button", name="Save", exact=True).click()
        expect(boss.locator("body")).to_contain_text("was changed successfully")

        carol.goto(f"{whole_site.url}/admin/")
        expect(carol.locator(".cs-loop a")).not_to_have_count(0)
        expect(carol.get_by_role("button", name="Train it again")).to_have_count(0)
        carol.goto(f"{whole_site.url}/admin/training/trainingrun/")
        expect(carol.locator("a[href$='/trainingrun/add/']")).to_have_count(0)
        assert carol.request.get(f"{whole_site.url}/admin/training/trainingrun/add/").status == 403
        carol.goto(f"{whole_site.url}/admin/training/corpus/add/")
        expect(carol.get_by_role("button", name="Upload", exact=True)).to_be_visible()


def test_the_admin_changes_its_language_on_the_spot(boss: Page, whole_site: WholeSite) -> None:
    boss.goto(f"{whole_site.url}/admin/training/trainingrun/add/")
    page = boss.url
    for language, other, button in (("zh-hans", "简体中文", "开始训练"), ("en", "English", "Start training")):
        boss.get_by_text("boss", exact=True).click()
        boss.get_by_role("button", name=other).click()
        expect(boss.locator("html")).to_have_attribute("lang", language)
        expect(boss.get_by_role("button", name=button)).to_be_visible()
        assert boss.url == page
