// Modal questions. The browser's <dialog> keeps the focus inside and gives it back.
import { button, el } from "./dom.js";
import { gettext } from "./i18n.js";

// Shows `content` and resolves with the value of the chosen action, or null after Esc.
export function ask(title, content, actions) {
  return new Promise((resolve) => {
    const heading = el("h2", { id: "dialog-title", tabindex: "-1" }, title);
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, heading, ...content);
    const buttons = actions.map(({ label, kind, value }) =>
      button(label, kind, () => dialog.close(String(value()))),
    );
    dialog.append(el("div", { class: "actions" }, ...buttons));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    });
    document.body.append(dialog);
    dialog.showModal();
    heading.focus(); // no button is pressed by an Enter that was meant for the page
  });
}

export async function confirm(title, text, action) {
  const answer = await ask(title, [el("p", {}, text)], [
    { label: gettext("Cancel"), kind: "quiet", value: () => "" },
    { label: action, kind: "danger", value: () => "yes" },
  ]);
  return answer === "yes";
}
