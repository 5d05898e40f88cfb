/* Sends a file of chats to the server and says how far it is. What goes wrong is an Error with a sentence for people. */

const NOTHING = "Nothing was imported.";
// What the server reads at most; it would have to cut the connection of one that sends more.
const MAX_BYTES = 1_000_000_000;
const PROXY = {
  413: "A proxy before the server takes no file of this size. Raise its limit (nginx: client_max_body_size), or split the file.",
  502: "The server cannot be reached behind its proxy. Try again in a moment.",
  503: "The server is not ready. Try again in a moment.",
  504: "The server took too long for its proxy. Raise the proxy's time limit, or split the file.",
};

export class Cancelled extends Error {}

/* `onStep` gets `{ sent, size }` while the file is sent, then `{ read, size, messages }`. The server's result comes back. */
export async function upload(file, { signal, onStep }) {
  await readable(file);
  if (file.size > MAX_BYTES) throw new Error(`The file is larger than 1 GB. Split it. ${NOTHING}`);
  const answer = await send(file, signal, onStep);
  if (answer.lines) {
    const last = answer.lines.at(-1);
    if (last?.imported) return last;
    if (last?.error) throw new Error(last.error.message);
    throw new Error(`The connection broke while the server read the file. ${NOTHING} Try again.`);
  }
  throw new Error(answer.sentence ?? `${PROXY[answer.status] ?? other(answer.status)} ${NOTHING}`);
}

async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error(`The file cannot be read. It may have been moved, changed or locked: choose it again. ${NOTHING}`);
  }
}

function other(status) {
  return `Something between this page and the server answered in its place (status ${status}).`;
}

/* Not fetch, which does not say how much it has sent. */
function send(file, signal, onStep) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    signal.addEventListener("abort", () => request.abort());
    request.upload.onprogress = ({ loaded, total }) => onStep({ sent: loaded, size: total });
    request.onprogress = () => {
      const step = request.status === 201 && lines(request.responseText).at(-1)?.progress;
      if (step) onStep(step);
    };
    request.onload = () => done(answer(request));
    request.onabort = () => failed(new Cancelled());
    request.onerror = () =>
      readable(file).then(() => failed(new Error(unreachable(request.status))), failed);
    request.open("POST", "/chats/import?progress=true");
    request.send(file);
  });
}

function unreachable(status) {
  if (status === 201) return `The connection broke while the server read the file. ${NOTHING} Try again.`;
  return navigator.onLine
    ? `The server cannot be reached. ${NOTHING} Look whether it runs, then try again.`
    : `There is no network. ${NOTHING} Try again when the connection is back.`;
}

function answer({ status, responseText }) {
  if (status === 201) return { lines: lines(responseText) };
  try {
    return { status, sentence: JSON.parse(responseText).error.message };
  } catch {
    return { status };
  }
}

/* The whole ones; the last may still be on its way. */
function lines(text) {
  const found = [];
  for (const line of text.split("\n").slice(0, -1)) {
    try {
      found.push(JSON.parse(line));
    } catch {
      return found;
    }
  }
  return found;
}
