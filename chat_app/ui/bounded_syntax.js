/* Markdown whose cost is bounded: what a parser would follow without end, or too deep, is text from there on.

The bounds are a hundred times what people write. Each was chosen by measurement: beyond it, time grows with the square of
the text (marks, brackets), or the depth of the tree reaches the browser's stack (containers). */
import {
  blockQuote,
  codeText,
  labelEnd,
  labelStartImage,
  labelStartLink,
  list,
} from "micromark-core-commonmark";
import { cjkFriendlyExtension } from "micromark-extension-cjk-friendly";
import { gfm } from "micromark-extension-gfm";
import { gfmStrikethroughCjkFriendly } from "micromark-extension-cjk-friendly-gfm-strikethrough";

// No quote and no list begins further to the right: what is nested deeper could not be read anyway.
const WIDEST = 100;
// So many emphasis marks, and brackets, in one paragraph.
const MARKS = 1000;
const LONGEST_TICKS = 32;

/** A container that begins left of there; where it looks for a next one of its kind, that one too. */
function narrow(construct) {
  const narrowed = {
    ...construct,
    name: `${construct.name}Narrow`,
    tokenize(effects, ok, nok) {
      return this.now().column > WIDEST ? nok : construct.tokenize.call(this, effects, ok, nok);
    },
    continuation: {
      tokenize(effects, ok, nok) {
        const attempt = (next, ...rest) => effects.attempt(next === construct ? narrowed : next, ...rest);
        return construct.continuation.tokenize.call(this, { ...effects, attempt }, ok, nok);
      },
    },
  };
  return narrowed;
}

/** At most `most` of these constructs, together, in a run of text. */
function counted(constructs, most) {
  const counts = new WeakMap();
  return constructs.map((construct) => ({
    ...construct,
    name: `${construct.name}Counted`,
    tokenize(effects, ok, nok) {
      const count = (counts.get(this) ?? 0) + 1;
      counts.set(this, count);
      return count > most ? nok : construct.tokenize.call(this, effects, ok, nok);
    },
  }));
}

/** Code in a text; that some run of backticks is not closed in this text is found out once, not at each such run. */
function remembered(construct) {
  const unclosed = new WeakMap();
  return {
    ...construct,
    name: "codeTextRemembered",
    tokenize(effects, ok, nok) {
      const known = unclosed.get(this) ?? unclosed.set(this, new Set()).get(this);
      let ticks = 0;
      const ticksOnly = {
        partial: true,
        tokenize: (measuring, closed, open) => {
          measuring.enter("codeTextSequence");
          return function next(code) {
            if (code === 96) {
              ticks += 1;
              measuring.consume(code);
              return next;
            }
            measuring.exit("codeTextSequence");
            return ticks > LONGEST_TICKS || known.has(ticks) ? open(code) : closed(code);
          };
        },
      };
      const failed = (code) => {
        known.add(ticks);
        return nok(code);
      };
      return effects.check(ticksOnly, effects.attempt({ ...construct, name: undefined, partial: true }, ok, failed), nok);
    },
  };
}

const cjk = cjkFriendlyExtension();
const strikethrough = gfmStrikethroughCjkFriendly({ singleTilde: false });
const github = gfm({ singleTilde: false });
const [attention] = counted([cjk.text[42]], MARKS);
const [tildes] = counted([strikethrough.text[126]].flat(), MARKS);
// Those of footnotes and task lists before those of links, which begin in the same way.
const openings = counted([...github.text[91], labelStartLink], MARKS);
const closings = counted([...github.text[93], labelEnd], 2 * MARKS);
const pictures = counted([labelStartImage], MARKS);

/** GFM and what is bounded of it and of markdown itself. */
export const boundedSyntax = {
  ...github,
  disable: {
    null: ["attention", "blockQuote", "codeText", "labelEnd", "labelStartImage", "labelStartLink", "list"],
  },
  document: {
    ...github.document,
    62: narrow(blockQuote),
    ...Object.fromEntries([42, 43, 45, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57].map((code) => [code, narrow(list)])),
  },
  text: {
    ...github.text,
    33: pictures,
    42: attention,
    91: openings,
    93: closings,
    95: attention,
    96: remembered(codeText),
    126: tildes,
  },
  insideSpan: { null: [attention, tildes] },
};
