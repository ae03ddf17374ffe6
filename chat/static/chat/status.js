// What to say about an answer's state: an icon and words, never colour alone.
import { el, icon } from "./dom.js";
import { fill, gettext, ngettext, number } from "./i18n.js";

function waiting(ahead) {
  if (!ahead) return gettext("Waiting for its turn…");
  return fill(ngettext("%(n)s person is ahead of you", "%(n)s people are ahead of you", ahead), { n: number(ahead) });
}

// {icon, text, kind}, or null when the text speaks for itself.
export function describe({ status, ahead, error }, hasText) {
  switch (status) {
    case "queued":
      return { name: "clock", text: waiting(ahead), kind: "live" };
    case "running":
      return hasText ? null : { name: "spark", text: gettext("Thinking…"), kind: "live" };
    case "stopped":
      return { name: "pause", text: gettext("You stopped this answer"), kind: "" };
    case "length":
      return { name: "cut", text: gettext("Cut off at the length limit"), kind: "note" };
    case "failed":
      return { name: "alert", text: error || gettext("This answer failed"), kind: "bad" };
    case "interrupted":
      return { name: "alert", text: gettext("Interrupted: the model went away for a moment"), kind: "note" };
    default:
      return null;
  }
}

export function statusLine(said) {
  return el("p", { class: `status ${said.kind}` }, icon(said.name), el("span", {}, said.text));
}

// For the polite live region: the beginning and the end, never each word.
export function spoken(status) {
  switch (status) {
    case "running":
      return gettext("The answer is being written");
    case "completed":
      return gettext("The answer is complete");
    default:
      return describe({ status }, true)?.text ?? "";
  }
}
