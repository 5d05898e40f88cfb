/* The text of an answer as markdown, the same on every page of ours; three dots until its first character is there. */
import { createContext, memo, useContext, useEffect, useId, useLayoutEffect, useMemo, useReducer, useRef } from "react";
import { Fragment, jsx, jsxs } from "react/jsx-runtime";
import { toJsxRuntime } from "hast-util-to-jsx-runtime";
import { StreamdownContext, TableCopyDropdown, defaultComponents, detectTextDirection } from "streamdown";
import { answerBlocks, sources } from "./answer_blocks.js";
import { answerTree } from "./answer_tree.js";
import { Boundary } from "./boundary.jsx";
import { Fence, fenced } from "./code.jsx";
import { Formula } from "./formula.jsx";
import { Awaited, useTurn } from "./gradual.jsx";
import { grownTree } from "./plain_growth.js";
import { closedTail, isFenceOpen } from "./unfinished.js";
import { useWide } from "./wide.js";

// How long all of an answer, and its growing block, may take to be read; what is beyond it is shown as it was written.
const MESSAGE_MS = 10_000;
const GROWING_MS = 500;
const LONGEST = 100_000;
// A text of so many characters is drawn in one go.
const AT_ONCE = 1000;

const Growing = createContext(false);

// A picture's address can carry what was said to whoever serves it, so none is fetched by itself.
function Picture({ src, alt }) {
  if (!/^https?:/i.test(src ?? "")) return <span>{alt || "picture"}</span>;
  return (
    <a href={src} target="_blank" rel="noopener noreferrer nofollow">
      {alt || "picture"} ↗
    </a>
  );
}

// Within an answer: the address, which is the chat's, stays as it is.
function jump(event) {
  event.preventDefault();
  const target = document.getElementById(decodeURIComponent(event.currentTarget.hash.slice(1)));
  if (!target) return;
  target.scrollIntoView({ block: "nearest" });
  if (!target.matches("a")) target.tabIndex = -1;
  target.focus({ preventScroll: true });
}

function SafeLink({ node, href, children, ...rest }) {
  if (!href) return <span {...rest}>{children}</span>;
  const inside = href.startsWith("#");
  const how = inside ? { onClick: jump } : { target: "_blank", rel: "noopener noreferrer nofollow" };
  return (
    <a {...rest} href={href} {...how}>
      {children}
    </a>
  );
}

const written = (node) => (node.type === "text" ? node.value : (node.children ?? []).map(written).join(""));

function Pre({ node, children }) {
  const growing = useContext(Growing);
  const code = node.children.find(({ tagName }) => tagName === "code");
  if (!code || node.children.length > 1) return <pre>{children}</pre>;
  const [language] = [code.properties.className ?? []].flat();
  return <Fence code={written(code)} language={String(language ?? "").replace(/^language-/, "")} growing={growing} />;
}

function TexFormula({ node }) {
  const { dataDisplay, dataOpen } = node.properties;
  return <Formula tex={written(node)} display={dataDisplay !== undefined} open={dataOpen !== undefined} />;
}

function Table({ children }) {
  return (
    <div data-streamdown="table-wrapper">
      <TableCopyDropdown />
      <div className="sideways" ref={useWide()}>
        <table data-streamdown="table">{children}</table>
      </div>
    </div>
  );
}

const components = { ...defaultComponents, img: Picture, a: SafeLink, pre: Pre, table: Table, "tex-formula": TexFormula };

const CONTEXT = {
  mode: "streaming",
  controls: { table: { copy: true, download: false, fullscreen: false }, code: true },
  lineNumbers: false,
  tableMaxHeight: 0,
  codeBlockMaxHeight: 0,
  linkSafety: { enabled: false },
};

// So much of a block tells which way it runs; a long one need not be read to its end at each update.
const BEGINNING = 500;

/** What took too long, or cannot be read at all, is null. `known` is what was read of this block while it grows. */
function read(source, growing, prefix, spent, known) {
  const most = growing ? GROWING_MS : MESSAGE_MS;
  const before = growing ? spent.growing : spent.finished;
  if (source.length > LONGEST || before > most) return null;
  const began = performance.now();
  try {
    const tree = (growing && known.tree && grownTree(known.tree, known.source, source)) || answerTree(growing ? closedTail(source) : source, { growing, prefix });
    Object.assign(known, growing ? { tree, source } : { tree: null });
    return toJsxRuntime(tree, { Fragment, jsx, jsxs, components, ignoreInvalidStyle: true, passKeys: true, passNode: true });
  } catch {
    return null;
  } finally {
    const took = performance.now() - began;
    if (growing) spent.growing = took;
    else spent.finished += took;
  }
}

// Only the block that grows is read again; those of a long text are drawn one after the other.
const Part = memo(function Part({ source, growing, gradual, prefix, spent }) {
  const [come, place] = useTurn(growing || !gradual);
  if (!come) return <Awaited place={place} text={source} />;
  const code = fenced(source);
  if (code) return <Fence code={code.code} language={code.language} growing={growing && !code.closed} />;
  return <Text source={source} growing={growing} prefix={prefix} spent={spent} />;
});

function Text({ source, growing, prefix, spent }) {
  const known = useRef({ tree: null, source: "" }).current;
  const elements = useMemo(() => read(source, growing, prefix, spent, known), [source, growing, prefix, spent, known]);
  if (elements === null) return <div className="plain" dir="auto">{source}</div>;
  return (
    <Growing.Provider value={growing && isFenceOpen(source)}>
      <div dir={detectTextDirection(source.slice(0, BEGINNING))}>
        {elements}
      </div>
    </Growing.Provider>
  );
}

function useSources(text, growing) {
  const known = useRef(null);
  return useMemo(() => {
    known.current = answerBlocks(known.current, text, growing);
    return sources(known.current);
  }, [text, growing]);
}

// A long list or table is parsed anew as it grows, which takes the longer the longer it is. Half of the time is left to the
// reader's typing and scrolling: the text waits as long as it took to show it last. Its beginning waits for nothing.
function usePaced(text, growing) {
  const [, showAgain] = useReducer((n) => n + 1, 0);
  const shown = useRef({ text, next: 0 }).current;
  const began = performance.now();
  const due = !growing || shown.text === "" || began >= shown.next;
  if (due) shown.text = text;
  useEffect(() => {
    const now = performance.now();
    if (due) {
      shown.next = now + (now - began);
      return undefined;
    }
    const timer = setTimeout(showAgain, shown.next - now);
    return () => clearTimeout(timer);
  });
  return shown.text;
}

const UNSHOWN = "This answer could not be shown as usual. Here is its text.";

/** `onDrawn(text)` is called when so much of it is on the page: that may be later than it came. */
export function Markdown({ text, growing, onDrawn }) {
  return (
    <Boundary sentence={UNSHOWN} text={text} anew={[growing]}>
      <Formatted text={text} growing={growing} onDrawn={onDrawn} />
    </Boundary>
  );
}

const LAYOUT = "space-y-4 whitespace-normal [&>*:first-child]:mt-0 [&>*:last-child]:mb-0";

function Formatted({ text: whole, growing, onDrawn }) {
  const text = usePaced(whole, growing);
  useLayoutEffect(() => {
    if (text !== "") onDrawn?.(text);
  }, [text]);
  const parts = useSources(text, growing);
  const spent = useRef({ growing: 0, finished: 0 }).current;
  const prefix = `answer${useId()}-`;
  const context = useMemo(() => ({ ...CONTEXT, isAnimating: growing }), [growing]);
  if (growing && text === "") return <Typing />;
  return (
    <StreamdownContext.Provider value={context}>
      <div className={`${LAYOUT} prose${growing ? " growing" : ""}`}>
        {parts.map((source, i) => (
          <Part
            key={i}
            source={source}
            growing={growing && i === parts.length - 1}
            gradual={text.length > AT_ONCE}
            prefix={prefix}
            spent={spent}
          />
        ))}
      </div>
    </StreamdownContext.Provider>
  );
}

function Typing() {
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
