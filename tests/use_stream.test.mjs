/* createStream(), the core of the hook, under Node's own test runner: the server is a script of responses, their bodies
real ReadableStreams. Run by test_use_stream.py, which puts this file beside the module and its packages. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { createStream, useStream } from "./use-stream.js";

const TURN = "0198c0de-turn";
const CHAT = "0198c0de-chat";
const NAMES = { "X-Turn-Id": TURN, "X-Chat-Id": CHAT };
const EVENT_STREAM = { "Content-Type": "text/event-stream; charset=utf-8" };
const bytes = (text) => new TextEncoder().encode(text);

// Blocks as the server writes them, but for raw characters in place of escapes.
function block(seq, frame, event) {
  const data = typeof frame === "string" ? frame : JSON.stringify(frame);
  return `id:${TURN}:${seq}\n${event ? `event: ${event}\n` : ""}data:${data}\n\n`;
}

/** The blocks of an answer that comes in these pieces. */
function blocks(pieces, { finish = "stop", user = "Hi", from = 0 } = {}) {
  const written = [block(0, { role: "user", delta: user })];
  let seq = from;
  for (const piece of pieces) {
    seq += [...piece].length;
    written.push(block(seq, { role: "assistant", delta: piece }));
  }
  written.push(block(seq + 1, { role: "assistant", delta: "", finish_reason: finish, usage: null }));
  written.push(block(seq + 1, "[DONE]"));
  return written;
}

/** A body of these chunks, each a string, bytes, an error that breaks it, or a function to wait for. */
function body(chunks, signal) {
  const left = [...chunks];
  return new ReadableStream({
    start(controller) {
      signal?.addEventListener("abort", () => {
        try {
          controller.error(new DOMException("aborted", "AbortError"));
        } catch {
          // Ended before.
        }
      });
    },
    async pull(controller) {
      const chunk = left.shift();
      if (chunk === undefined) return controller.close();
      if (chunk instanceof Error) return controller.error(chunk);
      if (typeof chunk === "function") {
        const more = await chunk(signal);
        if (more) controller.enqueue(bytes(more));
        else await this.pull(controller);
        return undefined;
      }
      controller.enqueue(typeof chunk === "string" ? bytes(chunk) : chunk);
      return undefined;
    },
  });
}

const stream =
  (...chunks) =>
  ({ signal }) =>
    new Response(body(chunks, signal), { headers: { ...EVENT_STREAM, ...NAMES } });
const json =
  (value, status = 200) =>
  () =>
    Response.json(value, { status });
const failure = (status, code, more) =>
  json({ error: { code, message: `${code}.`, retryable: false, ...more } }, status);
const broken = () => () => Promise.reject(new TypeError("Failed to fetch"));
const reply = (content, more) =>
  json({
    id: TURN,
    chat_id: CHAT,
    role: "assistant",
    content,
    status: "complete",
    finish_reason: "stop",
    error: null,
    ...more,
  });
const CUT = new TypeError("network error");
const hold = (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(CUT)));

/** A client whose requests are answered from a script: `{"POST /stream/": [handler, …], …}`. */
function scripted(script, options = {}) {
  const requests = [];
  const states = [];
  const left = Object.fromEntries(Object.entries(script).map(([name, handlers]) => [name, [handlers].flat()]));
  const fetch = async (url, request) => {
    // A key is another each time.
    const path = url.split("?")[0].replace(/[0-9a-f]{32}/, "…");
    const name = `${request.method ?? "GET"} ${path}`;
    requests.push({
      name,
      url,
      key: request.headers["Idempotency-Key"],
      after: request.headers["Last-Event-ID"],
      body: request.body,
    });
    const handler = left[name]?.shift();
    assert.ok(handler, `no answer in the script for ${name}`);
    request.signal?.throwIfAborted();
    return handler(request);
  };
  const client = createStream({ fetch, backoff: 1, patience: 200, ...options });
  client.subscribe(() => states.push(client.getState()));
  const names = () => requests.map((request) => request.name);
  const keys = () => new Set(requests.map((request) => request.key).filter(Boolean));
  return { client, requests, states, names, keys };
}

async function until(client, condition) {
  if (condition(client.getState())) return;
  await new Promise((resolve) => {
    const end = client.subscribe(() => condition(client.getState()) && (end(), resolve()));
  });
}

test("deltas are appended, the assistant's only", async () => {
  const { client, states, requests } = scripted({ "POST /stream/": stream(...blocks(["Hel", "lo", " there"])) });
  const answer = await client.send("Hi");
  assert.equal(answer.content, "Hello there");
  assert.equal(answer.status, "complete");
  assert.equal(answer.finishReason, "stop");
  const { messages, partial, status, mode, chatId, turnId, error } = client.getState();
  assert.deepEqual(
    messages.map(({ role, content }) => [role, content]),
    [
      ["user", "Hi"],
      ["assistant", "Hello there"],
    ],
  );
  assert.deepEqual(
    { partial, status, mode, chatId, turnId, error },
    {
      partial: "",
      status: "complete",
      mode: "stream",
      chatId: CHAT,
      turnId: null,
      error: null,
    },
  );
  assert.deepEqual([...new Set(states.map((state) => state.status))], ["waiting", "streaming", "complete"]);
  assert.equal(requests[0].url, "/stream/?ids=1");
  assert.deepEqual(JSON.parse(requests[0].body), { content: "Hi", chat_id: null });
});

test("the second question goes to the same chat with a key of its own", async () => {
  const { client, requests, keys } = scripted({
    "POST /stream/": [stream(...blocks(["One"], { user: "1" })), stream(...blocks(["Two"], { user: "2" }))],
  });
  await client.send("1");
  await client.send("2");
  assert.equal(JSON.parse(requests[1].body).chat_id, CHAT);
  assert.equal(keys().size, 2);
  assert.deepEqual(
    client.getState().messages.map(({ content }) => content),
    ["1", "One", "2", "Two"],
  );
});

test("a question is shown as the server took it, where a hook there has changed it", async () => {
  const { client } = scripted({ "POST /stream/": stream(...blocks(["One"], { user: "My card is […]" })) });
  await client.send("My card is 4111");
  assert.deepEqual(
    client.getState().messages.map(({ content }) => content),
    ["My card is […]", "One"],
  );
});

test("a stream split at any byte is the same text", async () => {
  const text = "Grüße 👋🏽 漢字 \u2028 fin";
  const whole = bytes(blocks([...text]).join(""));
  for (let at = 1; at < whole.length; at += 1) {
    const { client } = scripted({ "POST /stream/": stream(whole.slice(0, at), whole.slice(at)) });
    assert.equal((await client.send("Hi")).content, text, `split at byte ${at}`);
  }
  const { client } = scripted({ "POST /stream/": stream(...Array.from(whole, (byte) => Uint8Array.of(byte))) });
  assert.equal((await client.send("Hi")).content, text, "byte for byte");
});

test("pings, comments, other events and unknown keys are passed over", async () => {
  const [user, ...rest] = blocks(["Hello"], { from: 9 });
  const thought = block(9, { role: "assistant", delta: "thinking." }, "reasoning");
  const { client } = scripted({
    "POST /stream/": stream(": ping\n", user, ": ping\n", thought, ...rest.map((one) => one.replace("{", '{"new":1,'))),
  });
  assert.equal((await client.send("Hi")).content, "Hello");
});

test("text that turns out to have been thoughts is taken back", async () => {
  const [user, , , , ...end] = blocks(["👋 ", "hm", "Hello"], { from: 2 });
  const frame = (delta) => ({ role: "assistant", delta });
  const recast = { ...frame(""), recast: { kind: "reasoning", after: 2 } };
  const { client, requests } = scripted(
    {
      "POST /stream/": stream(
        user,
        block(2, frame("👋 ")),
        block(4, frame("hm")),
        block(6, recast, "recast"),
        block(11, frame("Hello")),
        ...end,
      ),
    },
    { include: "recast" },
  );
  const answer = await client.send("Hi");
  assert.equal(answer.content, "👋 Hello");
  assert.deepEqual(
    answer.parts.map(({ type, text }) => [type, text]),
    [
      ["text", "👋 "],
      ["reasoning", "hm"],
      ["text", "Hello"],
    ],
  );
  assert.equal(requests[0].url, "/stream/?ids=1&include=recast");
});

const assistant = (delta, more) => ({ role: "assistant", delta, ...more });
const named = (kind, seq, value) => block(seq, assistant("", { [kind]: value }), kind);
const thought = (seq, text) => block(seq, assistant(text), "reasoning");
const bare = (parts) => parts.map(({ type, text, ...part }) => [type, text ?? part[type]]);

test("parts come in their order, those of unknown kinds too, and once however often the stream breaks", async () => {
  const [user, ...rest] = blocks([]);
  const chart = { title: "Rain", values: [1, 2] };
  const all = [
    user,
    thought(3, "hm "),
    thought(5, "so"),
    block(10, assistant("Hello")),
    named("chart", 11, chart),
    thought(13, "hm"),
    named("tool", 14, { name: "search" }),
    block(15, assistant("!")),
    ...rest.map((one) => one.replaceAll(":1\n", ":16\n")),
  ];
  const expected = [
    ["reasoning", "hm so"],
    ["text", "Hello"],
    ["chart", chart],
    ["reasoning", "hm"],
    ["tool", { name: "search" }],
    ["text", "!"],
  ];
  for (let cut = 1; cut < all.length - 1; cut += 1) {
    const got = [];
    const { client, states, requests } = scripted(
      { "POST /stream/": stream(...all.slice(0, cut), CUT), [`GET /stream/${TURN}`]: stream(...all.slice(cut)) },
      { include: "reasoning,charts,tools", onPart: (part) => got.push(part) },
    );
    const answer = await client.send("Hi");
    assert.equal(answer.content, "Hello!");
    assert.deepEqual(bare(answer.parts), expected);
    assert.ok(answer.parts.every(({ since }) => since === undefined) && answer.parts[0].ms >= 0);
    assert.deepEqual(got, [{ type: "chart", chart }, { type: "tool", tool: { name: "search" } }]);
    assert.ok(states.every(({ parts }) => parts.length <= expected.length));
    assert.equal(requests[1].url, `/stream/${TURN}?include=reasoning,charts,tools`);
  }
});

test("a stored chat has its parts", async () => {
  const parts = [{ type: "reasoning", text: "hm", ms: 900 }, { type: "text", text: "One" }];
  const message = { id: TURN, chat_id: CHAT, role: "assistant", content: "One", status: "complete", parts };
  const { client, requests } = scripted({ "GET /messages/": json({ messages: [message] }) }, { include: "reasoning" });
  await client.open(CHAT);
  assert.deepEqual(client.getState().messages[0].parts, parts);
  assert.equal(requests[0].url, `/messages/?chat_id=${CHAT}&include=reasoning`);
});

test("a growing answer is told about at most every 16 ms", async () => {
  const [user, ...rest] = blocks(Array(500).fill("word "));
  const { client, states } = scripted({ "POST /stream/": stream(user, ...rest) });
  const answer = await client.send("Hi");
  assert.equal(answer.content.length, 2500);
  assert.ok(states.length < 100, `${states.length} changes`);
});

// Resume

test("a broken stream goes on after the last number, and nothing comes twice", async () => {
  const all = blocks(["He👋", "llo", " there", "!"]);
  const { client, requests, states, keys } = scripted({
    "POST /stream/": stream(...all.slice(0, 3), CUT),
    // With an overlap, as a server that is too careful might send it.
    [`GET /stream/${TURN}`]: [broken(), stream(...all.slice(2, 4), CUT), stream(...all.slice(4))],
  });
  assert.equal((await client.send("Hi")).content, "He👋llo there!");
  assert.deepEqual(
    requests.map(({ after }) => after),
    [undefined, `${TURN}:6`, `${TURN}:6`, `${TURN}:12`],
  );
  assert.ok(states.some(({ status, partial }) => status === "reconnecting" && partial === "He👋llo"));
  assert.equal(keys().size, 1);
});

test("a stream that ends without its end is broken too", async () => {
  const all = blocks(["One", "Two"]);
  const { client } = scripted({
    "POST /stream/": stream(...all.slice(0, 2)),
    [`GET /stream/${TURN}`]: stream(...all.slice(2)),
  });
  assert.equal((await client.send("Hi")).content, "OneTwo");
});

test("a block that cannot be read breaks the connection, and comes again", async () => {
  const all = blocks(["One", "Two"]);
  const { client } = scripted({
    "POST /stream/": stream(...all.slice(0, 2), all[2].replace("}", "")),
    [`GET /stream/${TURN}`]: stream(...all.slice(2)),
  });
  assert.equal((await client.send("Hi")).content, "OneTwo");
});

test("a connection that is silent for too long is dead", async () => {
  const all = blocks(["One", "Two"]);
  const { client } = scripted(
    { "POST /stream/": stream(...all.slice(0, 2), hold), [`GET /stream/${TURN}`]: stream(...all.slice(2)) },
    { silence: 40 },
  );
  assert.equal((await client.send("Hi")).content, "OneTwo");
});

test("a question whose answer never arrived is sent again with its key", async () => {
  const { client, names, keys } = scripted({
    "POST /stream/": [
      broken(),
      () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
      failure(503, "shutting_down"),
      stream(...blocks(["Here"])),
    ],
  });
  assert.equal((await client.send("Hi")).content, "Here");
  assert.equal(names().length, 4);
  assert.equal(keys().size, 1);
});

test("what the server no longer has is settled with the whole reply", async () => {
  const { client, keys } = scripted({
    "POST /stream/": stream(...blocks(["One", "Two"]).slice(0, 3), CUT),
    [`GET /stream/${TURN}`]: () => new Response(null, { status: 204 }),
    "POST /messages/": reply("One", { status: "interrupted" }),
  });
  const answer = await client.send("Hi");
  assert.deepEqual([answer.content, answer.status, client.getState().mode], ["One", "interrupted", "stream"]);
  assert.equal(keys().size, 1);
});

test("it gives up after a bounded number of attempts, and a second try keeps the key", async () => {
  const { client, names, keys } = scripted(
    { "POST /stream/": [...Array(4).fill(broken()), stream(...blocks(["Here"]))] },
    { retries: 3 },
  );
  assert.equal(await client.send("Hi"), null);
  const { messages, status, error } = client.getState();
  assert.deepEqual([messages, status, error.code, error.retryable], [[], "failed", "unreachable", true]);
  assert.equal(names().length, 4);
  assert.equal((await client.send("Hi")).content, "Here");
  assert.equal(keys().size, 1);
});

test("what was read before it gave up is kept", async () => {
  const script = {
    "POST /stream/": stream(...blocks(["One", "Two"]).slice(0, 2), CUT),
    [`GET /stream/${TURN}`]: Array(3).fill(broken()),
  };
  const { client } = scripted(script, { retries: 2 });
  const answer = await client.send("Hi");
  assert.deepEqual([answer.content, answer.status, answer.error.code], ["One", "failed", "unreachable"]);
  assert.equal(client.getState().messages.length, 2);
});

// Fallback

const FALLBACKS = {
  off: failure(404, "streaming_off"),
  "off, by a proxy": () => new Response("<h1>Not found</h1>", { status: 404 }),
  "not-a-stream": () => new Response("<h1>Welcome to the hotel</h1>", { headers: { "Content-Type": "text/html" } }),
  "no-body": ({ signal }) => Object.defineProperty(stream(...blocks(["Hi"]))({ signal }), "body", { value: undefined }),
  "buffered, the head too": ({ signal }) => hold(signal),
  "buffered, the body": ({ signal }) => new Response(body([hold], signal), { headers: { ...EVENT_STREAM, ...NAMES } }),
};

for (const [name, handler] of Object.entries(FALLBACKS)) {
  test(`the whole reply where it cannot stream: ${name}`, async () => {
    const { client, names, keys, states } = scripted(
      {
        "POST /stream/": handler,
        "POST /messages/": [reply("The whole"), reply("Another")],
        "GET /stream/selftest": failure(404, "streaming_off"),
        "GET /healthz": json({ status: "alive" }),
      },
      { patience: 40 },
    );
    assert.equal((await client.send("Hi")).content, "The whole");
    const { mode, reason, chatId } = client.getState();
    assert.deepEqual({ mode, reason, chatId }, { mode: "whole", reason: name.split(",")[0], chatId: CHAT });
    assert.ok(
      states.some((state) => state.mode === "whole" && state.status === "waiting"),
      "says so while it waits",
    );
    const asked = name.startsWith("buffered") ? ["GET /healthz"] : [];
    assert.deepEqual(names(), ["POST /stream/", ...asked, "POST /messages/"]);
    assert.equal(keys().size, 1);
    // From then on at once.
    assert.equal((await client.send("And?")).content, "Another");
    assert.equal(names().filter((one) => one === "POST /stream/").length, 1);
    assert.equal(keys().size, 2);
  });
}

for (const [name, answer] of Object.entries({
  "does not answer": ({ signal }) => hold(signal),
  "is away": broken(),
  "is away behind its proxy": () => new Response("<h1>Bad gateway</h1>", { status: 502 }),
  "answers again at the same moment": json({ status: "alive" }),
})) {
  test(`a server that is slow is waited for, and streams: it ${name}`, async () => {
    let thaw;
    const thawed = new Promise((resolve) => (thaw = resolve));
    const { client, names } = scripted(
      {
        "POST /stream/": async ({ signal }) => (await thawed, stream(...blocks(["Here"]))({ signal })),
        "GET /healthz": (request) => (setTimeout(thaw), answer(request)),
      },
      { patience: 40 },
    );
    assert.equal((await client.send("Hi")).content, "Here");
    assert.equal(client.getState().mode, "stream");
    assert.deepEqual(names(), ["POST /stream/", "GET /healthz"]);
  });
}

test("a stream that came in one lump was held back; the self test finds out when that ends", async () => {
  let clock = 0;
  mock.method(performance, "now", () => clock);
  const frames = (pause) => [1, 2, 3, 4, 5].map((n) => () => ((clock += pause), `data:{"frame":${n}}\n\n`));
  const { client } = scripted({
    "POST /stream/": [
      stream(() => ((clock += 3000), blocks(["In one lump"]).join(""))),
      stream(...blocks(["Streams"])),
    ],
    "POST /messages/": [reply("Whole"), reply("Whole again")],
    "GET /stream/selftest": [stream(...frames(0)), stream(...frames(200))],
  });
  assert.equal((await client.send("1")).content, "In one lump");
  assert.deepEqual([client.getState().mode, client.getState().reason], ["whole", "buffered"]);
  for (const expected of ["Whole", "Whole again"]) {
    assert.equal((await client.send(expected)).content, expected);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal((await client.send("4")).content, "Streams");
  assert.equal(client.getState().mode, "stream");
  mock.restoreAll();
});

test("streaming turned off in mid-answer: the whole reply takes its place", async () => {
  const { client, keys } = scripted({
    "POST /stream/": stream(...blocks(["One", "Two"]).slice(0, 2), CUT),
    [`GET /stream/${TURN}`]: failure(404, "streaming_off"),
    "POST /messages/": reply("OneTwo"),
  });
  assert.equal((await client.send("Hi")).content, "OneTwo");
  assert.equal(client.getState().mode, "whole");
  assert.equal(keys().size, 1);
});

test("where a proxy strips the headers, the ids name the turn and the whole reply the chat", async () => {
  const all = blocks(["One", "Two"]);
  const bare =
    (...chunks) =>
    ({ signal }) =>
      new Response(body(chunks, signal), { headers: EVENT_STREAM });
  const { client } = scripted({
    "POST /stream/": bare(...all.slice(0, 2), CUT),
    [`GET /stream/${TURN}`]: bare(...all.slice(2)),
    "POST /messages/": reply("OneTwo"),
  });
  assert.equal((await client.send("Hi")).content, "OneTwo");
  assert.equal(client.getState().chatId, CHAT);
});

// Errors

test("a failed answer keeps its text and says why", async () => {
  const error = { code: "provider_error", message: "It broke off.", retryable: true };
  const end = [block(4, { role: "assistant", delta: "", error }, "error"), block(4, "[DONE]")];
  const { client } = scripted({ "POST /stream/": stream(...blocks(["One"]).slice(0, 2), ...end) });
  const answer = await client.send("Hi");
  assert.deepEqual([answer.content, answer.status, answer.error], ["One", "failed", error]);
  assert.deepEqual([client.getState().status, client.getState().error], ["failed", error]);
});

test("a failed whole reply too", async () => {
  const error = { code: "provider_silent", message: "It was silent.", retryable: true };
  const message = { id: TURN, chat_id: CHAT, content: "One", status: "failed", error };
  const { client } = scripted({
    "POST /stream/": failure(404, "streaming_off"),
    "POST /messages/": json({ error, message }, 504),
  });
  const answer = await client.send("Hi");
  assert.deepEqual([answer.content, answer.status, answer.error], ["One", "failed", error]);
});

test("a refused question is taken back", async () => {
  for (const [status, code] of [
    [422, "invalid_request"],
    [409, "turn_running"],
    [413, "body_too_large"],
    [429, "busy"],
    [404, "not_found"],
  ]) {
    const { client } = scripted({ "POST /stream/": [failure(status, code), stream(...blocks(["One"]))] });
    assert.equal(await client.send("Hi"), null);
    const { messages, error } = client.getState();
    assert.deepEqual([messages, error.code, error.message], [[], code, `${code}.`]);
    assert.equal((await client.send("Again")).content, "One");
    assert.equal(client.getState().error, null);
  }
});

test("an answer that was cut off goes on in its place", async () => {
  const [user, head, ...rest] = blocks(["Half ", "an answer"]);
  const going = `POST /stream/${TURN}/continue`;
  const { client, states, requests } = scripted({
    "POST /stream/": stream(...blocks(["Half "], { finish: "length" })),
    [going]: () =>
      new Response(body([user, head, ...rest].map((one) => one.replaceAll(TURN, "new"))), {
        headers: { ...EVENT_STREAM, "X-Turn-Id": "new", "X-Chat-Id": CHAT },
      }),
  });
  assert.equal((await client.send("Hi")).finishReason, "length");
  const answer = await client.goOn();
  assert.deepEqual([answer.content, answer.id, answer.finishReason], ["Half an answer", "new", "stop"]);
  assert.deepEqual(
    client.getState().messages.map((message) => message.content),
    ["Hi", "Half an answer"],
  );
  const last = requests.at(-1);
  assert.deepEqual([last.url, last.body], [`/stream/${TURN}/continue?ids=1`, undefined]);
  assert.ok(last.key);
  // What it goes on from never leaves the page.
  assert.ok(states.slice(-5).every(({ partial, messages }) => partial.startsWith("Half ") || messages.length === 2));
});

test("an answer goes on whole where nothing streams", async () => {
  const { client, keys } = scripted({
    "POST /stream/": failure(404, "streaming_off"),
    "POST /messages/": reply("Half ", { finish_reason: "length" }),
    [`POST /messages/${TURN}/continue`]: reply("Half an answer", { id: "new" }),
  });
  assert.equal((await client.send("Hi")).finishReason, "length");
  const answer = await client.goOn();
  assert.deepEqual([answer.content, answer.id, client.getState().messages.length], ["Half an answer", "new", 2]);
  assert.equal(keys().size, 2);
});

test("an answer that cannot go on stays as it was", async () => {
  const { client } = scripted({
    "POST /stream/": stream(...blocks(["Half "], { finish: "length" })),
    [`POST /stream/${TURN}/continue`]: failure(409, "turn_running"),
  });
  await client.send("Hi");
  assert.equal(await client.goOn(), null);
  const { messages, status, error } = client.getState();
  assert.deepEqual([messages.length, messages[1].content, status, error.code], [2, "Half ", "failed", "turn_running"]);
});

test("one question at a time", async () => {
  const { client, names } = scripted({ "POST /stream/": stream(...blocks(["One"])) });
  const [first, second] = await Promise.all([client.send("1"), client.send("2")]);
  assert.deepEqual([first.content, second], ["One", null]);
  assert.equal(names().length, 1);
});

// Stop

/** A stream that ends as stopped once the stop is asked for. */
function stoppable(...before) {
  let asked;
  const stopped = new Promise((resolve) => (asked = resolve));
  const rest = blocks(["One"], { finish: "stopped" }).slice(2).join("");
  return {
    "POST /stream/": stream(...before, () => stopped.then(() => rest)),
    [`POST /messages/${TURN}/stop`]: () => (asked(), Response.json({})),
  };
}

test("stop keeps the text so far", async () => {
  const { client, names } = scripted(stoppable(...blocks(["One"]).slice(0, 2)));
  const answer = client.send("Hi");
  await until(client, ({ partial }) => partial === "One");
  await client.stop();
  await client.stop();
  assert.deepEqual([(await answer).content, (await answer).status, (await answer).error], ["One", "stopped", null]);
  assert.deepEqual(names(), ["POST /stream/", `POST /messages/${TURN}/stop`]);
});

test("stop before the turn has a name reaches it when it has one", async () => {
  const { client, names } = scripted(stoppable(blocks([])[0]));
  const answer = client.send("Hi");
  client.stop();
  assert.equal((await answer).status, "stopped");
  assert.equal(names().length, 2);
});

/** A script whose whole reply ends as stopped once that is asked for. */
function stoppableWhole(first, ...before) {
  let asked;
  const stopped = new Promise((resolve) => (asked = resolve));
  return {
    "POST /stream/": first,
    "POST /messages/": [...before, () => stopped.then(reply("So far", { status: "stopped" }))],
    "POST /messages/…/stop": () => (asked(), Response.json({})),
    "GET /healthz": json({ status: "alive" }),
  };
}

for (const [name, first] of [
  ["off", failure(404, "streaming_off")],
  ["buffered", ({ signal }) => hold(signal)],
]) {
  test(`stop of a whole reply names it by its key, also in a new chat: ${name}`, async () => {
    const { client, requests, keys } = scripted(stoppableWhole(first), { patience: 40 });
    const answer = client.send("Hi");
    await until(client, ({ mode }) => mode === "whole");
    await client.stop();
    const { content, status, error } = await answer;
    assert.deepEqual([content, status, error], ["So far", "stopped", null]);
    const [key] = keys();
    assert.equal(requests.at(-1).url, `/messages/${key}/stop`);
  });
}

test("stop of a whole reply in a chat that goes on", async () => {
  const { client, requests } = scripted(stoppableWhole(failure(404, "streaming_off"), reply("First")));
  await client.send("1");
  const answer = client.send("2");
  await client.stop();
  assert.deepEqual([(await answer).content, (await answer).status], ["So far", "stopped"]);
  assert.equal(requests.at(-1).url, `/messages/${requests.at(-2).key}/stop`);
});

test("a stop that waits for a name is not forgotten where the whole reply takes over", async () => {
  const { client, names } = scripted(stoppableWhole(({ signal }) => hold(signal)), { patience: 40 });
  const answer = client.send("Hi");
  client.stop();
  assert.deepEqual([(await answer).content, (await answer).status], ["So far", "stopped"]);
  assert.deepEqual(names(), ["POST /stream/", "GET /healthz", "POST /messages/…/stop", "POST /messages/"]);
});

test("a stop that cannot be delivered ends the waiting, and says so", async () => {
  for (const refusal of [broken(), failure(404, "not_found")]) {
    const { client } = scripted({
      "POST /stream/": failure(404, "streaming_off"),
      "POST /messages/": ({ signal }) => hold(signal),
      "POST /messages/…/stop": refusal,
    });
    const answer = client.send("Hi");
    await until(client, ({ mode }) => mode === "whole");
    await client.stop();
    assert.deepEqual([(await answer).status, (await answer).error.code], ["stopped", "stop_failed"]);
    assert.equal(client.getState().messages.length, 2);
  }
});

// A chat that is there already

const HISTORY = [
  { id: "u", role: "user", content: "Hi", status: "complete" },
  { id: TURN, role: "assistant", content: "On", status: "streaming" },
];

test("an opened chat shows its messages and follows the answer that grows", async () => {
  const { client, requests } = scripted({
    "GET /messages/": json({ messages: HISTORY }),
    [`GET /stream/${TURN}`]: [
      stream(...blocks(["One", "Two"]).slice(0, 3), CUT),
      stream(...blocks(["One", "Two"]).slice(3)),
    ],
  });
  await client.open(CHAT);
  assert.deepEqual(
    client.getState().messages.map(({ content }) => content),
    ["Hi", "OneTwo"],
  );
  // From the very start, so that a frame comes at once.
  assert.deepEqual(
    requests.map(({ after }) => after),
    [undefined, undefined, `${TURN}:6`],
  );
  assert.equal(client.getState().status, "complete");
});

test("an opened chat whose answer cannot be streamed is asked for until it has ended", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const ended = HISTORY.map((message) => ({ ...message, status: "complete" }));
  const { client, names } = scripted({
    "GET /messages/": [json({ messages: HISTORY }), json({ messages: HISTORY }), json({ messages: ended })],
    [`GET /stream/${TURN}`]: failure(404, "streaming_off"),
  });
  const opened = client.open(CHAT);
  while (names().length < 4) {
    await new Promise(setImmediate);
    mock.timers.tick(500);
  }
  await opened;
  mock.timers.reset();
  assert.deepEqual(
    client.getState().messages.map(({ content, status }) => [content, status]),
    [
      ["Hi", "complete"],
      ["On", "complete"],
    ],
  );
});

test("a chat that is not there is an error, and the next question begins a new one", async () => {
  const { client, requests } = scripted({
    "GET /messages/": failure(404, "not_found"),
    "POST /stream/": stream(...blocks(["One"])),
  });
  await client.open("gone");
  assert.deepEqual([client.getState().chatId, client.getState().error.code], [null, "not_found"]);
  await client.send("Hi");
  assert.equal(JSON.parse(requests[1].body).chat_id, null);
});

test("closed in mid-answer it changes no more, and the chat can be opened again", async () => {
  const { client, states } = scripted({
    "POST /stream/": stream(...blocks(["One"]).slice(0, 2), hold),
    "GET /messages/": json({ messages: HISTORY }),
    [`GET /stream/${TURN}`]: stream(...blocks(["OneTwo"])),
  });
  const answer = client.send("Hi");
  await until(client, ({ partial }) => partial === "One");
  client.close();
  const seen = states.length;
  assert.equal(await answer, undefined);
  assert.equal(states.length, seen);
  await client.open(CHAT);
  assert.equal(client.getState().messages.at(-1).content, "OneTwo");
});

test("an API key goes along with all it sends, and a header of one's own before it", async () => {
  const sent = [];
  const fetch = async (url, { headers }) => {
    sent.push(headers.Authorization);
    return new Response(JSON.stringify({ error: { code: "not_signed_in", message: "Sign in.", retryable: false } }), { status: 401 });
  };
  const client = createStream({ fetch, apiKey: "rill_1" });
  assert.equal(await client.send("Hi"), null);
  assert.equal(client.getState().error.code, "not_signed_in");
  await client.open("chat");
  await createStream({ fetch, apiKey: "rill_1", headers: { Authorization: "Bearer mine" } }).send("Hi");
  assert.deepEqual(sent, ["Bearer rill_1", "Bearer rill_1", "Bearer mine"]);
});

test("what waits is shown beside the answer, and followed when it is asked", async () => {
  const line = (...questions) => ({ chat_id: CHAT, turn_id: null, held: false, questions });
  const question = { id: "q1", key: "k1", content: "And then?", error: null };
  const message = (id, role, content) => ({ id, chat_id: CHAT, role, content, status: "complete", error: null });
  let asked = false;
  const seen = [];
  const fetch = async (url, { method = "GET" } = {}) => {
    const path = url.split("?")[0];
    if (method !== "GET" || path.startsWith("/chats/")) seen.push(`${method} ${path}`);
    if (method === "POST") return Response.json({ ...line(question), turn_id: "t1" });
    if (path === `/chats/${CHAT}/queue`) {
      const found = asked ? line() : line(question);
      asked = true;
      return Response.json(found);
    }
    const rest = asked ? [message("m3", "user", "And then?"), message("m4", "assistant", "That is all.")] : [];
    return Response.json({ messages: [message("m1", "user", "Hi"), message("m2", "assistant", "Hello"), ...rest] });
  };
  const client = createStream({ fetch, queue: true });
  const contents = () => client.getState().messages.map(({ content }) => content);
  await client.open(CHAT);
  const hello = client.getState().messages[1];
  while (client.getState().line.questions.length !== 1) await new Promise((next) => client.subscribe(next));
  while (contents().length !== 4) await new Promise((next) => client.subscribe(next));
  assert.deepEqual(contents(), ["Hi", "Hello", "And then?", "That is all."]);
  assert.equal(client.getState().messages[1], hello);
  assert.deepEqual(client.getState().line, { questions: [], held: false });
  assert.equal(await client.queue("More"), true);
  assert.ok(seen.includes(`POST /chats/${CHAT}/queue`));
  client.close();
});

test("the address and the headers of another app", async () => {
  const { client, requests } = scripted(
    { "POST https://chat.example/stream/": stream(...blocks(["One"])) },
    { baseUrl: "https://chat.example/", headers: { "X-Session-Id": "me" } },
  );
  await client.send("Hi");
  assert.equal(requests[0].url, "https://chat.example/stream/?ids=1");
});

test("the hook renders on a server too, where nothing is asked", () => {
  const Page = () => {
    const { status, mode, busy, messages, partial, send, stop } = useStream({ fetch: () => assert.fail("asked") });
    return createElement("p", null, [status, mode, busy, messages.length, partial, typeof send, typeof stop].join());
  };
  assert.equal(renderToString(createElement(Page)), "<p>idle,stream,false,0,,function,function</p>");
});
