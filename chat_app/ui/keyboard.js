/* The keys of the page. They press the buttons that are on it, so whatever those do, the keys do. The list that people see
is in shortcuts.py. */
import { drawer } from "./drawer.js";
import { composing, hovers } from "./touch.js";

const press = (event, selector) => {
  const element = document.querySelector(selector);
  if (!element) return;
  event.preventDefault();
  element.click();
};

const toBox = (event) => {
  event.preventDefault();
  box()?.focus();
};

const box = () => document.querySelector(".box textarea");

/* What is typed beside all fields is meant for the box. */
function type(event) {
  if (event.key.length !== 1 || event.key === " " || !hovers()) return;
  if (!event.target.closest?.("select, [role=menu]")) box()?.focus();
}

/* The nearest thing only: a menu, a dialog and a small form deal with it themselves. */
function escape(event, { dialog }) {
  if (dialog || event.target.closest?.("form:not(.box)")) return;
  if (document.querySelector("[role=menu]")) return;
  if (closeTableMenu()) return;
  if (drawer.isOpen()) drawer.close();
  else press(event, "[data-key=stop]");
}

/* Streamdown's, which only a press of the mouse beside it closes. */
function closeTableMenu() {
  const open = document.querySelector('[data-streamdown="table-wrapper"] .relative > .absolute');
  if (open) document.dispatchEvent(new MouseEvent("mousedown"));
  return open !== null;
}

/* In an empty box the conversation is what a person wants to page through. */
function page(event) {
  const { target } = event;
  if (!target.matches?.(".box textarea") || target.value !== "") return;
  const area = document.querySelector(".scroll-area");
  if (!area) return;
  event.preventDefault();
  area.scrollBy({ top: (event.key === "PageUp" ? -0.85 : 0.85) * area.clientHeight });
}

/* The list of chats has one stop of the Tab key a chat; the arrows go from chat to chat, and aside to its menu. */
function walk(event) {
  const here = event.target.closest?.(".chat-link, .chat-menu");
  const row = here?.closest(".chat-row");
  if (!row) return false;
  const [link, menu] = [row.querySelector(".chat-link"), row.querySelector(".chat-menu")];
  const [aside, back] = getComputedStyle(row).direction === "rtl" ? ["ArrowLeft", "ArrowRight"] : ["ArrowRight", "ArrowLeft"];
  const goal = {
    [aside]: () => here === link && menu,
    [back]: () => here === menu && link,
    ArrowDown: () => here === link && beside(link, 1),
    ArrowUp: () => here === link && beside(link, -1),
    Home: () => here === link && links().at(0),
    End: () => here === link && links().at(-1),
  }[event.key]?.();
  if (goal) goal.focus();
  else if (here === link && (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey))) openMenu(menu);
  else return false;
  event.preventDefault();
  return true;
}

/* The arrows choose a result, Enter opens it, or the first one; the focus stays in the field. */
function choose(event) {
  const field = event.target;
  if (!field.matches?.("#search input")) return false;
  const found = [...document.querySelectorAll("#results a")];
  const at = found.findIndex((link) => link.hasAttribute("data-active"));
  if (event.key === "Enter") open(field, found[Math.max(at, 0)]);
  else if (event.key === "ArrowDown") activate(field, found, Math.min(at + 1, found.length - 1));
  else if (event.key === "ArrowUp") activate(field, found, at - 1);
  else return false;
  event.preventDefault();
  return true;
}

function activate(field, links, at) {
  links.forEach((link, i) => {
    link.id = `result-${i}`;
    link.toggleAttribute("data-active", i === at);
  });
  if (at >= 0) field.setAttribute("aria-activedescendant", links[at].id);
  else field.removeAttribute("aria-activedescendant");
  links[at]?.scrollIntoView({ block: "nearest" });
}

function open(field, link) {
  const list = document.querySelector("#results");
  if (list.dataset.query === field.value.trim()) {
    link?.click();
    return;
  }
  // They are on their way.
  const answered = new MutationObserver(() => {
    answered.disconnect();
    if (field.checkVisibility()) open(field, list.querySelector("a"));
  });
  answered.observe(list, { attributeFilter: ["data-query"] });
}

const links = () => [...document.querySelectorAll(".chats .chat-link")];
const beside = (link, by) => links()[links().indexOf(link) + by] ?? link;

function openMenu(menu) {
  menu.focus();
  menu.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
}

export function listenToKeys() {
  // Before anything else hears of it: Esc and Enter are then the input method's own.
  addEventListener("keydown", (event) => composing(event) && event.stopImmediatePropagation(), { capture: true });
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    const dialog = document.querySelector("dialog[open]");
    const typing = event.target.closest?.("input, textarea, [contenteditable]");
    const command = event.ctrlKey || event.metaKey;
    const plain = !command && !event.altKey;
    if (walk(event) || choose(event)) return;
    if (command && !event.shiftKey && event.key.toLowerCase() === "k") press(event, "[data-key=search]");
    else if (command && event.shiftKey && event.key.toLowerCase() === "o") press(event, "[data-key=new]");
    else if (event.key === "Escape") escape(event, { dialog });
    else if (event.key === "PageUp" || event.key === "PageDown") page(event);
    else if (plain && event.key === "?" && !typing && !dialog) press(event, "[data-key=help]");
    else if (plain && event.key === "/" && !typing && !dialog) toBox(event);
  else if (plain && !typing && !dialog) type(event);
  });

  document.addEventListener("input", ({ target }) => {
    if (target.matches("#search input")) activate(target, [...document.querySelectorAll("#results a")], -1);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(".skip");
    if (!link) return;
    // Not by the address: what it names is a message.
    event.preventDefault();
    (document.querySelector(".scroll-area") ?? document.querySelector("main"))?.focus();
  });
}
