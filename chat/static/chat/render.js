// One answer on the screen. While it grows, blocks that are complete are not even read again, and of the last ones only
// what differs is made again, at most 30 times a second. A long text is made over several frames, so that the page
// answers the person meanwhile; what stands there stays until its replacement is ready.
import { blocks, highlight } from "./markdown.js";
import { el } from "./dom.js";
import { patch, piecesOf } from "./pieces.js";
import { count } from "./text.js";

const PAINT_EVERY_MS = 33;
const REST = 2; // times the cost of a paint: a slow machine paints less often and still answers clicks
const TURN_MS = 8; // for making nodes; their layout takes about as long again
const UNSETTLED_BLOCKS = 2; // a list or a table may still go on, and the blank after it
const LINK_TARGET = /^ {0,3}\[[^\]]+\]:/m; // a definition at the end changes links above it

// `text`: what was read for it. Its first `settling` pieces stand for the text `raw` and settle once they are made.
const NOTHING = { text: null, raw: "", pieces: [], settling: 0 };

// All answers of the page share what one turn of the event loop may spend.
let turnEnds = 0;
function timeLeft() {
  if (!turnEnds) {
    turnEnds = performance.now() + TURN_MS;
    setTimeout(() => (turnEnds = 0));
  }
  return turnEnds - performance.now();
}

export class Prose {
  #onPaint;
  #wanted = "";
  #painted = "";
  #plan = NOTHING;
  #isMade = true; // the plan, all of it
  #settled = ""; // the part of the text whose nodes are final for now,
  #settledParts = 0; // so many of #made
  #made = [];
  #frame = 0;
  #nextPaint = 0;
  #isOver = false;

  constructor(onPaint = () => {}) {
    this.#onPaint = onPaint;
    this.element = el("div", { class: "prose" });
  }

  // How many code points the reader has seen; what is being made counts, it stands there within moments.
  get seen() {
    return count(this.#painted);
  }

  grow(text) {
    this.element.classList.add("growing");
    this.#isOver = false;
    this.#wanted = text;
    this.#ask();
  }

  finish(text) {
    if (text === this.#wanted && this.#isOver) return;
    this.element.classList.remove("growing");
    this.#isOver = true;
    this.#wanted = text;
    if (LINK_TARGET.test(text)) this.#startOver();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#paint();
  }

  #ask() {
    this.#frame ||= requestAnimationFrame((now) => this.#tick(now));
  }

  #tick(now) {
    this.#frame = 0;
    if (now < this.#nextPaint && !this.#isOver) this.#ask();
    else this.#paint();
  }

  #paint() {
    const start = performance.now();
    const left = timeLeft();
    const isWhole = left > 0 && this.#make(left);
    if (left > 0) this.#onPaint();
    if (!isWhole) this.#ask();
    else if (this.#isOver) highlight(this.element);
    const end = performance.now();
    this.#nextPaint = isWhole ? Math.max(start + PAINT_EVERY_MS, end + REST * (end - start)) : 0;
  }

  // Returns whether all of the wanted text stands there.
  #make(milliseconds) {
    const start = performance.now();
    // What was read is made first, even if there is more by now: else a fast answer would only ever be read.
    if (this.#isMade || !this.#wanted.startsWith(this.#plan.text)) {
      if (this.#plan.text === this.#wanted) return true;
      this.#read();
      if (performance.now() - start > milliseconds) return false;
    }
    this.#painted = this.#plan.text;
    this.#isMade = patch(this.element, this.#made, this.#plan.pieces, start + milliseconds, this.#settledParts);
    if (!this.#isMade) return false;
    this.#settled += this.#plan.raw;
    this.#settledParts += this.#plan.settling;
    return this.#painted === this.#wanted;
  }

  #read() {
    const text = this.#wanted;
    if (!text.startsWith(this.#settled)) this.#startOver();
    const tokens = blocks(text.slice(this.#settled.length));
    const done = tokens.splice(0, Math.max(0, tokens.length - UNSETTLED_BLOCKS));
    const raw = done.map((token) => token.raw).join("");
    const pieces = piecesOf(done);
    // marked may rewrite line ends; then the raw text does not join and the blocks are read again next time.
    const isJoined = text.startsWith(raw, this.#settled.length);
    const settling = isJoined ? { raw, settling: pieces.length } : { raw: "", settling: 0 };
    this.#plan = { text, pieces: [...pieces, ...piecesOf(tokens)], ...settling };
    this.#isMade = false;
  }

  // Look at everything again; what stands on the page stays until it turns out to differ.
  #startOver() {
    this.#settled = "";
    this.#settledParts = 0;
    this.#plan = NOTHING;
    this.#isMade = true;
  }
}
