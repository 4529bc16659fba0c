/**
 * What reaches past anywidget's contract: the kernel behind a view, and the keyboard shortcuts of the notebook.
 *
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
/** @typedef {{ widget_manager?: { kernel?: KernelConnection | null } }} Hosted */
/** @typedef {import("@anywidget/types").AnyModel<any>} AnyModel */

const SHORTCUTS_OFF = "data-lm-suppress-shortcuts";
const RECONNECTING = 1500; // milliseconds in which a connection that was lost may come back without a word
const ENDED = ["dead", "terminating", "restarting", "autorestarting"];

/**
 * Follow whether the kernel of a view can be reached.
 *
 * Gone is for ever: the kernel ended or was restarted, or the view was drawn from a saved file. Offline means that the
 * connection to the server is lost; it may come back.
 *
 * @param {AnyModel} model
 * @param {HTMLElement} el the element that anywidget gave to `render`
 * @param {object} watch
 * @param {AbortSignal} watch.signal ends it
 * @param {() => void} watch.changed called when an answer has changed
 * @returns {{ gone: () => boolean, offline: () => boolean, reason: () => string }} `reason` is a sentence for people,
 *   "" while the kernel can be reached
 */
export function watchKernel(model, el, { signal, changed }) {
  const manager = /** @type {Hosted} */ (/** @type {unknown} */ (model)).widget_manager;
  const kernel = manager?.kernel;
  const ended = () =>
    refusing.has(model) ||
    el.classList.contains("jupyter-widgets-disconnected") ||
    (manager !== undefined && "kernel" in manager && !manager.kernel) ||
    kernel?.isDisposed === true ||
    ENDED.includes(kernel?.status ?? "");
  const lost = () => (kernel?.connectionStatus ?? "connected") !== "connected";

  let [gone, offline, timer] = [ended(), false, 0];
  const check = () => {
    const before = [gone, offline].join();
    gone ||= ended();
    if (!lost()) {
      clearTimeout(timer);
      [offline, timer] = [false, 0];
    } else if (!offline && timer === 0) {
      timer = setTimeout(() => {
        offline = lost();
        if (offline) changed();
      }, RECONNECTING);
    }
    if ([gone, offline].join() !== before) changed();
  };
  const signals = [kernel?.disposed, kernel?.statusChanged, kernel?.connectionStatusChanged];
  for (const each of signals) each?.connect(check);
  model.on("comm_live_update", check);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    for (const each of signals) each?.disconnect(check);
  });
  check();
  const isGone = () => {
    gone ||= ended();
    return gone;
  };
  return {
    gone: isGone,
    offline: () => offline,
    reason: () => (isGone() || offline ? "The kernel is gone: run this cell again" : ""),
  };
}

/** Models whose front end refused a message, because their kernel is gone. @type {WeakSet<AnyModel>} */
const refusing = new WeakSet();

/**
 * Send a message to Python. A kernel that is offline or busy gets it later.
 *
 * @param {AnyModel} model
 * @param {object} message
 * @param {ArrayBuffer[]} [buffers]
 * @returns {boolean} whether the front end took it
 */
export function post(model, message, buffers) {
  try {
    model.send(message, undefined, buffers);
  } catch {
    refusing.add(model); // a closed comm refuses, and says no more
    return false;
  }
  return true;
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
export function keepKeys(root, signal) {
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
