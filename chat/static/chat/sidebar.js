// The list of conversations: newest first by day, search, rename, delete, more on scrolling, a dot while one answers.
// `act` has: open(id), fresh(), removed(id), renamed(id, title).
import * as api from "./api.js";
import { button, el, find, iconButton } from "./dom.js";
import { confirm } from "./dialogs.js";
import { fill, gettext, language } from "./i18n.js";
import { openMenu } from "./menu.js";
import { recall, remember } from "./state.js";
import { toast } from "./toast.js";

const SEARCH_AFTER_MS = 220;
const DAY_MS = 86_400_000;
const isPhone = () => matchMedia("(max-width: 820px)").matches;

function group(updatedAt) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const at = new Date(updatedAt).getTime();
  if (at >= midnight) return gettext("Today");
  if (at >= midnight - DAY_MS) return gettext("Yesterday");
  if (at >= midnight - 7 * DAY_MS) return gettext("Last 7 days");
  return new Intl.DateTimeFormat(language, { year: "numeric", month: "long" }).format(at);
}

export class Sidebar {
  #list = find("#conversations");
  #app = find("#app");
  #act;
  #rows = []; // as from the server, newest first
  #next = null;
  #query = ""; // as typed
  #shownQuery = ""; // as answered
  #open = null;
  #answering = new Set();
  #more = button(gettext("Show more"), "quiet small more-rows", () => this.#extend());
  #timer = 0;

  constructor(act) {
    this.#act = act;
    find("#search").addEventListener("input", (event) => this.#search(event.target.value.trim()));
    find("#sidebar-open").addEventListener("click", () => this.show(true));
    find("#sidebar-close").addEventListener("click", () => this.show(false));
    find("#backdrop").addEventListener("click", () => this.show(false));
    find("#new-chat").addEventListener("click", (event) => this.#follow(event, () => act.fresh()));
    new IntersectionObserver(([seen]) => seen.isIntersecting && this.#extend(), { root: this.#list }).observe(this.#more);
    this.#app.classList.toggle("sidebar-closed", recall("sidebar", true) === false);
    document.addEventListener("keydown", (event) => this.#keys(event));
    document.addEventListener("click", (event) => this.#closeAccount(event));
  }

  show(isShown) {
    if (isPhone()) this.#app.classList.toggle("sidebar-shown", isShown);
    else {
      this.#app.classList.toggle("sidebar-closed", !isShown);
      remember("sidebar", isShown);
    }
    find(isShown ? "#sidebar-close" : "#sidebar-open").focus();
  }

  async load() {
    const query = this.#query;
    const found = await api.conversations(query);
    if (query !== this.#query) return; // a later search was faster
    this.#merge(found, query === this.#shownQuery);
    this.#shownQuery = query;
    this.#draw();
  }

  // The newest page again: older rows that were already shown stay below it.
  #merge({ conversations, next }, isSameQuery) {
    const newest = new Set(conversations.map((row) => row.id));
    const last = conversations.at(-1)?.updated_at;
    const older = isSameQuery && next ? this.#rows.filter((row) => !newest.has(row.id) && row.updated_at < last) : [];
    this.#rows = [...conversations, ...older];
    if (!older.length) this.#next = next;
    for (const { id, answering } of conversations) this.#mark(id, answering);
  }

  #mark(id, isAnswering) {
    if (isAnswering) this.#answering.add(id);
    else this.#answering.delete(id);
  }

  open(id) {
    this.#open = id;
    this.#draw();
  }

  // A conversation was made or moved to the top.
  touch(id, title) {
    const row = this.#rows.find((one) => one.id === id) ?? { id, title };
    row.updated_at = new Date().toISOString();
    row.title = title ?? row.title;
    if (!this.#query) this.#rows = [row, ...this.#rows.filter((one) => one !== row)];
    this.#draw();
  }

  entitle(id, title) {
    const row = this.#rows.find((one) => one.id === id);
    if (!row) return;
    row.title = title;
    this.#draw();
  }

  title(id) {
    return this.#rows.find((one) => one.id === id)?.title ?? "";
  }

  answering(id, isAnswering) {
    this.#mark(id, isAnswering);
    this.#draw();
  }

  #search(query) {
    this.#query = query;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#quietly(this.load()), SEARCH_AFTER_MS);
  }

  async #extend() {
    if (!this.#next) return;
    const before = this.#next;
    this.#next = null; // one page at a time
    const found = await this.#quietly(api.conversations(this.#query, before));
    if (!found) return;
    const known = new Set(this.#rows.map((row) => row.id));
    this.#rows.push(...found.conversations.filter((row) => !known.has(row.id)));
    this.#next = found.next;
    this.#draw();
  }

  async #quietly(promise) {
    try {
      return await promise;
    } catch {
      toast(gettext("The list could not be loaded. Please try again."), { bad: true });
      return null;
    }
  }

  #draw() {
    const parts = [];
    let last = null;
    for (const row of this.#rows) {
      const name = this.#shownQuery ? gettext("Found") : group(row.updated_at);
      if (name !== last) parts.push(el("h2", {}, name), el("ul", {}));
      parts.at(-1).append(this.#row(row));
      last = name;
    }
    if (!parts.length) parts.push(el("p", { class: "empty" }, this.#query ? gettext("Nothing found") : gettext("Your conversations will be here")));
    if (this.#next) parts.push(this.#more);
    if (!this.#list.querySelector("input")) this.#replace(parts); // nobody is typing a name
  }

  // News come while somebody walks through the list by keyboard: the focus stays where it was.
  #replace(parts) {
    const focused = document.activeElement;
    const isHere = this.#list.contains(focused);
    const [id, tag] = isHere ? [focused.closest("li")?.dataset.conversation, focused.localName] : [];
    this.#list.replaceChildren(...parts);
    if (id) this.#item(id)?.querySelector(tag)?.focus({ preventScroll: true });
  }

  #item(id) {
    return find(`[data-conversation="${id}"]`, this.#list);
  }

  #row({ id, title }) {
    const name = title || gettext("New chat");
    const isAnswering = this.#answering.has(id);
    const dot = isAnswering ? el("i", { class: "answering", role: "img", "aria-label": gettext("An answer is being written") }) : null;
    const go = (event) => this.#follow(event, () => this.#act.open(id));
    const link = el("a", { href: `/c/${id}/`, onclick: go, title: name, "aria-current": id === this.#open ? "page" : null }, el("span", {}, name), dot);
    const label = fill(gettext("Options for %(title)s"), { title: name });
    const options = iconButton("more", label, (event) => this.#options(event.currentTarget, { id, title: name }), { "aria-haspopup": "menu", "aria-expanded": "false" });
    return el("li", { class: id === this.#open ? "row open" : "row", "data-conversation": id }, link, options);
  }

  // A plain click stays on the page; a click with a modifier opens a tab as usual.
  #follow(event, act) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    this.#app.classList.remove("sidebar-shown");
    act();
  }

  #options(anchor, row) {
    openMenu(anchor, [
      { label: gettext("Rename"), iconName: "edit", act: () => this.#rename(row) },
      { label: gettext("Delete"), iconName: "trash", danger: true, act: () => this.#remove(row) },
    ]);
  }

  #rename({ id, title }) {
    const box = el("input", { type: "text", maxlength: "120", "aria-label": gettext("New name") });
    box.value = title;
    let hasEnded = false;
    const end = async (isKept) => {
      if (hasEnded) return; // taking the box away is a blur too
      hasEnded = true;
      const wanted = box.value.trim();
      box.remove();
      if (isKept && wanted && wanted !== title) await this.#renamed(id, wanted);
      this.#draw();
    };
    box.addEventListener("blur", () => end(true));
    box.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") end(true);
      if (event.key === "Escape") end(false);
      if (event.key === "Escape") event.stopPropagation();
    });
    this.#item(id).replaceChildren(box);
    box.select();
  }

  async #renamed(id, title) {
    if ((await this.#quietly(api.rename(id, title).then(() => true))) === null) return;
    this.entitle(id, title);
    this.#act.renamed(id, title);
  }

  async #remove({ id, title }) {
    const text = fill(gettext("“%(title)s” and all its messages will be deleted."), { title });
    if (!(await confirm(gettext("Delete this conversation?"), text, gettext("Delete")))) return;
    if ((await this.#quietly(api.remove(id).then(() => true))) === null) return;
    this.#rows = this.#rows.filter((row) => row.id !== id);
    this.#draw();
    this.#act.removed(id);
  }

  #keys(event) {
    if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      this.#act.fresh();
    }
    if (event.key === "Escape" && this.#app.classList.contains("sidebar-shown")) this.show(false);
    if (event.key === "Escape") find("#account").open = false;
  }

  #closeAccount(event) {
    const account = find("#account");
    if (account.open && !account.contains(event.target)) account.open = false;
  }
}
