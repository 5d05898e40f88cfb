/* Whether the person has a mouse: where nothing hovers there is a keyboard on the screen, which comes with the focus and
whose Enter breaks the line. */
const hover = globalThis.matchMedia?.("(hover: hover)");

export const hovers = () => hover?.matches ?? true;

/* 229: while an input method is open, and in Safari also at the key that closes it. */
export const composing = (event) => event.isComposing || event.keyCode === 229;

/* Enter sends; where nothing hovers only the button does, or Ctrl+Enter. */
export function sends(event) {
  if (event.key !== "Enter" || event.shiftKey || composing(event)) return false;
  return hovers() || event.ctrlKey || event.metaKey;
}

/* What the key of a keyboard on the screen says. */
export const enterKeyHint = (whereItSends = "send") => (hovers() ? whereItSends : "enter");
