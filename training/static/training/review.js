// The review queue. What is shown is what the server told; decisions are sent one after the other, while the next
// example is already there. Without this script the list and the example's own page do the same.

const catalogue = globalThis.django ?? {};
const gettext = (message) => (catalogue.gettext ? catalogue.gettext(message) : message);
const ngettext = (one, many, count) => (catalogue.ngettext ? catalogue.ngettext(one, many, count) : count === 1 ? one : many);
const fill = (message, values) => message.replace(/%\((\w+)\)s/g, (_, name) => String(values[name]));
const number = (value) => new Intl.NumberFormat(document.documentElement.lang).format(value);

const page = document.getElementById("review");
const urls = JSON.parse(document.getElementById("review-urls").textContent);
const query = new URLSearchParams(JSON.parse(document.getElementById("review-query").textContent));
const token = page.querySelector("[name=csrfmiddlewaretoken]").value;
const at = (name) => page.querySelector(`[data-show="${name}"]`);
const PRELOADED = 2;
const RATE_MS = 10 * 60 * 1000;

let waiting = []; // examples that come next, ours for five minutes
let seen = []; // examples that were before, for going back
let current = null;
let answer = null; // place of the chosen answer
let last = 0; // the highest row number that was fetched
let ended = false;
let fetching = null;
let sending = Promise.resolve();
let left = { count: 0, more: false };
const decisions = []; // newest last: what undo needs
const times = [];

// --- talking to the server ---

async function get(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

async function post(url, body) {
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok && !(response.headers.get("Content-Type") ?? "").includes("json")) throw new Error(String(response.status));
  return response.json();
}

const address = (name, pk) => urls[name].replace("/0/", `/${pk}/`);

function send(url, body) {
  const result = sending.then(() => post(url, body));
  sending = result.catch(() => {});
  return result;
}

function complain(text, item = null) {
  const box = at("problem");
  box.replaceChildren(document.createTextNode(text));
  if (item) {
    const button = element("button", "cs-button", gettext("Show it"));
    button.type = "button";
    button.addEventListener("click", () => { complain(""); show(item, { remember: true }); });
    box.append(" ", button);
  }
  box.hidden = !text;
}

const offline = () => complain(gettext("The site cannot be reached. Nothing was lost; try again."));

// --- the queue ---

async function load({ count = false } = {}) {
  const asked = new URLSearchParams(query);
  asked.set("after", last);
  if (count) asked.set("count", "1");
  const told = await get(`${urls.next}?${asked}`);
  for (const item of told.items) {
    last = Math.max(last, item.pk);
    if (item.pk !== current?.pk) waiting.push(item);
  }
  ended = !told.items.length;
  if (count) { left = { count: told.left, more: told.more }; showLeft(); }
}

function preload() {
  if (ended || fetching || waiting.length >= PRELOADED) return fetching;
  fetching = load().catch(offline).finally(() => { fetching = null; });
  return fetching;
}

async function next({ remember = true } = {}) {
  if (remember && current) seen.push(current.pk);
  current = null;
  if (!waiting.length && !ended) await preload();
  const item = waiting.shift() ?? null;
  show(item);
  preload();
}

async function back() {
  const pk = seen.pop();
  if (pk === undefined) return;
  if (current) waiting.unshift(current);
  await sending;
  await get(`${address("item", pk)}?${query}`).then(show, offline);
}

async function again() {
  last = 0;
  ended = false;
  await load({ count: true }).catch(offline);
  await next({ remember: false });
}

// --- showing ---

function element(tag, className, content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (content !== undefined) node.textContent = content;
  return node;
}

function show(item, { remember = false } = {}) {
  if (remember && current) waiting.unshift(current);
  current = item;
  mode("deciding");
  at("card").hidden = at("keys").hidden = !item;
  at("empty").hidden = Boolean(item);
  if (item) {
    const texts = item.texts.filter((text) => text.answer);
    if (!texts.some((text) => text.place === answer)) answer = texts.at(-1)?.place ?? null;
    draw();
    at("card").focus({ preventScroll: true });
    window.scrollTo({ top: 0 });
  }
  keepPlace();
  page.dataset.ready = "1";
  page.dataset.pk = item ? item.pk : "";
}

function draw() {
  const badge = at("badge");
  badge.textContent = current.label;
  badge.dataset.state = current.status;
  const margin = current.margin ? [fill(gettext("margin %(margin)s"), { margin: current.margin })] : [];
  at("about").textContent = [`#${current.pk}`, current.kind, ...current.source, ...margin].join(" · ");
  at("open").href = current.url;
  at("findings").replaceChildren(...current.findings.map((finding) => {
    const line = element("li", "", finding.text);
    line.dataset.severity = finding.severity;
    return line;
  }));
  at("texts").replaceChildren(...current.texts.map(bubble));
  at("upside-down").hidden = !current.upside_down;
}

function bubble(text) {
  const box = element("div", "cs-bubble");
  box.dataset.role = text.role;
  box.dataset.place = text.place;
  const words = element("p");
  for (const [found, part] of text.parts) words.append(found ? element("mark", "", part) : part);
  box.append(element("span", "cs-who", text.name), words);
  if (text.answer) {
    box.dataset.answer = "";
    box.setAttribute("aria-current", String(text.place === answer));
    box.addEventListener("click", () => choose(text.place));
    box.append(marks(text));
  }
  return box;
}

function marks(text) {
  const row = element("div", "cs-marks");
  row.setAttribute("role", "group");
  row.setAttribute("aria-label", gettext("Mark of this answer"));
  for (let value = 1; value <= 5; value += 1) {
    const button = element("button", "", String(value));
    button.type = "button";
    button.setAttribute("aria-pressed", String(text.score === value));
    button.addEventListener("click", (event) => { event.stopPropagation(); choose(text.place); score(value); });
    row.append(button);
  }
  return row;
}

function choose(place) {
  answer = place;
  for (const box of at("texts").querySelectorAll("[data-answer]")) {
    box.setAttribute("aria-current", String(box.dataset.place === place));
  }
}

function showLeft() {
  const count = Math.max(0, left.count);
  const text = left.more
    ? gettext("more than %(count)s left")
    : ngettext("%(count)s left", "%(count)s left", count);
  at("left").textContent = fill(text, { count: number(count) });
  const since = Date.now() - RATE_MS;
  while (times.length && times[0] < since) times.shift();
  const minutes = times.length > 1 ? Math.max((Date.now() - times[0]) / 60000, 1 / 60) : 0;
  at("rate").textContent = minutes ? fill(gettext("%(count)s a minute"), { count: number(Math.round((times.length - 1) / minutes)) }) : "";
}

function count(step) {
  if (!left.more) left.count -= step;
  if (step > 0) times.push(Date.now());
  else times.pop();
  showLeft();
}

// A page that is loaded again goes on where it was.
function keepPlace() {
  const place = new URLSearchParams(query);
  if (current) place.set("after", current.pk - 1);
  window.history.replaceState(null, "", `?${place}`);
}

// mode: deciding, reason (of a rejection) or editing
function mode(name) {
  for (const each of ["deciding", "reason", "editing"]) at(each).hidden = each !== name;
  page.dataset.mode = name;
}

// --- what people do ---

async function decide(decision, { reason = "", texts = {} } = {}) {
  const item = current;
  const body = { decision, row_version: item.row_version, reason, texts };
  mode("deciding");
  complain("");
  const sent = send(address("decide", item.pk), body);
  count(1);
  const made = sent.then((told) => {
    if (!told.error) return { item: told.item, since: told.since, before: item };
    count(-1);
    complain(fill(gettext("Example %(pk)s: %(why)s"), { pk: item.pk, why: told.error }), told.item);
    return null;
  }, () => {
    count(-1);
    offline();
    waiting.unshift(item);
    if (!current) next({ remember: false });
    return null;
  });
  decisions.push(made);
  await next();
}

function reject() {
  mode("reason");
  const field = at("reason").elements.reason;
  field.value = "";
  field.focus();
}

function edit() {
  mode("editing");
  for (const box of at("texts").children) {
    const text = current.texts.find((each) => each.place === box.dataset.place);
    const field = element("textarea");
    field.value = text.text;
    field.rows = Math.min(12, Math.max(2, Math.ceil(text.text.length / 40)));
    field.setAttribute("aria-label", text.name);
    box.querySelector("p").replaceWith(field);
    box.querySelector(".cs-marks")?.remove();
  }
  const fields = [...at("texts").querySelectorAll("textarea")];
  (at("texts").querySelector(`[data-place="${CSS.escape(answer ?? "")}"] textarea`) ?? fields.at(-1)).focus();
}

function save() {
  const texts = {};
  for (const box of at("texts").children) {
    const field = box.querySelector("textarea");
    const before = current.texts.find((each) => each.place === box.dataset.place).text;
    if (field.value !== before) texts[box.dataset.place] = field.value;
  }
  return decide("approve", { texts });
}

function stay() {
  mode("deciding");
  draw();
  at("card").focus({ preventScroll: true });
}

async function undo() {
  const made = await decisions.pop();
  if (!made) { if (made === null) await undo(); return; }
  complain("");
  const told = made.since === null
    ? { item: made.item }
    : await send(address("undo", made.item.pk), {
      since: made.since, status: made.before.status, row_version: made.item.row_version, q: query.get("q") ?? "",
    }).catch(() => null);
  if (!told) { decisions.push(Promise.resolve(made)); offline(); return; }
  if (told.error) { complain(fill(gettext("Example %(pk)s: %(why)s"), { pk: made.item.pk, why: told.error }), told.item); return; }
  count(-1);
  if (seen.at(-1) === made.item.pk) seen.pop();
  show(told.item, { remember: true });
}

async function score(value) {
  const item = current;
  if (!item || !answer) return;
  const told = await send(address("score", item.pk), { answer, value, q: query.get("q") ?? "" }).catch(() => null);
  renew(item, told);
}

async function swap() {
  const item = current;
  const told = await send(address("swap", item.pk), { row_version: item.row_version, q: query.get("q") ?? "" }).catch(() => null);
  renew(item, told);
}

function renew(item, told) {
  if (!told) return offline();
  if (told.error) return complain(told.error, told.item);
  if (current?.pk !== item.pk) return undefined;
  current = told.item;
  return draw();
}

function step(by) {
  const places = current.texts.filter((text) => text.answer).map((text) => text.place);
  if (!places.length) return;
  choose(places[(places.indexOf(answer) + by + places.length) % places.length]);
}

const deeds = {
  approve: () => decide("approve"),
  reject, edit, save, stay, back, undo, swap, again,
  skip: () => next(),
  help: () => at("help").showModal(),
};

const keys = {
  a: "approve", r: "reject", e: "edit", n: "skip", j: "skip", k: "back", u: "undo", x: "swap", "?": "help",
};
const WITHOUT_EXAMPLE = ["help", "back", "undo", "again"];

let busy = false;

async function run(name) {
  if (busy || (!current && !WITHOUT_EXAMPLE.includes(name))) return;
  busy = true;
  try {
    await deeds[name]();
  } finally {
    busy = false;
  }
}

page.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) run(button.dataset.do);
});

at("reason").addEventListener("submit", (event) => {
  event.preventDefault();
  const reason = event.target.elements.reason.value.trim();
  at("card").focus({ preventScroll: true });
  if (!busy && current) decide("reject", { reason });
});

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.altKey || at("help").open) return;
  if (page.dataset.mode === "editing" && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run("save");
  } else if (event.key === "Escape" && page.dataset.mode !== "deciding") {
    event.preventDefault();
    run("stay");
  }
  if (page.dataset.mode !== "deciding" || event.ctrlKey || event.metaKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (current && /^[1-5]$/.test(event.key)) { event.preventDefault(); score(Number(event.key)); }
  else if (current && event.key === "ArrowLeft") step(-1);
  else if (current && event.key === "ArrowRight") step(1);
  else if (keys[event.key] && (keys[event.key] !== "swap" || current?.texts.some((text) => text.place === "rejected"))) {
    event.preventDefault();
    run(keys[event.key]);
  }
});

window.addEventListener("pagehide", () => {
  const held = new FormData();
  held.append("csrfmiddlewaretoken", token);
  for (const item of [current, ...waiting]) if (item) held.append("pk", item.pk);
  navigator.sendBeacon(urls.release, held);
});

last = Number(new URLSearchParams(window.location.search).get("after")) || 0;
load({ count: true }).catch(offline).then(() => next({ remember: false }));
setInterval(showLeft, 30000);
// Who writes for longer than five minutes keeps the example.
setInterval(() => {
  if (current && page.dataset.mode === "editing") get(`${address("item", current.pk)}?${query}`).catch(() => {});
}, 120000);
