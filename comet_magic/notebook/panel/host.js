/**
 * What reaches past anywidget's contract: the kernel behind a view, and the keyboard shortcuts of the notebook.
 *
 * Python joins this file, brush.js and panel.js into one ES module; so this one has plain functions and no `export`.
 * Each thing of a front end is asked for before it is used: voila, marimo, VS Code and Colab have only some of them.
 */

/** @typedef {"live" | "offline" | "gone"} KernelState */
/** @typedef {{ connect(slot: () => void): unknown, disconnect(slot: () => void): unknown }} KernelSignal */
/**
 * @typedef {object} KernelConnection
 * @property {string} [status]
 * @property {string} [connectionStatus]
 * @property {boolean} [isDisposed]
 * @property {KernelSignal} [disposed]
 * @property {KernelSignal} [statusChanged]
 * @property {KernelSignal} [connectionStatusChanged]
 */
/** @typedef {import("@anywidget/types").AnyModel<any>} AnyModel */

const SHORTCUTS_OFF = "data-lm-suppress-shortcuts";
const RECONNECTING = 1500; // milliseconds in which a connection that was lost may come back without a word
const ENDED = ["dead", "terminating", "restarting", "autorestarting"];

/**
 * Follow whether the kernel of a view can be reached.
 *
 * "gone" is for ever: the kernel ended or was restarted, or the view was drawn from a saved file. "offline" means that
 * the connection to the server is lost; it becomes "live" if the connection comes back.
 *
 * @param {object} view
 * @param {AnyModel} view.model
 * @param {HTMLElement} view.el the element that anywidget gave to `render`
 * @param {AbortSignal} view.signal ends the watch
 * @param {(state: KernelState) => void} changed called with each new state, never with the first
 * @returns {{ state: () => KernelState, send: (message: object, buffers?: ArrayBuffer[]) => boolean }} `send` tells
 *   whether the front end took the message; a kernel that is offline may get it much later
 */
function watchKernel({ model, el, signal }, changed) {
  const manager = /** @type {{ kernel?: KernelConnection | null } | undefined} */ (
    /** @type {unknown} */ (model.widget_manager)
  );
  const kernel = manager?.kernel;
  /** @type {KernelState} */
  let state = "live";
  let timer = 0;

  const gone = () =>
    state === "gone" ||
    el.classList.contains("jupyter-widgets-disconnected") ||
    (manager !== undefined && "kernel" in manager && !manager.kernel) ||
    kernel?.isDisposed === true ||
    ENDED.includes(kernel?.status ?? "");
  const offline = () => (kernel?.connectionStatus ?? "connected") !== "connected";

  /** @param {KernelState} next */
  const become = (next) => {
    if (next === state) return;
    state = next;
    changed(state);
  };
  const check = () => {
    if (gone()) become("gone");
    else if (!offline()) become("live");
    else if (state === "live" && timer === 0) timer = setTimeout(still, RECONNECTING);
  };
  const still = () => {
    timer = 0;
    if (!signal.aborted && !gone() && offline()) become("offline");
  };

  const signals = [kernel?.disposed, kernel?.statusChanged, kernel?.connectionStatusChanged];
  for (const each of signals) each?.connect(check);
  model.on("comm_live_update", check);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    for (const each of signals) each?.disconnect(check);
  });
  if (gone()) state = "gone";
  else check();
  return {
    state: () => state,
    send: (message, buffers) => {
      try {
        model.send(message, undefined, buffers);
      } catch {
        become("gone"); // a closed comm refuses, and says no more
      }
      return state !== "gone";
    },
  };
}

/**
 * Keep keys that are pressed in a view from the notebook, whose shortcuts would edit, run or delete cells.
 *
 * JupyterLab and Notebook 7 look for shortcuts on the focused element; Notebook 7 does so before the view sees the key.
 * Other front ends listen farther out. The key that saves the notebook still does.
 *
 * @param {HTMLElement} root of the view; dialogs must be in it
 * @param {AbortSignal} signal ends it
 */
function keepKeys(root, signal) {
  /** @param {KeyboardEvent} event */
  const saves = (event) =>
    (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "s";

  root.addEventListener(
    "focusin",
    (event) => {
      if (event.target instanceof Element) event.target.setAttribute(SHORTCUTS_OFF, "true");
    },
    { signal },
  );
  root.addEventListener(
    "keydown",
    (event) => {
      if (!saves(event)) event.stopPropagation();
    },
    { signal },
  );
  window.addEventListener(
    "keydown",
    (event) => {
      const target = event.composedPath()[0];
      if (!saves(event) || !(target instanceof Element) || !root.contains(target)) return;
      target.removeAttribute(SHORTCUTS_OFF);
      setTimeout(() => target.setAttribute(SHORTCUTS_OFF, "true"));
    },
    { signal, capture: true },
  );
}
