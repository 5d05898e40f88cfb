/* Formulas in markdown, as tokens of the parser: `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and environments such as `align`.

    $…$  $`…`$      as pandoc and GitHub have it: no space inside the dollars, no digit behind the closing one; and no sum of money
    $$…$$           no space inside, or one on both sides of what looks like TeX; on lines of its own anything
    \(…\)  \[…\]    anything but words: `\[sic\]` is an escape

None runs across a blank line, and none into code. What is no formula stays what it is without this file: an escape, money, a
variable of a shell. The nodes are {type: "formula", kind, value: TeX, display: on lines of its own, open: not closed yet}. */
import { codeText } from "micromark-core-commonmark";
import { markdownLineEnding, markdownSpace } from "micromark-util-character";

const DOLLAR = 36;
const TICK = 96;
const BACKSLASH = 92;

// What KaTeX sets; the first ones only as a display formula.
const DISPLAYED = ["align", "alignat", "equation", "gather", "CD"];
const ENVIRONMENTS = new Set(
  [...DISPLAYED, "aligned alignedat array Bmatrix bmatrix cases darray dcases drcases gathered matrix pmatrix".split(" "),
    "rcases smallmatrix split subarray Vmatrix vmatrix".split(" ")].flat(),
); // prettier-ignore

const CLOSING = { $: "$", $$: "$$", "\\(": "\\)", "\\[": "\\]" };

const ESCAPES = /\\[*_#~`]/g;
// `sic`, `see note 3`, `注`: nothing that only TeX has, and something that is a word.
const ONLY_WORDS = /^[\p{L}\p{M}\p{N}\s'’.,;:!?&-]*$/u;
const A_WORD = /[a-z]{3}|[^\P{L}\p{Script=Latin}\p{Script=Greek}]/u;
const NUMBERS = /^[\d\s,–-]*$/;
const SURELY_TEX = /\\[a-zA-Z]|[\^{}=]/;
const MONEY = /^\d[\d.,]*[\s,.;:)]+(?:\(|[a-zA-Z]{2}|[^\x00-\x7f])/;
const ADDRESS = /:\/\/|\]\([/#]/;

function words(tex) {
  const plain = tex.replace(ESCAPES, "");
  return plain.trim() === "" || (ONLY_WORDS.test(plain) && A_WORD.test(plain));
}

const spaceAround = (tex) => [/^\s/.test(tex), /\s$/.test(tex)];

// Whether this TeX may stand between such delimiters; `alone`: on lines of their own, `behind`: right behind a letter,
// `first`: where a box to tick, `[x]`, may be.
const ACCEPTED = {
  $: (tex) => !spaceAround(tex).includes(true) && !MONEY.test(tex) && !ADDRESS.test(tex),
  $$: (tex, { alone }) => {
    const [before, after] = spaceAround(tex);
    return tex.trim() !== "" && (alone || (before === after && (!before || SURELY_TEX.test(tex) || tex.includes("_"))));
  },
  "\\(": (tex, { behind }) => !words(tex) && (!behind || SURELY_TEX.test(tex)),
  "\\[": (tex, { alone, behind, first }) => {
    if (words(tex)) return false;
    return alone || !(NUMBERS.test(tex) || (behind && !SURELY_TEX.test(tex)) || (first && /^[xX]$/.test(tex)));
  },
};

const accepted = (kind, tex, place) => !(kind in ACCEPTED) || ACCEPTED[kind](tex, place);

/** How far it is known that this closing delimiter does not come, by parser: what was looked for in vain once is not again. */
const vain = new WeakMap();

function searchedTo(parser, key) {
  return vain.get(parser)?.get(key) ?? -1;
}

function noteVain(parser, key, offset) {
  if (!vain.has(parser)) vain.set(parser, new Map());
  vain.get(parser).set(key, offset);
}

const character = (code) => (markdownLineEnding(code) ? "\n" : code === -2 ? "\t" : code === -1 ? "" : String.fromCharCode(code));

/** The construct; `alone`: one that takes whole lines. `growing`: more may come, so what is open at the end is a formula. */
function formula({ alone, growing }) {
  const type = alone ? "formulaFlow" : "formulaText";

  function tokenize(effects, ok, nok) {
    const { parser } = this;
    const now = () => this.now();
    const began = now().offset;
    const behind = /[A-Za-z0-9_)\]]/.test(character(this.previous ?? 32));
    const first = this.previous === null;
    let kind = "";
    let name = "";
    let nested = 0;
    let tex = "";

    const key = () => `${type}${kind}${name}`;
    const take = (code, next) => {
      tex += character(code);
      effects.consume(code);
      return next;
    };

    function failed(code) {
      noteVain(parser, key(), now().offset);
      return nok(code);
    }

    function start(code) {
      effects.enter(type);
      effects.enter("formulaLine");
      kind = character(code);
      effects.consume(code);
      return code === DOLLAR ? secondDollar : command;
    }

    function secondDollar(code) {
      if (code !== DOLLAR) return alone ? nok(code) : begin(code);
      kind = "$$";
      effects.consume(code);
      return (next) => (next === DOLLAR ? nok(next) : begin(next));
    }

    function command(code) {
      if (code === 40 || code === 91) {
        if (alone && code === 40) return nok(code);
        kind += character(code);
        effects.consume(code);
        return begin;
      }
      return beginWord(code);
    }

    // `\begin{name}` is a part of the TeX.
    function beginWord(code) {
      if (code === null) return nok(code);
      const read = tex + character(code);
      const full = /^begin\{([A-Za-z]+)\*?\}$/.exec(read);
      if (full) {
        kind = "\\begin";
        name = read.slice(6, -1);
        if (!ENVIRONMENTS.has(full[1])) return nok(code);
        tex = `\\${tex}`;
        return take(code, begin);
      }
      return read.length <= 20 && ("begin{".startsWith(read) || /^begin\{[A-Za-z]*\*?$/.test(read)) ? take(code, beginWord) : nok(code);
    }

    function begin(code) {
      return searchedTo(parser, key()) > began ? nok(code) : inside(code);
    }

    function inside(code) {
      if (code === null) return atEnd(code);
      if (markdownLineEnding(code)) return lineEnding(code);
      if (code === BACKSLASH) return take(code, escaped);
      if (code === DOLLAR && kind.startsWith("$")) return dollar(code);
      if (code === TICK && kind === "$" && tex === "") return take(code, ticked);
      if (code === TICK && !alone) return effects.check({ ...codeText, name: undefined, partial: true }, nok, (c) => take(c, inside))(code);
      take(code);
      return name && code === 125 ? brace : inside;
    }

    // As GitHub has it: $`…`$
    function ticked(code) {
      if (code === null || markdownLineEnding(code)) return nok(code);
      return take(code, code === TICK ? (next) => (next === DOLLAR ? closing(next, 0) : nok(next)) : ticked);
    }

    function lineEnding(code) {
      effects.exit("formulaLine");
      effects.enter("lineEnding");
      take(code);
      effects.exit("lineEnding");
      return lineStart;
    }

    function end(code) {
      effects.exit("formulaLine");
      effects.exit(type);
      return ok(code);
    }

    function atEnd(code) {
      return growing && kind !== "$" && tex.trim() !== "" ? end(code) : failed(code);
    }

    // A formula of its own lines ends with the paragraph, and with the quote or the list that it stands in.
    function lineStart(code) {
      if (alone && parser.lazy[now().line]) return failed(code);
      effects.enter("formulaLine");
      return alone ? indent(code) : inside(code);
    }

    function indent(code) {
      if (markdownSpace(code)) return take(code, indent);
      return markdownLineEnding(code) ? failed(code) : inside(code);
    }

    function escaped(code) {
      if (code === null || markdownLineEnding(code)) return inside(code);
      const pair = `\\${character(code)}`;
      if (pair === CLOSING[kind]) return closing(code, 1);
      // One within one is none: and so each is looked through but once.
      if (pair === kind) return nok(code);
      return take(code, inside);
    }

    function dollar(code) {
      if (kind === "$") return closing(code, 0);
      return take(code, (next) => (next === DOLLAR ? closing(next, 1) : inside(next)));
    }

    function brace(code) {
      if (tex.endsWith(`\\begin{${name}}`)) nested += 1;
      if (!tex.endsWith(`\\end{${name}}`)) return inside(code);
      if (nested > 0) {
        nested -= 1;
        return inside(code);
      }
      return closed(code);
    }

    /** The last character of the closing delimiter, of which so many characters are in `tex` already. */
    function closing(code, taken) {
      tex = tex.slice(0, tex.length - taken);
      effects.consume(code);
      return closed;
    }

    function closed(code) {
      const digit = kind === "$" && code >= 48 && code <= 57;
      if (digit || !accepted(kind, tex, { alone, behind, first })) return nok(code);
      return alone ? lineEnd(code) : end(code);
    }

    // A full stop behind it belongs to it.
    function lineEnd(code) {
      if (code === 44 || code === 46 || code === 58 || code === 59) {
        effects.consume(code);
        return blankEnd;
      }
      return blankEnd(code);
    }

    function blankEnd(code) {
      if (markdownSpace(code)) {
        effects.consume(code);
        return blankEnd;
      }
      return code === null || markdownLineEnding(code) ? end(code) : nok(code);
    }

    return start;
  }

  return { name: type, concrete: alone, tokenize };
}

export function formulaSyntax(growing) {
  const text = formula({ alone: false, growing });
  const flow = formula({ alone: true, growing });
  return {
    flow: { [DOLLAR]: flow, [BACKSLASH]: flow },
    text: { [DOLLAR]: text, [BACKSLASH]: text },
  };
}

/** A formula's source, taken apart. */
export function readFormula(source) {
  const trimmed = source.trimEnd();
  const kind = /^(?:\$\$?|\\[([]|\\begin)/.exec(trimmed)[0];
  if (kind === "\\begin") return { kind, value: trimmed, open: !/\\end\{[A-Za-z]+\*?\}[.,;:]?$/.test(trimmed) };
  const closing = CLOSING[kind];
  const [, body, stop] = /^([\s\S]*?)([.,;:]?)$/.exec(trimmed.slice(kind.length));
  const open = !body.endsWith(closing);
  const tex = (open ? body : body.slice(0, -closing.length)).trim();
  return { kind, value: tex.replace(/^`([^`]*)`$/, "$1") + stop, open };
}

const ONLY_DISPLAYED = new RegExp(`^\\\\begin\\{(?:${DISPLAYED.join("|")})\\*?\\}`);

/** Of a formula within a text: whether it is set on lines of its own all the same. */
export const isDisplayed = ({ kind, value }) => kind === "\\[" || ONLY_DISPLAYED.test(value);

function enter(token) {
  this.enter({ type: "formula", value: "", display: token.type === "formulaFlow" }, token);
}

function exit(token) {
  Object.assign(this.stack.at(-1), readFormula(this.sliceSerialize(token)));
  this.exit(token);
}

export const formulaFromMarkdown = {
  enter: { formulaFlow: enter, formulaText: enter },
  exit: { formulaFlow: exit, formulaText: exit },
};
