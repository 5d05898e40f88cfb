/* A diagram of a `mermaid` fence, in the page's own colours: drawn when it comes into view, and again when the theme changes. */
import { memo, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { CodeBlockCopyButton } from "streamdown";
import { useWide } from "./wide.js";

// A diagram shrinks to so much of its size, no further: its text has 16 px.
const SMALLEST = 0.75;

function watchTheme(changed) {
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributeFilter: ["class"] });
  return () => observer.disconnect();
}

const isDark = () => document.documentElement.classList.contains("dark");

function colours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const [text, line, node, page] = ["foreground", "muted-foreground", "background", "muted"].map(colour);
  return {
    darkMode: isDark(),
    background: page,
    primaryColor: node,
    primaryTextColor: text,
    primaryBorderColor: line,
    secondaryColor: page,
    tertiaryColor: page,
    lineColor: line,
    textColor: text,
    titleColor: text,
    edgeLabelBackground: page,
    clusterBkg: page,
    clusterBorder: line,
    noteBkgColor: page,
    noteTextColor: text,
    noteBorderColor: line,
    fontSize: "16px",
  };
}

// What a diagram says itself may not change how, or from where, it is drawn.
const SECURE = ["secure", "securityLevel", "startOnLoad", "maxTextSize", "maxEdges", "suppressErrorRendering"];
const OWN_LOOK = ["theme", "themeCSS", "themeVariables", "fontFamily", "altFontFamily", "darkMode"];
const KINDS = ["flowchart", "sequence", "gantt", "journey", "class", "state", "er", "pie", "quadrantChart", "timeline", "gitGraph", "mindmap"]; // prettier-ignore

// Its address could carry what was said, as that of any picture.
const PICTURES = /<(?:img|image|feImage)\b[^>]*>/gi;

let drawn = 0;
let queue = Promise.resolve();

/** Draws one after the other, for there is one configuration for all: {svg, width}. */
function draw(chart) {
  const next = queue.then(async () => {
    const { default: mermaid } = await import("mermaid");
    mermaid.initialize({
      startOnLoad: false,
      securityLevel: "strict",
      suppressErrorRendering: true,
      secure: [...SECURE, ...OWN_LOOK],
      theme: "base",
      themeVariables: colours(),
      fontFamily: getComputedStyle(document.body).fontFamily,
      ...Object.fromEntries(KINDS.map((kind) => [kind, { useMaxWidth: false }])),
    });
    const { svg } = await mermaid.render(`diagram-${(drawn += 1)}`, chart);
    return svg.replace(PICTURES, "");
  });
  queue = next.catch(() => {});
  return next;
}

function useVisible() {
  const element = useRef(null);
  const [visible, setVisible] = useState(false);
  useEffect(() => {
    const observer = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && setVisible(true),
      { rootMargin: "300px" },
    );
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, visible];
}

/** The picture of a chart: undefined before it is drawn, null where it cannot be. */
function useDrawing(chart, visible) {
  const dark = useSyncExternalStore(watchTheme, isDark, () => false);
  const [svg, setSvg] = useState(undefined);
  useEffect(() => {
    if (!visible) return undefined;
    let wanted = true;
    draw(chart).then(
      (drawing) => wanted && setSvg(drawing),
      () => wanted && setSvg(null),
    );
    return () => {
      wanted = false;
    };
  }, [chart, visible, dark]);
  return svg;
}

function sized(svg) {
  const width = parseFloat(/viewBox="[-\d.]+ [-\d.]+ ([\d.]+)/.exec(svg)?.[1] ?? "");
  return Number.isFinite(width) ? { width: "100%", minWidth: width * SMALLEST, maxWidth: width } : {};
}

export const Diagram = memo(function Diagram({ chart }) {
  const [element, visible] = useVisible();
  const svg = useDrawing(chart, visible);
  return (
    <div data-streamdown="mermaid-block" ref={element}>
      <div data-streamdown="code-block-header">
        <span>mermaid</span>
      </div>
      <div data-streamdown="mermaid-block-actions">
        <CodeBlockCopyButton code={chart} />
      </div>
      {svg === null ? <Broken chart={chart} /> : <Drawing svg={svg} />}
    </div>
  );
});

function Drawing({ svg }) {
  const box = useWide();
  return (
    <div data-streamdown="mermaid" ref={box}>
      {svg && <div role="img" aria-label="Diagram" style={sized(svg)} dangerouslySetInnerHTML={{ __html: svg }} />}
    </div>
  );
}

function Broken({ chart }) {
  return (
    <div className="broken">
      <p>This diagram has a mistake and cannot be drawn.</p>
      <pre tabIndex={0}>{chart}</pre>
    </div>
  );
}
