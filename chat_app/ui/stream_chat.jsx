/* A chat of one column on useStream(), without a websocket: the page at /embed, and a component for any React page. */
import { memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import "$/public/external/chat_app/ui/elements/browser.js";
import { useStream } from "$/public/use-stream.js";
import "./stream_chat.css";
import { Boundary } from "$/public/external/chat_app/ui/elements/boundary.jsx";
import { enterKeyHint, sends } from "$/public/external/chat_app/ui/elements/touch.js";
import { Reply } from "$/public/external/chat_app/ui/elements/reply.jsx";
import { Waiting } from "$/public/external/chat_app/ui/elements/waiting.jsx";

const ANNOUNCED = {
  waiting: "Assistant is typing",
  streaming: "Assistant is typing",
  reconnecting: "Connection lost. Reconnecting …",
  complete: "Answer complete",
  stopped: "Answer ended",
  failed: "Answer ended",
  interrupted: "Answer ended",
};
const AT_LIMIT = "The answer was cut off at the model's limit.";
const PROBLEMS = {
  stopped: "Stopped",
  interrupted: "The server ended while this answer was being written.",
  failed: "The answer failed.",
};
const REASONS = {
  off: "Streaming is turned off here.",
  "no-body": "This browser does not stream.",
  "not-a-stream": "Something between this page and the server does not let streams through.",
  buffered: "Something between this page and the server holds streams back.",
};
const GONE = "This chat is not here any more: it was deleted. Begin a new one.";
const UNSHOWN = "This message could not be shown as usual. Here is its text.";
// As near to the end as rounding may leave it, in CSS pixels.
const NEAR = 24;
const SHOWN_MS = 8000;
// How long the server may be silent before the sign says so, less than until a stream counts as held back.
const SILENT_MS = 3000;
// As the server makes it from a first message.
const TITLE_CHARS = 60;

export function StreamChat({
  baseUrl = "",
  chatId = null,
  greeting = "What would you like to know?",
  headers,
  apiKey = "",
  fetch,
  onChat,
  onTitle,
  storage = null,
  storedAs = "embed",
  measure = false,
  door = "client",
}) {
  const box = useRef(null);
  const unsent = useMemo(() => keptIn(storage, `${storedAs}:unsent`), [storage, storedAs]);
  const draft = useMemo(() => keptIn(storage, `${storedAs}:draft`), [storage, storedAs]);
  const include = "reasoning,recast,steps,sources,suggestions";
  const chat = useStream({ baseUrl, chatId, headers, apiKey, ...(fetch && { fetch }), include, unsent, measure, door, paced: true, queue: true });
  const { messages, partial, parts, turnId, busy, status, line } = chat;
  const empty = messages.length === 0 && !busy;
  const [error, dismiss] = useError(chat);
  useEffect(() => {
    onChat?.(chat.chatId ?? "");
  }, [chat.chatId]);
  const first = messages.find(({ role }) => role === "user")?.content ?? "";
  useEffect(() => {
    onTitle?.(first.replace(/\s+/g, " ").trim().slice(0, TITLE_CHARS));
  }, [first]);
  const returned = !busy && unsent.get()?.refused ? unsent.get().text : "";
  const sending = status === "reconnecting" ? "Not sent yet. It goes out when the connection is back." : "Sending …";
  const note = busy && !turnId && status !== "loading" ? sending : "";
  const last = messages.at(-1);
  const question = messages.findLast(({ role }) => role === "user")?.content;
  const again = useCallback(() => chat.send(question), [chat.send, question]);
  // What the last answer may be followed by.
  const next = { onAgain: again, onContinue: chat.goOn, onAsk: chat.send };
  const begin = () => {
    chat.open(null);
    box.current.focus();
  };
  // Of what has not been sent nobody writes an answer.
  const unsentYet = status === "reconnecting" && !turnId && partial === "";
  const growing = busy && status !== "loading" && !unsentYet && { id: turnId ?? "growing", role: "assistant", content: partial, parts };
  return (
    <section className="embed" aria-label="Chat">
      {empty ? (
        <div className="welcome">
          <h2>{greeting}</h2>
        </div>
      ) : (
        <Transcript>
          {messages.map((message) => (
            <Boundary key={message.id} sentence={UNSHOWN} text={message.content}>
              <Message message={message} note={message === last ? note : ""} {...(message === last && !busy ? next : null)} />
            </Boundary>
          ))}
          {growing && (
            <Boundary key={growing.id} sentence={UNSHOWN} text={growing.content}>
              <Message message={growing} growing onDrawn={chat.painted} />
            </Boundary>
          )}
          <Waiting line={line} chat={chat} box={box} />
        </Transcript>
      )}
      <div className="dock">
        {error && (
          <div className="error-line" role="alert">
            <span>
              {returned && "Not sent. "}
              {told(error)}
            </span>
            {returned && error.retryable && (
              <button type="button" className="text-button" onClick={() => box.current.form.requestSubmit()}>
                Try again
              </button>
            )}
            <IconButton label="Dismiss" className="quiet" path="M6 6l12 12M18 6L6 18" onClick={dismiss} />
          </div>
        )}
        <Box area={box} busy={busy} later={busy && turnId !== null} chat={chat} draft={draft} returned={returned} />
        <div className="notice">
          <Connection status={status} mode={chat.mode} reason={chat.reason} error={chat.error} asks={busy && !turnId} />
          {empty || (
            <button type="button" className="text-button" onClick={begin}>
              New chat
            </button>
          )}
        </div>
      </div>
      <div role="status" className="visually-hidden">
        {busy && thinksFirst(parts) ? "Assistant is thinking" : ANNOUNCED[status]}
      </div>
    </section>
  );
}

/** Said once, however often it thinks. */
const thinksFirst = (parts) => parts.at(-1)?.since !== undefined && parts.filter(({ type }) => type === "reasoning").length === 1;

/** The sentence for a person: the server's own is for programs where a chat is gone. */
const told = ({ code, message }) => (code === "not_found" ? GONE : message);

/** What is kept under a name, as JSON; without a storage for as long as the page is there. */
function keptIn(storage, name) {
  let value = JSON.parse(storage?.getItem(name) ?? "null");
  const set = (next) => {
    value = next;
    if (next === null) storage?.removeItem(name);
    else storage?.setItem(name, JSON.stringify(next));
  };
  return { get: () => value, set };
}

/** The error to show, and what takes it away; it goes by itself where it is said under the answer too. */
function useError({ error, messages }) {
  const [closed, setClosed] = useState(null);
  const dismiss = () => setClosed(error);
  const repeated = error !== null && messages.at(-1)?.error === error;
  useEffect(() => {
    if (!repeated) return undefined;
    const timer = setTimeout(dismiss, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [repeated, error]);
  return [error === closed ? null : error, dismiss];
}

/** Scrolls, and follows what grows until the reader scrolls up. */
function Transcript({ children }) {
  const area = useRef(null);
  const pinned = useRef(true);
  useEffect(() => {
    const element = area.current;
    let top = 0;
    const follow = () => {
      if (pinned.current) element.scrollTop = element.scrollHeight;
    };
    const scrolled = () => {
      const below = element.scrollHeight - element.clientHeight - element.scrollTop;
      if (below <= NEAR) pinned.current = true;
      else if (element.scrollTop < top) pinned.current = false;
      top = element.scrollTop;
    };
    const observer = new ResizeObserver(follow);
    observer.observe(element);
    observer.observe(element.firstChild);
    element.addEventListener("scroll", scrolled, { passive: true });
    return () => observer.disconnect();
  }, []);
  // Who asks wants to see what comes.
  const count = children[0].length;
  useLayoutEffect(() => {
    pinned.current = true;
    area.current.scrollTop = area.current.scrollHeight;
  }, [count]);
  return (
    <div className="scroll-area" ref={area} tabIndex={0} role="region" aria-label="Messages">
      <div className="column">
        {/* No live region: a screen reader is told where an answer begins and ends (`status`), not each token. */}
        <div className="transcript" role="log" aria-label="Conversation" aria-live="off">
          {children}
        </div>
      </div>
    </div>
  );
}

const Message = memo(function Message({ message, note, growing = false, onDrawn, onAgain, onContinue, onAsk }) {
  const { role, content, status, error } = message;
  if (role === "user") {
    return (
      <article aria-label="You said" className="question">
        <div className="bubble" dir="auto">
          {content}
        </div>
        {note && <p className="note">{note}</p>}
      </article>
    );
  }
  const problem = problemOf(message);
  return (
    <article aria-label="Assistant said" className="answer">
      <Reply
        parts={message.parts ?? [{ type: "text", text: content }]}
        growing={growing}
        onDrawn={onDrawn}
        suggestion={onAsk && ((text) => <Asked key={text} text={text} onAsk={onAsk} />)}
      />
      {problem && (
        <div className="after">
          <p className="problem" data-status={status}>
            {problem}
          </p>
          <span className="choices">
            {onContinue && content && <Choice onClick={onContinue}>Continue</Choice>}
            {onAgain && error?.retryable !== false && <Choice onClick={onAgain}>Try again</Choice>}
          </span>
        </div>
      )}
    </article>
  );
}, sameMessage);

/** How an answer ended, where that is not well; a stored one names its reason as the server does. */
function problemOf({ status, error, finishReason, finish_reason: stored }) {
  if (status === "complete") return (finishReason ?? stored) === "length" ? AT_LIMIT : "";
  return status === "stopped" ? PROBLEMS.stopped : PROBLEMS[status] && (error?.message ?? PROBLEMS[status]);
}

function Choice({ onClick, children }) {
  const choose = (event) => {
    // The button goes, and the focus must not go with it.
    event.currentTarget.closest("[tabindex]").focus();
    onClick();
  };
  return (
    <button type="button" className="text-button" onClick={choose}>
      {children}
    </button>
  );
}

function Asked({ text, onAsk }) {
  return (
    <button type="button" className="suggestion" onClick={() => onAsk(text)}>
      {text}
    </button>
  );
}

function sameMessage(before, after) {
  const [old, next] = [before.message, after.message];
  const same = before.growing === after.growing && before.note === after.note && before.onAgain === after.onAgain;
  return same && old.content === next.content && old.parts === next.parts && old.status === next.status;
}

/** The message box: Enter sends unless an input method is composing; a refused message comes back. */
function Box({ area, busy, later, chat, draft, returned }) {
  const [text, setText] = useState(draft.get() ?? "");
  useEffect(() => draft.set(text || null), [text]);
  // What was on its way when the page was left, and was not taken.
  useEffect(() => {
    if (returned) setText((typed) => typed || returned);
  }, [returned]);
  useLayoutEffect(() => {
    area.current.style.height = "auto";
    area.current.style.height = `${area.current.scrollHeight}px`;
  }, [text]);

  async function submit(event) {
    event?.preventDefault();
    if ((busy && !later) || text.trim() === "") return;
    setText("");
    const taken = later ? await chat.queue(text) : (await chat.send(text)) !== null;
    if (!taken) setText((typed) => typed || text);
  }

  function keyDown(event) {
    if (!sends(event.nativeEvent)) return;
    event.preventDefault();
    submit();
  }

  // Not everybody has an Enter key for what is to be asked later.
  const first = later && { label: "Send after this answer", className: "round send later", type: "submit", path: SEND, "aria-keyshortcuts": "Enter" };
  // One button, so that it keeps the focus while it changes.
  const button = busy
    ? { label: "Stop generating", className: "round stop", type: "button", onClick: chat.stop, path: STOP, "data-key": "stop", "aria-keyshortcuts": "Escape" }
    : { label: "Send message", className: "round send", type: "submit", path: SEND, "aria-keyshortcuts": "Enter" };
  return (
    <form className="box" onSubmit={submit} data-empty={text.trim() === "" ? "" : undefined}>
      <textarea
        ref={area}
        rows={1}
        name="message"
        aria-label="Message"
        placeholder="Ask anything"
        dir="auto"
        enterKeyHint={enterKeyHint()}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={keyDown}
      />
      <span className="sends">
        {first && <IconButton key="later" {...first} />}
        <IconButton key="button" {...button} />
      </span>
    </form>
  );
}

const SEND = "M12 19V5m-7 7 7-7 7 7";
const STOP = "M5 5h14v14H5z";

function IconButton({ label, path, type = "button", ...rest }) {
  return (
    <button type={type} aria-label={label} {...rest}>
      <svg viewBox="0 0 24 24" width="18" height="18" fill="none" aria-hidden="true" focusable="false">
        <path d={path} stroke="currentColor" strokeWidth="2" strokeLinecap="round" strokeLinejoin="round" />
      </svg>
    </button>
  );
}

function Connection({ status, mode, reason, error, asks }) {
  // A whole reply comes when it is ready: until then nothing is heard in any case.
  const silent = useSilent(asks && mode === "stream");
  const online = useSyncExternalStore(onNetwork, () => navigator.onLine, () => true);
  if (!online || error?.code === "unreachable") return <Chip state="lost">No connection</Chip>;
  if (status === "reconnecting") return <Chip state="reconnecting">Connection lost. Reconnecting …</Chip>;
  if (silent) return <Chip state="waiting">The server does not answer. Waiting …</Chip>;
  if (mode === "whole")
    return (
      <Chip state="whole" why={REASONS[reason]}>
        Whole replies
      </Chip>
    );
  return <Chip state="live">Live</Chip>;
}

/** Whether something `asks` the server for a while already. */
function useSilent(asks) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (!asks) return undefined;
    const timer = setTimeout(() => setLate(true), SILENT_MS);
    return () => clearTimeout(timer);
  }, [asks]);
  return asks && late;
}

function onNetwork(listener) {
  addEventListener("online", listener);
  addEventListener("offline", listener);
  return () => {
    removeEventListener("online", listener);
    removeEventListener("offline", listener);
  };
}

function Chip({ state, why, children }) {
  return (
    <span className="chip" data-connection={state} title={why}>
      {children}
      {why && <span className="visually-hidden">: {why}</span>}
    </span>
  );
}
