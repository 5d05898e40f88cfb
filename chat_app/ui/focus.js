/* The focus is never lost. Where it ends up after a button that did its work and went, or was disabled: at what took the
button's place, else beside it, else in the message box. */
import { hovers } from "./touch.js";

const FOCUSABLE = "a[href], button:enabled, input:enabled, select:enabled, textarea:enabled, [tabindex]";
const BOX = ".box textarea";

let had = null;

const usable = (element) => element?.isConnected && !element.disabled && element.checkVisibility({ visibilityProperty: true });
const among = (parent, selector = FOCUSABLE) => [...(parent?.querySelectorAll(selector) ?? [])].find(usable);

/* What is to be known of an element while it is there. */
function note(element) {
  const row = element.closest(".message, .chats li");
  had = {
    element,
    row,
    before: row?.previousElementSibling,
    after: row?.nextElementSibling,
    list: row?.parentElement,
    dialog: element.closest("dialog"),
    box: element.closest(".box"),
  };
}

function rowOf({ row, before, after, list }) {
  if (row?.isConnected) return row;
  if (!list?.isConnected) return null;
  if (list.matches("ul")) return [after, before].find((other) => other?.isConnected);
  return before?.isConnected ? before.nextElementSibling : list.lastElementChild;
}

const named = (row, name) => name && among(row, `[aria-label="${CSS.escape(name)}"]`);

function inRow(lost) {
  const row = rowOf(lost);
  if (!row) return null;
  if (row.matches("li")) return among(row, ".chat-link");
  const other = lost.element.closest(".versions") && among(row, ".versions button");
  return named(row, lost.element.ariaLabel) ?? other;
}

/* Where typing goes; on a phone not, or the keyboard would come unasked. */
export function home() {
  return hovers() ? among(document, BOX) : (among(document, ".scroll-area") ?? among(document, "main"));
}

/* What opened a form, where the form says it. */
function backOf(form) {
  const { backTo } = (form.querySelector("[data-back-to]") ?? form).dataset;
  return backTo && document.getElementById(backTo);
}

function next(lost) {
  const back = backOf(lost.element.closest("form") ?? lost.element);
  if (usable(back)) return back;
  if (lost.dialog?.open) return among(lost.dialog);
  if (lost.box && !hovers()) return among(lost.box, ".round");
  return inRow(lost) ?? home();
}

const isLost = () =>
  had && !usable(had.element) && [null, document.body, had.element].includes(document.activeElement);

/* What comes and goes within an answer's text hides nothing outside of it, and to ask lays out the page. */
const isAside = ({ target }) => {
  const text = target.closest?.(".prose");
  return text && !text.contains(had.element);
};

let due = 0;
function look(records) {
  if (due || !had || (had.element.isConnected && records.every(isAside))) return;
  // In the next frame: until then whatever takes the place may take the focus itself, and the page is laid out anyway.
  due = requestAnimationFrame(() => {
    due = 0;
    if (!isLost()) return;
    const lost = had;
    had = null;
    next(lost)?.focus({ preventScroll: true });
  });
}

export function keepFocus() {
  document.addEventListener("focusin", (event) => note(event.target));
  document.addEventListener("focusout", (event) => {
    // A click beside it leaves it; what is gone, or goes in this moment, was not left.
    if (!event.relatedTarget) setTimeout(() => had?.element === event.target && usable(event.target) && (had = null));
  });
  new MutationObserver(look).observe(document, {
    subtree: true,
    childList: true,
    attributes: true,
    attributeFilter: ["disabled", "hidden"],
  });
  document.addEventListener("click", (event) => {
    // Whoever sends or stops with the mouse goes on typing.
    if (event.detail > 0 && hovers() && event.target.closest?.(".box .round")) among(document, BOX)?.focus();
  });
}
