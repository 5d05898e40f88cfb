/* Pages that the browser translates: it puts <font> elements in the place of text nodes, and React, which goes on with the
nodes it made, then writes where nobody sees it and fails to take away what is gone (facebook/react#11538).

Here each text node that was replaced is known together with what stands in its place. What is written into it brings it
back, for the translator to read again; to take it away, or to put something before it, is done with its stand-in. */
const standIns = new WeakMap();
const originals = new WeakMap();

const isFont = (node) => node.nodeName === "FONT";
const isDetachedText = (node) => node?.nodeType === Node.TEXT_NODE && !node.parentNode;
const isKnown = (node) => node.nodeType === Node.TEXT_NODE || originals.has(node);

function stands(node, standIn) {
  const original = originals.get(node) ?? node;
  standIns.set(original, standIn);
  originals.set(standIn, original);
}

/* Which <font> took the place of which text: in one step, or put beside it before it went, or after. */
function note(records) {
  const fonts = [];
  for (const record of records) {
    for (const node of record.addedNodes) if (isFont(node)) fonts.push({ font: node, record });
  }
  if (fonts.length === 0) return;
  translated = true;
  for (const gone of records) {
    for (const node of gone.removedNodes) {
      if (node.isConnected || !isKnown(node)) continue;
      const at = fonts.findIndex(({ font, record }) => font.isConnected && tookPlace(font, record, gone));
      if (at >= 0) stands(node, fonts.splice(at, 1)[0].font);
    }
  }
}

function tookPlace(font, came, gone) {
  if (came === gone || gone.previousSibling === font || gone.nextSibling === font) return true;
  const where = ({ target, previousSibling, nextSibling }) => [target, previousSibling, nextSibling];
  return where(came).every((node, i) => node === where(gone)[i]);
}

let observer;
let translated = false;

function standIn(node) {
  note(observer.takeRecords());
  return standIns.get(node);
}

function forget(node) {
  originals.delete(standIns.get(node));
  standIns.delete(node);
}

/* The child of `parent` that is `node` to the reader, if there is one. */
function shownIn(parent, node) {
  let shown = standIn(node) ?? node;
  while (shown && shown.parentNode !== parent) shown = shown.parentNode;
  return shown;
}

/* A text that goes elsewhere leaves nothing behind. */
function leave(node) {
  const left = isDetachedText(node) && standIn(node);
  if (!left) return;
  forget(node);
  left.remove();
}

export function surviveTranslation() {
  const { appendChild, insertBefore, removeChild, replaceChild } = Node.prototype;
  const nodeValue = Object.getOwnPropertyDescriptor(Node.prototype, "nodeValue");
  translated = document.querySelector("font") !== null;
  observer = new MutationObserver(note);
  observer.observe(document, { subtree: true, childList: true });

  // React finds <font> elements in the first HTML, says so, and draws the page itself: no harm, and no error of ours.
  addEventListener("error", (event) => /#418|hydrat/i.test(event.message) && translated && event.preventDefault());

  Node.prototype.appendChild = function (node) {
    leave(node);
    return appendChild.call(this, node);
  };

  Node.prototype.insertBefore = function (node, reference) {
    leave(node);
    const own = !reference || reference.parentNode === this;
    return insertBefore.call(this, node, own ? reference : shownIn(this, reference));
  };

  Node.prototype.removeChild = function (node) {
    if (!node || node.parentNode === this) return removeChild.call(this, node);
    // Whoever took it away, it is gone as it should be.
    const shown = shownIn(this, node);
    if (shown) removeChild.call(this, shown);
    forget(node);
    return node;
  };

  Object.defineProperty(Node.prototype, "nodeValue", {
    ...nodeValue,
    set(value) {
      const shown = isDetachedText(this) && standIn(this);
      if (shown) {
        forget(this);
        if (shown.parentNode) replaceChild.call(shown.parentNode, this, shown);
      }
      nodeValue.set.call(this, value);
    },
  });
}
