/* Small things that need the browser itself. */
import "./browser.js";
import { useEffect, useState } from "react";

/* A time of day as the reader's clock and language have it; the server knows neither. */
export function Moment({ iso }) {
  const [text, setText] = useState("");
  useEffect(() => {
    const moment = new Date(iso);
    const today = moment.toDateString() === new Date().toDateString();
    setText(moment.toLocaleString(undefined, { ...(today ? {} : { dateStyle: "medium" }), timeStyle: "short" }));
  }, [iso]);
  return (
    <time dateTime={iso} className="moment">
      {text}
    </time>
  );
}

/* Not the router's link: it leaves the address alone, see keyboard.js. */
export function SkipLink({ children }) {
  return (
    <a href="#main" className="skip">
      {children}
    </a>
  );
}
