/* To the clipboard, also where the browser keeps its API from a page: over plain http on a LAN address, and in a frame
that may not use it. Code that uses the API itself, such as Streamdown's buttons, then gets this one in its place. */
import { say } from "./say.js";

const FAILED = "The browser lets nothing be copied here. Select the text and copy it with the keyboard.";
// The browser's own functions, where it has them.
const own = {};

/* As a person's own copy does it. `flavours`: text by media type. */
function copyByCommand(flavours) {
  const fill = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    for (const [type, text] of Object.entries(flavours)) event.clipboardData.setData(type, text);
  };
  addEventListener("copy", fill, { capture: true });
  try {
    return withSelection(flavours["text/plain"], () => document.execCommand("copy"));
  } finally {
    removeEventListener("copy", fill, { capture: true });
  }
}

/* Safari copies only where something is selected, and only from what can have the focus: in a dialog, from within it. */
function withSelection(text, copy) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true;
  area.style.cssText = "position: fixed; inset: 0 auto auto 0; opacity: 0; font-size: 1rem";
  (focused?.closest("dialog") ?? document.body).append(area);
  area.select();
  try {
    return copy();
  } finally {
    area.remove();
    focused?.focus({ preventScroll: true });
  }
}

async function copy(byApi, flavours) {
  try {
    if (byApi) return await byApi();
  } catch {
    // It is there, but may not be used here.
  }
  if (copyByCommand(await flavours())) return undefined;
  say(FAILED);
  throw new DOMException(FAILED, "NotAllowedError");
}

/* Where nothing works it tells the person, and then raises NotAllowedError. */
export function copyText(text) {
  return copy(own.writeText && (() => own.writeText(text)), () => ({ "text/plain": text }));
}

function copyItems(items) {
  return copy(own.write && (() => own.write(items)), () => flavoursOf(items));
}

async function flavoursOf(items) {
  const flavours = {};
  for (const item of items) {
    for (const type of item.types) flavours[type] = await (await item.getType(type)).text();
  }
  return flavours;
}

/* As much of a ClipboardItem as `flavoursOf` needs. */
class Item {
  #flavours;

  constructor(flavours) {
    this.#flavours = flavours;
    this.types = Object.keys(flavours);
  }

  async getType(type) {
    return new Blob([await this.#flavours[type]], { type });
  }
}

export function replaceClipboard() {
  const api = navigator.clipboard;
  for (const name of ["writeText", "write"]) own[name] = api?.[name]?.bind(api);
  globalThis.ClipboardItem ??= Item;
  const replacement = { writeText: copyText, write: copyItems };
  if (api) Object.assign(api, replacement);
  else Object.defineProperty(navigator, "clipboard", { configurable: true, value: replacement });
}
