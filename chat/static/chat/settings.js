// How the model answers: five values, each with one plain sentence. Only what differs from the site's own value is
// kept and sent.
import { button, el, iconButton } from "./dom.js";
import { gettext } from "./i18n.js";
import { recall, remember, site } from "./state.js";

const EXPLAINED = () => ({
  temperature: [
    gettext("Temperature"),
    gettext("How adventurous it is: 0 gives the same answer every time, higher gives more surprises."),
  ],
  top_k: [gettext("Top-k"), gettext("How many words it may choose from at each step; 0 means all of them.")],
  top_p: [gettext("Top-p"), gettext("It chooses only among the likeliest words that together reach this share.")],
  max_tokens: [gettext("Longest answer"), gettext("The answer ends after this many tokens; one is about a word or one to two characters.")],
  seed: [gettext("Seed"), gettext("The same number gives the same answer to the same question; leave it empty for a new one each time.")],
});

const kept = () => recall("params", {});

// What goes with a question: only the values the person chose.
export function params() {
  const chosen = kept();
  return Object.fromEntries(Object.entries(chosen).filter(([name]) => name in site.settings));
}

function keep(name, value) {
  const chosen = kept();
  if (value === null || value === site.settings[name].default) delete chosen[name];
  else chosen[name] = value;
  remember("params", Object.keys(chosen).length ? chosen : null);
}

function clamp(text, { min, max }) {
  if (text === "" || Number.isNaN(Number(text))) return null;
  return Math.min(max, Math.max(min, Number(text)));
}

function setting(name) {
  const [label, sentence] = EXPLAINED()[name];
  const rule = site.settings[name];
  const id = `setting-${name}`;
  const bounds = { min: rule.min, max: rule.max, step: rule.step };
  const hint = rule.default === null ? gettext("random") : String(rule.default);
  const entry = el("input", { type: "number", id, ...bounds, placeholder: hint, "aria-describedby": `${id}-hint`, inputmode: "decimal" });
  const slider = name === "seed" ? null : el("input", { type: "range", ...bounds, "aria-label": label, tabindex: "-1" });
  const show = (value) => {
    entry.value = value ?? "";
    if (slider) slider.value = value ?? rule.default;
  };
  const take = (text) => {
    const value = clamp(text, rule);
    keep(name, value);
    show(value ?? rule.default);
  };
  entry.addEventListener("change", () => take(entry.value));
  slider?.addEventListener("input", () => take(slider.value));
  show(kept()[name] ?? rule.default);
  return el("div", { class: "setting" }, el("label", { for: id }, label), entry, slider, el("p", { id: `${id}-hint` }, sentence));
}

export function openSettings() {
  const list = el("div", {});
  const fillList = () => list.replaceChildren(...Object.keys(EXPLAINED()).filter((name) => name in site.settings).map(setting));
  const reset = () => {
    remember("params", null);
    fillList();
  };
  fillList();
  const head = el(
    "div",
    { class: "drawer-head" },
    el("h2", { id: "settings-title" }, gettext("How it answers")),
    iconButton("close", gettext("Close"), () => dialog.close()),
  );
  const note = el("p", {}, gettext("These hold for your next question, on this device."));
  const foot = el("div", { class: "actions" }, button(gettext("Back to the usual values"), "quiet", reset, "refresh"));
  const dialog = el("dialog", { class: "drawer", "aria-labelledby": "settings-title" }, head, note, list, foot);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
