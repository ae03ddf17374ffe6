// One deed for a whole selection: asks the site for part after part, and shows how far it is. Stopping, or closing the
// page, leaves what was done; the same deed again goes on with the rest.

const catalogue = globalThis.django ?? {};
const gettext = (message) => (catalogue.gettext ? catalogue.gettext(message) : message);
const fill = (message, values) => message.replace(/%\((\w+)\)s/g, (_, name) => String(values[name]));
const number = (value) => new Intl.NumberFormat(document.documentElement.lang).format(value);

const form = document.getElementById("bulk");
const bar = form.querySelector("[role=progressbar]");
const told = form.querySelector('[data-show="told"]');
const stop = form.querySelector("[data-stop]");
const total = Number(form.dataset.count);
let after = 0;
let seen = 0;
let changed = 0;
let stopped = false;

async function part() {
  const response = await fetch(window.location.href, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value },
    body: JSON.stringify({
      deed: form.dataset.deed, after, until: Number(form.dataset.until), text: form.elements.text?.value ?? "",
    }),
  });
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

function show(message) {
  const share = total ? Math.min(100, Math.round((seen / total) * 100)) : 100;
  bar.hidden = false;
  bar.setAttribute("aria-valuenow", share);
  bar.firstElementChild.style.width = `${share}%`;
  told.textContent = fill(message, { seen: number(seen), total: number(total), changed: number(changed) });
}

async function run() {
  for (;;) {
    const done = await part();
    after = done.after;
    seen += done.seen;
    changed += done.changed;
    if (done.finished) return show(gettext("Done: %(changed)s of %(seen)s changed."));
    if (stopped) return show(gettext("Stopped: %(changed)s changed, %(seen)s of %(total)s looked at."));
    show(gettext("%(seen)s of %(total)s looked at, %(changed)s changed."));
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button:not([type])");
  button.disabled = true;
  stopped = false;
  stop.hidden = false;
  try {
    await run();
    button.disabled = !stopped;
  } catch {
    show(gettext("The site cannot be reached. %(seen)s of %(total)s are done; press again to go on."));
    button.disabled = false;
  }
  stop.hidden = true;
});

stop.addEventListener("click", () => { stopped = true; });
