/* When a person is asked how fast answers feel: under the tenth answer that ended before their eyes in this browser, until the
question is answered or closed in any of its tabs.

Both are kept by the page. What the server knows of a browser's storage is, with each address, older for a moment than what is
there, and would take answers back. */
import { useSyncExternalStore } from "react";

const ANSWERS = "answers";
const CLOSED = "survey";
const ASKED_AT = 10;

const listeners = new Set();
const tell = () => listeners.forEach((listener) => listener());
let due = false;

const seen = () => Number.parseInt(localStorage.getItem(ANSWERS), 10) || 0;
const asks = () => due && !localStorage.getItem(CLOSED);

/** One more answer has ended on the page. */
export function countAnswer() {
  localStorage.setItem(ANSWERS, String(seen() + 1));
  due = seen() >= ASKED_AT;
  tell();
}

if (typeof window !== "undefined") {
  window.addEventListener("storage", tell);
  // Sent by survey.py.
  window.addEventListener("chat:survey-closed", () => {
    localStorage.setItem(CLOSED, "closed");
    tell();
  });
}

function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Its children while the question is asked; `on`: it is asked at all. */
export function Survey({ on, children }) {
  return useSyncExternalStore(subscribe, asks, () => false) && on ? children : null;
}
