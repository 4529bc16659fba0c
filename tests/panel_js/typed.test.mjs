import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { load } from "./load.mjs";

const { sharedOf } = await load("host.js", "brush.js", "panel.js");

/** A page whose model sends to nobody: the test says what Python answers. */
function page(values) {
  const listeners = {};
  const sent = [];
  let state;
  const become = (rev, by, changed) => {
    state = { v: 1, rev, form: { rev, by, values: changed, fields: [] } };
    listeners["change:state"]?.();
  };
  const model = {
    get: () => state,
    on: (name, listener) => {
      listeners[name] = listener;
    },
    send: (message) => sent.push(message),
  };
  become(1, "", values);
  const shared = sharedOf(model);
  return {
    shared,
    become,
    sent: (kind) => sent.filter((one) => one.kind === kind),
    answer: ({ id }) => listeners["msg:custom"]({ kind: "ack", id, ok: true, now: Date.now() }, []),
  };
}

/** Runs a test whose clock stands still until it is told to go on. */
const timed = (name, run) =>
  test(name, () => {
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
    try {
      run();
    } finally {
      mock.timers.reset();
    }
  });

timed("what is typed is sent when the keys rest, and nothing else of the form", () => {
  const { shared, sent } = page({ prompt: "a", model: "m1" });
  shared.type("prompt", "a b");
  shared.type("prompt", "a bo");
  assert.deepEqual(sent("form"), []);
  mock.timers.tick(200);

  assert.deepEqual(
    sent("form").map(({ values }) => values),
    [{ prompt: "a bo" }],
  );
});

timed("a text that is being typed stays when Python changes the form, whose other fields are taken", () => {
  const { shared, become, sent, answer } = page({ prompt: "a", model: "m1" });
  shared.type("prompt", "a boat");
  become(2, "", { prompt: "from Python", model: "m2" });
  assert.deepEqual(shared.values, { prompt: "a boat", model: "m2" });

  mock.timers.tick(200);
  become(3, "", { prompt: "from Python, again", model: "m3", size: "1:1" });
  assert.deepEqual(shared.values, { prompt: "a boat", model: "m3", size: "1:1" });

  answer(sent("form")[0]);
  become(4, shared.client, { prompt: "a boat", model: "m3", size: "1:1" });
  assert.deepEqual(shared.values, { prompt: "a boat", model: "m3", size: "1:1" });
});

timed("once Python has read a text, what Python says of the field counts", () => {
  const { shared, become, sent, answer } = page({ prompt: "a" });
  shared.type("prompt", "sk-something");
  mock.timers.tick(200);
  answer(sent("form")[0]);
  become(2, "", { note: "taken out" });
  assert.deepEqual(shared.values, { note: "taken out" });
});

timed("the echo of an older text does not undo a newer one", () => {
  const { shared, become, sent, answer } = page({ prompt: "" });
  shared.type("prompt", "a");
  mock.timers.tick(200);
  shared.type("prompt", "a b");
  answer(sent("form")[0]);
  become(2, shared.client, { prompt: "a" });
  assert.equal(shared.values.prompt, "a b");

  mock.timers.tick(200);
  answer(sent("form")[1]);
  assert.equal(shared.values.prompt, "a b");
  become(3, shared.client, { prompt: "a b" });
  become(4, "another page", { prompt: "theirs" });
  assert.equal(shared.values.prompt, "theirs");
});

timed("a field that was emptied is empty while the kernel is busy, and when it has read that", () => {
  const { shared, become, sent, answer } = page({ prompt: "a", size: "1:1" });
  shared.type("size", "");
  become(2, "", { prompt: "b", size: "1:1" });
  assert.deepEqual(shared.values, { prompt: "b", size: "" });
  mock.timers.tick(200);
  answer(sent("form")[0]);
  become(3, shared.client, { prompt: "b" });
  assert.deepEqual(shared.values, { prompt: "b" });
});
