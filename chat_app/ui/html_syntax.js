/* HTML in markdown: tags of harmless elements that are closed again; everything else between < and > is text. */
import { htmlFlow, htmlText } from "micromark-core-commonmark";
import { asciiAlpha, asciiAlphanumeric, markdownLineEndingOrSpace } from "micromark-util-character";
import { defaultSchema } from "hast-util-sanitize";

const MORE = "abbr address bdi bdo big caption center cite col colgroup dfn figcaption figure font mark small time u wbr".split(" ");
// An `<input>` in an answer is one that it talks about; the boxes of task lists are made by the parser.
export const ELEMENTS = new Set([...defaultSchema.tagNames, ...MORE].filter((name) => name !== "input"));

export const SCHEMA = {
  ...defaultSchema,
  tagNames: [...defaultSchema.tagNames, ...MORE, "tex-formula"],
  attributes: { ...defaultSchema.attributes, "tex-formula": ["dataDisplay", "dataOpen"] },
  protocols: { ...defaultSchema.protocols, href: [...defaultSchema.protocols.href, "tel"] },
  // Ids get a prefix of their message later, links to them too.
  clobberPrefix: "",
};

const VOID = new Set(["br", "col", "hr", "img", "source", "wbr"]);
const CLOSED_BY_OTHERS = new Set("caption colgroup dd dt li p rp rt tbody td tfoot th thead tr".split(" "));
const DEEPEST = 100;

/** `Link` and `Table` are names of a program; `BR` is how HTML was written once. */
function known(name) {
  const lower = name.toLowerCase();
  return (name === lower || name === name.toUpperCase()) && ELEMENTS.has(lower);
}

const knownTag = {
  partial: true,
  tokenize(effects, ok, nok) {
    let name = "";
    function start(code) {
      effects.enter("htmlTagName");
      effects.consume(code);
      return slash;
    }
    function slash(code) {
      if (code !== 47) return first(code);
      effects.consume(code);
      return first;
    }
    function first(code) {
      return asciiAlpha(code) ? rest(code) : nok(code);
    }
    function rest(code) {
      if (asciiAlphanumeric(code)) {
        name += String.fromCharCode(code);
        effects.consume(code);
        return rest;
      }
      effects.exit("htmlTagName");
      const ends = code === 62 || code === 47 || markdownLineEndingOrSpace(code);
      return ends && known(name) ? ok(code) : nok(code);
    }
    return start;
  },
};

function onlyKnown(construct, most) {
  const counts = new WeakMap();
  return {
    ...construct,
    name: `${construct.name}Known`,
    tokenize(effects, ok, nok) {
      const count = (counts.get(this) ?? 0) + 1;
      counts.set(this, count);
      return count > most ? nok : effects.check(knownTag, construct.tokenize.call(this, effects, ok, nok), nok);
    },
  };
}

export const htmlSyntax = {
  disable: { null: ["htmlFlow", "htmlText"] },
  flow: { 60: onlyKnown(htmlFlow, Infinity) },
  text: { 60: onlyKnown(htmlText, 1000) },
};

const TAG = /<(\/?)([A-Za-z][A-Za-z0-9]*)(?=[\s/>])([^<>]*)>/g;

/** The tags in these pieces of HTML: {piece, start, name, closing, kept}; kept are those that belong together. */
function tags(pieces, growing) {
  const found = [];
  const open = [];
  for (const [piece, { value, behind }] of pieces.entries()) {
    for (const match of value.matchAll(TAG)) {
      const tag = { piece, start: match.index, name: match[2].toLowerCase(), closing: match[1] !== "", kept: false, behind };
      found.push(tag);
      if (!known(match[2])) continue;
      if (VOID.has(tag.name)) tag.kept = !tag.closing;
      else if (tag.closing) close(tag, open);
      else if (!match[3].endsWith("/") && open.length < DEEPEST) open.push(tag);
    }
  }
  // `H<sub>` will be closed, `List<b>` is a type.
  const awaited = ({ name, behind }) => growing && (!behind || name === "sub" || name === "sup");
  for (const tag of open) tag.kept = CLOSED_BY_OTHERS.has(tag.name) || awaited(tag);
  return found;
}

function close(tag, open) {
  const at = open.findLastIndex(({ name }) => name === tag.name);
  if (at < 0) return;
  const [opening, ...within] = open.splice(at);
  opening.kept = true;
  tag.kept = true;
  for (const one of within) one.kept = CLOSED_BY_OTHERS.has(one.name);
}

/** HTML in which everything but these tags is text. */
function escaped(value, kept) {
  const places = new Set(kept.map(({ start }) => start));
  return value.replace(/</g, (mark, at) => (places.has(at) ? mark : "&lt;"));
}

/** Whether HTML that begins here is not closed here. */
export function opensHtml(source) {
  const open = [];
  for (const match of source.matchAll(TAG)) {
    const name = match[2].toLowerCase();
    if (!known(match[2]) || VOID.has(name) || CLOSED_BY_OTHERS.has(name)) continue;
    if (!match[1]) {
      if (!match[3].endsWith("/")) open.push(name);
    } else if (open.includes(name)) open.splice(open.lastIndexOf(name));
  }
  return open.length > 0;
}

function visitHtml(node, visitor, parent = null, index = 0) {
  if (node.type === "html") visitor(node, parent, index);
  for (const [at, child] of (node.children ?? []).entries()) visitHtml(child, visitor, node, at);
}

/** Turns tags that do not belong together into text; `growing`: an open one may be closed yet. */
export function literalHtml(tree, growing) {
  const pieces = [];
  visitHtml(tree, (node, parent, index) => {
    const before = parent.children[index - 1];
    const behind = before?.type === "text" && /[\w.]$/.test(before.value);
    pieces.push({ node, parent, value: node.value, behind });
  });
  if (pieces.length === 0) return;
  const found = tags(pieces, growing);
  for (const [at, { node, value }] of pieces.entries()) {
    const kept = found.filter(({ piece, kept: keeps }) => piece === at && keeps);
    if (kept.length > 0) node.value = escaped(value, kept);
    else node.type = "text";
  }
}
