/* A text that grows is at each moment what it would be if it were read anew; `test_texts.py` runs it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { answerBlocks, sources } from "./answer_blocks.js";
import { answerTree } from "./answer_tree.js";
import { addedWords, grownTree } from "./plain_growth.js";
import { closedTail } from "./unfinished.js";

/** Without the places in the source, and with texts next to each other as one, as they are on the page. */
function bare({ type, tagName, properties, value, children }) {
  const joined = [];
  for (const child of (children ?? []).map(bare)) {
    if (child.type === "text" && joined.at(-1)?.type === "text") joined.at(-1).value += child.value;
    else joined.push(child);
  }
  return type === "text" ? { type, value } : { type, tagName, properties, children: joined };
}

const whole = (text) => answerTree(closedTail(text), { growing: true });

/** Lets a text grow piece by piece, and returns how often it was not read anew. */
function grow(pieces) {
  let text = "";
  let tree = null;
  let blocks = null;
  let spared = 0;
  for (const piece of pieces) {
    const before = text;
    text += piece;
    const grown = tree && grownTree(tree, before, text);
    const anew = whole(text);
    if (grown) {
      spared += 1;
      assert.deepEqual(bare(grown), bare(anew), JSON.stringify([before, piece]));
    }
    tree = grown ?? anew;
    const known = blocks;
    blocks = answerBlocks(known, text, true);
    if (known && addedWords(before, text)) {
      const cut = answerBlocks({ ...known, growing: false }, text, true);
      assert.deepEqual(sources(blocks), sources(cut), JSON.stringify([before, piece]));
    }
  }
  return spared;
}

test("plain words are not read again", () => {
  assert.equal(grow(["Once", " upon", " a", " time", ", there", " was"]), 5);
  assert.equal(grow(["- one", " two", " three"]), 2);
  assert.equal(grow(["# A", " title", "\n\n", "Some **bold**", " and", " more", " text."]), 3);
});

test("what may become something else is read again", () => {
  for (const pieces of [
    ["1", ". one"],
    ["see www", ".example", ".org", " there"],
    ["see http", "://example", ".org/a", "b", ". So"],
    ["a@b", ".org", " c"],
    ["&amp", "; and &co", "py", "; x"],
    ["[a", "](b", " 'c", "') d"],
    ["[a](https://e.org 'x *y* z", "') d"],
    ["[a]: https://e.org 'x", "'", " more"],
    ["a <b", "r> c <su", "b", ">2</sub> d"],
    ["**bo", "ld** x", " *i", "t* y", " __a", "__ b", "_c", " d"],
    ["`co", "de` a ``b", " ` c", "`` d"],
    ["$x", " + y", "$ and $5 a", "nd 6", "$ b"],
    ["\\(a", " b", "\\) c \\", "( d"],
    ["```py", "\na", " b\n``", "` c", "\n```", " x\n", "d", " e"],
    ["a | b", "\n-", "-|-", "-\n", "c", " d | e", " f\n\ng", " h"],
    ["a", "\n=", "=", "\nb\n-", "-", " c"],
    ["- a", "\n- ", "b", " c\n  ", "d", " e\n\n", "f", " g"],
    ["- [", " ", "] a", " b\n- [x] c", " d"],
    ["a  ", "b", "  \nc", " d   ", " e"],
    ["> a", " b\nc", " d\n>", " e", " f\n\ng", " h"],
    ["a[^1", "] b\n\n[^1]: c", " d", " e\n\nf", " g"],
    ["    code", " more", " code\n\ntext", " more"],
    ["<details>\n", "a", " b", "\n</details>", "\n\nc", " d"],
    ["~~a", " b~~ c", " ~d", "~ e"],
    ["a\u00a0", "b", " c\t", "d", " e"],
    ["# a", " b #", " c", " ##\nd", " e"],
    ["a\\", "\nb", " c &", "lt", "; d"],
  ])
    grow(pieces);
});

const PIECES = ["a", "word", " ", " two words", ". ", ", ", "? ", "(", ")", "1", "2. ", "- ", "\n", "\n\n", "*", "**", "_", "`", "```", "$", "[", "](", "]", "<", ">", "b>", "https://", "www", ".org", "@", "&", "amp", ";", "|", "---", "#", " # ", "\\", "\\(", "~", "~~", "é", "日本", "。", "👍", "'", '"', ":", "/", "!", "=", "  ", "    ", "\t", "[^1]", "x: "];

function random(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * n);
  };
}

test("random texts", () => {
  let spared = 0;
  for (let seed = 1; seed <= Number(process.env.GROWN); seed += 1) {
    const next = random(seed * 7919);
    // Words are what most texts are made of.
    spared += grow(Array.from({ length: 5 + next(30) }, () => PIECES[next(2) ? next(6) : next(PIECES.length)]));
  }
  assert.ok(spared > Number(process.env.GROWN));
});
