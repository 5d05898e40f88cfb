/* The text of an answer as markdown, the same on every page of ours; three dots until its first character is there. */
import { memo, useEffect, useReducer, useRef, useState } from "react";
import remend from "remend";
import { Block, Streamdown, defaultComponents, detectTextDirection, parseMarkdownIntoBlocks } from "streamdown";
import { Boundary } from "./boundary.jsx";
import { Code, NestedCode, fenced } from "./code.jsx";

// Maths and diagrams are large and rare: each is loaded when a text first has one.
const EXTRAS = {
  math: {
    needed: /\$\$|\\\(|\\\[|```math/,
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
const loaded = {};
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
let plugins = {};
function pluginSet() {
  if (Object.keys(plugins).length !== Object.keys(loaded).length) plugins = { ...loaded };
  return plugins;
}

// LaTeX's own brackets, which most models write, as the dollars that the parser knows; in code they are just brackets.
const TEX = /(`{3,}|~{3,})[\s\S]*?(?:\1|$)|`[^`\n]*`|\\\[([\s\S]*?)\\\]|\\\(([\s\S]*?)\\\)/g;
const dollars = (text) =>
  text.replace(TEX, (all, _fence, block, inline) => {
    const formula = block ?? inline;
    return formula === undefined ? all : `$$${formula}$$`;
  });

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

function BrokenDiagram({ chart }) {
  return (
    <div className="broken">
      <p>This diagram has a mistake and cannot be drawn.</p>
      <pre tabIndex={0}>{chart}</pre>
    </div>
  );
}

const components = { img: Picture, a: SafeLink, code: NestedCode, inlineCode: defaultComponents.code };
const diagrams = { errorComponent: BrokenDiagram };
const controls = {
  table: { copy: true, download: false, fullscreen: false },
  mermaid: { download: false, copy: true, fullscreen: false, panZoom: false },
};

// So much of a block tells which way it runs; a long one need not be read to its end at each update.
const BEGINNING = 500;

// What Streamdown does with the whole text at every update is done here with the block that grows alone: finding its
// direction, and closing what is half written. And code needs no parser of markdown, which is slow with long code.
const Part = memo(function Part(props) {
  const code = fenced(props.content);
  if (code) return <Code {...code} growing={props.isIncomplete} />;
  return <Block {...props} dir={detectTextDirection(props.content.slice(0, BEGINNING))} />;
});

function closedBlocks(text) {
  const blocks = parseMarkdownIntoBlocks(text);
  return blocks.length ? [...blocks.slice(0, -1), remend(blocks.at(-1).trimEnd())] : blocks;
}

// A long list or table is parsed anew as it grows, which takes the longer the longer it is. Half of the time is left to the
// reader's typing and scrolling: the text waits as long as it took to show it last.
function usePaced(text, growing) {
  const [, showAgain] = useReducer((n) => n + 1, 0);
  const shown = useRef({ text, next: 0 }).current;
  const began = performance.now();
  const due = !growing || began >= shown.next;
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

export function Markdown({ text, growing }) {
  return (
    <Boundary sentence={UNSHOWN} text={text} anew={[growing]}>
      <Formatted text={text} growing={growing} />
    </Boundary>
  );
}

function Formatted({ text: whole, growing }) {
  const text = usePaced(whole, growing);
  const plugins = usePlugins(text);
  if (growing && text === "") return <Typing />;
  return (
    <Streamdown
      className={growing ? "prose growing" : "prose"}
      mode="streaming"
      parseMarkdownIntoBlocksFn={growing ? closedBlocks : parseMarkdownIntoBlocks}
      parseIncompleteMarkdown={false}
      BlockComponent={Part}
      isAnimating={growing}
      plugins={plugins}
      components={components}
      mermaid={diagrams}
      controls={controls}
      tableMaxHeight={0}
    >
      {plugins.math ? dollars(text) : text}
    </Streamdown>
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
