"""The page's own modules in a real browser, without a server behind them: joining, trees, and hostile text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page

STATIC = Path(__file__).resolve().parents[2] / "chat" / "static"

pytestmark = pytest.mark.browser


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def files() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(STATIC)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def bench(page: Page, files: str) -> Page:
    page.goto(f"{files}/")
    return page


ANSWERS = """async (frames) => {
  const { Answers } = await import("/chat/answers.js");
  const asked = [], done = [];
  const answers = new Answers({
    resume: async (id, seq) => asked.push(seq),
    refetch: async () => ({ text: "from the row", status: "completed", error: "" }),
  });
  answers.addEventListener("done", ({ detail }) => done.push(detail.text));
  const answer = answers.follow("g");
  for (const frame of frames) answers.take({ generation: "g", ...frame });
  for (let turns = 0; turns < 40 && !done.length; turns += 1) await new Promise((go) => setTimeout(go, 5));
  return { text: answer.text, seq: answer.seq, status: answer.status, asked, done };
}"""

WHOLE = "你好，世界😀！"


def delta(start: int, text: str) -> dict[str, object]:
    return {"type": "delta", "from": start, "seq": start + len(text), "text": text}


def test_pieces_join_whatever_comes_twice(bench: Page) -> None:
    frames = [
        delta(0, "你好"),
        delta(0, "你好，"),
        delta(1, "好，世"),
        delta(4, "界😀"),
        delta(4, "界😀"),
        delta(6, "！"),
    ]

    result = bench.evaluate(ANSWERS, frames)

    assert (result["text"], result["seq"], result["asked"]) == (WHOLE, len(WHOLE), [])


def test_a_gap_is_asked_for_and_never_bridged(bench: Page) -> None:
    result = bench.evaluate(ANSWERS, [delta(0, "你好"), delta(4, "界")])

    assert (result["text"], result["asked"]) == ("你好", [2])


def test_a_snapshot_replaces_what_was_there(bench: Page) -> None:
    snapshot = {"type": "snapshot", "seq": 3, "text": "你好，"}

    result = bench.evaluate(ANSWERS, [delta(0, "你"), snapshot, delta(3, "世界😀！")])

    assert result["text"] == WHOLE


def test_the_end_is_believed_only_with_the_right_length_and_hash(bench: Page) -> None:
    digest = sha256(WHOLE.encode()).hexdigest()[:16]
    done = {"type": "done", "status": "completed", "chars": len(WHOLE), "hash": digest}

    right = bench.evaluate(ANSWERS, [delta(0, WHOLE), done])
    wrong = bench.evaluate(ANSWERS, [delta(0, WHOLE), done | {"hash": "0" * 16}])
    short = bench.evaluate(ANSWERS, [delta(0, WHOLE[:-1]), done])

    assert right["done"] == [WHOLE]
    assert wrong["done"] == short["done"] == ["from the row"]


def test_a_stop_in_another_tab_cuts_the_text_here_too(bench: Page) -> None:
    cut = WHOLE[:6]
    done = {"type": "done", "status": "stopped", "chars": len(cut), "hash": sha256(cut.encode()).hexdigest()[:16]}

    result = bench.evaluate(ANSWERS, [delta(0, WHOLE), done])

    assert (result["done"], result["status"]) == ([cut], "stopped")


def test_a_branch_that_was_left_opens_as_it_was(bench: Page) -> None:
    paths = bench.evaluate(
        """async () => {
          const { Tree } = await import("/chat/tree.js");
          const message = (id, parent) => ({ id, parent });
          const tree = new Tree(
            [message("q", null), message("a1", "q"), message("a2", "q"), message("q2", "a1")], "a2");
          const ids = () => tree.path().map((one) => one.id).join(" ");
          const seen = [ids()];
          tree.choose("a1"); seen.push(ids());
          tree.add(message("local", "q2")); tree.rename("local", "a3"); seen.push(ids());
          tree.choose("a2"); tree.choose("a1"); seen.push(ids());
          tree.remove("q2"); seen.push(ids());
          return seen;
        }"""
    )

    assert paths == ["q a2", "q a1 q2", "q a1 q2 a3", "q a1 q2 a3", "q a1"]


HOSTILE = """<img src=x onerror="window.hit=1"><script>window.hit=1</script><svg onload="window.hit=1">
<iframe src="//evil"></iframe> [x](javascript:window.hit=1) ![p](http://evil/p.png)
<a href="javascript:window.hit=1">y</a>
<math><mtext><style><img src=x onerror="window.hit=1"></style></mtext></math>

```html
<img src=x onerror="window.hit=1">
```
"""


def test_hostile_answers_are_inert(bench: Page) -> None:
    result = bench.evaluate(
        """async (text) => {
          const { Prose } = await import("/chat/render.js");
          const prose = new Prose(), box = prose.element;
          document.body.append(box);
          prose.finish(text);
          while (!box.querySelector(".hljs-tag")) await new Promise((go) => setTimeout(go, 10));
          const all = [...box.querySelectorAll("*")];
          return {
            hit: window.hit ?? 0,
            tags: [...new Set(all.map((one) => one.localName))],
            handlers: all.flatMap((one) => one.getAttributeNames()).filter((name) => name.startsWith("on")),
            links: [...box.querySelectorAll("a")].map((one) => one.getAttribute("href")),
          };
        }""",
        HOSTILE,
    )

    assert result["hit"] == 0
    assert not {"img", "script", "iframe", "style", "math"} & set(result["tags"])
    assert result["handlers"] == []
    assert set(result["links"]) <= {None, "http://evil/p.png"}


def test_an_answer_that_grows_ends_as_the_same_page_as_one_that_came_whole(bench: Page) -> None:
    blocks = [
        "# 标题",
        "第一段，**加粗：**正文。",
        "- 一\n- 二",
        "```python\nprint(1)\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
    ]
    text = "\n\n".join([*blocks, "完。"])
    grown, whole = bench.evaluate(
        """async (text) => {
          const { Prose } = await import("/chat/render.js");
          const grown = new Prose(), whole = new Prose();
          document.body.append(grown.element, whole.element);
          for (let end = 1; end <= text.length; end += 3) {
            grown.grow(text.slice(0, end));
            await new Promise((go) => setTimeout(go, 12));
          }
          grown.finish(text);
          whole.finish(text);
          await new Promise((go) => setTimeout(go, 300));
          return [grown.element.innerHTML, whole.element.innerHTML];
        }""",
        text,
    )

    assert grown == whole
    assert "<strong>加粗：</strong>" in whole


LONG = {
    "paragraph": "先听，**再想**，然后`回答`。😀" * 400,
    "lines": "先听，**再想**\n" * 400,
    "list": "".join(f"- 第 {n} 项，**很**重要\n  - 其中\n" for n in range(300)),
    "item": "1. " + "先听，**再想**。" * 300 + "\n\n   - 其中\n2. 完\n",
    "table": "| a | b |\n|:-:|--:|\n" + "".join(f"| {n} | `x` |\n" for n in range(300)),
    "quotation": "".join(f"> 第 {n} 句，**很**重要\n>\n" for n in range(200)),
    "code": "```python\n" + "".join(f"def f{n}():  # {n}\n    return 'x'\n" for n in range(300)) + "```\n",
    "links": "见 [这里][1]。\n\n" * 200 + "[1]: https://example.org/\n",
}


@pytest.mark.parametrize("kind", LONG)
def test_a_long_answer_in_pieces_is_the_page_that_marked_makes_in_one(bench: Page, kind: str) -> None:
    grown, whole, plain = bench.evaluate(
        """async (text) => {
          const { marked } = await import("/vendor/marked/marked.esm.js");
          const { blocks, highlight, toDom } = await import("/chat/markdown.js");
          const { Prose } = await import("/chat/render.js");
          const grown = new Prose(), whole = new Prose(), plain = document.createElement("div");
          document.body.append(grown.element, whole.element, plain);
          plain.append(toDom(marked.parser(blocks(text))));
          await highlight(plain);
          for (let end = 1; end <= text.length; end += 500) {
            grown.grow(text.slice(0, end));
            await new Promise((go) => setTimeout(go, 12));
          }
          grown.finish(text);
          whole.finish(text);
          const all = () => [grown.element, whole.element, plain].map((one) => one.innerHTML);
          for (let tries = 0; tries < 400 && new Set(all()).size > 1; tries += 1) {
            await new Promise((go) => setTimeout(go, 25));
          }
          return all();
        }""",
        LONG[kind],
    )

    assert grown == plain
    assert whole == plain


@pytest.mark.parametrize("kind", ["paragraph", "list", "table", "quotation"])
def test_what_stands_of_a_long_block_is_not_made_again_while_it_grows(bench: Page, kind: str) -> None:
    stays = bench.evaluate(
        """async (text) => {
          const { Prose } = await import("/chat/render.js");
          const prose = new Prose();
          document.body.append(prose.element);
          const grow = async (end) => {
            const before = prose.element.textContent.length;
            prose.grow(text.slice(0, end));
            while (prose.element.textContent.length === before) await new Promise((go) => setTimeout(go, 20));
          };
          await grow(text.length / 2);
          const first = prose.element.querySelector("strong, code");
          await grow(text.length);
          return first.isConnected;
        }""",
        LONG[kind],
    )

    assert stays


def test_a_long_answer_is_made_over_several_frames_and_lets_the_page_breathe(bench: Page) -> None:
    at_once, in_the_end = bench.evaluate(
        """async (text) => {
          const { Prose } = await import("/chat/render.js");
          const prose = new Prose();
          document.body.append(prose.element);
          const made = () => prose.element.querySelectorAll("strong").length;
          prose.finish(text);
          const atOnce = made();
          while (made() < 2000) await new Promise((go) => setTimeout(go, 20));
          return [atOnce, made()];
        }""",
        "先听，**再想**，然后`回答`。\n\n" * 2000,
    )

    assert at_once < in_the_end == 2000


# A line whose every socket opens and breaks after `holds` ms; the one that answers pings is good.
BREAKING = """async ({ holds, answers }) => {
  const opened = [];
  globalThis.WebSocket = class extends EventTarget {
    static OPEN = 1;
    readyState = 0;
    constructor() {
      super();
      setTimeout(() => {
        opened.push(Date.now());
        this.readyState = 1;
        this.dispatchEvent(new Event("open"));
        setTimeout(() => this.close(), holds);
      });
    }
    send(text) {
      const data = JSON.stringify({ type: "pong", cmd_id: JSON.parse(text).cmd_id });
      if (answers) setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data })));
    }
    close() {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.dispatchEvent(Object.assign(new Event("close"), { code: 1011 }));
    }
  };
  const { Line } = await import("/chat/socket.js");
  globalThis.line = new Line("ws://nowhere/");
  line.start();
  return () => opened;
}"""


def opened_in(bench: Page, seconds: int, **line: object) -> list[float]:
    """When the sockets of a breaking line opened, in seconds, as the page's own clock tells it."""
    bench.clock.install()
    opened = bench.evaluate_handle(BREAKING, line)
    bench.clock.run_for(seconds * 1000)
    times = opened.evaluate("(opened) => opened()")
    return [(time - times[0]) / 1000 for time in times]


def test_a_line_that_opens_and_breaks_at_once_waits_longer_each_time(bench: Page) -> None:
    times = opened_in(bench, 300, holds=5, answers=True)

    waits = [after - before for before, after in pairwise(times)]
    for wait, most in zip(waits, [0.5, 1, 2, 4, 8, 16] + [30] * len(waits), strict=False):
        assert most / 2 <= wait <= most + 0.1
    assert 12 <= len(times) <= 26


def test_a_line_that_held_and_answered_comes_back_at_once(bench: Page) -> None:
    times = opened_in(bench, 60, holds=8_000, answers=True)

    assert all(after - before < 8.7 for before, after in pairwise(times))
    assert len(times) >= 7


def test_a_line_that_held_without_an_answer_is_not_good(bench: Page) -> None:
    times = opened_in(bench, 120, holds=6_000, answers=False)

    assert times[-1] - times[-2] > 6 + 4


def test_a_person_who_tries_now_does_not_wait(bench: Page) -> None:
    bench.clock.install()
    opened = bench.evaluate_handle(BREAKING, {"holds": 5, "answers": False})
    bench.clock.run_for(60_000)
    before = opened.evaluate("(opened) => opened().length")

    bench.evaluate("line.retry()")
    bench.clock.run_for(10)

    assert opened.evaluate("(opened) => opened().length") == before + 1


def test_the_line_above_what_the_model_sees_skips_answers_without_a_word(bench: Page) -> None:
    found = bench.evaluate(
        """async () => {
          document.body.innerHTML = "<div id='toasts'></div>";
          const { firstSeenOn } = await import("/chat/thread.js");
          const say = (text, dropped) => ({ text, generation: dropped === undefined ? null : { dropped } });
          const path = [say("q1"), say("", 0), say("q2"), say("a2", 0), say("q3"), say("a3", 3), say("q4")];
          return [firstSeenOn(path), firstSeenOn(path.slice(0, 4)), firstSeenOn([])];
        }"""
    )

    assert found == [4, -1, -1]


def test_a_thumb_stays_pressed_when_the_conversation_is_read_again_meanwhile(bench: Page) -> None:
    pressed, refused = bench.evaluate(
        """async () => {
          const { Feedback } = await import("/chat/feedback.js");
          const rated = async (isRefused) => {
            const messages = [{ id: "m", text: "x", rating: null }];
            const host = { message: () => messages.at(-1), view: () => null, redraw: () => {} };
            const send = async () => {
              messages.push({ id: "m", text: "x", rating: null });
              if (isRefused) throw new Error("no");
              return { consent: "granted" };
            };
            await new Feedback({ send }, host).rate("m", 1);
            return messages.at(-1).rating;
          };
          document.body.innerHTML = "<div id='toasts'></div>";
          return [await rated(false), await rated(true)];
        }"""
    )

    assert (pressed["value"], pressed["isPending"]) == (1, False)
    assert refused is None
