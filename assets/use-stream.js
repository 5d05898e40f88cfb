/* useStream(): a chat with this app from any React page; createStream() is the same without React.

The answer comes as an event stream over `fetch` and goes on by itself after a broken connection. Where it cannot stream
(no `response.body`, streaming turned off, a proxy that holds the stream back or strips it) it comes whole, from
`POST /messages/` with the same Idempotency-Key: a question is never asked twice. `mode` says which of the two it is.

Needs the npm package `eventsource-parser` (4 or later), and `react` for the hook. The event-stream contract is the
server's: a block's id is `<turn>:<number>`, and the numbers count the characters of the answer. */
import { createParser } from "eventsource-parser";
import { useEffect, useLayoutEffect, useMemo, useSyncExternalStore } from "react";

const DEFAULTS = {
  // Where the app is: "" is the page's own origin.
  baseUrl: "",
  // Sent with every request, for example { "X-Session-Id": … }.
  headers: {},
  // An API key, sent as `Authorization: Bearer …`. Whoever opens the page can read it there.
  apiKey: "",
  // What is to come beside the text, such as "reasoning,steps": the parts of an answer are then in the state. "recast"
  // takes back what a model wrote as text and then called its thoughts.
  include: "",
  // Gets each whole part as it comes, also of a kind that is not known here: `{type: "tool", tool: {…}}`.
  onPart() {},
  fetch: (...request) => globalThis.fetch(...request),
  // Whether it reports to the app how long answers took to be shown, see `Measure`; `door` is where it is used.
  measure: false,
  door: "client",
  // Text may be on the screen later than it is in the state: `painted(text)` is called when it is.
  paced: false,
  // Whether the state has what waits in the chat (`line`), so that `queue` can be used.
  queue: false,
  // Keeps a question until the server has it, also while the page is loaded anew: {get, set} of a JSON value or null.
  unsent: { get: () => null, set() {} },
  // The times are milliseconds. The server sends the first frame at once: one that is not here by then is held back,
  // if the server answers another request meanwhile; if not, it is slow, and waited for.
  patience: 5000,
  // The server pings every 15 s: a connection with less than that is dead.
  silence: 40_000,
  // In a row, with nothing new in between; the pause begins with `backoff` and doubles up to `longest`.
  retries: 8,
  backoff: 250,
  longest: 8000,
};
const FLUSH_MS = 16;
const POLL_MS = 2000;
// A whole stream in one piece after that long was held back; a shorter one was a short answer.
const LUMP_MS = 1000;
// Of the self test, whose five frames are 200 ms apart, from first to last.
const SPREAD_MS = 400;
const PROBE_MS = 5000;
// How often it is looked what waits: beside an answer, and when the first is about to be asked.
const LOOK_MS = 2000;
const SOON_MS = 150;
// What a proxy says while the server behind it restarts.
const TRANSIENT = [408, 425, 502, 503, 504];
// Reasons for whole replies that may go away, with the network that a person is in.
const PASSING = ["buffered", "not-a-stream"];
const MEASURES = "/measures/";
const BUSY = ["loading", "waiting", "streaming", "reconnecting"];

const NOTHING_WAITS = { questions: [], held: false };
const EMPTY = { chatId: null, turnId: null, messages: [], partial: "", parts: [], status: "idle", error: null, line: NOTHING_WAITS };

/** An error that trying again does not help: `{code, message, retryable}` in `error`. */
class Problem extends Error {
  constructor(error) {
    super(error.message);
    this.error = error;
  }
}

/** One chat. Its state, a new object at each change:

    chatId    null until the first answer begins
    turnId    of the answer that grows
    messages  [{id, role, content, status, error, parts}], finished ones, oldest first; `parts` where `include` is set
    partial   the text so far of the answer that grows
    parts     its parts so far, in their order: {type: "text", text}, {type: "reasoning", text, ms} (`since`, on the page's
              clock, while it thinks, then `ms`), and whole ones, {type: "tool", tool}
    status    idle | loading | waiting | streaming | reconnecting | complete | stopped | failed | interrupted
    mode      stream | whole
    reason    why it is whole: no-body | off | not-a-stream | buffered
    error     {code, message, retryable} of the last question, or null
    line      what waits for the answer to end, where `queue` is set: {questions: [{id, key, content, error}], held}; `held`
              until somebody says `sendNow`
*/
export function createStream(options = {}) {
  return new ChatStream({ ...DEFAULTS, ...options });
}

class ChatStream {
  #options;
  #state = { ...EMPTY, mode: "stream", reason: null };
  #listeners = new Set();
  #turn = null;
  #flushed = 0;
  #flush = null;
  #streamsAgain = false;
  // A question that may or may not have reached the server: asked again, it keeps its key.
  #unanswered = null;
  // What is shown of the answer that is measured, and whether whoever draws it calls `painted`.
  #measured = null;
  #seen = null;
  #draws = false;
  #session = newKey();
  #looking = null;
  #way = Infinity;

  constructor(options) {
    this.#options = options;
    if (options.queue) {
      // Other tabs may have asked meanwhile.
      globalThis.document?.addEventListener("visibilitychange", this.#seeLineAgain);
    }
    if (!options.measure) return;
    heed();
    globalThis.addEventListener?.("pagehide", () => this.#report({ closed: true }));
  }

  getState = () => this.#state;

  /** Calls `listener` after each change; returns the function that ends it. */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Ask. Resolves with the answer as a message when it has ended, with null where the question was not taken (the
      state's `error` says why, unless the last answer still grows), with undefined where it was closed meanwhile. */
  send = async (text) => {
    if (this.#turn) return null;
    const { chatId, messages } = this.#state;
    const again = this.#unanswered?.text === text && this.#unanswered.chatId === chatId;
    const turn = newTurn({ text, chatId, key: again ? this.#unanswered.key : newKey() });
    this.#options.unsent.set({ text, chatId, key: turn.key });
    this.#measure(turn, new Measure(actedAt()));
    this.#begin({ messages: [...messages, asked(turn)], partial: "", parts: [] });
    return this.#settle(turn, messages);
  };

  /** Go on with the last answer, where it was cut off or stopped: a new version takes its place. Resolves as `send`. */
  goOn = async () => {
    const { chatId, messages } = this.#state;
    const old = messages.at(-1);
    if (this.#turn || old?.role !== "assistant") return null;
    const again = this.#unanswered?.goesOn === old.id;
    const turn = newTurn({ chatId, goesOn: old.id, key: again ? this.#unanswered.key : newKey() });
    this.#begin({ messages: messages.slice(0, -1), partial: old.content, parts: old.parts ?? grown([], "text", old.content) });
    return this.#settle(turn, messages);
  };

  /** Ask when the answer that grows has ended: until then it waits on the server, in every tab. Resolves with whether it was
      taken; if not, the state's `error` says why. */
  queue = (text) => {
    const headers = { "Idempotency-Key": newKey(), "Content-Type": "application/json" };
    return this.#arrange("", { method: "POST", headers, body: JSON.stringify({ content: text }) });
  };

  /** Change the text of a question that waits; resolves as `queue` does. */
  change = (id, text) => {
    const headers = { "Content-Type": "application/json" };
    return this.#arrange(`/${encodeURIComponent(id)}`, { method: "PATCH", headers, body: JSON.stringify({ content: text }) });
  };

  /** Remove one that waits. */
  remove = (id) => this.#arrange(`/${encodeURIComponent(id)}`, { method: "DELETE" });

  /** Ask one although the last answer did not end well. */
  sendNow = (id) => this.#arrange(`/${encodeURIComponent(id)}/send`, { method: "POST" });

  /** End the answer that grows; its text so far is kept. */
  stop = async () => {
    const turn = this.#turn;
    if (!turn || turn.stopping || this.#state.status === "loading") return;
    turn.stopping = true;
    // Without an id yet: as soon as the stream names it.
    if (turn.id || this.#state.mode === "whole") await this.#end(turn);
  };

  /** Show a stored chat, and follow its answer if one grows; null begins a new chat. A question that was on its way to it
      when the page was left goes there now. */
  open = async (chatId) => {
    this.close();
    this.#set({ ...EMPTY, chatId, status: chatId ? "loading" : "idle" });
    const kept = this.#options.unsent.get();
    const unsent = kept && kept.chatId === chatId && !kept.refused ? kept : null;
    if (!chatId) return unsent ? this.#resend(unsent, []) : undefined;
    const turn = (this.#turn = newTurn({ chatId }));
    try {
      const messages = await this.#persist(turn, () => this.#history(turn));
      if (this.#turn !== turn) return;
      const growing = messages.at(-1)?.status === "streaming" ? messages.pop() : null;
      this.#turn = null;
      if (unsent) return await this.#resend(unsent, messages);
      this.#set({ messages, status: growing ? "waiting" : "idle" });
      if (growing) await this.#settle(newTurn({ chatId, id: growing.id }), messages);
      else this.#seeLine();
    } catch (problem) {
      if (this.#turn !== turn) return;
      this.#turn = null;
      if (unsent) this.#keep(unsent, false);
      this.#set({ ...EMPTY, status: "failed", error: problem.error });
    }
  };

  /** Stop following. Changes nothing on the server: `open()` goes on with the same answer. */
  close = () => {
    const turn = this.#turn;
    this.#report({ closed: true });
    this.#turn = null;
    clearTimeout(this.#flush);
    clearTimeout(this.#looking);
    if (turn) leave(turn);
    // As if it had not been opened.
    if (turn) this.#state = { ...this.#state, ...EMPTY };
  };

  /** The state is on the screen by now. Without a call of this, listeners count as having shown it when they return. */
  painted = (text) => {
    this.#draws = true;
    this.#look(text);
  };

  // How long it took

  #look(text) {
    if (!this.#measured) return;
    const { messages } = this.#state;
    const { measure, turn } = this.#measured;
    measure.shown();
    const shown = this.#shown(text);
    const whole = turn.end && messages.at(-1)?.content ? "whole" : "";
    const seen = shown || (this.#seen ? "" : whole);
    if (seen && seen !== this.#seen) {
      this.#seen = seen;
      measure.painted();
    }
  }

  /** Another string for each other state of the answer; "" while there is nothing new of it. */
  #shown(text) {
    const { partial, parts } = this.#state;
    if (text !== undefined) return `text ${parts.length} ${text.length}`;
    if (this.#options.paced && parts.at(-1)?.type === "text") return this.#seen ?? "";
    return partial || parts.length ? `${partial.length} ${parts.length} ${parts.at(-1)?.text?.length}` : "";
  }

  #measure(turn, measure) {
    turn.measure = measure;
    this.#measured = this.#options.measure ? { measure, turn } : null;
    // What an answer goes on from is shown already.
    this.#seen = this.#state.partial ? this.#shown(this.#options.paced ? this.#state.partial : undefined) : null;
  }

  #report(values) {
    if (!this.#measured?.turn.id) return;
    const { measure, turn } = this.#measured;
    this.#measured = null;
    const { mode, reason } = this.#state;
    const { baseUrl, headers, apiKey, fetch, door } = this.#options;
    const session = headers["X-Session-Id"] ?? this.#session;
    const how = mode === "whole" ? { whole: true, reason } : {};
    const report = { turn_id: turn.id, session, door, ...measure.report(), ...how, ...values };
    // A beacon says nothing of who sends it.
    if (!apiKey && fetch === DEFAULTS.fetch) return sendMeasure(baseUrl, report);
    this.#fetch(MEASURES, { method: "POST", body: JSON.stringify(report), keepalive: true }).catch(() => {});
  }

  // What waits

  #seeLineAgain = () => isHidden() || this.#seeLine();

  async #arrange(path, request) {
    const { chatId } = this.#state;
    if (!chatId) return false;
    try {
      const response = await this.#fetch(`/chats/${encodeURIComponent(chatId)}/queue${path}`, request);
      if (!response.ok) throw new Problem((await problemOf(response)).error);
      await this.#seeLine();
      return true;
    } catch (problem) {
      this.#set({ error: problem.error ?? unreachable() });
      this.#seeLine();
      return false;
    }
  }

  /** Show what waits, and follow what was asked of it; again after a while, as long as something waits or grows. */
  async #seeLine() {
    const { chatId, line } = this.#state;
    clearTimeout(this.#looking);
    if (!this.#options.queue || !chatId) return;
    const found = await this.#waiting(chatId);
    if (this.#state.chatId !== chatId) return;
    clearTimeout(this.#looking);
    if (found) {
      const { questions, held, turn_id: runs } = found;
      if (JSON.stringify(this.#state.line) !== JSON.stringify({ questions, held })) this.#set({ line: { questions, held } });
      const ids = questions.map(({ id }) => id);
      const asked = line.questions.some(({ id }) => !ids.includes(id));
      if (!this.#turn && (asked || (runs && runs !== this.#state.messages.at(-1)?.id))) return this.#catchUp(chatId);
    }
    const { questions, held } = this.#state.line;
    if (isHidden() || (!this.#turn && (!questions.length || held))) return;
    this.#looking = setTimeout(() => this.#seeLine(), this.#turn || !found ? LOOK_MS : SOON_MS);
  }

  async #waiting(chatId) {
    try {
      const response = await this.#fetch(`/chats/${encodeURIComponent(chatId)}/queue`);
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }

  /** A question was asked that this page did not send, or not itself. */
  async #catchUp(chatId) {
    const turn = newTurn({ chatId });
    let messages = null;
    try {
      messages = await this.#history(turn);
    } catch {
      // As if it had not been reached.
    }
    if (this.#turn || this.#state.chatId !== chatId) return;
    if (messages === null) {
      this.#looking = setTimeout(() => this.#seeLine(), LOOK_MS);
      return;
    }
    const growing = messages.at(-1)?.status === "streaming" ? messages.pop() : null;
    const known = new Map(this.#state.messages.map((message) => [message.id, message]));
    // One that is shown stays the object it is, and is not drawn anew.
    this.#set({ messages: messages.map((message) => known.get(message.id) ?? message) });
    const last = messages.at(-1);
    if (!growing && last && !known.has(last.id)) this.#set({ status: last.status, error: last.error });
    if (!growing) return this.#seeLine();
    this.#begin({ partial: "", parts: [] });
    await this.#settle(newTurn({ chatId, id: growing.id }), this.#state.messages);
  }

  // State

  #begin(patch) {
    if (this.#streamsAgain) this.#set({ mode: "stream", reason: null });
    this.#streamsAgain = false;
    this.#set({ ...patch, status: "waiting", error: null });
  }

  async #resend(unsent, messages) {
    // Where the server has it already, its key brings the same answer.
    const last = messages.findLastIndex(({ role }) => role === "user");
    const before = messages[last]?.content === unsent.text ? messages.slice(0, last) : messages;
    const turn = newTurn(unsent);
    this.#begin({ messages: [...before, asked(turn)], partial: "", parts: [] });
    await this.#settle(turn, before);
  }

  #set(patch) {
    this.#state = { ...this.#state, ...patch };
    this.#tell();
  }

  #tell() {
    clearTimeout(this.#flush);
    this.#flush = null;
    this.#flushed = now();
    this.#listeners.forEach((listener) => listener());
    if (!this.#draws) this.#look();
  }

  /** Deltas: told at once when they are the first or the last are some time ago, together otherwise. */
  #show(turn) {
    const status = turn.content ? "streaming" : "waiting";
    const first = status !== this.#state.status;
    this.#state = { ...this.#state, partial: turn.content, parts: turn.parts, turnId: turn.id, chatId: turn.chatId, status };
    const wait = this.#flushed + FLUSH_MS - now();
    if (first || wait <= 0) this.#tell();
    else this.#flush ??= setTimeout(() => this.#tell(), wait);
  }

  // A turn from its question to its end

  async #settle(turn, before) {
    this.#turn = turn;
    clearTimeout(this.#looking);
    if (this.#options.queue) this.#looking = setTimeout(() => this.#seeLine(), LOOK_MS);
    if (!turn.measure) this.#measure(turn, new Measure(null, turn.goesOn ? 0 : 1));
    let refusal = null;
    try {
      turn.end = await this.#answer(turn);
    } catch (problem) {
      refusal = problem.error ?? (turn.gone ? null : unreachable());
      turn.end ??= { status: "failed", error: refusal };
    }
    if (this.#turn !== turn) return undefined;
    this.#turn = null;
    const taken = turn.id || turn.content || turn.gone;
    if (turn.text !== null) this.#keep(turn, taken);
    this.#unanswered = !taken && refusal?.code === "unreachable" ? turn : null;
    if (!taken && refusal) {
      this.#set({ messages: before, status: "failed", error: refusal });
      return null;
    }
    const { status, error = null, ...rest } = turn.end;
    const reply = { id: turn.id ?? turn.key, role: "assistant", content: turn.content, status, error, ...rest };
    if (this.#options.include && turn.parts.length) reply.parts = thoughtOut(turn.parts);
    const messages = [...this.#state.messages, reply];
    this.#set({ messages, partial: "", parts: [], status, error, turnId: null, chatId: turn.chatId });
    this.#seeLine();
    // When it is drawn.
    setTimeout(() => this.#measured?.turn === turn && this.#report({}));
    return reply;
  }

  /** What was refused is the person's, to be sent by hand. */
  #keep({ text, chatId, key }, taken) {
    this.#options.unsent.set(taken ? null : { text, chatId, key, refused: true });
  }

  async #answer(turn) {
    if (this.#state.mode === "whole") {
      if (PASSING.includes(this.#state.reason)) this.#probe();
      return this.#whole(turn);
    }
    const end = await this.#persist(turn, () => this.#follow(turn));
    if (end.fallback) {
      this.#set({ mode: "whole", reason: end.fallback, status: "waiting" });
      if (turn.stopping) await this.#end(turn);
      return this.#whole(turn);
    }
    // Where a proxy strips the headers that name the chat.
    if (!turn.chatId && turn.key) await this.#whole(turn);
    return end;
  }

  /** Tries until an attempt gives something, with pauses; what brought the answer forward does not count. */
  async #persist(turn, attempt) {
    const { retries, backoff, longest } = this.#options;
    for (let failures = 0; ; failures += 1) {
      const before = turn.number;
      if (turn.gone) throw new Error("no longer followed");
      try {
        const result = await attempt();
        if (result) return result;
      } catch (problem) {
        if (turn.gone || problem instanceof Problem) throw problem;
      }
      if (turn.number > before) failures = 0;
      if (failures >= retries) throw new Problem(unreachable());
      if (turn.id && turn.measure) turn.measure.resumed += 1;
      if (this.#state.status !== "loading") this.#set({ status: "reconnecting" });
      // Spread out, or all clients of a restarted server come back in the same moment.
      await pause(turn, Math.min(backoff * 2 ** failures, longest) * (0.75 + Math.random() / 2));
    }
  }

  /** One connection. Gives how the turn ended, `{fallback}` where it cannot stream, null where the connection broke. */
  async #follow(turn) {
    const { patience, silence } = this.#options;
    const connection = (turn.connection = new AbortController());
    const first = turn.number === 0;
    const began = now();
    let heard = began;
    let late = false;
    const abort = () => connection.abort();
    const heldBack = () => {
      late = true;
      abort();
    };
    const suspect = async () => {
      timer = setTimeout(abort, silence);
      if (!(await this.#answers(connection.signal)) || heard !== began) return;
      clearTimeout(timer);
      // A server that was slow until now answers both at once.
      timer = setTimeout(heldBack, patience / 5);
    };
    let timer = first ? setTimeout(suspect, patience) : setTimeout(abort, silence);
    // A machine that slept finds its connections dead, and its timers late.
    const awake = onWake(() => now() - heard > silence / 2 && connection.abort());
    let reads = 0;
    try {
      const response = await this.#connect(turn, connection.signal);
      turn.took = now() - began;
      const end = await this.#rejected(turn, response);
      if (end) return end;
      this.#identify(turn, response.headers.get("X-Turn-Id"), response.headers.get("X-Chat-Id"));
      if (first) Object.assign(turn, { content: "", parts: [] });
      // What an answer goes on from stays, until it comes as the first delta of the new version.
      if (!turn.goesOn) this.#show(turn);
      const onPiece = () => {
        reads += 1;
        heard = now();
        clearTimeout(timer);
        timer = setTimeout(abort, silence);
        if (this.#turn === turn && !turn.gone) this.#show(turn);
        return turn.done;
      };
      await read(response, (event) => this.#take(turn, event), onPiece);
    } catch (problem) {
      if (late) return { fallback: "buffered" };
      if (problem instanceof Problem || turn.gone) throw problem;
    } finally {
      clearTimeout(timer);
      awake();
      connection.abort();
    }
    // Noticed too late for this answer, but not for the next.
    if (turn.end && first && reads === 1 && now() - began > LUMP_MS) this.#set({ mode: "whole", reason: "buffered" });
    return turn.end;
  }

  #connect(turn, signal) {
    const { measure, include: asked } = this.#options;
    const include = [asked, measure && "timing"].filter(Boolean).join(",");
    if (!turn.id) return this.#fetch(`/stream/${path(turn)}?ids=1${include && `&include=${include}`}`, { ...question(turn), signal });
    // From the very start the user's message is in it, a frame that comes at once.
    const headers = turn.number ? { "Last-Event-ID": `${turn.id}:${turn.number}` } : {};
    return this.#fetch(`/stream/${encodeURIComponent(turn.id)}${include && `?include=${include}`}`, { headers, signal });
  }

  /** What a response means that is no event stream; null for one that is. */
  async #rejected(turn, response) {
    if (response.status === 204) return this.#whole(turn);
    if (!response.ok) {
      const { error, ours } = await problemOf(response);
      if (error.code === "streaming_off" || (!ours && [404, 405, 501].includes(response.status))) {
        return { fallback: "off" };
      }
      if (transient(response, error, ours)) throw new Error(error.message);
      throw new Problem(error);
    }
    if (!isEventStream(response)) return { fallback: "not-a-stream" };
    return response.body ? null : { fallback: "no-body" };
  }

  /** A block of the stream. One that cannot be read breaks the connection: the next one brings it again. */
  #take(turn, { id, event, data }) {
    const [, turnId, digits] = /^(.+):(\d+)$/.exec(id ?? "") ?? [];
    this.#identify(turn, turnId);
    if (data === "[DONE]") {
      turn.end ??= { status: "complete" };
      turn.done = true;
      return;
    }
    const frame = JSON.parse(data);
    if (frame.role === "user") this.#reword(turn, frame.delta);
    if (digits !== undefined) {
      if (Number(digits) <= turn.number) return;
      turn.number = Number(digits);
    }
    if (frame.role !== "assistant") return;
    if (event === "timing") {
      // There and back, of which the way here is a half; at its quickest, for the rest is no way but a wait.
      this.#way = Math.min(this.#way, Math.max(turn.took - frame.timing.started_ms, 0) / 2);
      return turn.measure?.arrived(frame.timing.held_ms + this.#way);
    }
    if (event === "reasoning") turn.parts = grown(turn.parts, event, frame.delta);
    else if (event === "recast") recast(turn, frame.recast.after);
    else if (event && event in frame && event !== "error") this.#add(turn, { type: event, [event]: frame[event] });
    else {
      turn.content += frame.delta ?? "";
      turn.parts = grown(turn.parts, "text", frame.delta ?? "");
    }
    turn.end = endOf(frame) ?? turn.end;
  }

  /** The question as the server took it: a hook there may have changed it. */
  #reword(turn, text) {
    const messages = this.#state.messages;
    const last = messages.at(-1);
    if (this.#turn !== turn || turn.text === null || last?.role !== "user" || last.content === text) return;
    this.#set({ messages: [...messages.slice(0, -1), { ...last, content: text }] });
  }

  #add(turn, part) {
    turn.parts = [...thoughtOut(turn.parts), part];
    this.#options.onPart(part);
  }

  #identify(turn, id, chatId) {
    turn.chatId ??= chatId ?? null;
    if (turn.id || !id) return;
    turn.id = id;
    if (turn.text !== null) this.#options.unsent.set(null);
    if (turn.stopping) this.#end(turn);
  }

  /** The whole reply. The server knows the question by its key, whether the stream brought it there or this does. */
  async #whole(turn) {
    if (!turn.key) return this.#stored(turn);
    return this.#persist(turn, async () => {
      turn.connection = new AbortController();
      if (this.#state.status === "reconnecting") this.#set({ status: "waiting" });
      const include = this.#options.include;
      const response = await this.#fetch(`/messages/${path(turn)}${include && `?include=${include}`}`, { ...question(turn), signal: turn.connection.signal });
      if (response.ok) return finished(turn, await response.json());
      const { error, ours, message } = await problemOf(response);
      if (message) return finished(turn, message);
      if (transient(response, error, ours)) return null;
      throw new Problem(error);
    });
  }

  /** The whole reply to a question that was asked elsewhere. */
  async #stored(turn) {
    for (;;) {
      const messages = await this.#persist(turn, () => this.#history(turn));
      const reply = messages.find((message) => message.id === turn.id);
      if (!reply) throw new Problem({ code: "not_found", message: "This answer was deleted.", retryable: false });
      if (reply.status !== "streaming") return finished(turn, reply);
      await pause(turn, POLL_MS);
      if (turn.gone) throw new Error("no longer followed");
    }
  }

  async #history(turn) {
    turn.connection = new AbortController();
    const include = this.#options.include;
    const path = `/messages/?chat_id=${encodeURIComponent(turn.chatId)}${include && `&include=${include}`}`;
    const response = await this.#fetch(path, { signal: turn.connection.signal });
    if (response.ok) return (await response.json()).messages;
    const { error, ours } = await problemOf(response);
    if (transient(response, error, ours)) return null;
    throw new Problem(error);
  }

  /** Works also where streaming is off. A whole reply's id comes at its end: until then the question's key names it. */
  async #end(turn) {
    try {
      const name = encodeURIComponent(turn.id ?? turn.key);
      const response = await this.#fetch(`/messages/${name}/stop`, { method: "POST" });
      if (response.ok) return;
    } catch {
      // As below.
    }
    this.#giveUp(turn);
  }

  #giveUp(turn) {
    const message = "This page no longer waits for the answer. The server may still be writing it.";
    turn.end ??= { status: "stopped", error: { code: "stop_failed", message, retryable: false } };
    leave(turn);
  }

  /** Whether the server answers at all. */
  async #answers(signal) {
    try {
      return !TRANSIENT.includes((await this.#fetch("/healthz", { signal })).status);
    } catch {
      return false;
    }
  }

  /** Whether streams get through again, for the next question. */
  async #probe() {
    const connection = new AbortController();
    const timer = setTimeout(() => connection.abort(), PROBE_MS);
    const times = [];
    try {
      const response = await this.#fetch("/stream/selftest", { signal: connection.signal });
      if (isEventStream(response) && response.body) await read(response, () => times.push(now()));
    } catch {
      return;
    } finally {
      clearTimeout(timer);
    }
    this.#streamsAgain = times.length > 1 && times.at(-1) - times[0] >= SPREAD_MS;
  }

  #fetch(path, request = {}) {
    const { baseUrl, apiKey, fetch } = this.#options;
    const headers = { ...(apiKey && { Authorization: `Bearer ${apiKey}` }), ...this.#options.headers };
    const url = baseUrl.replace(/\/+$/, "") + path;
    return fetch(url, { cache: "no-store", ...request, headers: { ...headers, ...request.headers } });
  }
}

let acted = null;
// When the tab last came into sight or went out of it, and when the page last stood still: frozen, or in the browser's cache,
// out of which "Back" takes it hours later.
let turned = -Infinity;
let stood = -Infinity;

/** From now on it is noted when the person acts, when nobody sees the page, and when it stands still. */
export function heed() {
  const listen = (where, names, listener) =>
    names.forEach((name) => where?.addEventListener?.(name, listener, { capture: true, passive: true }));
  listen(globalThis.document, ["keydown", "click"], noteAct);
  listen(globalThis.document, ["visibilitychange"], () => (turned = now()));
  listen(globalThis.document, ["freeze"], () => (stood = now()));
  listen(globalThis, ["pagehide"], () => (stood = now()));
}

function noteAct({ timeStamp }) {
  acted = timeStamp;
  setTimeout(() => (acted = null));
}

/** When the key was pressed that is being answered to, which a busy page hears of later; else now. */
export const actedAt = () => acted ?? now();

/** Whether the page stood still since then: how long something took cannot be told. */
export const stoodStill = (since) => stood >= since;

/** How an answer comes to who waits for it, in ms by the page's own clock; of the server's there is only for how long it
    had the first token. `asked` is when Enter was pressed, null where that is not known. */
export class Measure {
  #asked;
  #own = null;
  #arrival = null;
  #first = null;
  #lag = null;
  #last = null;
  #gap = null;
  #begun = now();
  // Whether nobody saw the tab when it was asked or the first token came.
  #hidden = isHidden();

  constructor(asked, resumed = 0) {
    this.#asked = asked;
    this.resumed = resumed;
  }

  /** The person's own message is on the screen. */
  shown() {
    this.#own ??= this.#since(now());
  }

  /** The first token came just now, `ms` after it was at the server. */
  arrived(ms, at = now()) {
    this.#arrival ??= at - ms;
  }

  /** Some more of the answer is on the screen. */
  painted() {
    const at = now();
    if (this.#last === null) this.#paintedFirst(at);
    else if (!isHidden() && turned < this.#last) this.#gap = Math.max(this.#gap ?? 0, at - this.#last);
    this.#last = at;
  }

  report() {
    if (this.#last === null) this.#hidden ||= isHidden();
    const times = { own_ms: this.#own, first_ms: this.#first, lag_ms: this.#lag, gap_ms: this.#gap };
    for (const name in times) if (times[name] !== null) times[name] = Math.round(times[name]);
    return { ...times, resumed: this.resumed, hidden: this.#hidden };
  }

  #paintedFirst(at) {
    const still = stoodStill(this.#begun);
    this.#hidden ||= still || isHidden();
    if (still) return;
    this.#first = this.#since(at);
    this.#lag = this.#arrival === null ? null : at - this.#arrival;
  }

  #since(at) {
    return this.#asked === null ? null : at - this.#asked;
  }
}

const isHidden = () => globalThis.document?.visibilityState === "hidden";

/** In the background, also while the page goes away. */
export function sendMeasure(baseUrl, report) {
  const url = baseUrl.replace(/\/+$/, "") + MEASURES;
  const body = JSON.stringify(report);
  if (globalThis.navigator?.sendBeacon) navigator.sendBeacon(url, body);
  else globalThis.fetch(url, { method: "POST", body, keepalive: true }).catch(() => {});
}

/** Read to the end: each event to `onEvent`, and after each piece `onPiece`, which ends it by returning true. */
async function read(response, onEvent, onPiece = () => false) {
  const reader = response.body.getReader();
  const parser = createParser({ onEvent });
  // Keeps the first bytes of a character whose rest is in the next piece.
  const decoder = new TextDecoder();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    parser.feed(decoder.decode(value, { stream: true }));
    if (onPiece()) return;
  }
}

function newTurn({ text = null, chatId = null, key = null, id = null, goesOn = null }) {
  const flags = { stopping: false, gone: false, done: false };
  return { text, chatId, key, id, goesOn, number: 0, content: "", parts: [], end: null, connection: null, wake: null, ...flags };
}

/** The parts with some more text of a kind. */
function grown(parts, type, text) {
  if (text === "") return parts;
  const last = parts.at(-1);
  if (last?.type === type) return [...parts.slice(0, -1), { ...last, text: last.text + text }];
  const since = type === "reasoning" ? { since: now() } : {};
  return [...thoughtOut(parts), { type, text, ...since }];
}

/** The parts once the last one has ended. */
function thoughtOut(parts) {
  const last = parts.at(-1);
  if (last?.since === undefined) return parts;
  const { since, ...thoughts } = last;
  return [...parts.slice(0, -1), { ...thoughts, ms: Math.round(now() - since) }];
}

/** Of a model that only says where its thoughts end: what was shown as its answer, after the number, were they. */
function recast(turn, after) {
  turn.content = Array.from(turn.content).slice(0, after).join("");
  let left = turn.content.length;
  turn.parts = turn.parts.reduce((parts, part) => {
    if (part.text === undefined) return [...parts, part];
    const text = part.type === "text" ? part.text.slice(0, left) : "";
    left -= text.length;
    return grown(grown(parts, "text", text), "reasoning", part.text.slice(text.length));
  }, []);
}

function leave(turn) {
  turn.gone = true;
  turn.connection?.abort();
  turn.wake?.();
}

function pause(turn, ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => turn.wake(), ms);
    const awake = onWake(() => turn.wake());
    turn.wake = () => {
      clearTimeout(timer);
      awake();
      resolve();
    };
  });
}

/** Calls back when the network or the tab is there again; returns the function that ends it. */
function onWake(callback) {
  const visible = () => document.visibilityState === "visible" && callback();
  globalThis.addEventListener?.("online", callback);
  globalThis.addEventListener?.("pageshow", callback);
  globalThis.document?.addEventListener("visibilitychange", visible);
  return () => {
    globalThis.removeEventListener?.("online", callback);
    globalThis.removeEventListener?.("pageshow", callback);
    globalThis.document?.removeEventListener("visibilitychange", visible);
  };
}

function asked({ key, text }) {
  return { id: key, role: "user", content: text, status: "complete", error: null };
}

function question({ text, chatId, key, goesOn }) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  const body = goesOn ? undefined : JSON.stringify({ content: text, chat_id: chatId });
  return { method: "POST", headers, body };
}

/** Where a question goes, below `/stream/` and `/messages/`. */
function path({ goesOn }) {
  return goesOn ? `${encodeURIComponent(goesOn)}/continue` : "";
}

function endOf({ error, finish_reason: finishReason, usage = null }) {
  if (error) return { status: error.code === "interrupted" ? "interrupted" : "failed", error };
  if (!finishReason) return null;
  return { status: finishReason === "stopped" ? "stopped" : "complete", finishReason, usage };
}

/** How a stored message ended; the turn takes its text. */
function finished(turn, { id, chat_id: chatId, content, parts, status, finish_reason: finishReason, usage, error }) {
  Object.assign(turn, { id, chatId, content, parts: parts ?? grown([], "text", content) });
  return { status, finishReason, usage, error };
}

async function problemOf(response) {
  try {
    const { error, message } = await response.json();
    if (error?.code && error.message) return { error, message, ours: true };
  } catch {
    // No JSON: it is not from our server.
  }
  const message = `The server answered ${response.status}. Try again later.`;
  return { error: { code: `http_${response.status}`, message, retryable: true }, ours: false };
}

function transient(response, error, ours) {
  return ours ? error.code === "shutting_down" : TRANSIENT.includes(response.status);
}

function isEventStream(response) {
  return response.ok && (response.headers.get("Content-Type") ?? "").startsWith("text/event-stream");
}

function unreachable() {
  const message = "The server cannot be reached. Check the connection, then try again.";
  return { code: "unreachable", message, retryable: true };
}

function newKey() {
  // Not randomUUID(), which pages without TLS do not have.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function now() {
  return performance.now();
}

/** A chat for a component, kept as long as it is on the page and `baseUrl` stays the same.

    Gives the state of createStream(), `busy`, and its methods `send`, `goOn`, `stop`, `open`, `painted`, `queue`, `change`,
    `remove` and `sendNow`. Another `chatId` opens that chat; null begins a new one. */
export function useStream({ chatId = null, baseUrl = "", ...options } = {}) {
  const client = useMemo(() => createStream({ baseUrl, ...options }), [baseUrl, options.apiKey]);
  useEffect(() => {
    // A new chat may have a question that is not sent yet.
    if (chatId !== client.getState().chatId || client.getState().status === "idle") client.open(chatId);
  }, [client, chatId]);
  useEffect(() => client.close, [client]);
  const state = useSyncExternalStore(client.subscribe, client.getState, client.getState);
  useLayoutEffect(client.painted, [state]);
  const { send, goOn, stop, open, painted, queue, change, remove, sendNow } = client;
  const methods = { send, goOn, stop, open, painted, queue, change, remove, sendNow };
  return { ...state, busy: BUSY.includes(state.status), ...methods };
}
