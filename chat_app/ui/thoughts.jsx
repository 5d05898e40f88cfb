/* What a model thought before it wrote: folded, and not on the page before somebody opens it. */
import { useEffect, useId, useState } from "react";
import { Markdown } from "./markdown.jsx";

/** `since` is there while it thinks, else perhaps `ms`. Without a `text`, `fetchText` promises it. */
export function Thoughts({ text, ms, since, fetchText }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const thinks = since !== undefined;
  return (
    <div className="thoughts" data-thinks={thinks || undefined}>
      <button type="button" className="fold" aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">
          <path d="m9 6 6 6-6 6" />
        </svg>
        {thinks ? <Thinking since={since} /> : <span>{ms === undefined ? "Thoughts" : `Thought for ${duration(ms)}`}</span>}
      </button>
      <div id={id} className="folded" hidden={!open}>
        {open && (text === undefined ? <Fetched fetchText={fetchText} /> : <Markdown text={text} growing={thinks} />)}
      </div>
    </div>
  );
}

/** The count of whole seconds. */
function Thinking({ since }) {
  const [now, setNow] = useState(performance.now());
  const seconds = Math.max(Math.floor((now - since) / 1000), 0);
  useEffect(() => {
    const timer = setTimeout(() => setNow(performance.now()), since + (seconds + 1) * 1000 - performance.now());
    return () => clearTimeout(timer);
  }, [since, seconds, now]);
  return (
    <span>
      Thinking …<span className="count">{seconds > 0 && ` ${duration(seconds * 1000)}`}</span>
    </span>
  );
}

function Fetched({ fetchText }) {
  const [text, setText] = useState();
  const [failed, setFailed] = useState(false);
  const get = () => {
    setFailed(false);
    fetchText().then(setText, () => setFailed(true));
  };
  useEffect(get, []);
  if (failed)
    return (
      <p className="after">
        <span className="problem">The thoughts could not be loaded.</span>
        <button type="button" className="text-button" onClick={get}>
          Try again
        </button>
      </p>
    );
  return text === undefined ? <p className="typing">Loading …</p> : <Markdown text={text} growing={false} />;
}

function duration(ms) {
  const seconds = Math.max(Math.round(ms / 1000), 1);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
