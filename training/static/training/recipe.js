// The editor of cleaning recipes: each change is sent, and the editor comes back with what the steps do to the rows.
// Without this script every button works all the same, with the whole page.

const form = document.getElementById("recipe-editor");
let queue = Promise.resolve();

const typed = () => new URLSearchParams(new FormData(form)).toString();
const button = (asked) => `[name="do"][value="${CSS.escape(asked)}"]`;

function nameOf(node) {
  if (!node || !form.contains(node)) return "";
  if (node.id) return `#${CSS.escape(node.id)}`;
  return node.name ? `[name="${CSS.escape(node.name)}"][value="${CSS.escape(node.value)}"]` : "";
}

async function ask(asked) {
  const sent = typed();
  const data = new FormData(form);
  data.set("do", asked);
  const answer = await fetch(window.location.href, { method: "POST", body: data, headers: { "X-Editor": "1" } });
  if (!answer.ok) throw new Error(String(answer.status));
  const told = await answer.text();
  // What was typed in the meantime is not in the answer: ask again with it.
  return sent === typed() ? told : ask(asked);
}

// The button that was pressed may be off now (it moved to the top) or gone: its neighbour takes the focus.
function focusAgain(selector, place) {
  if (!selector) return;
  const same = form.querySelector(selector);
  if (same && !same.disabled) return same.focus({ preventScroll: true });
  const steps = form.querySelectorAll(".cs-step");
  const step = same?.closest(".cs-step") ?? steps[Math.min(place, steps.length - 1)];
  (step?.querySelector("button:not(:disabled)") ?? document.getElementById("new")).focus({ preventScroll: true });
}

async function send(asked) {
  const place = [...form.querySelectorAll(".cs-step")].indexOf(form.querySelector(button(asked))?.closest(".cs-step"));
  form.dataset.busy = "1";
  try {
    const told = await ask(asked);
    const focused = nameOf(document.activeElement);
    form.innerHTML = told;
    focusAgain(focused, Math.max(0, place));
  } catch {
    form.querySelector("[data-said]").textContent = form.dataset.failed;
  }
  delete form.dataset.busy;
}

// One after the other, so that each press counts and starts from what the one before it made.
function enqueue(asked) { queue = queue.then(() => send(asked)); }

form.addEventListener("submit", (event) => {
  const asked = event.submitter?.value ?? "look";
  if (asked === "save") return;
  event.preventDefault();
  enqueue(asked);
});

form.addEventListener("change", (event) => {
  if (event.target.id === "new" || event.target.id === "name") return;
  if (event.target.id === "source") form.querySelector("[data-pasted]").hidden = event.target.value !== "pasted";
  enqueue("look");
});
