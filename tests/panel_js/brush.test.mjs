import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { toPicture, addPoint, boxOf, effective, coordinates, paintStroke, painted } = await load("brush.js");

/** Writes down what is drawn, as a canvas would draw it. */
function recorder() {
  const drawn = [];
  const names = ["fillRect", "beginPath", "moveTo", "lineTo", "stroke"];
  const methods = names.map((name) => [name, (...numbers) => drawn.push([name, ...numbers])]);
  return { drawn, ...Object.fromEntries(methods) };
}

test("a point of the screen is a point of the picture, at any zoom, and within it", () => {
  const shown = { left: 100, top: 50, width: 400, height: 200 };

  assert.deepEqual(toPicture(shown, 1600, 800, 100, 50), [0, 0]);
  assert.deepEqual(toPicture(shown, 1600, 800, 300, 150), [800, 400]);
  assert.deepEqual(toPicture(shown, 1000, 500, 100.123, 50), [0.3, 0]);
  assert.deepEqual(toPicture(shown, 1600, 800, 9000, -9000), [1600, 0]);
});

test("points nearer than an eighth of the brush are left out", () => {
  const points = [];

  assert.equal(addPoint(points, 10, 10, 80), true);
  assert.equal(addPoint(points, 19, 10, 80), false);
  assert.equal(addPoint(points, 20, 10, 80), true);
  assert.equal(addPoint(points, 20.5, 10, 1), false);
  assert.deepEqual(points, [10, 10, 20, 10]);
});

test("a box is the same from any of its corners", () => {
  const box = { left: 10, top: 20, width: 30, height: 40 };

  assert.deepEqual(boxOf([10, 20, 40, 60]), box);
  assert.deepEqual(boxOf([40, 60, 10, 20]), box);
  assert.deepEqual(boxOf([40, 20, 10, 60]), box);
});

test("what came before the last clearing does not count", () => {
  const [line, box, clear] = [
    { tool: "brush", size: 1, points: [1, 1] },
    { tool: "box", points: [1, 1, 2, 2] },
    { tool: "clear" },
  ];

  assert.deepEqual(effective([line, clear, box]), [box]);
  assert.deepEqual(effective([clear, line, box]), [line, box]);
  assert.deepEqual(effective([line, clear]), []);
  assert.deepEqual(effective([]), []);
  assert.equal(coordinates([line, box, clear, { tool: "invert" }]), 6);
});

test("each tool draws as it should", () => {
  const modes = { brush: "source-over", erase: "destination-out", box: "source-over", invert: "source-out" };
  for (const [tool, mode] of Object.entries(modes)) {
    const canvas = recorder();
    paintStroke(canvas, { tool, size: 7, points: [1, 2, 5, 9] }, 100, 50);
    assert.equal(canvas.globalCompositeOperation, mode, tool);
    if (tool === "invert") assert.deepEqual(canvas.drawn, [["fillRect", 0, 0, 100, 50]]);
    else if (tool === "box") assert.deepEqual(canvas.drawn, [["fillRect", 1, 2, 4, 7]]);
    else {
      assert.equal(canvas.lineWidth, 7);
      assert.deepEqual(canvas.drawn, [["beginPath"], ["moveTo", 1, 2], ["lineTo", 5, 9], ["stroke"]]);
    }
  }
});

test("a line of one point is drawn as a dot, and a clearing draws nothing", () => {
  const canvas = recorder();

  paintStroke(canvas, { tool: "clear" }, 100, 50);
  assert.deepEqual(canvas.drawn, []);
  paintStroke(canvas, { tool: "brush", size: 7, points: [1, 2] }, 100, 50);
  assert.deepEqual(canvas.drawn[2], ["lineTo", 1.01, 2]);
});

test("the marked part is counted by the pixels that cover", () => {
  assert.equal(painted(Uint8ClampedArray.of(9, 9, 9, 255, 9, 9, 9, 0, 9, 9, 9, 128, 9, 9, 9, 127)), 0.5);
  assert.equal(painted(new Uint8ClampedArray(0)), 0);
});
