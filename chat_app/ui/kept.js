/* What is being typed, kept in this tab, by name, until it is sent or given up: it survives a reload, another chat and a
form that closes, and belongs to no other tab. */
import { useSyncExternalStore } from "react";

const listeners = new Set();

export const kept = {
  get: (name) => sessionStorage.getItem(name),

  /** As `set`, but nothing on the page changes by it. */
  note(name, text) {
    if (text === null) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, text);
  },

  set(name, text) {
    kept.note(name, text);
    listeners.forEach((listener) => listener());
  },
};

// Sent by dialogs.py.
if (typeof window !== "undefined") window.addEventListener("chat:saved", ({ detail }) => kept.set(detail, null));

export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The text that is kept under this name, null for none. */
export function useKept(name) {
  return useSyncExternalStore(subscribe, () => kept.get(name), () => null);
}
