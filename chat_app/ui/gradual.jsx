/* What takes long to draw comes a little in each frame, what is in view first: a long chat opens, and older messages come,
while the page answers to the reader. Until its turn each piece is there as plain text, unseen, so that the browser's search
finds it, a screen reader reads it, and it has about its height. */
import { useLayoutEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";

// Of a frame's 16 ms; the rest is the layout's, the paint's and the reader's.
const BUDGET_MS = 8;
// Where no frame comes, as in a tab that is not in view, it goes on all the same.
const FRAMELESS_MS = 100;

const waiting = new Set();
let order = null;
let due = false;

/** Whether it is this piece's turn, and a ref for the element that stands for it until then. What is wanted `now` does not
    wait, and stays. */
export function useTurn(now) {
  const [come, setCome] = useState(now);
  const place = useRef(null);
  if (now && !come) setCome(true);
  useLayoutEffect(() => {
    if (come) return undefined;
    const piece = { element: place.current, draw: () => setCome(true) };
    waiting.add(piece);
    order = null;
    begin();
    return () => waiting.delete(piece);
  }, [come]);
  return [come, place];
}

/** Its children, when it is their turn; until then `text` in an element of this class. */
export function Gradual({ now, text, className, children }) {
  const [come, place] = useTurn(now);
  return come ? children : <Awaited place={place} text={text} className={className} />;
}

export function Awaited({ place, text, className = "" }) {
  return (
    <div ref={place} dir="auto" className={`plain awaited ${className}`}>
      {text}
    </div>
  );
}

/** All of it at once, for paper. */
export function drawAll() {
  while (waiting.size) flushSync(() => [...waiting].forEach(draw));
}

function draw(piece) {
  waiting.delete(piece);
  piece.draw();
}

/* The first pieces before anything is painted: what is a single message is there at once. */
function begin() {
  if (due) return;
  due = true;
  queueMicrotask(slice);
}

function slice() {
  due = false;
  const end = performance.now() + BUDGET_MS;
  while (waiting.size && performance.now() < end) {
    order ??= [...waiting].sort(byDistance());
    const piece = order.pop();
    if (waiting.has(piece)) flushSync(() => draw(piece));
    else if (!piece) order = null;
  }
  // By then the reader may be elsewhere.
  order = null;
  if (waiting.size) nextFrame();
}

function nextFrame() {
  if (due) return;
  due = true;
  const go = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    slice();
  };
  const frame = requestAnimationFrame(go);
  const timer = setTimeout(go, FRAMELESS_MS);
}

/* The last is the nearest to what is in view, and of those in view the uppermost. */
function byDistance() {
  const places = new Map();
  for (const piece of waiting) {
    const { top, bottom } = piece.element.getBoundingClientRect();
    places.set(piece, { top, away: Math.max(0, top - innerHeight, -bottom) });
  }
  return (one, other) => {
    const [a, b] = [places.get(one), places.get(other)];
    return b.away - a.away || b.top - a.top;
  };
}

if (typeof window !== "undefined") addEventListener("beforeprint", drawAll);
