/* What takes long to draw comes a little in each frame, what is in view first: a long chat opens, and older messages come,
while the page answers to the reader. Until its turn each piece is there as plain text, unseen, so that the browser's search
finds it, a screen reader reads it, and it has about its height. */
import { useLayoutEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { slices } from "./slices.js";

// So wide and high is a line in an answer, about.
const LINE_CHARS = 75;
const LINE_REM = 1.65;
// Where no frame comes, as in a tab that is not in view, it goes on all the same.
const FRAMELESS_MS = 100;

const pieces = slices({ now: () => performance.now(), height: () => innerHeight, flush: flushSync });
let due = false;

/** Whether it is this piece's turn, and a ref for the element that stands for it until then. What is wanted `now` does not
    wait, and stays. */
export function useTurn(now) {
  const [come, setCome] = useState(now);
  const place = useRef(null);
  if (now && !come) setCome(true);
  useLayoutEffect(() => {
    if (come) return undefined;
    begin();
    return pieces.add({ place: () => place.current.getBoundingClientRect(), draw: () => setCome(true) });
  }, [come]);
  return [come, place];
}

/** Its children, when it is their turn; until then `text` in an element of this class. */
export function Gradual({ now = false, text, className, children }) {
  const [come, place] = useTurn(now);
  return come ? children : <Awaited place={place} text={text} className={className} />;
}

export function Awaited({ place, text, className = "" }) {
  return (
    <div ref={place} dir="auto" className={`plain awaited ${className}`} style={{ containIntrinsicHeight: height(text) }}>
      {text}
    </div>
  );
}

/* Of what is out of view the browser does not lay out the lines. */
function height(text) {
  const lines = Math.ceil(text.length / LINE_CHARS) + (text.match(/\n/g)?.length ?? 0);
  return `auto ${lines * LINE_REM}rem`;
}

/** All of it at once, for paper. */
export const drawAll = pieces.drawAll;

/* The first pieces before anything is painted: what is a single message is there at once. */
function begin() {
  if (due) return;
  due = true;
  queueMicrotask(slice);
}

/* What comes while it draws waits for the next one, or there would be no end. */
function slice() {
  pieces.slice();
  due = !pieces.isDone();
  if (due) nextFrame();
}

function nextFrame() {
  const go = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    slice();
  };
  const frame = requestAnimationFrame(go);
  const timer = setTimeout(go, FRAMELESS_MS);
}

if (typeof window !== "undefined") addEventListener("beforeprint", drawAll);
