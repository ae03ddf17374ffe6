// Short news at the top of the page that leave by themselves, and words for screen readers only.
import { el, find, icon } from "./dom.js";

const STAY_MS = 5_000;

export function toast(text, { bad = false, iconName = bad ? "alert" : "check" } = {}) {
  if (!text) return;
  const note = el("div", { class: bad ? "toast bad" : "toast" }, icon(iconName), el("span", {}, text));
  find("#toasts").append(note);
  setTimeout(() => note.remove(), STAY_MS);
}

export function announce(text) {
  find("#announcer").textContent = text;
}
