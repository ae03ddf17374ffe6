"""The page's own modules in a real browser, without a server behind them: joining, trees, and hostile text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
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
          const { blocks, toDom, highlight } = await import("/chat/markdown.js");
          const box = document.createElement("div");
          document.body.append(box);
          box.append(toDom(blocks(text)));
          await highlight(box);
          await new Promise((go) => setTimeout(go, 100));
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
