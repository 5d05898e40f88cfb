/* The growing text: what Python cannot do per token without sending the whole text again.

`LiveWindow` gets small windows [offset, text] ("from `offset` on, the reply's string is `text`", in UTF-16 units) and
splices them into a string kept here, see reply_text.js; `Answer` shows one message and renders again only when that one
changes.
*/
import { memo, useCallback, useContext, useInsertionEffect, useLayoutEffect, useMemo, useState, useSyncExternalStore } from "react";
import { StateStoreContext } from "$/utils/context-registry";
import { Boundary } from "./boundary.jsx";
import { copyText } from "./clipboard.js";
import { Suggestion } from "./outbox.jsx";
import { measures } from "./measures.js";
import { Reply } from "./reply.jsx";
import { laidOut, partsOf, textOf, thoughtLength, writtenText } from "./reply_text.js";
import { onWindow } from "./windows.js";

// By window: the string so far, when it came, and its parts once they were asked for.
const replies = new Map();
const listeners = new Map();

function splice(id, [offset, text]) {
  const known = replies.get(id) ?? { raw: "", parts: [] };
  if (offset > known.raw.length) return false;
  const raw = known.raw.slice(0, offset) + text;
  if (raw !== known.raw) {
    replies.set(id, { raw, at: performance.now(), before: known.parts ?? known.before });
    draw(id);
  }
  return true;
}

/** Only where the answer is drawn: a text that cannot be read is then trouble of this message alone. */
function readParts(reply) {
  reply.parts ??= partsOf(reply.raw, reply.before, reply.at);
  return reply.parts;
}

// What comes is drawn at once, as long as that takes a fourth of the time at most; else with the next frame of the screen,
// together with what comes until then.
const RESTS = 3;
const undrawn = new Set();
let restsTo = 0;
let waiting = false;

function draw(id) {
  undrawn.add(id);
  if (performance.now() >= restsTo || document.visibilityState === "hidden") drawAll();
  else if (!waiting) {
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      drawAll();
    });
  }
}

function drawAll() {
  const began = performance.now();
  const ids = [...undrawn];
  undrawn.clear();
  for (const id of ids) listeners.get(id)?.forEach((listener) => listener());
  // React draws in a microtask of its own, before this one.
  queueMicrotask(() => {
    const now = performance.now();
    restsTo = now + RESTS * (now - began);
  });
}

let seen = {};

/** Whether Reflex sent the state's window just now. An old one is not to be spliced in again: it would cut off what came
    after it. */
function isNew({ of_rx_state_: id, w_rx_state_: window }) {
  const before = seen;
  seen = { id, window };
  return id !== before.id || window !== before.window;
}

/** Not through a prop: React passes over values that come faster than it renders, and each window counts. */
export function LiveWindow({ state, onGap }) {
  const store = useContext(StateStoreContext);
  useLayoutEffect(() => {
    const take = (window) => {
      const { of_rx_state_: id, held_rx_state_: held } = store.getSnapshot(state);
      if (!replies.has(id)) measures.arrived(id, held);
      if (id && !splice(id, window)) onGap?.(id);
    };
    // The first one of an answer, and all that is there after a reload.
    const look = () => {
      const snapshot = store.getSnapshot(state);
      if (isNew(snapshot)) take(snapshot.w_rx_state_);
    };
    look();
    const ends = [store.subscribe(state, look), onWindow(take)];
    return () => ends.forEach((end) => end());
  }, [store, state]);
  return null;
}

// The window names a turn by the end of its id, to be short.
const windowId = (messageId) => messageId.slice(-8);

function useLive(messageId) {
  const id = windowId(messageId);
  const subscribe = useCallback(
    (listener) => {
      const set = listeners.get(id) ?? new Set();
      listeners.set(id, set.add(listener));
      return () => {
        set.delete(listener);
        if (set.size === 0) listeners.delete(id);
      };
    },
    [id],
  );
  return useSyncExternalStore(subscribe, () => replies.get(id), () => undefined);
}

// The stored text may be newer than what was followed here: another tab went on with it.
const isNewer = (live, stored) => live !== undefined && textOf(readParts(live)).length >= stored.length;
const newerText = (live, stored) => (isNewer(live, stored) ? textOf(readParts(live)) : stored);

/* Where its parts cannot be read. */
function asWritten(live, stored) {
  const written = live ? writtenText(live.raw) : "";
  return written.length >= stored.length ? written : stored;
}

function copied(live, stored) {
  try {
    return newerText(live, stored);
  } catch {
    return asWritten(live, stored);
  }
}

/** Of what has ended, the server knows the order, and how long the model thought. */
function shownParts(live, stored, layout, streaming) {
  if (streaming && isNewer(live, stored)) return readParts(live);
  const thoughts = live && readParts(live).map(({ type, text }) => (type === "reasoning" ? text : "")).join("");
  const known = streaming || thoughts?.length === thoughtLength(layout) ? thoughts : undefined;
  return laidOut(layout, newerText(live, stored), known);
}

async function fetchThoughts(messageId, nth) {
  const response = await fetch(`/messages/${encodeURIComponent(messageId)}?include=reasoning`);
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  const { parts } = await response.json();
  return parts.filter(({ type }) => type === "reasoning")[nth].text;
}

const UNSHOWN = "This answer could not be shown as usual. Here is its text.";

export const Answer = memo(function Answer({ messageId, asked, stored, layout, streaming }) {
  const live = useLive(messageId);
  useMeasure(messageId, asked, stored, streaming);
  return (
    <Boundary sentence={UNSHOWN} text={asWritten(live, stored)} anew={[streaming]}>
      <Shown messageId={messageId} live={live} stored={stored} layout={layout} streaming={streaming} />
    </Boundary>
  );
});

const suggestion = (text) => <Suggestion key={text} text={text} className="suggestion" />;

function useMeasure(messageId, asked, stored, streaming) {
  // Before what is in it says that it is drawn. An answer that is asked for here may have ended by then.
  useInsertionEffect(() => {
    if (streaming || measures.awaits(asked)) measures.begun(messageId, asked, stored);
  }, [streaming]);
  useLayoutEffect(() => {
    if (!streaming) measures.ended(messageId, stored);
  }, [streaming]);
  useLayoutEffect(() => () => measures.left(messageId), []);
}

function Shown({ messageId, live, stored, layout, streaming }) {
  const parts = useMemo(() => shownParts(live, stored, layout, streaming), [live, stored, layout, streaming]);
  const painted = live && (() => measures.painted(messageId));
  useLayoutEffect(() => {
    // Text says itself when it is drawn.
    if (parts.at(-1)?.type !== "text") painted?.();
  }, [live]);
  return (
    <Reply
      parts={parts}
      growing={streaming}
      fetchThoughts={(nth) => fetchThoughts(messageId, nth)}
      suggestion={suggestion}
      onDrawn={painted}
    />
  );
}

export function CopyText({ messageId, stored }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await copyText(copied(replies.get(windowId(messageId)), stored));
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" className="tool" aria-label="Copy message" onClick={copy}>
      <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" strokeLinejoin="round" aria-hidden="true">
        {done ? <path d="m5 12 5 5L20 7" /> : <path d="M10 8h10a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H10a2 2 0 0 1-2-2V10a2 2 0 0 1 2-2M4 16a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2h10a2 2 0 0 1 2 2" />}
      </svg>
      <span role="status" className="visually-hidden">
        {done ? "Copied" : ""}
      </span>
    </button>
  );
}
