/* The growing text: what Python cannot do per token without sending the whole text again.

`LiveWindow` gets small windows [id, offset, text] ("from `offset` on, the text of `id` is `text`", in UTF-16 units) and
splices them into a text kept here; `Answer` shows the text of one message and renders again only when that one changes.
*/
import { memo, useCallback, useLayoutEffect, useState, useSyncExternalStore } from "react";
import { copyText } from "./clipboard.js";
import { Markdown } from "./markdown.jsx";

const texts = new Map();
const listeners = new Map();

function splice([id, offset, text]) {
  const known = texts.get(id) ?? "";
  if (offset > known.length) return false;
  const next = known.slice(0, offset) + text;
  if (next !== known) {
    texts.set(id, next);
    listeners.get(id)?.forEach((listener) => listener());
  }
  return true;
}

export function LiveWindow({ value, onGap }) {
  useLayoutEffect(() => {
    const [id] = value;
    if (id && !splice(value)) onGap?.(id);
  }, [value]);
  return null;
}

// The window names a turn by the end of its id, to be short.
const windowId = (messageId) => messageId.slice(-8);

// The stored text may be newer than what was followed here: another tab went on with it.
const newer = (live, stored) => (live !== undefined && live.length >= stored.length ? live : stored);

function useText(messageId, stored) {
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
  const live = useSyncExternalStore(subscribe, () => texts.get(id), () => undefined);
  return newer(live, stored);
}

export const Answer = memo(function Answer({ messageId, stored, streaming }) {
  return <Markdown text={useText(messageId, stored)} growing={streaming} />;
});

export function CopyText({ messageId, stored }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await copyText(newer(texts.get(windowId(messageId)), stored));
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
