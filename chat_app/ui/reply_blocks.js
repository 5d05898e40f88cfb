/* A reply's parts as the blocks that are drawn: its text, its thoughts, its steps, and what stands below it all. Pure.

Whatever an agent or a file put into a part, it is drawn as text or not at all: kinds and values that are not known here
are passed over. */

const DRAWN = ["text", "reasoning"];
const MOST_SUGGESTIONS = 8;

/** `{blocks, sources, suggestions}`: blocks are parts of text and thoughts, and `{type: "steps", steps}`, where a step is
    `{id, title, state, input, output, steps}`. Steps of one id are one step, where it came first and as it came last. */
export function blocksOf(parts) {
  if (parts.every(({ type }) => DRAWN.includes(type))) return { blocks: parts, sources: [], suggestions: [] };
  const found = { blocks: [], steps: new Map(), sources: new Map(), suggestions: [] };
  for (const part of parts) ADDED.get(part.type)?.(found, part);
  return { ...found, sources: [...found.sources.values()] };
}

const ADDED = new Map([
  ["text", addText],
  ["reasoning", addThoughts],
  ["step", addStep],
  ["source", addSource],
  ["suggestions", addSuggestions],
]);
const STATES = ["running", "done", "failed"];

/* What is not drawn between two pieces of text must not tear a sentence. */
function addText({ blocks }, part) {
  const last = blocks.at(-1);
  if (last?.type === "text") blocks[blocks.length - 1] = { ...last, text: last.text + part.text };
  else blocks.push(part);
}

function addThoughts({ blocks }, part) {
  blocks.push(part);
}

function addStep({ blocks, steps }, { step }) {
  const id = lineOf(step?.id) ?? lineOf(step?.name);
  if (id === undefined) return;
  const known = steps.get(id);
  const { input, output } = step;
  const told = { title: lineOf(step.title) ?? known?.title ?? id, state: STATES.includes(step.state) ? step.state : "done", input: input ?? known?.input, output };
  if (known) return void Object.assign(known, told);
  const entry = { id, ...told, steps: [] };
  const parent = steps.get(step.parent);
  steps.set(id, entry);
  if (parent) parent.steps.push(entry);
  else if (blocks.at(-1)?.type === "steps") blocks.at(-1).steps.push(entry);
  else blocks.push({ type: "steps", steps: [entry] });
}

function addSource({ sources }, { source }) {
  const url = webAddress(source?.url);
  const title = lineOf(source?.title) ?? url;
  if (title !== undefined && !sources.has(url ?? title)) sources.set(url ?? title, { title, url, snippet: lineOf(source.snippet) });
}

/* The last ones count. */
function addSuggestions(found, { suggestions }) {
  const texts = Array.isArray(suggestions?.texts) ? suggestions.texts : [];
  found.suggestions = [...new Set(texts.map(lineOf).filter((text) => text !== undefined))].slice(0, MOST_SUGGESTIONS);
}

/** Whether a step runs, or one within it. */
export const runs = ({ state, steps }) => state === "running" || steps.some(runs);

/** A step's input or output as text; undefined where there is none. */
export function detailOf(value) {
  if (value === undefined || value === null || value === "") return undefined;
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function lineOf(value) {
  const line = typeof value === "string" ? value.trim() : "";
  return line === "" ? undefined : line;
}

/** Nothing but http and https: `javascript:` would run. */
function webAddress(value) {
  if (typeof value !== "string" || !/^https?:\/\//i.test(value)) return undefined;
  return URL.canParse(value) ? value : undefined;
}
