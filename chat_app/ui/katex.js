/* KaTeX, for whoever loads it: it is large and rare. A formula that is copied by hand gives its TeX, once. */
import katex from "katex";
import "katex/contrib/copy-tex";
import "katex/contrib/mhchem";
import "katex/dist/katex.min.css";

// What is longer would hold the page up.
const LONGEST = 10_000;
const OPTIONS = {
  // What a model writes is not trusted: no addresses, no styles; and nothing becomes very large or very long.
  trust: false,
  strict: "ignore",
  maxSize: 40,
  maxExpand: 500,
  // Numbers of equations are not kept.
  macros: { "\\label": "\\@secondoftwo{#1}{}" },
};

/** HTML of a formula; null where KaTeX cannot read it. */
export function typeset(tex, displayMode) {
  if (tex.length > LONGEST) return null;
  try {
    return katex.renderToString(tex, { ...OPTIONS, macros: { ...OPTIONS.macros }, displayMode });
  } catch {
    return null;
  }
}
