/* Reads what `reply_text.py` writes: the parts of a reply that grows, and of one that is stored. Pure.

A part is `{type: "text", text}`, `{type: "reasoning", text, ms, since}`, where `since` is on the page's clock while the
model thinks, or whole: `{type: "tool", tool}`. */

const NUL = "\0";

/** The parts in a reply's string; `known` are those of a shorter one: what thinks goes on to count. */
export function partsOf(raw, known = [], now = performance.now()) {
  const pieces = raw.split(NUL);
  // A header whose end is still to come.
  if (pieces.length % 2 === 0) pieces.pop();
  let parts = [];
  let kind = "text";
  pieces.forEach((piece, i) => {
    if (i % 2 === 0) return grow(parts, kind, piece);
    const { type, ms, recast, ...rest } = JSON.parse(piece);
    const thinks = kind === "reasoning";
    kind = type === "reasoning" ? type : "text";
    if (recast !== undefined) parts = recastAfter(parts, recast);
    if (type === "reasoning") begin(parts, known, now - ms);
    else if (type !== undefined) parts.push({ type, ...rest });
    else if (thinks) Object.assign(parts.at(-1), { ms, since: undefined });
  });
  return parts;
}

// In one pass from the left: only so a NUL that ends a header is not taken for one that begins it.
const HEADER = /\0(?:\{"type":"reasoning"[^\0]*\0[^\0]*|[^\0]*(?:\0|$))/g;

/** The text of a reply's string as it was written, without its thoughts: for where its parts cannot be read. */
export const writtenText = (raw) => raw.replace(HEADER, "");

function begin(parts, known, since) {
  if (parts.at(-1)?.type !== "reasoning") parts.push({ type: "reasoning", text: "" });
  parts.at(-1).since = known[parts.length - 1]?.since ?? since;
}

function grow(parts, type, text) {
  if (text === "") return;
  if (parts.at(-1)?.type === type) parts.at(-1).text += text;
  else parts.push({ type, text });
}

/** All text after so many characters was thoughts. */
function recastAfter(parts, head) {
  const changed = [];
  let left = head;
  for (const part of parts) {
    if (part.type !== "text" && part.type !== "reasoning") changed.push(part);
    else {
      const text = part.type === "text" ? part.text.slice(0, left) : "";
      left -= text.length;
      grow(changed, "text", text);
      grow(changed, "reasoning", part.text.slice(text.length));
    }
  }
  return changed;
}

export const textOf = (parts) => parts.map(({ type, text }) => (type === "text" ? text : "")).join("");

/** The parts of a finished reply by its `layout`, with its text, and its thoughts where they are known (else undefined). */
export function laidOut(layout, text, thoughts) {
  if (!layout) return [{ type: "text", text }];
  const rest = { text, reasoning: thoughts };
  const parts = JSON.parse(layout).map(({ chars, ...part }) => {
    if (chars === undefined) return part;
    const all = rest[part.type];
    rest[part.type] = all?.slice(chars);
    return { ...part, text: all?.slice(0, chars) };
  });
  grow(parts, "text", rest.text);
  return parts;
}

/** How long all thoughts of a layout are. */
export function thoughtLength(layout) {
  const thoughts = layout ? JSON.parse(layout).filter(({ type }) => type === "reasoning") : [];
  return thoughts.reduce((length, { chars }) => length + chars, 0);
}
