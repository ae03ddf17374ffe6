// The data pages: progress of a reading or freezing job, turns of a dialogue, forms that are sent once.

const POLL_MS = 1000;

// --- progress: what the server told; when the job ends the page is loaded again with its result ---

function showBar(box, share) {
  const bar = box.querySelector("[data-share]");
  if (!bar) return;
  bar.style.width = `${Math.round(share * 100)}%`;
  bar.parentElement.setAttribute("aria-valuenow", Math.round(share * 100));
}

async function poll(box) {
  try {
    const answer = await fetch(box.dataset.progressUrl, { headers: { Accept: "application/json" } });
    if (answer.ok) {
      const told = await answer.json();
      if (told.finished) return window.location.reload();
      for (const node of box.querySelectorAll("[data-show]")) node.textContent = told[node.dataset.show] ?? "";
      const badge = box.querySelector("[data-state]");
      if (badge) badge.dataset.state = told.state;
      showBar(box, told.share);
    }
  } catch {
    // The server is away for a moment; the next round asks again.
  }
  window.setTimeout(poll, POLL_MS, box);
}

for (const box of document.querySelectorAll("[data-progress-url]")) {
  showBar(box, Number(box.querySelector("[data-share]")?.dataset.share ?? 0));
  poll(box);
}

// --- turns ---

function addTurn(list) {
  const turns = list.querySelectorAll("[data-turn]");
  const last = turns[turns.length - 1];
  const fresh = last.cloneNode(true);
  const role = last.querySelector("select").value === "user" ? "assistant" : "user";
  fresh.querySelector("textarea").value = "";
  fresh.querySelector("select").value = role;
  fresh.querySelector("input[name=weight]").value = "1";
  fresh.dataset.role = role;
  last.after(fresh);
  fresh.querySelector("textarea").focus();
}

for (const list of document.querySelectorAll("[data-turns]")) {
  list.addEventListener("click", (event) => {
    if (event.target.closest("[data-add-turn]")) addTurn(list);
    const removed = event.target.closest("[data-remove]");
    if (removed && list.querySelectorAll("[data-turn]").length > 1) removed.closest("[data-turn]").remove();
  });
  list.addEventListener("change", (event) => {
    if (event.target.matches("select")) event.target.closest("[data-turn]").dataset.role = event.target.value;
  });
}

// --- several files: their names, where the browser's own field shows one ---

for (const box of document.querySelectorAll("[data-files]")) {
  box.addEventListener("change", (event) => {
    const names = [...event.target.files].map((file) => file.name);
    box.querySelector("[data-chosen]").textContent = names.length > 1 ? names.join(" · ") : "";
  });
}

// --- what reading anew would replace: counted when somebody thinks of it ---

async function tellEffect(note) {
  const answer = await fetch(note.dataset.effectUrl, { headers: { Accept: "application/json" } });
  note.textContent = answer.ok ? (await answer.json()).text : "";
  note.hidden = !note.textContent;
}

for (const note of document.querySelectorAll("[data-effect-url]")) {
  const box = note.closest("details");
  if (box) box.addEventListener("toggle", () => tellEffect(note), { once: true });
  else tellEffect(note);
}

// --- columns of a table: each choice shows at once what rows would become ---

for (const form of document.querySelectorAll("form[data-preview]")) {
  form.addEventListener("change", () => form.requestSubmit(form.querySelector("[data-look]")));
}

// --- once: a second click on a button must not send a second time ---

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    const button = event.submitter;
    // After this turn of the event loop, so that the pressed button's own name is still sent.
    window.setTimeout(() => {
      for (const each of form.querySelectorAll("button[type=submit], button:not([type])")) each.disabled = true;
      if (button?.dataset.busy) button.textContent = button.dataset.busy;
    });
  });
}

// A page that comes back from the browser's memory must be usable again.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll("form[data-once] button")) button.disabled = false;
});
