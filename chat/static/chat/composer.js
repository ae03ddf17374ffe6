// The message box: Enter sends but never during composition, drafts survive a reload, too long a text stays and is
// refused. `act` has: send(text) and stop().
import { find } from "./dom.js";
import { fill, gettext, number } from "./i18n.js";
import { recall, remember } from "./state.js";
import { count } from "./text.js";

const MAX_CHARS = 8_000;
const COUNT_FROM = 7_000;
const NEW = "new";

const hasFingers = () => matchMedia("(pointer: coarse)").matches && !matchMedia("(any-pointer: fine)").matches;

export class Composer {
  #form = find("#composer");
  #box = find("#question");
  #send = find("#send");
  #stop = find("#stop");
  #counter = find("#counter");
  #problem = find("#composer-problem");
  #conversation = NEW;
  #isComposing = false;
  #isBusy = false;
  #act;

  constructor(act) {
    this.#act = act;
    this.#box.addEventListener("input", () => this.#changed());
    this.#box.addEventListener("compositionstart", () => (this.#isComposing = true));
    this.#box.addEventListener("compositionend", () => (this.#isComposing = false));
    this.#box.addEventListener("keydown", (event) => this.#key(event));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#stop.addEventListener("click", () => act.stop());
  }

  // Another conversation is open: its draft comes with it.
  open(conversation) {
    this.#conversation = conversation ?? NEW;
    this.text = recall(this.#draft, "");
    this.problem("");
  }

  // The new conversation has got its id, and its draft moves there.
  rename(conversation) {
    const draft = recall(this.#draft, "");
    remember(this.#draft, null);
    this.#conversation = conversation;
    remember(this.#draft, draft);
  }

  get text() {
    return this.#box.value;
  }

  set text(value) {
    this.#box.value = value;
    this.#changed();
  }

  // Sent, but not yet stored by the server: a reload now must not lose it.
  hold(text) {
    remember(this.#draft, text);
  }

  release(text) {
    if (recall(this.#draft) === text && this.text !== text) remember(this.#draft, null);
  }

  // Refused: the words go back where they came from.
  giveBack(text, problem) {
    if (!this.text) this.text = text;
    this.problem(problem);
    this.focus();
  }

  focus() {
    if (!hasFingers()) this.#box.focus();
  }

  problem(text) {
    this.#problem.textContent = text;
  }

  // While an answer is written, Stop stands where Send was.
  busy(isBusy) {
    if (isBusy === this.#isBusy) return;
    this.#isBusy = isBusy;
    const hadFocus = document.activeElement === this.#stop || document.activeElement === this.#send;
    this.#send.hidden = isBusy;
    this.#stop.hidden = !isBusy;
    if (hadFocus) this.#box.focus();
  }

  get #draft() {
    return `draft.${this.#conversation}`;
  }

  #changed() {
    const length = count(this.#box.value);
    remember(this.#draft, this.#box.value);
    this.#send.disabled = !this.#box.value.trim();
    this.#counter.hidden = length < COUNT_FROM;
    this.#counter.textContent = `${number(length)} / ${number(MAX_CHARS)}`;
    this.#counter.classList.toggle("over", length > MAX_CHARS);
    if (length <= MAX_CHARS) this.problem("");
    this.#fit();
  }

  #fit() {
    this.#box.style.height = "auto";
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }

  // WebKit ends the composition before its Enter arrives; that Enter has key code 229.
  #key(event) {
    if (event.key !== "Enter" || event.isComposing || this.#isComposing || event.keyCode === 229) return;
    const always = event.ctrlKey || event.metaKey;
    if (!always && (event.shiftKey || event.altKey || hasFingers())) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.#box.value.trim();
    if (!text || this.#isBusy) return;
    const length = count(text);
    if (length > MAX_CHARS) {
      const numbers = { n: number(length), limit: number(MAX_CHARS) };
      this.problem(fill(gettext("This is too long: %(n)s characters, and %(limit)s fit. Please shorten it."), numbers));
      return;
    }
    this.text = "";
    this.#act.send(text);
  }
}
