/* How a reply's parts are arranged on the page, without a browser; `test_reply_blocks.py` runs it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, detailOf, runs } from "./reply_blocks.js";

const text = (text) => ({ type: "text", text });
const step = (id, more = {}) => ({ type: "step", step: { id, title: id, state: "done", ...more } });
const source = (title, url) => ({ type: "source", source: { title, url } });
const ids = ({ id, steps }) => (steps.length ? [id, steps.map(ids)] : id);
const shape = (parts) => blocksOf(parts).blocks.map((block) => (block.type === "steps" ? block.steps.map(ids) : block.text));

test("text and thoughts alone stay as they are", () => {
  const parts = [{ type: "reasoning", text: "hm", ms: 1 }, text("a")];
  assert.equal(blocksOf(parts).blocks, parts);
});

test("steps next to each other are one list, in the place where they came", () => {
  assert.deepEqual(shape([step("a"), step("b"), text("x"), step("c")]), [["a", "b"], "x", ["c"]]);
});

test("a step that comes again is the same one, as it came last", () => {
  const { blocks } = blocksOf([step("a", { state: "running", input: "in" }), text("x"), step("a", { title: "A", output: "out" })]);
  assert.equal(blocks.length, 2);
  assert.deepEqual(blocks[0].steps, [{ id: "a", title: "A", state: "done", input: "in", output: "out", steps: [] }]);
});

test("a step within another is in it, whatever came between, and a circle is none", () => {
  assert.deepEqual(shape([step("a"), text("x"), step("b", { parent: "a" }), step("c", { parent: "b" })]), [[["a", [["b", ["c"]]]]], "x"]);
  assert.deepEqual(shape([step("a", { parent: "a" }), step("b", { parent: "c" }), step("c", { parent: "b" })]), [["a", ["b", ["c"]]]]);
});

test("what is not drawn tears no sentence, and sources stand below once each", () => {
  const { blocks, sources } = blocksOf([text("Rain "), source("A", "https://a.org/"), source("A again", "https://a.org/"), { type: "chart", chart: {} }, text("falls."), source("B")]);
  assert.deepEqual(blocks, [text("Rain falls.")]);
  assert.deepEqual(sources.map(({ title, url }) => [title, url]), [["A", "https://a.org/"], ["B", undefined]]);
});

test("an address that is not the web's is no link", () => {
  for (const url of ["javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "//a.org", "https://", 5, null, {}]) {
    const { sources } = blocksOf([source("A", url)]);
    assert.deepEqual(sources, [{ title: "A", url: undefined, snippet: undefined }], String(url));
  }
});

test("whatever is in a part, nothing breaks", () => {
  for (const type of ["step", "source", "suggestions", "tool", "__proto__", "constructor", "toString"]) {
    for (const value of [undefined, null, 5, "x", [], {}, { id: 5, title: {}, url: [], texts: "abc", state: [], parent: {} }, { id: "a", title: 5 }, { texts: [1, null, {}, ""] }]) {
      const found = blocksOf([text("a"), { type, [type]: value }, text("b")]);
      assert.ok(found.blocks.length >= 1);
      for (const { title } of found.sources) assert.equal(typeof title, "string");
      assert.deepEqual(found.suggestions, []);
    }
  }
});

test("the last suggestions count, each once", () => {
  const suggestions = (...texts) => ({ type: "suggestions", suggestions: { texts } });
  assert.deepEqual(blocksOf([suggestions("old"), text("a"), suggestions("b", " b ", "c", 5)]).suggestions, ["b", "c"]);
});

test("a step runs where one within it does", () => {
  const [{ steps }] = blocksOf([step("a"), step("b", { parent: "a", state: "running" })]).blocks;
  assert.ok(runs(steps[0]));
});

test("details are text, or JSON that people can read", () => {
  assert.equal(detailOf("<b>x</b>"), "<b>x</b>");
  assert.equal(detailOf({ a: [1] }), '{\n  "a": [\n    1\n  ]\n}');
  for (const nothing of [undefined, null, ""]) assert.equal(detailOf(nothing), undefined);
  assert.equal(detailOf(0), "0");
});
