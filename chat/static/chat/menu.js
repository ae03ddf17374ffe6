// A small menu at a button: arrow keys move, Esc and a click elsewhere close, the focus goes back to the button.
import { el, find, icon } from "./dom.js";

const GAP_PX = 4;

function place(menu, anchor) {
  const at = anchor.getBoundingClientRect();
  const left = Math.min(at.left, window.innerWidth - menu.offsetWidth - 8);
  const below = at.bottom + GAP_PX;
  const fits = below + menu.offsetHeight < window.innerHeight;
  menu.style.left = `${Math.max(8, left)}px`;
  menu.style.top = `${fits ? below : at.top - menu.offsetHeight - GAP_PX}px`;
}

function move(menu, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const items = [...menu.children];
  items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
}

// items: [{label, iconName, act, danger}]
export function openMenu(anchor, items) {
  const closing = new AbortController();
  const close = () => {
    closing.abort();
    menu.remove();
    anchor.setAttribute("aria-expanded", "false");
    anchor.focus();
  };
  const menu = el("div", { class: "popup", role: "menu" });
  for (const { label, iconName, act, danger } of items) {
    const choose = () => {
      close();
      act();
    };
    const kind = danger ? "menu-item danger" : "menu-item";
    menu.append(el("button", { type: "button", role: "menuitem", class: kind, onclick: choose }, icon(iconName), label));
  }
  find("main").append(menu); // inside a landmark, for who goes from one to the next
  place(menu, anchor);
  anchor.setAttribute("aria-expanded", "true");
  menu.firstChild.focus();
  const { signal } = closing;
  menu.addEventListener("keydown", (event) => move(menu, event), { signal });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" && event.key !== "Tab") return;
    event.stopPropagation();
    close();
  }, { signal, capture: true });
  document.addEventListener("pointerdown", (event) => menu.contains(event.target) || close(), { signal, capture: true });
}
