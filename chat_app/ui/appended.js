/* Text that grows at its end. React writes the whole of a text node when it changes, and the browser then shapes all of it
anew; of what is only added, it shapes what is new. */

/** Beneath React's writes: what begins with what is there is added to it. */
export function appendText() {
  const nodeValue = Object.getOwnPropertyDescriptor(Node.prototype, "nodeValue");
  const { appendData } = CharacterData.prototype;

  Object.defineProperty(Node.prototype, "nodeValue", {
    ...nodeValue,
    set(value) {
      const before = this.nodeType === Node.TEXT_NODE && typeof value === "string" ? this.data : "";
      if (before && value.length > before.length && value.startsWith(before)) appendData.call(this, value.slice(before.length));
      else nodeValue.set.call(this, value);
    },
  });
}
