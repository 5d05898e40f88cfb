/* The colours of a block of code. A worker finds them: for the first code of a language shiki takes 100 ms and more, in
which the page would show neither what arrives nor what is typed. Where no worker starts, the page does it all the same. */
import { useEffect, useRef, useState } from "react";

// embed_build.py builds it for all pages, and puts the name of the built file here. Without that nothing is there: in
// `make dev`, and in an app of others that has our <StreamChat>.
const WORKER = "/assets/colour_worker.js";

const blocks = new Map();
let opened = 0;
let tell;

function startWorker() {
  try {
    const worker = new Worker(WORKER, { type: "module" });
    worker.onmessage = ({ data }) => take(data);
    worker.onerror = () => {
      worker.terminate();
      doWithout();
    };
    tell = (message) => worker.postMessage(message);
  } catch {
    doWithout();
  }
}

// What the worker was still asked is asked again.
async function doWithout() {
  tell = () => {};
  const { highlighter } = await import("./highlighter.js");
  tell = highlighter(take);
  for (const block of blocks.values()) {
    block.next ??= block.asked;
    block.asked = null;
    ask(block);
  }
}

// One question at a time for each block; of what its code becomes meanwhile only the newest is asked next.
function ask(block) {
  if (block.asked || !block.next) return;
  block.asked = block.next;
  block.next = null;
  if (!tell) startWorker();
  tell({ id: block.id, language: block.language, ...block.asked });
}

function take({ id, from, rows }) {
  const block = blocks.get(id);
  if (!block) return;
  block.show((known) => [...known.slice(0, from), ...rows]);
  block.asked = null;
  ask(block);
}

function open(language, show) {
  const block = { id: ++opened, language, show, asked: null, next: null };
  blocks.set(block.id, block);
  return block;
}

function close({ id }) {
  blocks.delete(id);
  tell?.({ id });
}

/* A row of tokens for each line that is coloured already; the same object as long as its line stays as it is. */
export function useColours(code, language, growing) {
  const [rows, show] = useState([]);
  const block = useRef(null);
  useEffect(() => {
    block.current = open(language, show);
    return () => close(block.current);
  }, [language]);
  useEffect(() => {
    if (!code) return;
    block.current.next = { code, growing };
    ask(block.current);
  }, [code, language, growing]);
  return rows;
}
