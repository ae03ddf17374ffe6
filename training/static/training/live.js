// The live page of a run. Everything shown is what the server told; a reload starts again from the rows.

const page = document.getElementById("run");
const words = JSON.parse(document.getElementById("live-words").textContent);
const first = JSON.parse(document.getElementById("live-data").textContent);
const POLL_MS = 1000;

const at = (name) => page.querySelector(`[data-show="${name}"]`);
const points = { losses: new Map(), validation: new Map() };
let seq = 0;

function text(value) { return value === null || value === undefined ? "–" : value; }
function fixed(value, digits) { return value === null || value === undefined ? "–" : value.toFixed(digits); }

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

function element(tag, className, content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (content !== undefined) node.textContent = content;
  return node;
}

// --- the curve ---

const dark = () => document.documentElement.classList.contains("dark");
const box = document.getElementById("curve");

function series() {
  const steps = [...new Set([...points.losses.keys(), ...points.validation.keys()])].sort((a, b) => a - b);
  const column = (map) => steps.map((step) => map.get(step) ?? null);
  return [steps, column(points.losses), column(points.validation)];
}

function makePlot() {
  box.replaceChildren();
  const ink = dark() ? "#a1a1aa" : "#52525b";
  const axis = { stroke: ink, grid: { stroke: dark() ? "#3f3f46" : "#e4e4e7", width: 1 }, ticks: { show: false } };
  return new uPlot({
    width: box.clientWidth || 600,
    height: 280,
    scales: { x: { time: false } },
    axes: [{ ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000] }, axis],
    series: [
      { label: words.step },
      { label: words.loss, stroke: "#3b82f6", width: 1.5, spanGaps: true, points: { show: false } },
      { label: words.validation, stroke: "#f97316", width: 2, spanGaps: true, points: { show: true, size: 6 } },
    ],
  }, series(), box);
}

let plot = makePlot();
new ResizeObserver(() => plot.setSize({ width: box.clientWidth || 600, height: 280 })).observe(box);
new MutationObserver(() => { plot.destroy(); plot = makePlot(); })
  .observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });

// --- the rest ---

function showRun(run) {
  at("label").textContent = run.asked || run.label;
  at("label").dataset.state = run.status;
  at("place").textContent = place(run);
  at("steps").textContent = run.total ? `${run.step} / ${run.total}` : "–";
  at("eta").textContent = run.finished ? "–" : duration(run.eta_seconds);
  at("loss").textContent = fixed(run.loss, 4);
  at("validation_loss").textContent = fixed(run.validation_loss, 4);
  at("tokens_per_second").textContent = run.tokens_per_second === null ? "–" : Math.round(run.tokens_per_second).toLocaleString();
  const percent = Math.round((run.status === "succeeded" ? 1 : run.share) * 100);
  const bar = page.querySelector(".cs-bar");
  bar.setAttribute("aria-valuenow", percent);
  bar.firstElementChild.style.width = `${percent}%`;
  bar.classList.toggle("cs-busy", run.status === "evaluating");
  for (const form of page.querySelectorAll("[data-can]")) form.hidden = !run.can[form.dataset.can];
  at("model").hidden = !run.model;
  if (run.model) at("model").href = page.dataset.modelUrl.replace("/0/", `/${run.model.pk}/`);
  at("failure").hidden = !run.error;
  at("error").textContent = run.error;
  at("log-box").hidden = !run.error_log;
  at("error_log").textContent = run.error_log;
}

function place(run) {
  if (run.ahead !== null) return run.ahead ? `${run.ahead} ${words.ahead}` : words.next;
  return run.attempt ? `${words.attempt} ${run.attempt + 1}` : "";
}

function showLines(lines) {
  for (const line of lines) {
    const item = element("li");
    item.append(element("time", "", new Date(line.at).toLocaleTimeString()), element("span", "", line.text));
    at("lines").prepend(item);
  }
}

function showSamples(samples) {
  at("samples-box").hidden = at("samples-box").hidden && !samples.length;
  for (const sample of samples) {
    const item = element("article", "cs-sample");
    item.append(element("p", "cs-quiet", `${words.step} ${sample.step}`));
    for (const [key, label] of [["prompt", words.question], ["reference", words.reference], ["answer", words.answer]]) {
      if (sample[key] === undefined) continue;
      const line = element("p");
      line.append(element("b", "", `${label} `), element("span", "", sample[key]));
      item.append(line);
    }
    at("samples").prepend(item);
  }
  while (at("samples").childElementCount > 12) at("samples").lastElementChild.remove();
}

// Unseen facts and unseen phrasings of trained facts stay apart: each group of rows has its name above it.
function groupRow(name) {
  const cell = element("th", "", name);
  const row = element("tr", "cs-group");
  cell.colSpan = 5;
  cell.scope = "rowgroup";
  row.append(cell);
  return row;
}

function showFigures(figures) {
  at("figures-box").hidden = !figures.length;
  let split = null;
  at("figures").replaceChildren(...figures.flatMap((figure) => {
    const row = element("tr");
    const interval = figure.low === null ? "" : `${fixed(figure.low, 3)} – ${fixed(figure.high, 3)}`;
    for (const cell of [figure.metric, fixed(figure.value, 4), interval, fixed(figure.base, 4), text(figure.n)]) {
      row.append(element("td", "", cell));
    }
    if (figure.split === split) return [row];
    split = figure.split;
    return [groupRow(split), row];
  }));
}

function show(told) {
  seq = told.seq;
  for (const name of Object.keys(points)) for (const [step, value] of told[name]) points[name].set(step, value);
  if (told.losses.length || told.validation.length) plot.setData(series());
  showRun(told.run);
  showLines(told.lines);
  showSamples(told.samples);
  if (told.figures.length) showFigures(told.figures);
}

async function poll() {
  try {
    const response = await fetch(`${page.dataset.eventsUrl}?after=${seq}`, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(String(response.status));
    const told = await response.json();
    show(told);
    if (told.run.finished) return;
  } catch {
    at("place").textContent = words.offline;
  }
  setTimeout(poll, POLL_MS);
}

show(first);
if (!first.run.finished) setTimeout(poll, POLL_MS);
