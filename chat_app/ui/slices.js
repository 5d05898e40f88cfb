/* In which order pieces are drawn, and how many at a time. */

// Of a frame's 16 ms; the rest is the layout's, the paint's and the reader's.
export const BUDGET_MS = 8;
// Where the machine is slow, frames come late whatever is drawn, and with few pieces in each the text would move for long.
export const MOST_MS = 24;
// So many come in the order in which they are, as those of a new question and its answer.
export const FEW = 4;

/** Pieces `{ draw, place }` that wait for their turn: `place()` is `{ top, bottom }` in the window, whose height is
    `height()`. What is in view comes first, from the top on, then what is nearest to it. `flush(act)` has done what `act`
    draws when it returns. */
export function slices({ now, height, flush }) {
  const waiting = new Set();
  // Those that came since the slice began: they are parts of what it draws, and follow it.
  let fresh = [];
  // When the last slice ended, while there is more to draw.
  let ended = null;

  const add = (piece) => {
    waiting.add(piece);
    fresh.push(piece);
    return () => waiting.delete(piece);
  };

  const draw = (piece) => {
    if (waiting.delete(piece)) piece.draw();
  };

  /* To measure takes the layout of the page, so it is done once a slice, and not for a few. One piece is drawn in any case. */
  const slice = () => {
    const began = now();
    const elsewhere = ended === null ? 0 : began - ended;
    const end = began + Math.min(Math.max(BUDGET_MS, elsewhere / 2), MOST_MS);
    const few = ended === null && waiting.size <= FEW;
    const order = few ? [...waiting].reverse() : inOrder(waiting, height());
    fresh = [];
    do {
      const piece = order.pop();
      flush(() => draw(piece));
      order.push(...fresh.reverse());
      fresh = [];
    } while (order.length && now() < end);
    ended = waiting.size ? now() : null;
  };

  const drawAll = () => {
    while (waiting.size) flush(() => [...waiting].forEach(draw));
  };
  return { add, slice, drawAll, isDone: () => waiting.size === 0 };
}

/* The last is the next. */
function inOrder(pieces, height) {
  const placed = [...pieces].map((piece) => {
    const { top, bottom } = piece.place();
    return { piece, top, away: Math.max(0, top - height, -bottom) };
  });
  return placed.sort((a, b) => b.away - a.away || b.top - a.top).map(({ piece }) => piece);
}
