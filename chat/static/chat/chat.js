// The conversation that is open: what a person does becomes commands on the line, what the server says becomes
// messages on the screen. A question is drawn at once with local ids and takes the server's ids with the ack.
import * as api from "./api.js";
import { Answers, UNFINISHED } from "./answers.js";
import { find } from "./dom.js";
import { fill, gettext } from "./i18n.js";
import { params } from "./settings.js";
import { spoken } from "./status.js";
import { skeleton, Thread, welcome } from "./thread.js";
import { announce, toast } from "./toast.js";
import { Tree } from "./tree.js";
import { count, uuid } from "./text.js";

const REFETCH_TRIES = 5;
const REFETCH_WAIT_MS = 1_000;
const RELOAD_AFTER_MS = 150;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const isLive = (message) => UNFINISHED.has(message.generation?.status);

// `parts` has: line, composer, sidebar, follow, feedback, showPlace(conversation), showMeter(path), leave().
export class Chat {
  #parts;
  #thread;
  #answers;
  #here = { id: null, title: "", tree: new Tree() };
  #places = new Map(); // generation id -> {here, id}: where its answer stands
  #reloading = 0;

  constructor(parts) {
    this.#parts = parts;
    this.#thread = new Thread(find("#thread"), this.#acts());
    this.#answers = new Answers({
      resume: (id, seq) => parts.line.send("resume", { generation: id, after_seq: seq }, { keep: false }),
      refetch: (id) => this.#stored(id),
    });
    this.#answers.addEventListener("change", ({ detail }) => this.#changed(detail));
    this.#answers.addEventListener("done", ({ detail }) => this.#finished(detail));
    parts.line.addEventListener("open", () => this.#answers.resumeAll());
    parts.line.addEventListener("frame", ({ detail }) => this.#answers.take(detail));
  }

  get id() {
    return this.#here.id;
  }

  message(id) {
    return this.#here.tree.get(id);
  }

  view(id) {
    return this.#thread.view(id);
  }

  // --- which conversation ------------------------------------------------------------------------------------

  fresh() {
    this.#enter({ id: null, title: "", tree: new Tree() });
    this.#thread.clear(welcome((text) => this.send(text)));
    this.#parts.composer.focus();
  }

  async open(id) {
    const here = { id, title: this.#parts.sidebar.title(id), tree: new Tree() };
    this.#enter(here);
    this.#thread.clear(skeleton());
    try {
      const stored = await api.conversation(id);
      if (this.#here !== here) return;
      this.#take(here, stored);
      this.#thread.clear();
      this.redraw();
      this.#parts.follow.pin();
      this.#parts.composer.focus();
    } catch (error) {
      if (this.#here === here) this.#missing(error);
    }
  }

  // Read the open conversation again, but stay on the branch that is open.
  reload() {
    clearTimeout(this.#reloading);
    this.#reloading = setTimeout(() => this.#reload(this.#here), RELOAD_AFTER_MS);
  }

  // A message that the server has added beside another one: read it and open its branch.
  async show(id) {
    await this.#reload(this.#here);
    if (this.message(id)) this.#choose(id);
  }

  entitle(id, title) {
    if (this.#here.id !== id) return;
    this.#here.title = title;
    this.#parts.showPlace(this.#here);
  }

  redraw() {
    this.#thread.draw(this.#here.tree);
    this.#parts.follow.stick();
    this.#refreshDock();
  }

  #enter(here) {
    this.#here = here;
    this.#parts.composer.open(here.id);
    this.#parts.sidebar.open(here.id);
    this.#parts.showPlace(here);
    this.#refreshDock();
  }

  #missing(error) {
    if (error instanceof api.SignedOut) throw error;
    const isGone = error.status === 404;
    toast(isGone ? gettext("This conversation does not exist.") : gettext("It could not be loaded. Please try again."), { bad: true });
    this.#parts.leave();
  }

  #take(here, stored) {
    const tree = new Tree(stored.messages, stored.leaf);
    tree.chooseAs(here.tree);
    here.tree = tree;
    here.title = stored.title;
    for (const message of tree) if (isLive(message)) this.#listen(here, message);
    this.#parts.showPlace(here);
  }

  async #reload(here) {
    if (!here.id || [...here.tree].some((message) => message.isPending)) return;
    try {
      const stored = await api.conversation(here.id);
      if ([...here.tree].some((message) => message.isPending)) return;
      this.#take(here, stored);
      if (this.#here === here) this.redraw();
    } catch {
      // the next change or the next visit reads it again
    }
  }

  // --- what a person does ------------------------------------------------------------------------------------

  async send(text) {
    const here = this.#here;
    const { composer } = this.#parts;
    const parent = here.tree.path().at(-1)?.id ?? null;
    const question = { id: uuid(), parent, role: "user", author: "user", text, isPending: true };
    here.tree.add(question);
    const answer = this.#expect(here, question.id);
    this.redraw();
    this.#parts.follow.pin();
    composer.hold(text);
    try {
      const fields = { conversation: here.id, parent, text, params: params(), generation: answer.generation.id };
      this.#adopt(here, question, answer, await this.#parts.line.send("send", fields));
      composer.release(text);
    } catch (refusal) {
      this.#withdraw(here, [answer, question]);
      if (this.#here === here) composer.giveBack(text, refusal.message);
    }
  }

  stop() {
    const { tree } = this.#here;
    const message = tree.path().findLast(isLive) ?? [...tree].find(isLive);
    if (!message) return;
    const { id } = message.generation;
    // On another branch it is not drawn: then what came counts as seen.
    const seen = this.#thread.view(message.id)?.seen ?? this.#answers.get(id)?.seq ?? count(message.text);
    this.#answers.stop(id, seen);
    this.#parts.line.send("stop", { generation: id, seen_chars: seen }).catch(() => this.#answers.thaw(id));
  }

  #acts() {
    return {
      choose: (id) => this.#choose(id),
      regenerate: (id) => this.#another("regenerate", id),
      goOn: (id) => this.#another("continue", id),
      edit: (id, text) => this.#edit(id, text),
      rate: (id, value) => this.#parts.feedback.rate(id, value),
      rewrite: (id) => this.#parts.feedback.rewrite(id),
      flag: (id) => this.#parts.feedback.flag(id),
      painted: () => this.#parts.follow.stick(),
      redraw: () => this.redraw(),
    };
  }

  // Another answer beside `id`, from the start or from where that one ended.
  async #another(type, id) {
    const here = this.#here;
    const { parent, text } = here.tree.get(id);
    const answer = this.#expect(here, parent, { text: type === "continue" ? text : "" });
    this.redraw();
    this.#parts.follow.pin();
    try {
      const fields = { message: id, params: params(), generation: answer.generation.id };
      this.#adopt(here, null, answer, await this.#parts.line.send(type, fields));
    } catch (refusal) {
      this.#withdraw(here, [answer]);
      toast(refusal.message, { bad: true });
    }
  }

  // The editor stays open until the server has the new text. Returns whether it has.
  async #edit(id, text) {
    const here = this.#here;
    const generation = uuid();
    this.#answers.follow(generation);
    try {
      const ack = await this.#parts.line.send("edit", { message: id, text, params: params(), generation });
      here.tree.add({ id: ack.message, parent: here.tree.get(id).parent, role: "user", author: "user", text });
      this.#adopt(here, null, this.#expect(here, ack.message, { generation }), ack);
      if (this.#here === here) this.#parts.follow.pin();
      return true;
    } catch (refusal) {
      this.#answers.forget(generation);
      toast(refusal.message, { bad: true });
      return false;
    }
  }

  #choose(id) {
    const { tree } = this.#here;
    const shown = tree.path().find((message) => tree.siblings(message.id).includes(id));
    this.#parts.follow.hold(this.#thread.view(shown.id).element, () => {
      tree.choose(id);
      this.redraw();
      this.#thread.view(id).element.focus({ preventScroll: true });
      return this.#thread.view(id).element;
    });
    api.openBranch(this.#here.id, tree.path().at(-1).id).catch(() => {}); // only what opens first next time
  }

  // An answer below `parent`, for frames to fill; a continued one begins with the text it goes on from.
  #expect(here, parent, { generation = uuid(), text = "" } = {}) {
    const answer = {
      id: uuid(),
      parent,
      role: "assistant",
      author: "model",
      text,
      isPending: true,
      generation: { id: generation, status: "queued", ahead: null },
      rating: null,
    };
    here.tree.add(answer);
    this.#places.set(generation, { here, id: answer.id });
    this.#answers.follow(generation, { text });
    return answer;
  }

  // The server has stored it: its ids replace the local ones.
  #adopt(here, question, answer, ack) {
    if (question) {
      this.#rename(here, question, ack.message);
      question.isPending = false;
    }
    this.#rename(here, answer, ack.answer);
    answer.isPending = false;
    const place = this.#places.get(answer.generation.id);
    if (place) place.id = answer.id;
    this.#named(here, ack.conversation);
    if (this.#here === here) this.redraw();
  }

  #rename(here, message, id) {
    if (!id) return;
    this.#thread.rename(message.id, id);
    here.tree.rename(message.id, id);
  }

  #named(here, id) {
    const { sidebar, composer } = this.#parts;
    const isNew = !here.id && id;
    if (isNew) here.id = id;
    if (isNew) here.title ||= here.tree.path()[0].text.slice(0, 40);
    sidebar.touch(here.id, here.title);
    if (here.tree.path().some(isLive)) sidebar.answering(here.id, true);
    if (!isNew || this.#here !== here) return;
    composer.rename(id);
    sidebar.open(id);
    this.#parts.showPlace(here);
  }

  #withdraw(here, messages) {
    for (const { id, generation } of messages) {
      here.tree.remove(id);
      if (generation) this.#answers.forget(generation.id);
      if (generation) this.#places.delete(generation.id);
    }
    if (this.#here !== here) return;
    if (here.tree.path().length) this.redraw();
    else this.#thread.clear(welcome((text) => this.send(text)));
    this.#refreshDock();
  }

  // --- what the server says ----------------------------------------------------------------------------------

  // An answer that was already being written when the page opened.
  #listen(here, message) {
    const { id, status } = message.generation;
    const isKnown = Boolean(this.#answers.get(id));
    const answer = this.#answers.follow(id, { text: message.text, status });
    this.#places.set(id, { here, id: message.id });
    if (isKnown) this.#copy(answer, message);
    else if (this.#parts.line.isOpen) this.#answers.ask(answer);
  }

  #copy(answer, message) {
    const { status, ahead, error, model, dropped, promptTokens, limit } = answer;
    const facts = { status, ahead, error, model, dropped, prompt_tokens: promptTokens, limit };
    for (const [name, value] of Object.entries(facts)) if (value !== undefined) message.generation[name] = value;
    message.text = answer.text;
  }

  #changed(answer) {
    const place = this.#places.get(answer.id);
    const message = place?.here.tree.get(place.id);
    if (!message) return;
    const before = message.generation.status;
    const isOnlyText = before === answer.status && answer.status === "running" && Boolean(message.text);
    this.#copy(answer, message);
    if (place.here !== this.#here) return;
    if (isOnlyText) this.#thread.view(place.id)?.grow(message);
    else this.redraw();
    if (before !== answer.status && answer.status === "running") announce(spoken("running"));
  }

  #finished(answer) {
    const place = this.#places.get(answer.id);
    this.#places.delete(answer.id);
    if (!place) return;
    const { here } = place;
    this.#parts.sidebar.answering(here.id, [...here.tree].some(isLive));
    if (here === this.#here) announce(spoken(answer.status));
    else toast(fill(gettext("“%(title)s” has its answer"), { title: here.title || gettext("New chat") }));
  }

  // The stored answer, when the pieces here do not add up.
  async #stored(generation) {
    const place = this.#places.get(generation);
    for (let tries = 0; place?.here.id && tries < REFETCH_TRIES; tries += 1) {
      try {
        const { messages } = await api.conversation(place.here.id);
        const message = messages.find((one) => one.generation?.id === generation);
        if (message) return { text: message.text, status: message.generation.status, error: message.generation.error };
      } catch {
        // asked again below
      }
      await pause(REFETCH_WAIT_MS);
    }
    return { text: this.#answers.get(generation)?.text ?? "", status: "interrupted", error: "" };
  }

  #refreshDock() {
    const path = this.#here.tree.path();
    this.#parts.composer.busy([...this.#here.tree].some(isLive));
    this.#parts.showMeter(path);
  }
}
