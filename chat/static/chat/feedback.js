// What people think of an answer: a thumb at once, words when they like, the answer they wanted, a report. Asks once
// whether this may become training data. The server fills every fact but the choice and the words.
import { button, el, icon, iconButton } from "./dom.js";
import { ask } from "./dialogs.js";
import { fill, gettext, number } from "./i18n.js";
import { site } from "./state.js";
import { count } from "./text.js";
import { toast } from "./toast.js";

const MAX_COMMENT = 2_000;
const MAX_TEXT = 8_000;

// `line` is the socket; `host` has: message(id), view(id), redraw(), show(id).
export class Feedback {
  #line;
  #host;
  #hasAsked = false;

  constructor(line, host) {
    this.#line = line;
    this.#host = host;
  }

  // A click on a thumb: stored before any form is filled; the second click on the same one takes it back.
  async rate(id, value) {
    const message = this.#host.message(id);
    const before = message.rating;
    const isBack = before?.value === value;
    message.rating = isBack ? null : { value, reasons: [], comment: "", isPending: true };
    this.#host.redraw();
    this.#host.view(id)?.showPanel(isBack ? null : this.#panel(message));
    try {
      const ack = isBack
        ? await this.#line.send("withdraw", { message: id })
        : await this.#line.send("rate", { message: id, value });
      this.#settle(id, message.rating);
      if (isBack) toast(gettext("Your rating was taken back"));
      else await this.#consent(ack.consent);
    } catch (refusal) {
      this.#host.view(id)?.showPanel(null);
      this.#settle(id, before);
      toast(refusal.message, { bad: true });
    }
  }

  // The conversation may have been read again since the click, so the message is looked up anew.
  #settle(id, rating) {
    const message = this.#host.message(id);
    if (!message) return;
    message.rating = rating && { ...rating, isPending: false };
    this.#host.redraw();
  }

  // Straight to the editor, without a thumb.
  rewrite(id) {
    const message = this.#host.message(id);
    const panel = this.#panel(message, { isWriting: true });
    this.#host.view(id).showPanel(panel);
    panel.querySelector("textarea.long").focus();
  }

  async flag(id) {
    const kinds = [
      ["unsafe", gettext("Harmful or dangerous")],
      ["illegal", gettext("Against the law")],
      ["pii", gettext("Someone's private data")],
      ["spam", gettext("Advertising or nonsense")],
    ];
    const choices = kinds.map(([kind, label], index) =>
      el("label", { class: "choice" }, el("input", { type: "radio", name: "kind", value: kind, checked: index === 0 }), label),
    );
    const set = el("fieldset", {}, ...choices);
    const words = el("textarea", { "aria-label": gettext("What is wrong? (optional)"), placeholder: gettext("What is wrong? (optional)"), maxlength: MAX_COMMENT });
    const kind = await ask(gettext("Report this answer"), [set, words], [
      { label: gettext("Cancel"), kind: "quiet", value: () => "" },
      { label: gettext("Report"), kind: "danger", value: () => set.querySelector(":checked").value },
    ]);
    if (kind) await this.#told("flag", { message: id, kind, text: words.value.trim() }, gettext("Thank you. A curator will look at it."));
  }

  async #consent(known) {
    if (known) site.consent = known;
    if (known !== "unknown" || this.#hasAsked) return;
    this.#hasAsked = true;
    const focused = document.activeElement;
    const words = [
      gettext("Your ratings, comments and rewritten answers can become training data that makes this site's model better. They stay on this site."),
      gettext("If you say no, everything works just the same and nothing of yours is used for training. You can take back any rating later."),
    ];
    const choice = await ask(gettext("May the model learn from your feedback?"), words.map((text) => el("p", {}, text)), [
      { label: gettext("No, do not use it"), kind: "quiet", value: () => "no" },
      { label: gettext("Yes, learn from it"), kind: "primary", value: () => "yes" },
    ]);
    focused?.focus();
    if (!choice) return;
    const ack = await this.#told("consent", { granted: choice === "yes" }, "");
    if (ack) site.consent = ack.consent;
    this.#hasAsked = Boolean(ack); // not stored: the next rating asks again
  }

  async #told(type, fields, thanks) {
    try {
      const ack = await this.#line.send(type, fields);
      toast(thanks);
      return ack;
    } catch (refusal) {
      toast(refusal.message, { bad: true });
      return null;
    }
  }

  #panel(message, { isWriting = false } = {}) {
    const value = message.rating?.value ?? 0;
    const chips = this.#chips(value, message.rating?.reasons ?? []);
    const comment = el("textarea", { placeholder: gettext("Tell us more (optional)"), "aria-label": gettext("Tell us more (optional)"), maxlength: MAX_COMMENT });
    comment.value = message.rating?.comment ?? "";
    const wish = this.#wish(message.text, isWriting);
    const problem = el("p", { class: "problem", role: "alert" });
    const close = () => this.#close(message.id, value);
    const save = async () => {
      problem.textContent = await this.#save(message, { value, chips, comment, wish });
      if (!problem.textContent) close();
    };
    const title = { 1: gettext("What was good?"), [-1]: gettext("What went wrong?"), 0: gettext("The answer you wanted") }[value];
    const panel = el(
      "section",
      { class: "feedback", "aria-label": title },
      el("div", { class: "feedback-head" }, title, iconButton("close", gettext("Close"), close)),
      value ? chips : null,
      value ? comment : null,
      wish.element,
      problem,
      el("div", { class: "actions" }, wish.opener, el("span", { class: "spring" }), button(gettext("Submit"), "primary small", save)),
    );
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing) return;
      event.stopPropagation();
      close();
    });
    return panel;
  }

  #chips(value, chosen) {
    const reasons = value > 0 ? site.reasons.up : site.reasons.down;
    return el(
      "fieldset",
      { class: "chips", "aria-label": gettext("Reasons") },
      ...reasons.map(({ key, label }) =>
        el("label", { class: "chip" }, el("input", { type: "checkbox", value: key, checked: chosen.includes(key) }), el("span", {}, label)),
      ),
    );
  }

  // The editor for "the answer you wanted", with the button that opens it.
  #wish(text, isOpen) {
    const box = el("textarea", { class: "long" });
    box.value = text;
    const element = el("label", { hidden: !isOpen }, gettext("The answer you wanted"), box);
    const show = () => {
      element.hidden = false;
      opener.hidden = true;
      box.focus();
    };
    const opener = el("button", { type: "button", class: "link-button", onclick: show, hidden: isOpen }, icon("edit"), gettext("Write the answer you wanted"));
    return { element, opener, box };
  }

  // Returns what is wrong, or "".
  async #save(message, { value, chips, comment, wish }) {
    const reasons = [...chips.querySelectorAll(":checked")].map((input) => input.value);
    const words = comment.value.trim();
    const text = wish.element.hidden ? null : wish.box.value.trim();
    if (text !== null && (!text || text === message.text.trim())) return gettext("Please change the answer first, or close this.");
    if (text !== null && count(text) > MAX_TEXT) return fill(gettext("At most %(limit)s characters, please."), { limit: number(MAX_TEXT) });
    try {
      if (value && (reasons.length || words)) {
        await this.#line.send("rate", { message: message.id, value, reasons, comment: words });
        this.#settle(message.id, { value, reasons, comment: words });
      }
      if (text !== null) await this.#rewritten(message.id, text);
    } catch (refusal) {
      return refusal.message || gettext("That did not work. Please try again.");
    }
    toast(gettext("Thank you, saved"));
    return "";
  }

  async #rewritten(id, text) {
    const ack = await this.#line.send("rewrite", { message: id, text });
    await this.#host.show(ack.answer);
    await this.#consent(ack.consent);
  }

  #close(id, value) {
    const view = this.#host.view(id);
    view?.showPanel(null);
    view?.focusThumb(value || 1);
  }
}
