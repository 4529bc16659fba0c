/**
 * The mask brush and the before/after slider: geometry that needs no browser, and the elements that use it.
 *
 * All coordinates are pixels of the picture, from its upper left corner. strokes.py draws the same strokes at full size.
 */

/**
 * One act on the mask: a line of a round brush, a filled box, or an exchange of marked and unmarked.
 *
 * @typedef {object} Stroke
 * @property {"brush" | "erase" | "box" | "invert" | "clear"} tool
 * @property {number} [size] diameter of the brush
 * @property {number[]} [points] x and y by turns; of a box, two opposite corners
 */
/** @typedef {{ left: number, top: number, width: number, height: number }} Frame */

const MOST_NUMBERS = 20000; // coordinates in one mask; strokes.py refuses more
const MASK_COLOUR = "#ff2d78";
const PREVIEW_EDGE = 1024; // longest edge of the canvas, pixels

/**
 * A point of the screen as a point of the picture, within it.
 *
 * @param {Frame} shown where the picture is on the screen
 * @param {number} width of the picture
 * @param {number} height
 * @param {number} x on the screen
 * @param {number} y
 * @returns {[number, number]} with one decimal
 */
export function toPicture(shown, width, height, x, y) {
  /** @param {number} place @param {number} most */
  const within = (place, most) => Math.round(Math.min(Math.max(place * most, 0), most) * 10) / 10;
  return [within((x - shown.left) / shown.width, width), within((y - shown.top) / shown.height, height)];
}

/**
 * Add a point to a line, unless it is so near to the last one that the brush would draw the same.
 *
 * @param {number[]} points
 * @param {number} x
 * @param {number} y
 * @param {number} size of the brush
 * @returns {boolean} whether it was added
 */
export function addPoint(points, x, y, size) {
  const last = points.length - 2;
  if (last >= 0 && Math.hypot(x - points[last], y - points[last + 1]) < Math.max(1, size / 8)) return false;
  points.push(x, y);
  return true;
}

/**
 * The frame between two opposite corners.
 *
 * @param {number[]} corners x, y, x, y
 * @returns {Frame}
 */
export function boxOf([x, y, right, bottom]) {
  return {
    left: Math.min(x, right),
    top: Math.min(y, bottom),
    width: Math.abs(right - x),
    height: Math.abs(bottom - y),
  };
}

/**
 * The strokes that still count: what came before the last "clear" is gone.
 *
 * @param {Stroke[]} strokes
 * @returns {Stroke[]}
 */
export function effective(strokes) {
  return strokes.slice(strokes.map((stroke) => stroke.tool).lastIndexOf("clear") + 1);
}

/** Whether a key is pressed with another one. @param {KeyboardEvent} event */
export const isCombined = (event) => event.ctrlKey || event.metaKey || event.altKey;

/** @param {Stroke[]} strokes @returns {number} how many coordinates they have */
export function coordinates(strokes) {
  return strokes.reduce((count, stroke) => count + (stroke.points?.length ?? 0), 0);
}

/**
 * Draw one stroke on a canvas whose scale is that of the picture.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Stroke} stroke
 * @param {number} width of the picture
 * @param {number} height
 */
export function paintStroke(context, { tool, size = 1, points = [] }, width, height) {
  context.globalCompositeOperation =
    tool === "erase" ? "destination-out" : tool === "invert" ? "source-out" : "source-over";
  if (tool === "invert") {
    context.fillRect(0, 0, width, height);
  } else if (tool === "box") {
    const box = boxOf(points);
    context.fillRect(box.left, box.top, box.width, box.height);
  } else if (tool !== "clear") {
    context.lineWidth = size;
    context.beginPath();
    context.moveTo(points[0], points[1]);
    // A line of one point has no length, and would not be drawn.
    if (points.length === 2) context.lineTo(points[0] + 0.01, points[1]);
    for (let i = 2; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
    context.stroke();
  }
}

/**
 * How much of a canvas is painted, from 0 to 1.
 *
 * @param {Uint8ClampedArray} pixels red, green, blue and alpha by turns
 * @returns {number}
 */
export function painted(pixels) {
  let marked = 0;
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] > 127) marked += 1;
  return pixels.length ? marked / (pixels.length / 4) : 0;
}

/**
 * @template {string} N
 * @typedef {N extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[N] : HTMLElement} ElementOf
 */

/**
 * An element with properties and children; texts are texts.
 *
 * @template {string} T
 * @param {T} tag with classes behind dots, without their prefix: "div.row"
 * @param {Record<string, unknown> | Node | string} [properties] may be left out before children
 * @param {(Node | string)[]} children
 * @returns {T extends `${infer N}.${string}` ? ElementOf<N> : ElementOf<T>}
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  /** @type {any} */
  const made = document.createElement(name);
  made.className = classes.map((one) => `c-${one}`).join(" ");
  if (typeof properties === "string" || properties instanceof Node) children.unshift(properties);
  else Object.assign(made, properties);
  made.append(...children);
  return made;
}

/**
 * A button that does something when it is pressed.
 *
 * @param {string} text
 * @param {() => void} act
 * @param {Record<string, unknown>} [properties]
 * @param {string} [classes] ".icon"
 */
export function button(text, act, properties = {}, classes = "") {
  const made = h(`button${classes}`, { type: "button", textContent: text, onclick: act, ...properties });
  return /** @type {HTMLButtonElement} */ (made);
}

/** Give an element the shape of a picture. @param {HTMLElement} el @param {number} ratio width over height */
export const shape = (el, ratio) => el.style.setProperty("--ratio", String(ratio));

/**
 * A picture to paint a mask on, with its tools. Everything can be done by pointer or by keys.
 *
 * @param {object} options
 * @param {string} options.image address of the picture
 * @param {number} options.width of the picture at full size, pixels
 * @param {number} options.height
 * @param {Stroke[]} [options.strokes] those to begin with
 * @param {AbortSignal} options.signal ends it
 * @returns {{ el: HTMLElement, strokes: () => Stroke[], focus: () => void }}
 */
export function maskBrush({ image, width, height, strokes = [], signal }) {
  let acts = [...strokes];
  /** @type {"brush" | "erase" | "box"} */
  let tool = "brush";
  /** @type {Stroke | null} */
  let open = null; // the stroke that is being drawn
  let [x, y] = [width / 2, height / 2];

  const scale = Math.min(1, PREVIEW_EDGE / Math.max(width, height));
  const canvas = h("canvas.brush-canvas.over", {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
    tabIndex: 0,
    role: "application",
    ariaLabel: "Mask",
    ariaDescription: "Arrow keys move the brush; Space begins and ends a stroke; [ and ] change the size.",
  });
  const context = /** @type {CanvasRenderingContext2D} */ (
    canvas.getContext("2d", { willReadFrequently: true })
  );
  const cursor = h("div.brush-cursor", { ariaHidden: "true" });
  const frame = h("div.brush-frame", { hidden: true, ariaHidden: "true" });
  const picture = h("img.over", { src: image, alt: "", draggable: false });
  const stage = h("div.brush-stage", picture, canvas, cursor, frame);
  const size = h("input", { type: "range", min: "1", max: "100", value: "30", ariaLabel: "Brush size" });
  const said = h("span.brush-said", { role: "status" });
  /** In thousandths of the picture's longest edge, so that it looks alike on every picture. */
  const diameter = () => Math.max(1, Math.round((Number(size.value) / 250) * Math.max(width, height)));

  const tools = /** @type {const} */ (["brush", "erase", "box"]).map((name) => {
    const made = button(name[0].toUpperCase() + name.slice(1), () => choose(name));
    return { name, made };
  });
  /** @param {"brush" | "erase" | "box"} name */
  const choose = (name) => {
    tool = name;
    for (const each of tools) each.made.ariaPressed = String(each.name === name);
    point();
  };

  /** Show where the brush is, and the box that is being drawn. */
  const point = () => {
    const across = tool === "box" ? 0 : diameter();
    place(cursor, { left: x - across / 2, top: y - across / 2, width: across, height: across });
    frame.hidden = open?.tool !== "box";
    if (open?.tool === "box") place(frame, boxOf([...(open.points ?? []).slice(0, 2), x, y]));
  };
  /** @param {HTMLElement} what @param {Frame} where */
  const place = (what, where) => {
    for (const [name, pixels] of Object.entries(where)) {
      const most = name === "left" || name === "width" ? width : height;
      what.style.setProperty(name, `${(100 * pixels) / most}%`);
    }
  };
  /** @param {Stroke[]} list */
  const paint = (list) => {
    Object.assign(context, { lineCap: "round", lineJoin: "round" });
    Object.assign(context, { fillStyle: MASK_COLOUR, strokeStyle: MASK_COLOUR });
    context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    for (const each of list) paintStroke(context, each, width, height);
  };
  const repaint = () => {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    paint(effective(acts));
    settle();
  };
  const settle = () => {
    const marked = painted(context.getImageData(0, 0, canvas.width, canvas.height).data);
    const percent = marked > 0 ? Math.max(1, Math.round(100 * marked)) : 0;
    said.textContent = percent ? `${percent} % of the picture is marked` : "Nothing is marked yet";
    undo.disabled = acts.length === 0;
  };
  /** @param {Stroke} stroke */
  const add = (stroke) => {
    acts.push(stroke);
    repaint();
  };

  const begin = () => {
    if (coordinates(effective(acts)) >= MOST_NUMBERS) {
      said.textContent = "The mask has too many strokes; undo some, or clear it.";
      return;
    }
    open = tool === "box" ? { tool, points: [x, y] } : { tool, size: diameter(), points: [x, y] };
    if (tool !== "box") paint([open]);
    point();
  };
  const extend = () => {
    const points = open?.points;
    const room = points && coordinates(effective(acts)) + points.length < MOST_NUMBERS;
    if (open && points && room && open.tool !== "box" && addPoint(points, x, y, open.size ?? 1)) {
      paint([{ ...open, points: points.slice(-4) }]);
    }
    point();
  };
  const end = () => {
    if (!open) return;
    const stroke = open.tool === "box" ? { ...open, points: [...(open.points ?? []), x, y] } : open;
    open = null;
    const box = boxOf(stroke.points ?? []);
    if (stroke.tool !== "box" || (box.width >= 1 && box.height >= 1)) acts.push(stroke);
    repaint();
    point();
  };
  const cancel = () => {
    open = null;
    repaint();
    point();
  };
  const back = () => {
    acts = acts.slice(0, -1);
    repaint();
  };

  /** @param {PointerEvent} event */
  const move = (event) => {
    const shown = canvas.getBoundingClientRect();
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event]) {
      [x, y] = toPicture(shown, width, height, each.clientX, each.clientY);
      extend();
    }
  };
  canvas.onpointerdown = (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    open = null;
    move(event);
    begin();
  };
  canvas.onpointermove = (event) => {
    if (event.isPrimary) move(event);
  };
  canvas.onpointerup = (event) => {
    if (event.isPrimary) end();
  };
  canvas.onpointercancel = cancel;

  /** @type {Record<string, [number, number]>} */
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  /** @param {KeyboardEvent} event @returns {boolean} whether the key was one of ours */
  const press = (event) => {
    const step = (event.shiftKey ? 0.1 : 0.02) * Math.max(width, height);
    const by = arrows[event.key];
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") back();
    else if (isCombined(event)) return false;
    else if (by) {
      const place = { left: 0, top: 0, width, height };
      [x, y] = toPicture(place, width, height, x + by[0] * step, y + by[1] * step);
      extend();
    } else if (event.key === " ") {
      if (open) end();
      else begin();
    } else if (event.key === "[" || event.key === "]") {
      size.value = String(Number(size.value) + (event.key === "[" ? -5 : 5));
      point();
    } else if (event.key === "Escape" && open) cancel();
    else return false;
    return true;
  };
  canvas.onkeydown = (event) => {
    if (press(event)) event.preventDefault();
  };
  size.oninput = point;

  const undo = button("Undo", back);
  const bar = h(
    "div.brush-tools",
    { role: "group", ariaLabel: "Mask tools" },
    ...tools.map((each) => each.made),
    h("label.check", "Size ", size),
    undo,
    button("Invert", () => add({ tool: "invert" })),
    button("Clear", () => add({ tool: "clear" })),
    said,
  );
  const el = h("div.brush", bar, stage);
  shape(el, width / height);
  signal.addEventListener("abort", () => el.remove());
  choose("brush");
  repaint();
  return { el, strokes: () => effective(acts), focus: () => canvas.focus() };
}

/**
 * Two pictures of the same shape, one over the other, with a slider between them.
 *
 * @param {object} options
 * @param {string} options.before address of the picture on the left
 * @param {string} options.after address of the picture on the right
 * @param {number} options.width of the pictures, for their shape
 * @param {number} options.height
 * @returns {HTMLElement}
 */
export function compareSlider({ before, after, width, height }) {
  const range = h("input", { type: "range", value: "50", ariaLabel: "Before and after" });
  /** @param {string} alt @param {string} src */
  const layer = (alt, src) =>
    h(`div.over.${alt.toLowerCase()}`, h("img.over", { src, alt, draggable: false }), h("span.chip", alt));
  const over = layer("After", after);
  const line = h("div.compare-line", { ariaHidden: "true" });
  const stage = h("div.compare-stage", layer("Before", before), over, line);
  const show = () => {
    over.style.clipPath = `inset(0 0 0 ${range.value}%)`;
    line.style.left = `${range.value}%`;
    range.ariaValueText = `${range.value} % before, ${100 - Number(range.value)} % after`;
  };
  /** @param {PointerEvent} event */
  const drag = (event) => {
    if (!stage.hasPointerCapture(event.pointerId)) return;
    range.value = String(toPicture(stage.getBoundingClientRect(), 100, 100, event.clientX, event.clientY)[0]);
    show();
  };
  stage.onpointerdown = (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    drag(event);
  };
  stage.onpointermove = drag;
  range.oninput = show;
  show();
  const el = h("figure.compare", stage, range);
  shape(el, width / height);
  return el;
}
