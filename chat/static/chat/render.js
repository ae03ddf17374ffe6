// One answer on the screen. While it grows, blocks that are complete stay untouched and only the last two are made
// again, at most 30 times a second; the finished text is rendered once as a whole.
import { blocks, highlight, toDom } from "./markdown.js";
import { el } from "./dom.js";
import { count } from "./text.js";

const PAINT_EVERY_MS = 33;
const UNSETTLED_BLOCKS = 2; // a list or a table may still go on, and the blank after it

export class Prose {
  #onPaint;
  #wanted = "";
  #painted = "";
  #settled = ""; // the part of #painted whose DOM is final for now
  #settledNodes = 0;
  #frame = 0;
  #paintedAt = 0;

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
    this.#painted = this.#wanted = text;
    this.#settled = "";
    this.#settledNodes = 0;
    this.element.replaceChildren(toDom(blocks(text)));
    highlight(this.element);
    this.#onPaint();
  }

  #tick(now) {
    if (now - this.#paintedAt < PAINT_EVERY_MS) {
      this.#frame = requestAnimationFrame((later) => this.#tick(later));
      return;
    }
    this.#frame = 0;
    this.#paintedAt = now;
    this.#paint(this.#wanted);
    this.#onPaint();
  }

  #paint(text) {
    if (!text.startsWith(this.#settled)) {
      this.#settled = "";
      this.#settledNodes = 0;
    }
    const tokens = blocks(text.slice(this.#settled.length));
    this.#trim();
    const done = tokens.splice(0, Math.max(0, tokens.length - UNSETTLED_BLOCKS));
    const raw = done.map((token) => token.raw).join("");
    this.element.append(toDom(done));
    // marked may rewrite line ends; then the raw text does not join and the blocks are made again next time.
    if (raw && text.startsWith(raw, this.#settled.length)) {
      this.#settled += raw;
      this.#settledNodes = this.element.childNodes.length;
    }
    this.element.append(toDom(tokens));
    this.#painted = text;
  }

  #trim() {
    while (this.element.childNodes.length > this.#settledNodes) this.element.lastChild.remove();
  }
}
