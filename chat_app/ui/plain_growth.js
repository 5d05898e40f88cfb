/* A growing block of markdown to which only words were added: what it is stays as it was, but for its last text. Most of
what a model writes, token by token, is that; to read the whole block again for each would take the longer the longer it is.

Pure. Where anything could come to mean something else, the answer is no, and the block is read again. */

// Nothing here begins, ends or continues a mark, but for full stops and brackets: see below.
const PLAIN = /^[\p{L}\p{M}\p{N} .,?!'"()…–—“”„‘’，。？！、（）]+$/u;
// What may still come to mean something when more follows it, and addresses, which are found by their text.
const OPEN = /[`$\\<&[\]*_~\r]|www/i;
// Of these, what makes a block of its own of the line that it is in.
const OPEN_LINE = /[$\\<\r]/;
// In an address, or before one.
const ADDRESS = /[^\p{L}\p{M}\p{N}.,?!'"()…–—“”„‘’，。？！、（）]/u;
const LETTER = /\p{L}/u;

const lastLine = (text) => text.slice(text.lastIndexOf("\n") + 1);
const lastWord = (text) => text.slice(text.lastIndexOf(" ") + 1);

/** What was added to a text, if that is only words in a line that has some already; else "". Such a line is no list, no
    heading and no fence if it was none, whatever follows. */
export function addedWords(before, text) {
  if (text.length <= before.length || !text.startsWith(before)) return "";
  const added = text.slice(before.length);
  const line = lastLine(before);
  return PLAIN.test(added) && LETTER.test(line) && !OPEN_LINE.test(line) ? added : "";
}

const GROWS_IN = new Set(["p", "li", "h1", "h2", "h3", "h4", "h5", "h6"]);
const isBlank = ({ type, value }) => type === "text" && value.trim() === "";

/** `tree` is that of the text `before`; that of `text`, in which what did not change is the same, or null where it has to be
    read. */
export function grownTree(tree, before, text) {
  const added = addedWords(before, text);
  if (!added || /<|\[\^/.test(before) || ADDRESS.test(lastWord(before))) return null;
  // With these the address and the title of a link end.
  if (/["')]/.test(added) && before.includes("[")) return null;
  const said = before.trimEnd();
  return grown(tree, (value) => {
    const line = lastLine(value);
    const whole = (value + before.slice(said.length) + added).trimEnd();
    return LETTER.test(line) && said.endsWith(line) && !OPEN.test(whole) ? whole : null;
  });
}

/* With another text at its end; null where it does not end with text of its own, or `grow` has none. */
function grown(node, grow) {
  const at = node.children?.findLastIndex((child) => !isBlank(child)) ?? -1;
  const last = node.children?.[at];
  if (!last) return null;
  let other;
  if (last.type !== "text") other = grown(last, grow);
  else if (at === node.children.length - 1 && GROWS_IN.has(node.tagName)) {
    const value = grow(last.value);
    other = value === null ? null : { ...last, value };
  }
  return other && { ...node, children: [...node.children.slice(0, at), other, ...node.children.slice(at + 1)] };
}
