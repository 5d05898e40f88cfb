/* The growing text: what Python cannot do per token without sending the whole text again.

`LiveWindow` gets small windows {id, offset, text} ("from `offset` on, the text of `id` is `text`", in UTF-16 units) and
splices them into a text kept here; `Answer` shows the text of one message and renders again only when that one changes.
*/
import { memo, useCallback, useLayoutEffect, useSyncExternalStore } from "react";
import { Streamdown } from "streamdown";
import { code } from "@streamdown/code";

const texts = new Map();
const listeners = new Map();

function splice({ id, offset, text }) {
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
    if (value.id && !splice(value)) onGap?.(value.id);
  }, [value]);
  return null;
}

function useText(id, stored) {
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
  // The stored text may be newer than what was followed here: another tab went on with it.
  return live !== undefined && live.length >= stored.length ? live : stored;
}

const plugins = { code };
const controls = { table: { copy: true, download: false, fullscreen: false }, code: { copy: true, download: false } };
const linkSafety = { enabled: false };

export const Answer = memo(function Answer({ messageId, stored, streaming }) {
  // The window names a turn by the end of its id, to be short.
  const text = useText(messageId.slice(-8), stored);
  if (streaming && text === "") {
    return (
      <p className="typing">
        <span className="dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        Assistant is typing
      </p>
    );
  }
  return (
    <Streamdown
      className={streaming ? "prose growing" : "prose"}
      mode="streaming"
      parseIncompleteMarkdown={streaming}
      isAnimating={streaming}
      dir="auto"
      plugins={plugins}
      controls={controls}
      linkSafety={linkSafety}
      lineNumbers={false}
      codeBlockMaxHeight={0}
      tableMaxHeight={0}
    >
      {text}
    </Streamdown>
  );
});
