// The open branch on the screen, one view a message. Only the newest messages are drawn until more are wanted.
import { Answer } from "./answer.js";
import { button, el, find } from "./dom.js";
import { gettext } from "./i18n.js";
import { Question } from "./question.js";

const FIRST_SHOWN = 50;

// Where the newest answer on the branch began to see, or -1. Empty messages are no turns, so they do not count.
export function firstSeenOn(path) {
  const { dropped = 0 } = path.findLast((message) => message.generation)?.generation ?? {};
  let unseen = dropped;
  return dropped ? path.findIndex((message) => message.text.trim() && unseen-- === 0) : -1;
}

export class Thread {
  #root;
  #act;
  #views = new Map(); // message id -> Question | Answer
  #shown = FIRST_SHOWN;
  #unseen = el("p", { class: "unseen" }, gettext("The model no longer sees the messages above"));
  #earlier;

  constructor(root, act) {
    this.#root = root;
    this.#act = act;
    this.#earlier = button(gettext("Show earlier messages"), "quiet small earlier", () => {
      this.#shown += FIRST_SHOWN;
      act.redraw();
    });
  }

  view(id) {
    return this.#views.get(id);
  }

  rename(old, id) {
    if (old === id || !this.#views.has(old)) return;
    this.#views.set(id, this.#views.get(old));
    this.#views.delete(old);
  }

  // Another conversation: nothing of the old one stays. `placeholder` is what stands there meanwhile.
  clear(...placeholder) {
    this.#views.clear();
    this.#shown = FIRST_SHOWN;
    this.#root.replaceChildren(...placeholder);
  }

  draw(tree) {
    const path = tree.path();
    const first = Math.max(0, path.length - this.#shown);
    const seenFrom = firstSeenOn(path);
    const wanted = first > 0 ? [this.#earlier] : [];
    path.slice(first).forEach((message, index) => {
      if (first + index === seenFrom) wanted.push(this.#unseen);
      wanted.push(this.#draw(message, tree));
    });
    this.#place(wanted);
    this.#forget(new Set(path.slice(first).map((message) => message.id)));
  }

  #draw(message, tree) {
    if (!this.#views.has(message.id)) {
      this.#views.set(message.id, message.role === "user" ? new Question(this.#act) : new Answer(this.#act));
    }
    const view = this.#views.get(message.id);
    view.update(message, tree.siblings(message.id));
    view.element.dataset.message = message.id;
    return view.element;
  }

  // Moves nothing that is already in its place: a moved element loses its focus and its selection.
  #place(wanted) {
    const keep = new Set(wanted);
    for (const child of [...this.#root.children]) if (!keep.has(child)) child.remove();
    wanted.forEach((element, index) => {
      const there = this.#root.children[index];
      if (there !== element) this.#root.insertBefore(element, there ?? null);
    });
  }

  #forget(ids) {
    for (const id of this.#views.keys()) if (!ids.has(id)) this.#views.delete(id);
  }
}

export function skeleton() {
  return el("div", { class: "skeleton", "aria-hidden": "true" }, el("span"), el("span"), el("span"));
}

const EXAMPLES = () => [
  ["spark", gettext("What can you do?")],
  ["thumb-down", gettext("What happens when I press thumbs down?")],
  ["refresh", gettext("How do I make you better?")],
  ["sun", gettext("I am a bit tired today, cheer me up")],
];

// The first sight of an empty conversation; `choose(text)` asks one of the examples.
export function welcome(choose) {
  const mark = find(".sidebar .brand-mark").cloneNode(true);
  const examples = EXAMPLES().map(([name, text]) => {
    const made = button(text, "", () => choose(text), name);
    made.className = "";
    return made;
  });
  return el(
    "section",
    { class: "welcome" },
    mark,
    el("h2", {}, gettext("What would you like to talk about?")),
    el("p", {}, gettext("Ask in Chinese or English. Rate what comes back: that is how this model learns.")),
    el("div", { class: "examples" }, ...examples),
  );
}
