// The answers that are being written: one text buffer a generation, joined from deltas that must fit, checked at the
// end. Knows frames and texts; nothing of messages, conversations or the screen.
//
// Events: "change" and "done", detail: the answer. `resume(id, seq)` asks the server again, `refetch(id)` reads the
// stored answer {text, status, error}.
import { count, hash, head, tail } from "./text.js";

export const UNFINISHED = new Set(["queued", "running"]);

const ASK_AGAIN_MS = 1_000;

export class Answers extends EventTarget {
  #live = new Map();
  #resume;
  #refetch;

  constructor({ resume, refetch }) {
    super();
    this.#resume = resume;
    this.#refetch = refetch;
  }

  get(id) {
    return this.#live.get(id);
  }

  // Begin to listen; the same id twice is the same answer.
  follow(id, { text = "", status = "queued" } = {}) {
    if (!this.#live.has(id)) {
      this.#live.set(id, { id, text, seq: count(text), status, ahead: null, isFrozen: false, isAsking: false });
    }
    return this.#live.get(id);
  }

  forget(id) {
    this.#live.delete(id);
  }

  take(frame) {
    const answer = this.#live.get(frame.generation);
    if (!answer) return;
    if (frame.type === "queued") this.#queued(answer, frame);
    else if (frame.type === "started") this.#started(answer, frame);
    else if (frame.type === "snapshot") this.#snapshot(answer, frame);
    else if (frame.type === "delta") this.#delta(answer, frame);
    else if (frame.type === "done") this.#done(answer, frame);
  }

  // After a broken line: ask for what was missed.
  resumeAll() {
    for (const answer of this.#live.values()) this.ask(answer);
  }

  async ask(answer) {
    if (answer.isAsking) return;
    answer.isAsking = true;
    try {
      await this.#resume(answer.id, answer.seq);
    } catch (error) {
      if (error.code !== "offline" && error.code !== "ended") await this.#readStored(answer);
    } finally {
      answer.isAsking = false;
    }
  }

  // The person pressed Stop: the text stays at what was on the screen, whatever still arrives.
  stop(id, seen) {
    const answer = this.#live.get(id);
    if (!answer) return;
    answer.text = head(answer.text, seen);
    answer.seq = count(answer.text);
    answer.isFrozen = true;
    answer.status = "stopped";
    this.#tell("change", answer);
  }

  // The stop came too late or was refused: go on with what the server says.
  thaw(id) {
    const answer = this.#live.get(id);
    if (!answer) return;
    answer.isFrozen = false;
    this.ask(answer);
  }

  // The server would not resume it, most often because it is over.
  async #readStored(answer) {
    const stored = await this.#refetch(answer.id);
    if (UNFINISHED.has(stored.status)) setTimeout(() => this.#live.has(answer.id) && this.ask(answer), ASK_AGAIN_MS);
    else await this.#end(answer, stored);
  }

  #tell(name, answer) {
    this.dispatchEvent(new CustomEvent(name, { detail: answer }));
  }

  #queued(answer, frame) {
    if (answer.isFrozen) return;
    answer.status = "queued";
    answer.ahead = frame.ahead;
    this.#tell("change", answer);
  }

  #started(answer, frame) {
    Object.assign(answer, {
      model: frame.model,
      promptTokens: frame.prompt_tokens,
      limit: frame.limit,
      dropped: frame.dropped,
    });
    if (!answer.isFrozen) answer.status = "running";
    this.#tell("change", answer);
  }

  #snapshot(answer, frame) {
    if (answer.isFrozen) return;
    Object.assign(answer, { text: frame.text, seq: frame.seq, status: frame.seq ? "running" : answer.status });
    this.#tell("change", answer);
  }

  #delta(answer, frame) {
    if (answer.isFrozen || frame.seq <= answer.seq) return;
    if (frame.from > answer.seq) {
      this.ask(answer);
      return;
    }
    answer.text += tail(frame.text, answer.seq - frame.from);
    answer.seq = frame.seq;
    answer.status = "running";
    this.#tell("change", answer);
  }

  async #done(answer, frame) {
    // Stopped in another tab: what was seen there is shorter than what is here.
    const text = frame.chars < answer.seq ? head(answer.text, frame.chars) : answer.text;
    const digest = await hash(text);
    const isWhole = count(text) === frame.chars && (digest === null || digest === frame.hash);
    const stored = isWhole ? { text } : await this.#refetch(answer.id);
    await this.#end(answer, { ...stored, status: frame.status, error: frame.error ?? "" });
  }

  async #end(answer, { text, status, error }) {
    if (!this.#live.delete(answer.id)) return;
    Object.assign(answer, { text, seq: count(text), status, error });
    this.#tell("change", answer);
    this.#tell("done", answer);
  }
}
