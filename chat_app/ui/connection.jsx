/* The sign of the connection: it says "Live" only while the server is heard. */
import { useEffect, useReducer, useRef, useState } from "react";
import { measures } from "./measures.js";
import { useOutbox } from "./outbox.js";

// How long the server may be silent, in ms, before the sign says so, and before a websocket that does not open is in doubt.
const SILENT_MS = 3_000;
const UNOPENED_MS = 10_000;
// So many failures in a row are no restart.
const TRIES = 3;

/** `errors` of the connection since it was there last; `hydrated`: the page is as the server has it; `whole`: replies come
    whole; `measured`: it is to report how. */
export function Connection({ errors, hydrated, whole, measured }) {
  const lost = errors.length > 0;
  useEffect(() => measures.set(measured, whole), [measured, whole]);
  useEffect(() => (lost ? () => measures.resumed() : undefined), [lost]);
  const opened = useOpened(hydrated && errors.length === 0);
  const blocked = useBlocked(errors, opened);
  const silent = useSilent(hydrated);
  if (blocked) return <Blocked />;
  if (errors.length) return <Chip state="reconnecting">Connection lost. Reconnecting …</Chip>;
  if (!opened) return <Chip state="connecting">Connecting …</Chip>;
  if (silent) return <Chip state="waiting">The server does not answer. Waiting …</Chip>;
  return whole ? <Chip state="whole">Whole replies</Chip> : <Chip state="live">Live</Chip>;
}

/** Whether there was a connection at all. */
function useOpened(connected) {
  const opened = useRef(false);
  opened.current ||= connected;
  return opened.current;
}

/** Whether the server is there and only a websocket does not reach it. */
function useBlocked(errors, opened) {
  const [answers, setAnswers] = useState(0);
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (opened) return undefined;
    const timer = setTimeout(() => setLate(true), UNOPENED_MS);
    return () => clearTimeout(timer);
  }, [opened]);
  const doubted = errors.length >= TRIES || (late && !opened);
  useEffect(() => {
    if (!doubted) return setAnswers(0);
    const leave = new AbortController();
    const timer = setTimeout(() => leave.abort(), SILENT_MS);
    fetch("/ping", { cache: "no-store", signal: leave.signal }).then(
      (response) => setAnswers((count) => (response.ok ? count + 1 : 0)),
      () => setAnswers(0),
    );
    return () => clearTimeout(timer);
  }, [errors, doubted]);
  // Once is not enough: the server may have come back just now.
  return doubted && answers >= (errors.length ? 2 : 1);
}

/** Whether something that the server was asked is not answered for a while. */
function useSilent(hydrated) {
  const messages = useOutbox();
  const [, look] = useReducer((n) => n + 1, 0);
  const since = useRef(null);
  if (hydrated) since.current = null;
  else since.current ??= Date.now();
  const waits = messages.filter(({ taken, refusal }) => !taken && !refusal).map((message) => message.since);
  const asked = Math.min(...waits, since.current ?? Infinity);
  const left = asked + SILENT_MS - Date.now();
  useEffect(() => {
    if (!(left > 0 && left < Infinity)) return undefined;
    const timer = setTimeout(look, left);
    return () => clearTimeout(timer);
  });
  return left <= 0;
}

function Blocked() {
  const [host, setHost] = useState("");
  useEffect(() => setHost(location.host), []);
  return (
    <>
      <Chip state="blocked">No websocket gets through</Chip>
      <span role="alert" className="blocked">
        The server is there, but this page needs a websocket. A proxy must pass <code>Upgrade</code>, <code>Connection</code>{" "}
        and <code>Host</code> on to <code>/_event</code>, and the server must know {host} (<code>ALLOWED_HOSTS</code>). It is
        tried again all the time. <a href="/embed">A page that needs none</a>
      </span>
    </>
  );
}

function Chip({ state, children }) {
  return (
    <span className="chip" data-connection={state}>
      <span key={state}>{children}</span>
    </span>
  );
}
