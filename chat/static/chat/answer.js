// A model's answer with its state and tools, or the answer a person wrote in its place.
// `act` has: choose, regenerate, goOn, rate, flag (each with an id), painted(), reasons, feedback(message).
import { button, el, icon, iconButton } from "./dom.js";
import { UNFINISHED } from "./answers.js";
import { fill, gettext } from "./i18n.js";
import { copyText } from "./markdown.js";
import { openMenu } from "./menu.js";
import { pager } from "./pager.js";
import { Prose } from "./render.js";
import { site } from "./state.js";
import { describe, statusLine } from "./status.js";
import { toast } from "./toast.js";

const CAN_GO_ON = new Set(["stopped", "length", "interrupted"]);

export class Answer {
  #act;
  #prose;
  #message;
  #siblings = [];
  #state = el("div", {});
  #tools = el("div", { class: "tools" });
  #byline = el("p", { class: "byline", hidden: true }, icon("edit"), gettext("Written by a person"));
  #panel = null;

  constructor(act) {
    this.#act = act;
    this.#prose = new Prose(act.painted);
    this.element = el(
      "article",
      { class: "message answer", tabindex: "-1", "aria-label": gettext("Answer") },
      this.#byline,
      this.#prose.element,
      this.#state,
      this.#tools,
    );
  }

  get seen() {
    return this.#prose.seen;
  }

  get #isLive() {
    return UNFINISHED.has(this.#message.generation?.status);
  }

  update(message, siblings) {
    this.#message = message;
    this.#siblings = siblings;
    this.#byline.hidden = message.author !== "human_editor";
    this.element.setAttribute("aria-busy", String(this.#isLive));
    this.#prose.element.hidden = !message.text;
    if (this.#isLive && message.text) this.#prose.grow(message.text);
    else this.#prose.finish(message.text);
    this.#showState();
    this.#showTools();
  }

  // Only the text has grown.
  grow(message) {
    if (this.#prose.element.hidden || !this.#isLive) this.update(message, this.#siblings);
    else this.#prose.grow(message.text);
  }

  showPanel(panel) {
    this.#panel?.remove();
    this.#panel = panel;
    if (!panel) return;
    this.element.append(panel);
    panel.scrollIntoView({ block: "nearest" });
  }

  focusThumb(value) {
    this.#tools.querySelector(`[data-thumb="${value}"]`)?.focus();
  }

  #showState() {
    const said = this.#message.generation && describe(this.#message.generation, Boolean(this.#message.text));
    this.#state.className = said ? "after" : "";
    this.#state.replaceChildren(...(said ? [statusLine(said), ...this.#ways()] : []));
  }

  // How to go on after an answer that did not end well.
  #ways() {
    const { id, text, generation } = this.#message;
    if (UNFINISHED.has(generation.status)) return [];
    const ways = [];
    if (CAN_GO_ON.has(generation.status) && text) {
      ways.push(button(gettext("Continue"), "quiet small", () => this.#act.goOn(id), "play"));
    }
    if (generation.status === "failed" || generation.status === "interrupted") {
      ways.push(button(gettext("Try again"), "quiet small", () => this.#act.regenerate(id), "refresh"));
    }
    return ways;
  }

  #showTools() {
    const focused = this.#tools.contains(document.activeElement) && document.activeElement.dataset.tool;
    const many = pager(this.#siblings, this.#message.id, this.#act.choose);
    if (this.#isLive) this.#tools.replaceChildren(...(many ? [many] : []));
    else this.#tools.replaceChildren(...[many, ...this.#buttons()].filter(Boolean));
    if (focused) this.#tools.querySelector(`[data-tool="${focused}"]`)?.focus();
  }

  #buttons() {
    const { id, text, author, generation } = this.#message;
    const isModels = author === "model";
    const copy = async () => {
      await copyText(text);
      toast(gettext("Copied"));
    };
    return [
      text && iconButton("copy", gettext("Copy"), copy, { "data-tool": "copy" }),
      isModels && text && this.#thumb(1, "thumb-up", gettext("Good answer")),
      isModels && text && this.#thumb(-1, "thumb-down", gettext("Bad answer")),
      iconButton("refresh", gettext("Another answer"), () => this.#act.regenerate(id), { "data-tool": "again" }),
      isModels && text && this.#more(),
      generation?.model && this.#who(generation.model),
    ];
  }

  #thumb(value, name, label) {
    const rating = this.#message.rating;
    const isMine = rating?.value === value;
    const attributes = { "aria-pressed": String(isMine), "data-thumb": value, "data-tool": name };
    const made = iconButton(name, label, () => this.#act.rate(this.#message.id, value), attributes);
    made.classList.toggle("pending", Boolean(isMine && rating.isPending));
    return made;
  }

  #more() {
    const items = [
      { label: gettext("Write the answer you wanted"), iconName: "edit", act: () => this.#act.rewrite(this.#message.id) },
      ...this.#teach(),
      { label: gettext("Report"), iconName: "flag", act: () => this.#act.flag(this.#message.id) },
    ];
    const attributes = { "aria-haspopup": "menu", "aria-expanded": "false", "data-tool": "more" };
    return iconButton("more", gettext("More"), (event) => openMenu(event.currentTarget, items), attributes);
  }

  #teach() {
    const { generation } = this.#message;
    if (!site.teach || !generation) return [];
    const open = () => window.open(site.teach.replace("ID", generation.id), "_blank", "noopener");
    return [{ label: gettext("Teach: make an example of it"), iconName: "spark", act: open }];
  }

  #who(model) {
    return el("span", { class: "who", title: fill(gettext("Answered by %(model)s"), { model }) }, model);
  }
}
