/* How a long chat is drawn, without a browser; `test_drawing.py` runs it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { knownRows } from "./known_rows.js";
import { BUDGET_MS, FEW, MOST_MS, slices } from "./slices.js";

const HEIGHT = 900;

/** Pieces that each take `ms` to draw, in a page of their own clock. */
function page(ms) {
  const drawn = [];
  let clock = 0;
  let measured = 0;
  const pieces = slices({ now: () => clock, height: () => HEIGHT, flush: (act) => act() });
  const add = (name, top, parts = []) =>
    pieces.add({
      place: () => {
        measured++;
        return { top, bottom: top + 100 };
      },
      draw: () => {
        drawn.push(name);
        clock += ms;
        parts.forEach((part, i) => add(part, top + i));
      },
    });
  const counted = (act) => {
    const before = drawn.length;
    act();
    return drawn.length - before;
  };
  const pass = (ms) => (clock += ms);
  return { pieces, add, drawn, counted, pass, measured: () => measured };
}

for (const [ms, most] of [[1, 8], [3, 3], [5, 2], [8, 1], [40, 1]]) {
  test(`a slice of pieces of ${ms} ms draws ${most}, however many there are`, () => {
    for (const count of [20, 400, 4000]) {
      const { pieces, add, counted } = page(ms);
      for (let n = 0; n < count; n++) add(n, n * 100);
      assert.equal(counted(pieces.slice), most);
      assert.equal(counted(pieces.slice), most);
      assert.ok(ms * (most - 1) < BUDGET_MS);
    }
  });
}

for (const [elsewhere, most] of [[8, 8], [16, 8], [32, 16], [48, 24], [500, MOST_MS]]) {
  test(`where a frame takes ${elsewhere} ms beside the drawing, ${most} go into the next slice`, () => {
    const { pieces, add, counted, pass } = page(1);
    for (let n = 0; n < 100; n++) add(n, n * 100);
    assert.equal(counted(pieces.slice), BUDGET_MS);
    pass(elsewhere);
    assert.equal(counted(pieces.slice), most);
    pieces.drawAll();
    pieces.slice();
    pass(1000);
    for (let n = 0; n < 100; n++) add(n, n * 100);
    assert.equal(counted(pieces.slice), BUDGET_MS);
  });
}

test("what a piece is made of counts for the same slice, and comes next, from the top on", () => {
  const { pieces, add, drawn, counted } = page(2);
  add("first", 0, ["a", "b", "c", "d", "e", "f"]);
  add("second", 100);
  assert.equal(counted(pieces.slice), 4);
  assert.deepEqual(drawn, ["first", "a", "b", "c"]);
  pieces.slice();
  assert.deepEqual(drawn, ["first", "a", "b", "c", "d", "e", "f", "second"]);
  assert.ok(pieces.isDone());
});

test("the page is measured once a slice, not once a piece", () => {
  const { pieces, add, measured } = page(1);
  for (let n = 0; n < 100; n++) add(n, n * 100, [`${n} inside`]);
  pieces.slice();
  assert.equal(measured(), 100);
});

test("a few come in their order, and nothing is measured", () => {
  const { pieces, add, drawn, measured } = page(1);
  for (let n = 0; n < FEW; n++) add(n, -n * 1000);
  pieces.slice();
  assert.deepEqual(drawn, [...Array(FEW).keys()]);
  assert.equal(measured(), 0);
});

test("in view from the top, then the nearest", () => {
  const { pieces, add, drawn } = page(0);
  for (const top of [-5000, -200, 3000, 800, 0, -50, 950, 400]) add(top, top);
  pieces.slice();
  assert.deepEqual(drawn, [-50, 0, 400, 800, 950, -200, 3000, -5000]);
});

test("what has gone is not drawn", () => {
  const { pieces, add, drawn } = page(1);
  const leave = add("gone", 0);
  add("there", 100);
  leave();
  pieces.slice();
  assert.deepEqual(drawn, ["there"]);
});

test("for paper all of it comes, and what it is made of", () => {
  const { pieces, add, drawn } = page(50);
  for (let n = 0; n < 30; n++) add(n, n * 100, [`${n} inside`]);
  pieces.drawAll();
  assert.equal(drawn.length, 60);
  assert.ok(pieces.isDone());
});

test("rows that come again are the objects that they were", () => {
  const rows = (...ids) => ids.map((id) => ({ id, content: `Text of ${id}` }));
  const first = knownRows(rows("c", "d"));
  const second = knownRows(rows("a", "b", "c", "d"));
  assert.deepEqual(second.map(({ id }) => id), ["a", "b", "c", "d"]);
  assert.equal(second[2], first[0]);
  assert.equal(second[3], first[1]);
  const changed = knownRows([...rows("a", "b", "c"), { id: "d", content: "Other" }]);
  assert.equal(changed[0], second[0]);
  assert.equal(changed[3].content, "Other");
  assert.deepEqual(knownRows([]), []);
});
