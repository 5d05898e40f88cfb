/* The outbox: what was sent is the person's until the server has it. Each message is kept in the tab's storage with its
idempotency key, so that it can be sent as often as it takes and is asked once; it goes when the server says that it has it.

A message: {key, place, editOf, content, since, refusal, taken}. `place` is where it was sent from: {chatId, visit}, with ""
for a new chat, of which each visit begins another; `editOf` the question that it is a new version of, or ""; `since` when it
was last sent, in ms; `refusal` what the server said where it did not take it ({code, message, retryable, retry_after} and
`at`, when it said so, in ms), else null; `taken` whether the server has it. */
import { useSyncExternalStore } from "react";
import { kept } from "./kept.js";
import { measures } from "./measures.js";
import { hovers } from "./touch.js";

const STORED = "outbox";
// Sent by composer.py.
const ANSWERED = "chat:answered";

// How long a message of another visit may take before it is shown in this one, in ms.
const HIDDEN_MS = 2_000;

const listeners = new Set();
// Which chat a message began, by its key.
const begun = new Map();
let messages;
let deliver = () => {};
let opened = () => {};

const all = () => (messages ??= restored());
const change = (key, values) => set(all().map((message) => (message.key === key ? { ...message, ...values } : message)));

function restored() {
  try {
    return JSON.parse(sessionStorage.getItem(STORED)) ?? [];
  } catch {
    return [];
  }
}

function set(next) {
  messages = next;
  const unsent = next.filter(({ taken }) => !taken);
  if (unsent.length) sessionStorage.setItem(STORED, JSON.stringify(unsent));
  else sessionStorage.removeItem(STORED);
  listeners.forEach((listener) => listener());
}

// Not randomUUID(), which pages without TLS do not have.
const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Of these messages those that were sent from a place, new versions of its questions apart. What is not under way does not
    get out of sight with another new chat. */
export function sentFrom({ chatId, visit }, messages) {
  const here = ({ place, refusal, since }) =>
    place.chatId === chatId && (chatId || place.visit === visit || refusal || Date.now() - since > HIDDEN_MS);
  return messages.filter((message) => here(message) && !message.editOf);
}

export const outbox = {
  all,

  of: (place) => sentFrom(place, all()),

  /** The chat that a message began. */
  chatOf: (key) => begun.get(key),

  send(content, place, editOf = "") {
    const key = newKey();
    measures.asked(key);
    const message = { key, place, editOf, content, since: Date.now(), refusal: null, taken: false };
    set([...all(), message]);
    deliver(message);
    return message.key;
  },

  again(key) {
    if (all().find((message) => message.key === key).refusal) measures.sentAgain(key);
    change(key, { since: Date.now(), refusal: null });
    deliver(all().find((message) => message.key === key));
  },

  /** Out of the outbox; gives its text. */
  take(key) {
    const message = all().find((one) => one.key === key);
    set(all().filter((one) => one !== message));
    return message?.content ?? "";
  },

  refuse: (key, refusal) => change(key, { refusal: { ...refusal, at: Date.now() } }),

  /** Whoever can deliver: `carrier(message)`, and open the chat that a message began: `opener(place, chatId)`. */
  by(carrier, opener) {
    [deliver, opened] = [carrier, opener];
  },

  /** All that the server does not have; where it has one of them nevertheless, the key tells it so. */
  deliverAll() {
    const waiting = all().filter(({ taken, refusal }) => !taken && !refusal);
    if (all().length) set(all().filter(({ taken }) => !taken));
    waiting.forEach(({ key }) => outbox.again(key));
  },
};

function answered({ detail: { key, chat_id: chatId, problem, took_ms: took, waits } }) {
  if (waits) measures.forget(key);
  else measures.answered(key, took);
  const message = all().find((one) => one.key === key);
  if (!message) return;
  if (problem) return outbox.refuse(key, problem);
  begun.set(key, chatId);
  // A new version is shown in the place of the old one, by its form; others stay until their row is on the page.
  if (message.editOf) edited(message);
  else change(key, { taken: true, place: { chatId, visit: "" } });
  if (!message.place.chatId) opened(message.place, chatId);
}

function edited({ key, editOf }) {
  outbox.take(key);
  // As after any message that is sent; not on a phone, where the keyboard would come unasked.
  if (hovers()) document.querySelector("textarea[name=message]")?.focus();
  kept.set(`edit:${editOf}`, null);
}

if (typeof window !== "undefined") window.addEventListener(ANSWERED, answered);

export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const NONE = [];

export function useOutbox() {
  return useSyncExternalStore(subscribe, all, () => NONE);
}

/** Where a location of React Router's is. */
export const placeOf = ({ pathname, key }) => ({
  chatId: pathname.startsWith("/c/") ? pathname.slice(3).replace(/\/$/, "") : "",
  visit: key,
});
