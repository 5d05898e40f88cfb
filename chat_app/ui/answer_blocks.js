/* A growing text cut into blocks of markdown that can be read each on its own, and of which only the last one grows.

The parser itself says where they begin. What another block needs comes along: definitions of links are added to the blocks
that name them; a text with footnotes, which are numbered through all of it, is one block. */
import { parse, preprocess } from "micromark";
import { subtokenize } from "micromark-util-subtokenize";
import { syntax } from "./answer_tree.js";
import { opensHtml } from "./html_syntax.js";
import { addedWords } from "./plain_growth.js";

const BETWEEN = new Set(["lineEnding", "lineEndingBlank", "linePrefix"]);
const SYNTAX = { extensions: syntax(false) };
const GROWING = { extensions: syntax(true) };

/** [{type, start}] of what stands at the top level of a text; `start` is the beginning of a line. */
function topLevel(text, growing) {
  const events = parse(growing ? GROWING : SYNTAX)
    .document()
    .write(preprocess()(text, undefined, true));
  subtokenize(events);
  const found = [];
  let depth = 0;
  for (const [kind, { type, start }] of events) {
    if (kind === "enter" && depth === 0 && !BETWEEN.has(type)) found.push({ type, start: lineStart(text, start.offset) });
    depth += kind === "enter" ? 1 : -1;
  }
  return found;
}

function lineStart(text, offset) {
  let start = offset;
  while (start > 0 && text[start - 1] !== "\n" && text[start - 1] !== "\r") start -= 1;
  return start;
}

// Blocks are looked for in so many characters at a time: the parser's time grows with the square of their number.
const WINDOW = 2000;
// A list or a table that is longer is cut in two; code is not.
const LONGEST = 40_000;
// So many blocks may lie between a tag and the one that closes it.
const FARTHEST = 100;

function cut(text, growing) {
  const blocks = [];
  let from = 0;
  for (let size = WINDOW; from < text.length; ) {
    const end = lineEnd(text, from + size);
    const last = end === text.length;
    // What is open where a window ends may be closed behind it.
    const tops = topLevel(text.slice(from, end), growing || !last);
    const whole = last ? tops.length : tops.length - 1;
    for (let i = 0; i < whole; i += 1) {
      const [start, next] = [i ? tops[i].start : 0, tops[i + 1]?.start ?? end - from];
      blocks.push({ type: tops[i].type, source: text.slice(from + start, from + next) });
    }
    if (last) break;
    if (whole > 0) from += tops[whole].start;
    else if (tops[0]?.type === "codeFenced") from = fenced(blocks, text, from);
    else if (size >= LONGEST) {
      blocks.push({ type: tops[0]?.type, source: text.slice(from, end) });
      from = end;
    }
    size = whole > 0 ? WINDOW : Math.min(2 * size, LONGEST);
  }
  return together(blocks, growing);
}

/** Adds the code that begins there, and returns where it ends. */
function fenced(blocks, text, from) {
  const rest = text.slice(from);
  const closing = closingFence(rest)?.exec(rest);
  const source = closing ? rest.slice(0, lineEnd(rest, closing.index + closing[0].length - 1)) : rest;
  blocks.push({ type: "codeFenced", source });
  return from + source.length;
}

function lineEnd(text, from) {
  const end = from < text.length ? text.indexOf("\n", from) : -1;
  return end < 0 ? text.length : end + 1;
}

/** Joins what lies between a tag of HTML and the one that closes it. */
function together(blocks, growing) {
  const joined = [];
  for (let i = 0; i < blocks.length; i += 1) {
    const end = blocks[i].type === "htmlFlow" && opensHtml(blocks[i].source) ? closing(blocks, i, growing) : i;
    joined.push(end === i ? blocks[i] : { type: "htmlFlow", source: blocks.slice(i, end + 1).map(({ source }) => source).join("") });
    i = end;
  }
  return joined;
}

function closing(blocks, from, growing) {
  let source = "";
  for (let i = from; i < Math.min(blocks.length, from + FARTHEST); i += 1) {
    if (blocks[i].type !== "codeFenced") source += blocks[i].source;
    if (i > from && blocks[i].source.includes("</") && !opensHtml(source)) return i;
  }
  return growing && blocks.length <= from + FARTHEST ? blocks.length - 1 : from;
}

/** Where the text goes on from, whose beginning is known: the last block whose first line is whole. */
function settled(known, text) {
  if (!known || !known.growing || !text.startsWith(known.text)) return [];
  const last = known.blocks.length - 1;
  return known.blocks.slice(0, /[^\n]\n/.test(known.blocks[last]?.source ?? "") ? last : Math.max(0, last - 1));
}

const FENCE = /^(?:[ \t]*\r?\n)* {0,3}(`{3,}(?=[^`\r\n]*[\r\n])|~{3,})/;

/** Finds the line that closes the code which a text begins with; undefined where it begins with none. */
function closingFence(text) {
  const [, marks] = FENCE.exec(text) ?? [];
  return marks && new RegExp(`[\\r\\n] {0,3}${marks[0]}{${marks.length},}[ \\t]*(?:[\\r\\n]|$)`);
}

/** Whether this is code that is still open: a long one is not looked through again at each update. */
const isOpenCode = (text) => closingFence(text)?.test(text) === false;

/** The state after this text, of the state before: {text, growing, blocks: [{type, source}]}. */
export function answerBlocks(known, text, growing) {
  const words = growing && known?.growing && GROWS.has(known.blocks.at(-1)?.type) ? addedWords(known.text, text) : "";
  if (words) return { text, growing, blocks: longer(known.blocks, words) };
  const before = settled(known, text);
  const rest = text.slice(before.reduce((length, { source }) => length + source.length, 0));
  const after = before.length < (known?.blocks.length ?? 0) && isOpenCode(rest) ? [{ type: "codeFenced", source: rest }] : cut(rest, growing);
  return { text, growing, blocks: [...before, ...after] };
}

// What these are, more words in their last line do not change.
const GROWS = new Set(["paragraph", "content", "atxHeading", "listOrdered", "listUnordered", "blockQuote", "codeFenced"]);

function longer(blocks, words) {
  const last = blocks.at(-1);
  return [...blocks.slice(0, -1), { ...last, source: last.source + words }];
}

const isCode = ({ type }) => type === "codeFenced" || type === "codeIndented";
const NOTE = /^ {0,3}\[\^[^\]\s]+\]:/m;
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:[ \t]*\S.*$/gm;

/** The texts to read, one a block. */
export function sources({ text, blocks }) {
  const said = blocks.filter((block) => !isCode(block));
  if (said.some(({ source }) => NOTE.test(source))) return [text];
  const definitions = said.flatMap(({ source }) => source.match(DEFINITION) ?? []);
  if (definitions.length === 0) return blocks.map(({ source }) => source);
  const all = `\n\n${definitions.join("\n")}`;
  return blocks.map((block) => (isCode(block) || !block.source.includes("[") ? block.source : block.source + all));
}
