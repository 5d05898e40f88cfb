/* How answers come to this page, one report an answer; use-stream.js has what is measured, and how it is sent.

An answer is known by the key that it was asked with until its row is on the page, then by its id, and in the windows of the
growing text by the end of that. */
import { Measure, actedAt, heed, sendMeasure, stoodStill } from "$/public/use-stream.js";
import { countAnswer } from "./survey.jsx";

const SESSION = "session";

let on = false;
let whole = false;
// From here to the server in ms, at its quickest.
let way = 0;
const asked = new Map();
const running = new Map();
const arrivals = new Map();
// Answers that were left within, and may come back.
const reported = new Set();

const now = () => performance.now();
const short = (messageId) => messageId.slice(-8);

function send(messageId, values = {}) {
  const measure = running.get(short(messageId));
  running.delete(short(messageId));
  asked.delete(measure?.key);
  const session = localStorage.getItem(SESSION);
  if (!measure || !on || !session) return;
  const report = measure.report();
  // A browser's first report about an answer counts: that of the tab in which it was asked for, or is looked at.
  if (report.hidden && !measure.known) return;
  if (values.closed) reported.add(short(messageId));
  const how = whole ? { whole, reason: "off" } : {};
  sendMeasure("", { turn_id: messageId, session, door: "page", ...report, ...how, ...values });
}

function finish(messageId, measure, stored) {
  // It had ended before the page followed it.
  if (!measure.drawn && stored) measures.painted(messageId);
  arrivals.delete(short(messageId));
  if (measure.drawn && document.visibilityState === "visible") countAnswer();
  send(messageId);
}

export const measures = {
  /** Whether reports are wanted, and whether answers come whole here. */
  set(wanted, comesWhole) {
    on = wanted;
    whole = comesWhole;
  },

  /** Enter was pressed, or a button. */
  asked(key) {
    asked.set(key, { measure: new Measure(actedAt()), at: now() });
  },

  /** The message is on the page. */
  shown(key) {
    asked.get(key)?.measure?.shown();
  },

  /** The server has it, and took `ms` for that. */
  answered(key, ms) {
    const { at } = asked.get(key) ?? {};
    if (at === undefined || ms === undefined || stoodStill(at)) return;
    const half = Math.max(now() - at - ms, 0) / 2;
    way = way ? Math.min(way, half) : half;
  },

  /** After it was refused: the next answer is that to this sending. */
  sentAgain(key) {
    const question = asked.get(key);
    if (question) question.at = now();
  },

  /** It waits for another answer: how long that takes says nothing of its own. */
  forget(key) {
    asked.delete(key);
  },

  /** The first window of an answer came; the server had its first token for `ms`, less than 0 where it cannot tell. */
  arrived(windowId, ms) {
    if (ms >= 0 && !arrivals.has(windowId)) arrivals.set(windowId, { ms, at: now() });
  },

  /** Whether the answer to a question of this page is not on it yet. */
  awaits: (key) => Boolean(asked.get(key)?.measure),

  /** The row of a growing answer is on the page; `stored` is what was saved of it by then. */
  begun(messageId, key, stored) {
    const id = short(messageId);
    if (reported.has(id)) return;
    const before = running.get(id);
    if (before) return clearTimeout(before.leaving);
    const question = asked.get(key);
    const known = question?.measure;
    // The server's answer to the question may come later; another version of the reply is another's.
    if (question) question.measure = null;
    known?.shown();
    // Met in its middle: the page was loaded anew. One that goes on with an older text begins with that.
    const met = !known && stored !== "" && !key.startsWith("go on ");
    const of = { id: messageId, key, known: Boolean(known), drawn: false, begun: now() };
    running.set(id, Object.assign(known ?? new Measure(null, met ? 1 : 0), of));
  },

  /** Some more of it is on the page. */
  painted(messageId) {
    const measure = running.get(short(messageId));
    if (!measure) return;
    const arrival = arrivals.get(short(messageId));
    // Not where the first token was there before the page was.
    if (arrival && arrival.at - arrival.ms >= measure.begun - way - LATE_MS) measure.arrived(arrival.ms + way, arrival.at);
    measure.drawn = true;
    measure.painted();
  },

  /** `stored` is what its row has of it. */
  ended(messageId, stored) {
    const measure = running.get(short(messageId));
    if (measure && !measure.ending) {
      measure.ending = true;
      clearTimeout(measure.leaving);
      // The last of its text may be drawn with the next frame, of which a tab that nobody sees has none.
      setTimeout(() => finish(messageId, measure, stored), DRAWN_MS);
    } else arrivals.delete(short(messageId));
  },

  /** The reader went elsewhere before the end; or the page only draws it anew. */
  left(messageId) {
    const measure = running.get(short(messageId));
    if (measure) measure.leaving = setTimeout(() => send(messageId, { closed: true }), LATE_MS);
  },

  /** The connection is there again. */
  resumed() {
    const unanswered = [...asked.values()].map(({ measure }) => measure).filter(Boolean);
    for (const measure of [...running.values(), ...unanswered]) measure.resumed += 1;
    // What was under way is sent again: nobody can tell how long the way is from its answer.
    for (const question of asked.values()) question.at = undefined;
  },
};

// So long a token may be at the server before the row of its answer is on the page, and an answer be out of it.
const LATE_MS = 1_000;
const DRAWN_MS = 100;

if (typeof window !== "undefined") {
  heed();
  window.addEventListener("pagehide", () => [...running.values()].forEach(({ id }) => send(id, { closed: true })));
  // Out of the browser's cache, where it had no connection.
  window.addEventListener("pageshow", ({ persisted }) => persisted && measures.resumed());
}
