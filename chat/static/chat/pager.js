// "‹ 2/3 ›": walks between the messages that stand beside each other.
import { el, iconButton } from "./dom.js";
import { fill, gettext } from "./i18n.js";

export function pager(siblings, id, choose) {
  if (siblings.length < 2) return null;
  const at = siblings.indexOf(id);
  const go = (step) => () => choose(siblings[at + step]);
  const back = iconButton("left", gettext("Previous version"), go(-1), { disabled: at === 0 });
  const on = iconButton("right", gettext("Next version"), go(1), { disabled: at === siblings.length - 1 });
  const place = fill(gettext("Version %(at)s of %(all)s"), { at: at + 1, all: siblings.length });
  const text = el("span", { "aria-label": place, role: "img" }, `${at + 1}/${siblings.length}`);
  return el("span", { class: "pager" }, back, text, on);
}
