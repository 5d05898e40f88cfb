/* What the page has not loaded of a long chat, and the ways to have it. What comes before all that it shows is asked for in
scroller.jsx. */
import { useEffect, useRef, useState } from "react";

// So near to it, for the messages to be there before the reader is.
const AHEAD = "800px";

/* The browser's search finds only what is on the page: who begins one is told, and can have the rest loaded, a few messages
at a time for the page to stay quick. */
export function FindNote({ hidden, gap, onEarlier, onLater }) {
  const [shown, show] = useState(false);
  const [loading, setLoading] = useState(false);
  const missing = hidden + gap;
  const sentence = missing === 1 ? "1 message is not loaded." : `${missing} messages are not loaded.`;

  useEffect(() => {
    const onKey = (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "f") show(missing > 0);
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [missing > 0]);

  useEffect(() => {
    if (!loading) return;
    if (gap > 0) onLater();
    else if (hidden > 0) onEarlier("");
    else setLoading(false);
  }, [loading, hidden, gap]);

  return (
    <div className="find-note" role="status">
      {shown && (
        <>
          <span>{missing > 0 ? sentence : "All messages are loaded."}</span>
          {missing > 0 && (
            <button type="button" className="text-button" disabled={loading} onClick={() => setLoading(true)}>
              {loading ? "Loading…" : "Load all"}
            </button>
          )}
          <button type="button" className="text-button" onClick={() => show(false)}>
            Close
          </button>
        </>
      )}
    </div>
  );
}

/* Between the messages around an older one and the newest. */
export function Gap({ count, onLater, children }) {
  const place = useRef(null);
  useEffect(() => {
    const root = place.current.closest(".scroll-area");
    const come = ([entry]) => entry.isIntersecting && onLater();
    const near = new IntersectionObserver(come, { root, rootMargin: AHEAD });
    near.observe(place.current);
    return () => near.disconnect();
  }, [count]);
  return (
    <div ref={place} className="gap">
      <div className="earlier">
        <button type="button" className="quiet-text" onClick={() => onLater()}>
          {`Load ${count} messages in between`}
        </button>
      </div>
      {children}
    </div>
  );
}
