import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { load } from "./load.mjs";

const { watchKernel, post, keepKeys } = await load("host.js");

/** A signal as Jupyter's libraries have them. */
class Signal {
  slots = new Set();
  connect(slot) {
    this.slots.add(slot);
  }
  disconnect(slot) {
    this.slots.delete(slot);
  }
  emit() {
    for (const slot of [...this.slots]) slot();
  }
}

/** A kernel's connection as a front end has it. */
function connection() {
  const [disposed, statusChanged, connectionStatusChanged] = [new Signal(), new Signal(), new Signal()];
  return {
    status: "idle",
    connectionStatus: "connected",
    isDisposed: false,
    disposed,
    statusChanged,
    connectionStatusChanged,
  };
}

/** A view that is watched, and how often it was told of a change. */
function watched(manager, { classes = [], send = () => {} } = {}) {
  const [listeners, ending] = [[], new AbortController()];
  const model = { widget_manager: manager, send, on: (_, listener) => listeners.push(listener) };
  const el = { classList: { contains: (name) => classes.includes(name) } };
  const view = { told: 0, model, end: () => ending.abort() };
  view.live = () => {
    for (const listener of listeners) listener();
  };
  const changed = () => {
    view.told += 1;
  };
  return Object.assign(view, watchKernel(model, el, { signal: ending.signal, changed }));
}

/** What a view knows. */
const known = (view) => [view.gone(), view.offline(), view.reason()];
const LIVE = [false, false, ""];
const BAND = "The kernel is gone: run this cell again";

test("a front end that shows nothing of its kernel is live", () => {
  for (const manager of [undefined, {}, { get_model() {} }]) {
    assert.deepEqual(known(watched(manager)), LIVE);
  }
});

test("a view drawn from a saved file, or without a kernel, is gone from the start", () => {
  assert.deepEqual(known(watched({}, { classes: ["jupyter-widgets-disconnected"] })), [true, false, BAND]);
  assert.deepEqual(known(watched({ kernel: null })), [true, false, BAND]);
});

for (const status of ["restarting", "autorestarting", "terminating", "dead"]) {
  test(`a kernel that is ${status} is gone, once and for ever`, () => {
    const kernel = connection();
    const view = watched({ kernel });
    assert.deepEqual(known(view), LIVE);
    kernel.status = status;
    kernel.statusChanged.emit();
    kernel.status = "idle";
    kernel.statusChanged.emit();
    view.live();
    assert.deepEqual(known(view), [true, false, BAND]);
    assert.equal(view.told, 1);
  });
}

test("a kernel that was shut down or exchanged for another is gone", () => {
  const [kernel, manager] = [connection(), {}];
  manager.kernel = kernel;
  const view = watched(manager);
  kernel.isDisposed = true;
  manager.kernel = connection();
  kernel.disposed.emit();
  assert.deepEqual([view.gone(), view.told], [true, 1]);
});

test("a lost connection is told after a while, and its return at once", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const kernel = connection();
    const view = watched({ kernel });
    for (const status of ["connecting", "connected", "disconnected", "connecting"]) {
      kernel.connectionStatus = status;
      kernel.connectionStatusChanged.emit();
    }
    assert.equal(view.told, 0);
    mock.timers.tick(2000);
    assert.deepEqual([view.told, ...known(view)], [1, false, true, BAND]);
    kernel.connectionStatus = "connected";
    kernel.connectionStatusChanged.emit();
    assert.deepEqual([view.told, ...known(view)], [2, ...LIVE]);
  } finally {
    mock.timers.reset();
  }
});

test("a message goes to the kernel with its buffers", () => {
  const sent = [];
  const view = watched({ kernel: connection() }, { send: (...all) => sent.push(all) });
  const buffers = [new ArrayBuffer(1)];
  assert.equal(post(view.model, { kind: "hello" }, buffers), true);
  assert.deepEqual(sent, [[{ kind: "hello" }, undefined, buffers]]);
});

test("a message that cannot be sent means that the kernel is gone", () => {
  const refuse = () => {
    throw new Error("Cannot send");
  };
  const view = watched({ kernel: connection() }, { send: refuse });
  assert.equal(post(view.model, { kind: "hello" }), false);
  assert.equal(view.gone(), true);
});

test("the end of a view leaves no listener behind", () => {
  const kernel = connection();
  watched({ kernel }).end();
  for (const signal of [kernel.disposed, kernel.statusChanged, kernel.connectionStatusChanged]) {
    assert.equal(signal.slots.size, 0);
  }
});

test("each element of a view that gets the focus is marked, and its keys go no farther", () => {
  class Thing extends EventTarget {
    marks = {};
    setAttribute(name, value) {
      this.marks[name] = value;
    }
  }
  const before = [globalThis.Element, globalThis.window];
  [globalThis.Element, globalThis.window] = [Thing, new EventTarget()];
  try {
    const root = new Thing();
    keepKeys(root, new AbortController().signal);
    root.dispatchEvent(new Event("focusin"));
    assert.deepEqual(root.marks, { "data-lm-suppress-shortcuts": "true" });

    const pressed = (key, more) => Object.assign(new Event("keydown"), { key, ...more });
    const stopped = (event) => {
      let asked = false;
      event.stopPropagation = () => {
        asked = true;
      };
      root.dispatchEvent(event);
      return asked;
    };
    assert.equal(stopped(pressed("d", {})), true);
    assert.equal(stopped(pressed("Enter", { ctrlKey: true })), true);
    assert.equal(stopped(pressed("s", { ctrlKey: true })), false);
    assert.equal(stopped(pressed("s", { ctrlKey: true, shiftKey: true })), true);
  } finally {
    [globalThis.Element, globalThis.window] = before;
  }
});
