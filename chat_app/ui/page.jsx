/* Small things that need the browser itself. */
import "./browser.js";
import { useEffect, useRef, useState } from "react";

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

/* Reads a chat's JSON export and opens the chat that the server makes of it. */
export function ImportChat({ children, className, onProblem }) {
  const input = useRef(null);
  const read = async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    const response = await fetch("/chats/import", { method: "POST", body: file });
    const answer = await response.json();
    if (response.ok) location.assign(`/c/${answer.id}`);
    else onProblem?.(answer.error.message);
  };
  return (
    <>
      <button type="button" className={className} onClick={() => input.current.click()}>
        {children}
      </button>
      <input ref={input} type="file" accept=".json,application/json" hidden aria-label="A chat's JSON" onChange={read} />
    </>
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
