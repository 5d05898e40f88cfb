/* What is half written at the end of a growing text, closed for the moment, so that no raw marks flash up. */
import remend from "remend";
import { ELEMENTS } from "./html_syntax.js";

// What the parser does itself, or what would change the text.
const OPTIONS = { katex: false, singleTilde: false, comparisonOperators: false, htmlTags: false, linkMode: "text-only" };
const LONGEST = 10_000;

const HALF_TAG = /(?:<\/|(?<![\w.])<)([a-z][a-z0-9]*)?(\s[^<>]*)?$/;

/** A tag of which the end is to come; one of no known element is text. */
function withoutHalfTag(text) {
  const [tag, name = "", attributes] = HALF_TAG.exec(text) ?? [];
  const known = attributes === undefined ? [...ELEMENTS].some((element) => element.startsWith(name)) : ELEMENTS.has(name);
  return tag && known ? text.slice(0, -tag.length) : text;
}

/** Whether the text ends within a formula, where marks are TeX. */
const inFormula = (text) =>
  text.lastIndexOf("\\[") > text.lastIndexOf("\\]") ||
  text.lastIndexOf("\\(") > text.lastIndexOf("\\)") ||
  text.split("$$").length % 2 === 0 ||
  text.lastIndexOf("\\begin{") > text.lastIndexOf("\\end{");

export function closedTail(source) {
  const start = Math.max(source.lastIndexOf("\n\n") + 2, source.length - LONGEST, 0);
  const text = source.slice(start).trimEnd();
  if (isFenceOpen(source) || inFormula(text)) return source;
  return source.slice(0, start) + remend(withoutHalfTag(text), OPTIONS);
}

const FENCE = /^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(`{3,}|~{3,})/;

export function isFenceOpen(source) {
  if (!source.includes("```") && !source.includes("~~~")) return false;
  let open = "";
  for (const line of source.split("\n")) {
    const [, marks] = FENCE.exec(line) ?? [];
    if (!marks) continue;
    if (!open) open = marks;
    else if (marks[0] === open[0] && marks.length >= open.length && line.trimEnd().endsWith(marks)) open = "";
  }
  return open !== "";
}
