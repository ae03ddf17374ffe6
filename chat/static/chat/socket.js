// The line to the server: frames out with an answer each, frames in as events. It comes back by itself, and what was
// not answered is sent again under the same cmd_id, so nothing is lost or done twice. Each break in a row waits twice
// as long as the one before; only a line that has held for a while and then answers ends the row.
//
// Events: "frame" (detail: the frame), "open", "state" (detail: "open" | "waiting" | "ended"), "refused" when
// the server closes for want of a session, or handshakes fail in a row.
import { uuid } from "./text.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const GOOD_AFTER_MS = 5_000; // a line that opens and breaks at once is no better than none
const PING_EVERY_MS = 25_000;
const PONG_WITHIN_MS = 8_000;
const SIGNED_OUT = 4401; // the server's close code

export class Refused extends Error {
  constructor(code, text) {
    super(text);
    this.code = code;
  }
}

export class Line extends EventTarget {
  #address;
  #socket = null;
  #waiting = new Map(); // cmd_id -> {frame, resolve, reject, keep}
  #failures = 0;
  #retry = 0;
  #proof = 0;
  #ping = 0;
  #ended = false;

  constructor(address) {
    super();
    this.#address = address;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  // Breaks in a row.
  get failures() {
    return this.#failures;
  }

  start() {
    window.addEventListener("online", () => this.#now());
    window.addEventListener("pagehide", () => this.#socket?.close());
    window.addEventListener("pageshow", (event) => event.persisted && this.#now());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#now());
    this.#ping = setInterval(() => this.#check(), PING_EVERY_MS);
    this.#connect();
  }

  // The person does not want to wait.
  retry() {
    this.#now();
  }

  // Resolves with the ack, rejects with Refused. A frame with keep: false is dropped when the line breaks.
  send(type, fields = {}, { keep = true } = {}) {
    const frame = { type, cmd_id: uuid(), ...fields };
    return new Promise((resolve, reject) => {
      if (this.#ended || (!keep && !this.isOpen)) return reject(new Refused("offline", ""));
      this.#waiting.set(frame.cmd_id, { frame, resolve, reject, keep });
      if (this.isOpen) this.#write(frame);
      return undefined;
    });
  }

  end() {
    this.#ended = true;
    clearInterval(this.#ping);
    clearTimeout(this.#retry);
    clearTimeout(this.#proof);
    for (const { reject } of this.#waiting.values()) reject(new Refused("ended", ""));
    this.#waiting.clear();
    this.#socket?.close();
    this.#tell("state", "ended");
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #write(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #connect() {
    clearTimeout(this.#retry);
    if (this.#ended || (this.#socket && this.#socket.readyState <= WebSocket.OPEN)) return;
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (event) => this.#take(JSON.parse(event.data)));
    socket.addEventListener("close", ({ code }) => {
      if (code === SIGNED_OUT) this.#tell("refused");
      if (socket === this.#socket) this.#closed();
    });
  }

  #opened() {
    this.#proof = setTimeout(() => this.#prove(), GOOD_AFTER_MS);
    this.#tell("state", "open");
    this.#tell("open");
    for (const { frame } of this.#waiting.values()) this.#write(frame);
  }

  async #prove() {
    if (await this.#check()) this.#failures = 0;
  }

  #closed() {
    this.#socket = null;
    clearTimeout(this.#proof);
    for (const [id, waiting] of this.#waiting) {
      if (waiting.keep) continue;
      this.#waiting.delete(id);
      waiting.reject(new Refused("offline", ""));
    }
    if (this.#ended) return;
    this.#failures += 1;
    this.#tell("state", "waiting");
    if (this.#failures % 3 === 0) this.#tell("refused");
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.#failures - 1));
    this.#retry = setTimeout(() => this.#connect(), wait * (0.5 + Math.random() / 2));
  }

  // Back from sleep or another network: a line that looks open may be dead, so it is asked.
  #now() {
    if (this.isOpen) this.#check();
    else this.#connect();
  }

  // Resolves with whether the line answers.
  async #check() {
    if (!this.isOpen) return false;
    const socket = this.#socket;
    const tooLong = setTimeout(() => this.#drop(socket), PONG_WITHIN_MS);
    try {
      await this.send("ping", {}, { keep: false });
      return true;
    } catch {
      return false;
    } finally {
      clearTimeout(tooLong);
    }
  }

  // A dead line's own close event may come only minutes later, so it is not waited for.
  #drop(socket) {
    if (socket !== this.#socket) return;
    this.#closed();
    socket.close();
  }

  #take(frame) {
    const waiting = this.#waiting.get(frame.cmd_id);
    if (waiting) {
      this.#waiting.delete(frame.cmd_id);
      if (frame.type === "nack") waiting.reject(new Refused(frame.code, frame.text));
      else waiting.resolve(frame);
    }
    this.#tell("frame", frame);
  }
}
