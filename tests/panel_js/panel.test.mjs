import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { inRuns, inTable, inWords, nextOption, ratioOf } = await load("host.js", "brush.js", "panel.js");

/** A picture of a grid: its key is its facts, too. */
const cell = (key, row, column, block = "") => ({ key, place: [row, column, block], facts: key });

/** A table as texts: heads in brackets, pictures by their key. */
const shown = (cells) => inTable(cells).map(([, { head, facts }]) => facts ?? `[${head}]`);

test("a grid is a table with heads, and a place without a picture stays empty", () => {
  assert.deepEqual(shown([cell("a", "m1", "low"), cell("b", "m1", "high"), cell("c", "m2", "low")]), [
    ...["[]", "[low]", "[high]"],
    ...["[m1]", "a", "b"],
    ...["[m2]", "c", "[]"],
  ]);
});

test("several pictures of one cell stand below each other, and each block has its own table", () => {
  const cells = [
    cell("a1", "m1", "low", "cat"),
    cell("a2", "m1", "low", "cat"),
    cell("b", "m1", "low", "dog"),
  ];

  assert.deepEqual(shown(cells), ["[cat]", "[low]", "[m1]", "a1", "[]", "a2", "[dog]", "[low]", "[m1]", "b"]);
  assert.equal(new Set(inTable(cells).map(([key]) => key)).size, 10);
});

test("pictures of one request stand together, in their order", () => {
  const items = ["a", "a", "b", "a"].map((run, id) => ({ id, run }));

  assert.deepEqual(
    inRuns(items).map((run) => run.map(({ id }) => id)),
    [[0, 1], [2], [3]],
  );
});

test("times and sizes are read by people", () => {
  assert.deepEqual([8.9, 60, 125, -1].map(inWords), ["8 s", "1 min 0 s", "2 min 5 s", "0 s"]);
  assert.deepEqual(["1536x1024", "512x1024", "auto", ""].map(ratioOf), [1.5, 0.5, 1, 1]);
});

test("arrow keys move to the nearest picture, and stay at the ends", () => {
  const places = [0, 1, 2, 3].map((at) => ({ left: (at % 2) * 100, top: Math.floor(at / 2) * 100 }));
  const go = (key, at) => nextOption(key, places, at);

  assert.deepEqual(
    [go("ArrowDown", 1), go("ArrowUp", 2), go("ArrowRight", 1), go("ArrowLeft", 0), go("ArrowDown", 3)],
    [3, 0, 2, 0, 3],
  );
  assert.deepEqual([go("Home", 3), go("End", 0)], [0, 3]);
});
