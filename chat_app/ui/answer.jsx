/* The growing text: what Python cannot do per token without sending the whole text again.

`LiveWindow` gets small windows {id, offset, text} ("from `offset` on, the text of `id` is `text`", in UTF-16 units) and
splices them into a text kept here; `Answer` shows the text of one message and renders again only when that one changes.
*/
import { memo, useCallback, useEffect, useLayoutEffect, useState, useSyncExternalStore } from "react";
import { Streamdown } from "streamdown";
import { createCodePlugin } from "@streamdown/code";

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

// Maths and diagrams are large and rare: each is loaded when a text first has one.
const EXTRAS = {
  math: {
    needed: /\$\$|\\\(|\\\[/,
    load: async () => {
      const [{ createMathPlugin }] = await Promise.all([import("@streamdown/math"), import("katex/dist/katex.min.css")]);
      return createMathPlugin({ errorColor: "var(--problem)" });
    },
  },
  mermaid: {
    needed: /```mermaid/,
    load: async () => (await import("@streamdown/mermaid")).mermaid,
  },
};
// On our grey the reds of the plain light theme have too little contrast.
const THEMES = ["github-light-high-contrast", "github-dark"];
const loaded = { code: createCodePlugin({ themes: THEMES }) };
const loading = {};

function usePlugins(text) {
  const [, refresh] = useState(0);
  const missing = Object.keys(EXTRAS).filter((name) => !(name in loaded) && EXTRAS[name].needed.test(text));
  useEffect(() => {
    for (const name of missing) {
      loading[name] ??= EXTRAS[name].load().then((plugin) => (loaded[name] = plugin));
      loading[name].then(() => refresh((n) => n + 1));
    }
  }, [missing.join()]);
  return pluginSet();
}

// The same object until something is loaded, or every block would render again.
let plugins = { ...loaded };
function pluginSet() {
  if (Object.keys(plugins).length !== Object.keys(loaded).length) plugins = { ...loaded };
  return plugins;
}

// LaTeX's own brackets, which most models write, as the dollars that the parser knows.
const dollars = (text) =>
  text.includes("\\(") || text.includes("\\[")
    ? text.replace(/\\\[([\s\S]*?)\\\]/g, "$$$$$1$$$$").replace(/\\\(([\s\S]*?)\\\)/g, "$$$$$1$$$$")
    : text;

// A picture's address can carry what was said to whoever serves it, so none is fetched by itself.
function Picture({ src, alt }) {
  return (
    <a href={src} target="_blank" rel="noopener noreferrer nofollow">
      {alt || "picture"} ↗
    </a>
  );
}

function SafeLink({ href, children }) {
  return (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

const components = { img: Picture, a: SafeLink };
const controls = {
  table: { copy: true, download: false, fullscreen: false },
  code: { copy: true, download: false },
  mermaid: { download: false, copy: true, fullscreen: false, panZoom: false },
};

export const Answer = memo(function Answer({ messageId, stored, streaming }) {
  const text = useText(messageId, stored);
  const plugins = usePlugins(text);
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
      shikiTheme={THEMES}
      components={components}
      controls={controls}
      lineNumbers={false}
      codeBlockMaxHeight={0}
      tableMaxHeight={0}
    >
      {plugins.math ? dollars(text) : text}
    </Streamdown>
  );
});

export function CopyText({ messageId, stored }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(newer(texts.get(windowId(messageId)), stored));
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" className="tool" aria-label="Copy message" onClick={copy}>
      <svg viewBox="0 0 24 24" width="18" height="18" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden="true">
        {done ? <path d="m5 12 5 5L20 7" /> : <path d="M8 8h12v12H8zM4 16V4h12" />}
      </svg>
      <span role="status" className="visually-hidden">
        {done ? "Copied" : ""}
      </span>
    </button>
  );
}
