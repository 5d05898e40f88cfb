/* Colours code with shiki: in colour_worker.js, or on the page where there is no worker (colours.js). */
import { createCodePlugin } from "@streamdown/code";

// On our greys the reds of the plain light theme and the comments of the plain dark one have too little contrast.
const THEMES = ["github-light-high-contrast", "github-dark-default"];
const shiki = createCodePlugin({ themes: THEMES });

/* A function that takes the code of a block, {id, language, code, growing}, and answers with the rows that are new since
its last answer for that block: {id, from, rows}. {id} alone forgets the block. */
export function highlighter(answer) {
  const answered = new Map();
  return ({ id, language, code, growing }) => {
    if (code === undefined) {
      answered.delete(id);
      return;
    }
    if (!answered.has(id)) answered.set(id, []);
    const take = ({ tokens }) => {
      const before = answered.get(id);
      // The block went away meanwhile.
      if (!before) return;
      // While code grows, the rows of finished lines are the same objects each time.
      let from = 0;
      while (from < tokens.length && tokens[from] === before[from]) from++;
      answered.set(id, tokens);
      answer({ id, from, rows: tokens.slice(from).map((row) => row.map(shown)) });
    };
    const known = shiki.highlight({ code, language, themes: THEMES, isIncomplete: growing }, take);
    if (known) take(known);
  };
}

const shown = ({ content, htmlStyle }) => ({ content, htmlStyle });
