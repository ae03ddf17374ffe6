// The start form: shows the automatic value of every empty field, and why, for the chosen base and version.

const form = document.getElementById("start-run");
// Not form.dataset: the field of that name hides it.
const planUrl = form.getAttribute("data-plan-url");
const problem = document.getElementById("plan-error");
let asked = 0;

function show(values, reasons) {
  for (const input of form.querySelectorAll("[data-setting]")) {
    const name = input.dataset.setting;
    input.placeholder = values[name] ?? "";
    form.querySelector(`[data-reason="${name}"]`).textContent = reasons[name] ? `(${reasons[name]})` : "";
  }
}

async function plan() {
  const mine = ++asked;
  const query = new URLSearchParams();
  for (const name of ["base", "dataset", "method"]) query.set(name, form.elements[name].value);
  const response = await fetch(`${planUrl}?${query}`, { headers: { Accept: "application/json" } });
  if (!response.ok || mine !== asked) return; // a later choice was made meanwhile
  const { values, reasons, error } = await response.json();
  show(values, reasons);
  problem.textContent = error;
  problem.hidden = !error;
}

for (const name of ["base", "dataset", "method"]) form.elements[name].addEventListener("change", plan);
form.addEventListener("submit", () => {
  // The request key makes a second click harmless; this only makes it visible.
  form.querySelector("button[type=submit]").disabled = true;
});
window.addEventListener("pageshow", () => { form.querySelector("button[type=submit]").disabled = false; });
plan();
