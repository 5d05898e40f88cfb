/* The side bar on a phone: a drawer over the page, which is out of reach until it is closed. Its button opens it; the
scrim, Esc, Back and going to another page close it. */
const OPEN = "data-drawer";

const button = () => document.querySelector("[data-key=drawer]");
const isOpen = () => document.documentElement.hasAttribute(OPEN);

function show(open) {
  document.documentElement.toggleAttribute(OPEN, open);
  for (const behind of document.querySelectorAll(".main, .skip")) behind.inert = open;
  button()?.setAttribute("aria-expanded", open);
}

function open() {
  if (isOpen()) return;
  // A step of its own in the history, for Back to undo.
  history.pushState(history.state, "");
  show(true);
  document.querySelector("#sidebar a, #sidebar button")?.focus();
}

function close() {
  // Goes on in `popstate`.
  if (isOpen()) history.back();
}

function closed() {
  show(false);
  button()?.focus();
}

export const drawer = { isOpen, close };

export function runDrawer() {
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  // The page that the person goes to takes the drawer's place in the history.
  history.pushState = (...entry) => {
    if (!isOpen()) return push(...entry);
    closed();
    return replace(...entry);
  };

  addEventListener(
    "popstate",
    (event) => {
      if (!isOpen()) return;
      // The page is the same: nothing for the router.
      event.stopImmediatePropagation();
      closed();
    },
    { capture: true },
  );

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-key=drawer]")) open();
    else if (event.target.closest?.(".scrim")) close();
    // To the page that is open already there is no way to go.
    else if (event.target.closest?.("#sidebar a")) setTimeout(close);
  });
  matchMedia("(max-width: 48rem)").addEventListener("change", close);
}
