/* The scrolling part of the page: follows what grows, lets go at once when the reader scrolls up, and goes to the message
that the address names.

Own code, for the libraries that do this take a scroll in the moment of growth for their own and yank the reader down. */
import { useEffect, useRef, useState } from "react";
import { useLocation } from "react-router";

// As near to the end as rounding and a wheel's last notch may leave it, in CSS pixels.
const NEAR = 24;

export function Scroller({ children, chatId }) {
  const area = useRef(null);
  const content = useRef(null);
  const follow = useRef(null);
  const [following, setFollowing] = useState(true);
  const { hash } = useLocation();

  useEffect(() => {
    const named = hash.slice(1);
    if (!named) return undefined;
    const show = () => {
      const element = document.getElementById(named);
      if (!element) return;
      watcher.disconnect();
      follow.current(false);
      element.scrollIntoView({ block: "center" });
      element.classList.add("named");
      setTimeout(() => element.classList.remove("named"), 2500);
    };
    // The messages come after the page.
    const watcher = new MutationObserver(show);
    watcher.observe(content.current, { childList: true, subtree: true });
    const frame = requestAnimationFrame(show);
    return () => {
      watcher.disconnect();
      cancelAnimationFrame(frame);
    };
  }, [hash, chatId]);

  useEffect(() => {
    const element = area.current;
    let pinned = true;
    let lastTop = 0;
    let lastHeight = 0;

    const pin = (value) => {
      pinned = value;
      setFollowing(value);
      if (value) toEnd();
    };
    const toEnd = () => {
      element.scrollTop = element.scrollHeight;
      lastTop = element.scrollTop;
      lastHeight = element.scrollHeight;
    };
    const scrollable = () => element.scrollHeight > element.clientHeight;

    const onScroll = () => {
      const below = element.scrollHeight - element.clientHeight - element.scrollTop;
      // Content that shrinks moves the view up as well; that is not the reader.
      const up = element.scrollTop < lastTop && element.scrollHeight >= lastHeight;
      lastTop = element.scrollTop;
      lastHeight = element.scrollHeight;
      if (pinned && up && below > NEAR) pin(false);
      else if (!pinned && !up && below <= NEAR) pin(true);
    };
    const onWheel = (event) => event.deltaY < 0 && scrollable() && element.scrollTop > 0 && pin(false);
    // Who sends a message wants to see what comes.
    const onSubmit = () => pin(true);

    const observer = new ResizeObserver(() => pinned && toEnd());
    observer.observe(content.current);
    observer.observe(element);
    element.addEventListener("scroll", onScroll, { passive: true });
    element.addEventListener("wheel", onWheel, { passive: true });
    document.addEventListener("submit", onSubmit);
    follow.current = pin;
    pin(true);
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", onScroll);
      element.removeEventListener("wheel", onWheel);
      document.removeEventListener("submit", onSubmit);
    };
  }, [chatId]);

  return (
    <div className="scroller">
      <div ref={area} className="scroll-area" tabIndex={-1}>
        <div ref={content} className="column">
          {children}
        </div>
      </div>
      {following || (
        <button type="button" className="jump" onClick={() => follow.current(true)}>
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M12 5v14m-6-6 6 6 6-6" />
          </svg>
          Jump to latest
        </button>
      )}
    </div>
  );
}
