/* The scrolling part of the page: follows what grows, lets go at once when the reader scrolls up, keeps what one reads in
its place whatever is loaded above it, and goes to the message that the address names.

Own code, for the libraries that do this take a scroll in the moment of growth for their own and yank the reader down; and
the browser's own anchoring does not work at the very top, in Safari not at all. */
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { useLocation } from "react-router";
import { FindNote } from "./unloaded.jsx";

// As near to the end as rounding and a wheel's last notch may leave it, in CSS pixels.
const NEAR = 24;
// So near to the top that older messages are asked for, to be there before the reader is.
const AHEAD = 800;

export function Scroller({ children, chatId, hidden, gap, onEarlier, onLater, onNamed }) {
  const area = useRef(null);
  const content = useRef(null);
  const view = useRef(null);
  const given = useRef(null);
  given.current = { hidden, onEarlier };
  const [following, setFollowing] = useState(true);
  const { hash, pathname, key } = useLocation();

  // In the same step as the messages of another chat come, or the old chat's view would try to keep its place.
  useLayoutEffect(() => {
    view.current = viewOf(area.current, content.current, given, setFollowing);
    return view.current.leave;
  }, [chatId]);

  useEffect(() => {
    // Only once the messages are those of the chat that the address names.
    if (!hash || pathname !== `/c/${chatId}`) return undefined;
    const show = (element) => {
      view.current.pin(false);
      element.scrollIntoView({ block: "center" });
      view.current.name(element);
      element.classList.add("named");
      setTimeout(() => element.classList.remove("named"), 2500);
    };
    const frame = requestAnimationFrame(() => view.current.seek(hash.slice(1), show, onNamed));
    return () => cancelAnimationFrame(frame);
  }, [hash, pathname, chatId, key]);

  return (
    <div className="scroller">
      <div ref={area} className="scroll-area" tabIndex={-1}>
        <div ref={content} className="column">
          <Earlier hidden={hidden} onPress={() => onEarlier("")} messages={() => articles(content.current)} key={chatId} />
          {children}
        </div>
      </div>
      <FindNote hidden={hidden} gap={gap} onEarlier={onEarlier} onLater={onLater} key={chatId} />
      {following || (
        <button type="button" className="jump" onClick={() => view.current.pin(true)}>
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M12 5v14m-6-6 6 6 6-6" />
          </svg>
          Jump to latest
        </button>
      )}
    </div>
  );
}

/* The button that loads older messages; scrolling near to it does the same. After a press the focus goes on to the newest of
what came, the one above what was there. */
function Earlier({ hidden, onPress, messages }) {
  const button = useRef(null);
  const pressed = useRef(null);
  const focused = useRef(false);
  const before = useRef(hidden);
  const [said, say] = useState("");

  useLayoutEffect(() => {
    const count = before.current - hidden;
    before.current = hidden;
    if (count <= 0) return;
    const gone = focused.current && !button.current;
    if (!pressed.current && !gone) return;
    const all = messages();
    const next = all[Math.max(all.indexOf(pressed.current) - 1, 0)];
    pressed.current = null;
    focused.current = false;
    next.tabIndex = -1;
    next.focus({ preventScroll: true });
    say(`${count} earlier messages loaded`);
  }, [hidden]);

  const press = () => {
    pressed.current = messages()[0];
    say("");
    onPress();
  };
  return (
    <div className="earlier">
      {hidden > 0 && (
        <button
          ref={button}
          type="button"
          className="quiet-text"
          onClick={press}
          onFocus={() => (focused.current = true)}
          onBlur={() => (focused.current = false)}
        >
          Load earlier messages
        </button>
      )}
      <span role="status" className="visually-hidden">
        {said}
      </span>
    </div>
  );
}

const articles = (content) => [...content.querySelectorAll("[role=log] > * > article")];

/* What the reader sees of one chat, until `leave`. */
function viewOf(area, content, given, onFollow) {
  const log = content.querySelector("[role=log]");
  let pinned = true;
  let lastTop = 0;
  let lastHeight = 0;
  // What one reads and where it stands: a block of a message, and that message.
  let anchors = [];
  // A message that is to be there soon, and what then happens.
  let sought = null;
  // What the address names, until the reader is away from it.
  let named = null;
  let upwards = false;
  // How many messages were hidden when older ones were last asked for.
  let asked = null;
  // In which the end is to be in view again.
  let frame = 0;

  const place = (element) => element.getBoundingClientRect().top - area.getBoundingClientRect().top;
  const settle = () => {
    lastTop = area.scrollTop;
    lastHeight = area.scrollHeight;
  };
  const toEnd = () => {
    area.scrollTop = area.scrollHeight;
    settle();
  };
  const moveTo = (element, top) => {
    const by = place(element) - top;
    if (by) area.scrollTop += by;
    settle();
  };
  const note = () => {
    const edge = area.getBoundingClientRect().top;
    const first = firstBelow(log.children, edge);
    const reached = first?.matches(".gap") ? besideGap(first, upwards) : first;
    const message = reached && drawnFrom(reached, area.getBoundingClientRect().bottom);
    const block = firstBelow(message?.querySelectorAll(".prose > *") ?? [], edge);
    const id = message?.querySelector("article")?.id;
    anchors = [block, message].filter(Boolean).map((element) => ({ element, id, top: place(element) }));
  };
  /* This article stays where it is, until the reader scrolls; it need not be drawn yet. */
  const holdOn = (element) => {
    anchors = [{ element, id: element.id, top: place(element) }];
  };
  const hold = () => {
    const anchor = anchors.find(({ element }) => element.isConnected);
    const lost = anchors.at(-1);
    if (anchor) moveTo(anchor.element, anchor.top);
    // The page was loaded anew after a lost connection, with the newest messages only.
    else if (lost?.id && given.current.hidden > 0 && !sought) {
      const back = (article) => {
        moveTo(article, lost.top);
        holdOn(article);
      };
      seek(lost.id, back, given.current.onEarlier, true);
    }
  };
  const keep = () => {
    if (pinned) toEnd();
    else hold();
    askAhead();
  };
  /* With the next frame: it lays out what came, and what comes until then. */
  const keepSoon = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      keep();
    });
  };
  const askAhead = () => {
    const { hidden, onEarlier } = given.current;
    if (area.scrollTop > AHEAD) asked = null;
    else if (hidden > 0 && hidden !== asked && !sought?.lost) {
      asked = hidden;
      onEarlier("");
    }
  };

  const seek = (id, found, ask, lost = false) => {
    const element = document.getElementById(id);
    if (element) return found(element);
    sought = { id, found, lost };
    ask(id);
  };
  const onMessages = () => {
    const element = sought && document.getElementById(sought.id);
    if (element) {
      const { found } = sought;
      sought = null;
      found(element);
    } else if (pinned) keepSoon();
    else keep();
  };

  const name = (element) => {
    named = element;
    holdOn(element);
  };
  // Not by the router, which would load the page's chat anew.
  const unname = () => {
    if (named && location.hash) history.replaceState(history.state, "", location.pathname + location.search);
    named = null;
  };
  const inView = (element) => {
    const { top, bottom } = element.getBoundingClientRect();
    const edges = area.getBoundingClientRect();
    return bottom > edges.top && top < edges.bottom;
  };

  const follow = (value) => {
    pinned = value;
    if (sought?.lost) sought = null;
    onFollow(value);
  };
  const pin = (value) => {
    follow(value);
    if (value) toEnd();
    else note();
  };
  const onScroll = () => {
    // What was read is not there, so this is not the reader's.
    if (sought?.lost) return;
    const below = area.scrollHeight - area.clientHeight - area.scrollTop;
    // Content that shrinks moves the view up as well; that is not the reader.
    const up = area.scrollTop < lastTop && area.scrollHeight >= lastHeight;
    const moved = area.scrollTop !== lastTop;
    if (moved) upwards = area.scrollTop < lastTop;
    settle();
    if (named && !inView(named)) unname();
    if (pinned && up && below > NEAR) pin(false);
    else if (!pinned && !up && below <= NEAR) pin(true);
    // Not after a move of `hold`: its rounding would add up.
    else if (!pinned && moved) note();
    askAhead();
  };
  const onAct = () => {
    if (!sought?.lost) return;
    sought = null;
    note();
  };
  const onWheel = (event) => {
    onAct();
    if (event.deltaY < 0 && area.scrollHeight > area.clientHeight && area.scrollTop > 0) pin(false);
  };
  // Who sends a message wants to see what comes.
  const onSubmit = (event) => {
    if (!event.target.matches(".box, .edit")) return;
    unname();
    follow(true);
    keepSoon();
  };

  // For who reads further up at once, before a scroll is reported: it would be taken from where things stand now.
  const messages = new MutationObserver(onMessages);
  messages.observe(log, { childList: true });
  const sizes = new ResizeObserver(keep);
  sizes.observe(content);
  sizes.observe(area);
  area.addEventListener("scroll", onScroll, { passive: true });
  area.addEventListener("wheel", onWheel, { passive: true });
  area.addEventListener("pointerdown", onAct, { passive: true });
  area.addEventListener("keydown", onAct);
  document.addEventListener("submit", onSubmit);
  pin(true);

  const leave = () => {
    cancelAnimationFrame(frame);
    messages.disconnect();
    sizes.disconnect();
    area.removeEventListener("scroll", onScroll);
    area.removeEventListener("wheel", onWheel);
    area.removeEventListener("pointerdown", onAct);
    area.removeEventListener("keydown", onAct);
    document.removeEventListener("submit", onSubmit);
  };
  return { pin, seek, name, leave };
}

/* The message that the reader comes from: what is loaded into the gap then stands on its other side. */
const besideGap = (gap, upwards) => (upwards ? gap.nextElementSibling : gap.previousElementSibling);

/* The first message that is drawn, above this line; else the second: one that is not drawn yet gets another height, which
those below it are not to move by. */
function drawnFrom(reached, line) {
  let message = reached;
  while (message?.querySelector(".awaited") && message.getBoundingClientRect().top < line) message = message.nextElementSibling;
  return message?.querySelector(".awaited") === null ? message : (reached.nextElementSibling ?? reached);
}

/* The first of elements in a column that ends below a line; they are many, so by halves. */
function firstBelow(elements, line) {
  let low = 0;
  let high = elements.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (elements[middle].getBoundingClientRect().bottom <= line) low = middle + 1;
    else high = middle;
  }
  return elements[low];
}
