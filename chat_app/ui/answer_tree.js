/* A block of an answer's markdown as a tree of HTML: what is safe to show, in elements and text.

Pure: no document, no component. What cannot be read within its bounds throws, and is then shown as plain text. */
import { gfmFromMarkdown } from "mdast-util-gfm";
import { fromMarkdown } from "mdast-util-from-markdown";
import { raw } from "hast-util-raw";
import { sanitize } from "hast-util-sanitize";
import { toHast } from "mdast-util-to-hast";
import { unified } from "unified";
import { addressSyntax } from "./address_syntax.js";
import { boundedSyntax } from "./bounded_syntax.js";
import { formulaFromMarkdown, formulaSyntax, isDisplayed } from "./formula_syntax.js";
import { SCHEMA, htmlSyntax, literalHtml } from "./html_syntax.js";

// Rows times columns: a short table may stand for one of millions of cells.
const MOST_CELLS = 20_000;

// Its transform looks for addresses that the parser has found already, in quadratic time.
const [autolinks, ...others] = gfmFromMarkdown();
const NODES = [{ ...autolinks, transforms: [] }, ...others, formulaFromMarkdown];

/** The syntax of an answer, for the parser; `growing`: more text may come. */
export function syntax(growing) {
  return [boundedSyntax, addressSyntax, htmlSyntax, formulaSyntax(growing)];
}
const SYNTAX = { true: syntax(true), false: syntax(false) };

const parse = (text, growing) => fromMarkdown(text, { extensions: SYNTAX[growing], mdastExtensions: NODES });

function visit(node, type, visitor, parent = null) {
  if (node.type === type) visitor(node, parent);
  for (const child of [...(node.children ?? [])]) visit(child, type, visitor, node);
}

const replace = (parent, node, nodes) => parent.children.splice(parent.children.indexOf(node), 1, ...nodes);

const blank = ({ type, value }) => type === "break" || (type === "text" && value.trim() === "");

/** Formulas that stand alone, or must have lines of their own, are taken out of their paragraphs. */
function displayFormulas(tree) {
  visit(tree, "paragraph", (paragraph, parent) => {
    const said = paragraph.children.filter((child) => !blank(child));
    const [only] = said;
    if (said.length === 1 && only.type === "formula" && (parent.type !== "listItem" || only.kind.startsWith("$$") || isDisplayed(only))) {
      only.display = true;
      replace(parent, paragraph, [only]);
    } else if (said.some((child) => child.type === "formula" && isDisplayed(child))) {
      replace(parent, paragraph, split(paragraph));
    }
  });
}

function split(paragraph) {
  const nodes = [];
  let children = [];
  const end = () => {
    if (!children.every(blank)) nodes.push({ ...paragraph, children });
    children = [];
  };
  for (const child of paragraph.children) {
    if (child.type === "formula" && isDisplayed(child)) {
      end();
      nodes.push({ ...child, display: true });
    } else children.push(child);
  }
  end();
  return nodes;
}

function checkTables(tree) {
  visit(tree, "table", (table) => {
    const [first] = table.children;
    if (table.children.length * first.children.length > MOST_CELLS) throw new RangeError("A table of too many cells.");
  });
}

function formulaElement(state, { value, display, open }) {
  const properties = { dataDisplay: display ? "" : undefined, dataOpen: open ? "" : undefined };
  return { type: "element", tagName: "tex-formula", properties, children: [{ type: "text", value }] };
}

const hasRaw = (node) => node.type === "raw" || (node.children ?? []).some(hasRaw);

/** Ids, names and what points to them get the prefix of their message: none is an id of the page or of another message. */
function own(node, prefix) {
  const given = node.properties ?? {};
  for (const name of ["id", "name", "htmlFor"]) if (given[name]) given[name] = prefix + given[name];
  for (const name of ["ariaDescribedBy", "ariaLabelledBy", "headers"]) {
    if (given[name]) given[name] = [given[name]].flat().join(" ").split(" ").map((id) => prefix + id);
  }
  if (/^#./.test(given.href)) given.href = `#${prefix}${given.href.slice(1)}`;
  for (const child of node.children ?? []) own(child, prefix);
}

const HEADING = /^h[1-6]$/;
const says = ({ tagName, value, children }) => Boolean(value?.trim()) || tagName === "img" || Boolean(children?.some(says));

/** A heading without a word is read out as nothing, and in a growing text its first word is still to come. */
function withoutEmptyHeadings(node) {
  if (!node.children) return;
  node.children = node.children.filter((child) => !(HEADING.test(child.tagName) && !says(child)));
  node.children.forEach(withoutEmptyHeadings);
}

/** One step after the other, under the name of unified's: `runSync(parse(text))`. */
function reader(growing) {
  return unified()
    .use(function parsed() {
      this.parser = (text) => parse(text, growing);
    })
    .use(() => (tree) => {
      checkTables(tree);
      displayFormulas(tree);
      literalHtml(tree, growing);
    })
    .use(() => (tree, file) => {
      const options = { allowDangerousHtml: true, clobberPrefix: "", handlers: { formula: formulaElement } };
      const html = toHast(tree, options);
      const safe = sanitize(hasRaw(html) ? raw(html) : html, SCHEMA);
      withoutEmptyHeadings(safe);
      own(safe, file.data.prefix);
      return safe;
    })
    .freeze();
}
const READERS = { true: reader(true), false: reader(false) };

/** `prefix` is set before all ids. */
export function answerTree(text, { growing = false, prefix = "answer-" } = {}) {
  const read = READERS[growing];
  return read.runSync(read.parse(text), { value: text, data: { prefix } });
}
