// Findings by keyboard: J and K go from one to the next, the other keys press what the buttons and the link say.

const findings = [...document.querySelectorAll("[data-finding]")];
let current = -1;

function go(number) {
  if (!findings.length) return;
  current = Math.max(0, Math.min(findings.length - 1, number));
  findings[current].focus();
}

function press(key) {
  const target = findings[current]?.querySelector(`[data-key="${key}"]`);
  if (target) target.click();
}

for (const [number, finding] of findings.entries()) {
  finding.addEventListener("focusin", () => { current = number; });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const key = event.key.toLowerCase();
  if (key === "j") go(current + 1);
  else if (key === "k") go(current - 1);
  else if ("adue".includes(key)) press(key);
  else return;
  event.preventDefault();
});

if (window.location.hash === "#findings") go(0);
