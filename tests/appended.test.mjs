/* What is written into a text node, and how, with nodes of our own; `test_appended.py` runs it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { appendText } from "./appended.js";

const done = [];

class Node {
  static TEXT_NODE = 3;
  constructor(nodeType, data) {
    Object.assign(this, { nodeType, data });
  }
  get nodeValue() {
    return this.data;
  }
  set nodeValue(value) {
    done.push(["set", value]);
    this.data = String(value ?? "");
  }
}

class CharacterData extends Node {
  appendData(text) {
    done.push(["append", text]);
    this.data += text;
  }
}

Object.assign(globalThis, { Node, CharacterData });
appendText();

function written(nodeType, before, value) {
  const node = new CharacterData(nodeType, before);
  done.length = 0;
  node.nodeValue = value;
  assert.equal(node.nodeValue, String(value ?? ""));
  return done.flat();
}

test("what begins with what is there is added to it", () => {
  assert.deepEqual(written(3, "Once", "Once upon"), ["append", " upon"]);
});

test("all else is written as it was", () => {
  assert.deepEqual(written(3, "Once", "Twice"), ["set", "Twice"]);
  assert.deepEqual(written(3, "Once", "On"), ["set", "On"]);
  assert.deepEqual(written(3, "Once", "Once"), ["set", "Once"]);
  assert.deepEqual(written(3, "", "Once"), ["set", "Once"]);
  assert.deepEqual(written(3, "Once", null), ["set", null]);
  assert.deepEqual(written(8, "a comment", "a comment more"), ["set", "a comment more"]);
});
