// A person's message, and its editor. `act` has: choose(id), edit(id, text).
import { button, el, iconButton } from "./dom.js";
import { gettext } from "./i18n.js";
import { copyText } from "./markdown.js";
import { pager } from "./pager.js";
import { count } from "./text.js";
import { toast } from "./toast.js";

export class Question {
  #act;
  #message;
  #siblings = [];

  constructor(act) {
    this.#act = act;
    this.element = el("article", { class: "message question", tabindex: "-1", "aria-label": gettext("You") });
  }

  update(message, siblings) {
    this.#message = message;
    this.#siblings = siblings;
    if (!this.element.querySelector(".edit-box")) this.#show();
  }

  #show() {
    this.element.classList.toggle("pending", Boolean(this.#message.isPending));
    this.element.replaceChildren(el("div", { class: "bubble" }, this.#message.text), this.#tools());
  }

  #tools() {
    const { id, text, isPending } = this.#message;
    if (isPending) return el("div", { class: "tools kept" }, gettext("Sending…"));
    const many = pager(this.#siblings, id, this.#act.choose);
    const copy = async () => {
      await copyText(text);
      toast(gettext("Copied"));
    };
    return el(
      "div",
      { class: many ? "tools kept" : "tools" },
      many,
      iconButton("copy", gettext("Copy"), copy),
      iconButton("edit", gettext("Edit and ask again"), () => this.#edit()),
    );
  }

  #edit() {
    const box = el("textarea", { "aria-label": gettext("Edit your message"), rows: "3" });
    box.value = this.#message.text;
    const cancel = button(gettext("Cancel"), "quiet small", () => this.#close());
    const send = button(gettext("Ask again"), "primary small", () => this.#send(box.value));
    const editor = el("div", { class: "edit-box" }, box, el("div", { class: "actions" }, cancel, send));
    editor.addEventListener("keydown", (event) => this.#keys(event, box));
    this.element.replaceChildren(editor);
    box.focus();
  }

  #keys(event, box) {
    if (event.key === "Escape" && !event.isComposing) {
      event.stopPropagation();
      this.#close();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      this.#send(box.value);
    }
  }

  #close() {
    this.#show();
    this.element.focus();
  }

  async #send(text) {
    if (!count(text.trim()) || text.trim() === this.#message.text) {
      this.#close();
      return;
    }
    if (await this.#act.edit(this.#message.id, text.trim())) this.#show();
  }
}
