/* The messages that the server does not have yet, as the page shows them; and what the page looks like around them. */
import { useEffect, useLayoutEffect, useReducer } from "react";
import { Link, useLocation, useNavigate } from "react-router";
import { toast } from "sonner";
import { kept } from "./kept.js";
import { measures } from "./measures.js";
import { outbox, placeOf, sentFrom, useOutbox } from "./outbox.js";

// So long a message may take before it is called unsent, in ms; with no connection at all, less.
const LATE_MS = 10_000;
const OFFLINE_MS = 1_000;

// Heard by the message box.
export const RESTORE_EVENT = "chat:restore-draft";
const restore = (text) => window.dispatchEvent(new CustomEvent(RESTORE_EVENT, { detail: text }));

/** Delivers what is in the outbox and shows what was sent from this chat, below its messages.

    chatId      the chat whose messages are shown
    rows        the newest of them
    waiting     the questions that wait for an answer to end
    connected   whether the server hears us
    limit       the longest message, in characters; 0 while it is not known
    tooLong     the server's sentence for a longer one, with {} for its length
    onSend      takes {message, key, chat_id, edit_of} to the server */
export function Outbox({ chatId, rows, waiting, connected, limit, tooLong, onSend }) {
  const messages = useOutbox();
  const here = placeOf(useLocation());
  const navigate = useNavigate();

  // As soon as it is drawn, so that an Enter finds it.
  useLayoutEffect(() => {
    const deliver = ({ key, content, place, editOf }) => {
      const refused = tooLongFor(content, limit, tooLong);
      if (refused) giveBack(key, refused);
      else if (connected) onSend({ message: content, key, chat_id: place.chatId, edit_of: editOf });
    };
    // In another new chat already: that one is shown again, for the server believes what it began to be on the page.
    const open = (place, begun) => here.chatId || navigate(place.visit === here.visit ? `/c/${begun}` : "/");
    outbox.by(deliver, open);
  });
  useEffect(() => {
    if (connected) outbox.deliverAll();
  }, [connected]);
  // What cannot be sent as it is goes back to where it was typed.
  useEffect(() => {
    for (const { key, refusal } of messages) {
      if (refusal?.code === "invalid_request") giveBack(key, refusal.message);
    }
  }, [messages]);

  const arrived = new Set([...rows, ...waiting].map(({ key }) => key));
  useEffect(() => {
    // That of a new chat is kept until the server has said which chat it began.
    const done = ({ key, place, taken, editOf }) => arrived.has(key) && !editOf && (taken || place.chatId);
    for (const message of messages.filter(done)) outbox.take(message.key);
  });
  const shown = chatId === here.chatId ? sentFrom(here, messages).filter(({ key }) => !arrived.has(key)) : [];
  return shown.map((message) => <Unsent key={message.key} message={message} connected={connected} />);
}

/** The sentence for a text that is too long, else "". Characters as Python counts them. */
export function tooLongFor(content, limit, sentence) {
  if (!limit || content.length <= limit) return "";
  let length = 0;
  for (const _ of content) length += 1;
  return length > limit ? sentence.replace("{}", length.toLocaleString("en-US")) : "";
}

function giveBack(key, sentence) {
  const edited = outbox.all().find((message) => message.key === key)?.editOf;
  const text = outbox.take(key);
  // A form still has it.
  if (!edited) restore(text);
  toast.error(sentence, { id: sentence });
}

function Unsent({ message, connected }) {
  const { key, content, refusal } = message;
  const state = useDelivery(message, connected);
  useLayoutEffect(() => measures.shown(key), [key]);
  return (
    <div className="message">
      <article aria-label="You said" className="question" data-outbox={state}>
        <div className="bubble" dir="auto">
          <span>{content}</span>
        </div>
        <footer className="tools" key={state}>
          <span className={state in UNSENT ? "problem" : undefined}>{UNSENT[state] ?? (state === "sent" ? "" : "Sending …")}</span>
          {refusal && <span>{refusal.message}</span>}
          {state in UNSENT && <Choices message={message} />}
        </footer>
      </article>
    </div>
  );
}

const UNSENT = {
  offline: "Not sent yet. It goes out when the connection is back.",
  late: "Not sent yet. The server does not answer.",
  refused: "Not sent.",
};

function Choices({ message: { key, refusal } }) {
  const navigate = useNavigate();
  const edit = () => restore(outbox.take(key));
  const again = () => {
    outbox.again(key);
    // Reflex connects anew, where it must, when the page comes into view.
    document.dispatchEvent(new Event("visibilitychange"));
  };
  // A chat that is gone takes no message, a new one does.
  const anew = () => {
    takeAlong([outbox.take(key)]);
    navigate("/");
  };
  return (
    <span className="choices">
      {refusal?.code === "not_found" ? (
        <Choice text="Take it to a new chat" onClick={anew} />
      ) : (
        <Again refusal={refusal} onClick={again} />
      )}
      <Choice text="Edit" onClick={edit} />
    </span>
  );
}

/** Where a limit is reached, the time until it helps runs down. */
function Again({ refusal, onClick }) {
  const [, look] = useReducer((n) => n + 1, 0);
  const limited = refusal?.code.startsWith("too_many");
  const left = limited ? Math.ceil((refusal.at + (refusal.retry_after ?? 0) * 1000 - Date.now()) / 1000) : 0;
  useEffect(() => {
    if (left <= 0) return undefined;
    const timer = setTimeout(look, 1000);
    return () => clearTimeout(timer);
  });
  return <Choice text={left > 0 ? `Try again in ${left} s` : "Try again"} disabled={left > 0} onClick={onClick} />;
}

function Choice({ text, ...props }) {
  return (
    <button type="button" className="text-button" {...props}>
      {text}
    </button>
  );
}

/** sending | sent | offline | late | refused, and another rendering when that changes with time. */
function useDelivery({ since, refusal, taken }, connected) {
  const [, look] = useReducer((n) => n + 1, 0);
  const limit = connected ? LATE_MS : OFFLINE_MS;
  const left = since + limit - Date.now();
  useEffect(() => {
    if (taken || refusal || left <= 0) return undefined;
    const timer = setTimeout(look, left);
    return () => clearTimeout(timer);
  });
  if (refusal) return "refused";
  if (taken) return "sent";
  if (left > 0) return "sending";
  return connected ? "late" : "offline";
}

/** The main part of the page. Of its two views the first is that of a new chat, the second that of one with messages: also
    from the moment on in which the first one is sent. */
export function Main({ chatId, loading, children, ...props }) {
  const empty = useEmpty(chatId);
  return (
    <main {...props} data-empty={empty} data-loading={loading}>
      {children}
    </main>
  );
}

export function Views({ chatId, children: [welcome, conversation] }) {
  return useEmpty(chatId) ? welcome : conversation;
}

function useEmpty(chatId) {
  const messages = useOutbox();
  const here = placeOf(useLocation());
  return chatId === "" && (here.chatId !== "" || sentFrom(here, messages).length === 0);
}

const takeAlong = (texts) => kept.set("draft:/", [kept.get("draft:/"), ...texts].filter(Boolean).join("\n\n") || null);

export function TakeAlong({ children, className }) {
  const location = useLocation();
  const take = () => {
    const draft = `draft:${location.pathname}`;
    const unsent = outbox.of(placeOf(location)).filter(({ taken }) => !taken);
    takeAlong([...unsent.map(({ key }) => outbox.take(key)), kept.get(draft)]);
    kept.set(draft, null);
  };
  return (
    <Link to="/" className={className} onClick={take}>
      {children}
    </Link>
  );
}

export function Suggestion({ text, className }) {
  const here = placeOf(useLocation());
  return (
    <button type="button" className={className} onClick={() => outbox.send(text, here)}>
      {text}
    </button>
  );
}
