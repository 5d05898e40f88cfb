/* What a button with an icon does, and its shortcut, beside it: when the mouse rests on it, and when it has the focus. */
import { hovers } from "./touch.js";

const REST_MS = 400;
const GAP = 6;
const NAMED = "button[aria-label], a[aria-label], button[title]";
const KEYS = { Control: "Ctrl", Escape: "Esc" };

let timer;
let shownFor = null;
let tip;
// Looks for the end of the button, as long as its tip is there.
let gone;

function hide() {
  clearTimeout(timer);
  shownFor = null;
  gone.disconnect();
  if (tip.isConnected && tip.matches(":popover-open")) tip.hidePopover();
}

/* The browser's own tip shows none at the focus, and would be a second one. */
function nameOf(target) {
  const { title } = target;
  if (title && !target.ariaLabel) target.ariaLabel = title;
  if (title === target.ariaLabel) target.removeAttribute("title");
  return target.ariaLabel;
}

function fill(target) {
  const keys = target.getAttribute("aria-keyshortcuts")?.split("+") ?? [];
  const marks = keys.map((key) => Object.assign(document.createElement("kbd"), { textContent: KEYS[key] ?? key }));
  tip.replaceChildren(nameOf(target), ...marks.flatMap((mark) => [" ", mark]));
}

function show(target) {
  hide();
  if (!target.isConnected || !target.checkVisibility()) return;
  shownFor = target;
  gone.observe(document, { subtree: true, childList: true });
  fill(target);
  // Within a landmark, and within a dialog, beside which nothing can be read.
  (target.closest("dialog, main, aside") ?? document.body).append(tip);
  tip.showPopover();
  place(target);
}

function place(target) {
  const at = target.getBoundingClientRect();
  const { width, height } = tip.getBoundingClientRect();
  const below = at.bottom + GAP + height < innerHeight;
  const left = Math.min(Math.max(at.left + (at.width - width) / 2, GAP), innerWidth - width - GAP);
  tip.style.translate = `${left}px ${below ? at.bottom + GAP : at.top - GAP - height}px`;
}

/* A tip stays with its button where that is scrolled, and does not heed what scrolls beside it: a growing answer. */
function follow({ target: scrolled }) {
  if (!shownFor || !scrolled.contains(shownFor)) return;
  const { top, bottom } = (scrolled === document ? document.documentElement : scrolled).getBoundingClientRect();
  const at = shownFor.getBoundingClientRect();
  if (at.bottom <= Math.max(top, 0) || at.top >= Math.min(bottom, innerHeight)) hide();
  else place(shownFor);
}

const named = (event) => event.target.closest?.(NAMED);

export function showTooltips() {
  tip = document.createElement("div");
  tip.className = "tooltip";
  tip.setAttribute("role", "tooltip");
  tip.popover = "manual";
  document.addEventListener("pointerover", (event) => {
    const target = named(event);
    if (!target) clearTimeout(timer);
    // Text that grows moves beneath a mouse that rests: the tip of what has the focus stays.
    if (!target && !shownFor?.matches(":focus-visible")) hide();
    if (!target || target === shownFor || event.pointerType !== "mouse" || !hovers()) return;
    nameOf(target);
    clearTimeout(timer);
    timer = setTimeout(() => show(target), REST_MS);
  });
  document.addEventListener("focusin", (event) => {
    const target = named(event);
    if (target?.matches(":focus-visible")) show(target);
  });
  for (const name of ["focusout", "pointerdown"]) document.addEventListener(name, hide, { capture: true, passive: true });
  document.addEventListener("scroll", follow, { capture: true, passive: true });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide(), { capture: true });
  gone = new MutationObserver(() => shownFor?.isConnected || hide());
}
