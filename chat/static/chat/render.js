// One answer on the screen. While it grows, blocks that are complete stay untouched and only the last two are made
// again, at most 30 times a second. Only a text whose blocks depend on each other is rendered again as a whole.
import { blocks, highlight, toDom } from "./markdown.js";
import { el } from "./dom.js";
import { count } from "./text.js";

const PAINT_EVERY_MS = 33;
const REST = 2; // times the cost of a paint: a slow machine paints less often and still answers clicks
const UNSETTLED_BLOCKS = 2; // a list or a table may still go on, and the blank after it
const LINK_TARGET = /^ {0,3}\[[^\]]+\]:/m; // a definition at the end changes links above it

export class Prose {
  #onPaint;
  #wanted = "";
  #painted = "";
  #settled = ""; // the part of #painted whose DOM is final for now
  #settledNodes = 0;
  #frame = 0;
  #nextPaint = 0;

  constructor(onPaint = () => {}) {
    this.#onPaint = onPaint;
    this.element = el("div", { class: "prose" });
  }

  // How many code points the reader has really seen.
  get seen() {
    return count(this.#painted);
  }

  grow(text) {
    this.element.classList.add("growing");
    this.#wanted = text;
    if (!this.#frame) this.#frame = requestAnimationFrame((now) => this.#tick(now));
  }

  finish(text) {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (text === this.#painted && !this.element.classList.contains("growing")) return;
    this.element.classList.remove("growing");
    if (LINK_TARGET.test(text)) this.#settle("");
    this.#wanted = text;
    this.#paint(text);
    highlight(this.element);
    this.#onPaint();
  }

  #tick(now) {
    if (now < this.#nextPaint) {
      this.#frame = requestAnimationFrame((later) => this.#tick(later));
      return;
    }
    this.#frame = 0;
    const start = performance.now();
    this.#paint(this.#wanted);
    this.#onPaint();
    const end = performance.now();
    this.#nextPaint = Math.max(now + PAINT_EVERY_MS, end + REST * (end - start));
  }

  #paint(text) {
    if (!text.startsWith(this.#settled)) this.#settle("");
    const tokens = blocks(text.slice(this.#settled.length));
    this.#trim();
    const done = tokens.splice(0, Math.max(0, tokens.length - UNSETTLED_BLOCKS));
    const raw = done.map((token) => token.raw).join("");
    this.element.append(toDom(done));
    // marked may rewrite line ends; then the raw text does not join and the blocks are made again next time.
    if (raw && text.startsWith(raw, this.#settled.length)) this.#settle(this.#settled + raw);
    this.element.append(toDom(tokens));
    this.#painted = text;
  }

  // The nodes so far stand for `text` and are not touched again; "" starts over.
  #settle(text) {
    this.#settled = text;
    this.#settledNodes = text ? this.element.childNodes.length : 0;
  }

  #trim() {
    while (this.element.childNodes.length > this.#settledNodes) this.element.lastChild.remove();
  }
}
