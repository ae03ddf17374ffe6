// The chat page: makes the parts, ties them together and keeps the address bar, the top bar and the news in step.
import * as api from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { ask } from "./dialogs.js";
import { button, find } from "./dom.js";
import { Feedback } from "./feedback.js";
import { fill, gettext, number } from "./i18n.js";
import { Follow } from "./scroll.js";
import { openSettings } from "./settings.js";
import { Sidebar } from "./sidebar.js";
import { Line } from "./socket.js";
import { page, site } from "./state.js";
import { toast } from "./toast.js";

const STATE_EVERY_MS = 60_000;
const SAY_AFTER_MS = 1_500;
const SIDEBAR_AFTER_MS = 400;

const line = new Line(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws/chat/`);
const composer = new Composer({ send: (text) => chat.send(text), stop: () => chat.stop() });
const sidebar = new Sidebar({
  open: (id) => go(id),
  fresh: () => go(null),
  removed: (id) => id === chat.id && go(null),
  renamed: (id, title) => chat.entitle(id, title),
});
const feedback = new Feedback(line, {
  message: (id) => chat.message(id),
  view: (id) => chat.view(id),
  redraw: () => chat.redraw(),
  show: (id) => chat.show(id),
});
const follow = new Follow(find("#scroll"), find("#jump"));
const chat = new Chat({ line, composer, sidebar, follow, feedback, showPlace, showMeter, leave: () => go(null, { replace: true }) });

// --- where we are ----------------------------------------------------------------------------------------------

const addressOf = (id) => (id ? `/c/${id}/` : page.home);
const idOf = (path) => /^\/c\/([0-9a-f-]+)\/$/.exec(path)?.[1] ?? null;

function go(id, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", addressOf(id));
  else if (location.pathname !== addressOf(id)) history.pushState(null, "", addressOf(id));
  return id ? chat.open(id) : chat.fresh();
}

function showPlace({ id, title }) {
  const name = title || gettext("New chat");
  find("#title").textContent = name;
  document.title = `${name} · Chatsite`;
  if (id && location.pathname === page.home) history.replaceState(null, "", addressOf(id));
}

function showMeter(path) {
  const seen = path.findLast((message) => message.generation?.limit)?.generation;
  const meter = find("#meter");
  meter.hidden = !seen;
  if (!seen) return;
  const share = Math.min(1, seen.prompt_tokens / seen.limit);
  const numbers = { used: number(seen.prompt_tokens), limit: number(seen.limit) };
  meter.classList.toggle("full", share > 0.85);
  meter.title = gettext("How much of the conversation the model can see at once");
  find(".meter-text", meter).textContent = fill(gettext("%(used)s / %(limit)s tokens"), numbers);
  find(".meter-bar span", meter).style.width = `${Math.round(share * 100)}%`;
}

// --- news ------------------------------------------------------------------------------------------------------

async function refreshState() {
  Object.assign(site, await api.state());
  showModel();
}

function showModel() {
  const pill = find("#model");
  pill.hidden = !site.model;
  if (site.model) find("span", pill).textContent = find("span", pill).title = site.model.name;
  const notice = find("#notice");
  if (!site.model) notice.textContent = gettext("No model is active yet. An operator can activate one under “Data and training”.");
  else if (site.training) notice.textContent = gettext("Training is running, so answers may take a little longer.");
  notice.hidden = Boolean(site.model) && !site.training;
}

function activated(name) {
  site.model = { ...site.model, name };
  showModel();
  toast(fill(gettext("A new version answers from now on: %(name)s"), { name }), { iconName: "spark" });
}

async function signedOut() {
  line.end();
  const words = gettext("Your session has ended. What you typed is kept on this device; sign in to go on.");
  const said = document.createElement("p");
  said.textContent = words;
  await ask(gettext("You are signed out"), [said], [{ label: gettext("Sign in"), kind: "primary", value: () => "go" }]);
  location.assign(`${page.signIn}?next=${encodeURIComponent(location.pathname)}`);
}

const guarded = (work) =>
  work().catch((error) => {
    if (error instanceof api.SignedOut) signedOut();
    else toast(gettext("The server could not be reached. Please try again."), { bad: true });
  });

let sidebarTimer = 0;
function changed(conversation) {
  if (conversation === chat.id) chat.reload();
  clearTimeout(sidebarTimer);
  sidebarTimer = setTimeout(() => guarded(() => sidebar.load()), SIDEBAR_AFTER_MS);
}

function entitle(id, title) {
  sidebar.entitle(id, title);
  chat.entitle(id, title);
}

line.addEventListener("frame", ({ detail: frame }) => {
  if (frame.type === "title") entitle(frame.conversation, frame.title);
  else if (frame.type === "conversation_changed") changed(frame.conversation);
  else if (frame.type === "model_activated") activated(frame.name);
  else if (frame.type === "kick") signedOut();
});

const retry = button(gettext("Try now"), "quiet small", () => line.retry());
retry.hidden = true;
find("#line").append(retry);

function showLine(isLost) {
  const hadFocus = document.activeElement === retry;
  find("#line-state").textContent = isLost ? gettext("Connection lost, trying again…") : "";
  retry.hidden = !isLost;
  if (hadFocus && !isLost) composer.focus();
}

// The first break is often over before anyone notices it; a line that breaks again and again says so until it holds.
let lineTimer = 0;
line.addEventListener("state", ({ detail }) => {
  clearTimeout(lineTimer);
  const isLost = detail === "waiting";
  const isKnown = isLost === line.failures > 1;
  lineTimer = setTimeout(() => showLine(isLost), isKnown ? 0 : SAY_AFTER_MS);
});

// Handshakes that keep failing may mean that the session is over, which only a page request can tell.
line.addEventListener("refused", () => refreshState().catch((error) => error instanceof api.SignedOut && signedOut()));

// --- the page itself -------------------------------------------------------------------------------------------

find("#settings-open").addEventListener("click", openSettings);
window.addEventListener("popstate", () => {
  const id = idOf(location.pathname);
  if (id) chat.open(id);
  else chat.fresh();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing && !document.querySelector("dialog[open]")) chat.stop();
});
// Come back to the conversation that is open now, not to the one that the page was made for.
document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-language]")) event.target.elements.next.value = location.pathname;
});
setInterval(() => document.visibilityState === "visible" && refreshState().catch(() => {}), STATE_EVERY_MS);

line.start();
await guarded(refreshState);
guarded(() => sidebar.load());
await go(page.conversation || null, { replace: true });
document.body.dataset.ready = "1";
