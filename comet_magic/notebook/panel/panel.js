/**
 * The panel in the browser: looks, keys, drag and drop, drawing. State and work are Python's.
 *
 * This file, host.js and brush.js are ES modules of their own for the linter, the type checker and node's tests.
 * Python joins them into the one module that anywidget loads: host.js, brush.js, panel.js, without the lines that
 * begin with `import`. So a name at the top level is used once in all three, and none is called `render`.
 *
 * The one trait is `state`, which only Python writes. Pictures never travel in a trait.
 *
 * state = {
 *   v: 1, rev,                      a smaller rev than the last one is ignored; another v: "Run the cell again"
 *   phase: "idle"|"running"|"stopping",
 *   head: {account, address, key, money: "play"|"real"|"none", notice},
 *   price: {text, detail},          of the next request: "$0.010", "2 pictures · 1 request"; "" if it cannot be sent
 *   form: {rev, by, values: {name: text}, models: [[id, label]], problems: {name: sentence}, note, takes, masks,
 *          fields: [{name, label, kind: "choice"|"size"|"number"|"switch"|"text"|"long", options: [[value, label]],
 *                    min, max, hint, more: bool, about: the tooltip, several: bool}]}     several: may be values with commas
 *   inputs: [{id, name, width, height, mask: bool, recipe: bool}],
 *   queue: [{id, prompt, model, size, phase: "running"|"stopping", line, previews, started, usual,
 *            parts: [{words, preview, final, place?}]}],      started: s of the kernel's clock; usual: s or null
 *   ask: null | {id, text},         the question before money is spent
 *   error: null | {id, title, lines, name},
 *   said,                           the last thing that happened, one sentence
 *   items: [{id, run, prompt, facts, width, height, starred?, notice?, options?, edited?, place?, group?, price?}],
 *                                   newest request first; of a grid: place: row, column and block, group, price: texts
 *   more_items, archive: n          n changes when the archive may have changed
 * }
 *
 * Browser to Python: {kind, id, t, client, ...}; id is new for each command, t is ms of the kernel's clock (`now` of an
 * ack tells it), client names the page. A command that spends is refused when it is older than 5 s, and done once.
 *   hello                           answered by ack and the previews of what runs
 *   form {values}                   what was typed, by field; answered by a new state
 *   generate {values, price, seen}  price: the text that was shown; seen: the values that it was for
 *   confirm {ask} · cancel · stop {run} · dismiss
 *   thumbs {items} · full {item} · before {item} · grid {item} · download {item | items} · save {item, path} · hide {item} · reuse {item}
 *   star {item, on} · more {item}
 *   attach {name} + [bytes] · use {item, edit} · detach {input} · input {input} · recipe {input}
 *   mask {input, strokes}           strokes as brush.js makes them; [] takes the mask away
 *   find {words, model, starred, day, offset} · prompts · code
 *
 * Python to browser: {kind, ...}, with binary buffers where there is a picture
 *   here {}                         of every command, from where it was read; says nothing
 *   ack {id, ok, error, now}        of every command, also of one that was refused; error: one sentence
 *   thumb {item} + [jpeg]           at most 30 KB; empty if the picture cannot be read
 *   preview {run, part, number, final} + [jpeg]
 *   and before the ack of the same id: full {item, mime, rows} + [bytes] · before + [jpeg] · grid {name, mime} + [jpeg] · download {name, mime} + [bytes]
 *   input {input, width, height, strokes} + [jpeg] · found {items, more, offset, next} · prompts {prompts}
 *   code {cell, python, request}
 *
 * Accessible names (tests find everything by these):
 *   region "Image panel" · group "Account" · textbox "Prompt" · combobox "Model", "Size", "Quality" and the other
 *   parameters by their label · textbox "Custom size" after Size "Custom…" · spinbutton "Pictures" · group "More options"
 *   button "Compare values" (pressed: some fields are groups of checkboxes, named by label) ·
 *   button "Generate" (off: disabled) · button "Set key" · status "Progress" · status "Kernel"
 *   group "Confirm" with button "Send" and button "Do not send" · alert with button "Dismiss"
 *   list "Requests" with a listitem each, and in it button "Stop", then "Cancel"
 *   list "Pictures in" with button "Remove NAME", "Draw mask", "Use its settings"; button "Add pictures"
 *   listbox "Gallery" with an option each, named by its prompt · tab "This session", tab "Archive"
 *   searchbox "Search" · combobox "Filter by model" · checkbox "Starred only" · textbox "From day" · button "Show more"
 *   dialog "Picture": button "Close", "Previous picture", "Next picture", "Zoom", "Download", "Save", "Star",
 *   "Reuse settings", "Edit this", "Use as source", "More like this", "Compare", "Hide"; textbox "Save as"
 *   button "View grid", "Download all"; button "Select" (pressed: options are chosen), button "Download N"; dialog "Grid": button "Download"; dialog "Compare": slider "Before and after"; dialog "Draw mask": what brush.js has, button "Use mask", "Cancel"
 *   invalid field: aria-invalid="true", aria-describedby its sentence
 */

import { button, compareSlider, h, isCombined, maskBrush, shape } from "./brush.js";
import { keepKeys, post, watchKernel } from "./host.js";

/** @typedef {import("@anywidget/types").AnyModel<any>} Model */
/** @typedef {Record<string, any>} Facts */
/** @typedef {{ ok: boolean, error: string, reply: Facts, buffers: DataView[] }} Answer */
/** @typedef {{ text: string, known: boolean }} Typed */
/** @typedef {{ kind: string, typed: Typed[], sent: number, done: (answer: Answer) => void, reply: Facts, buffers: DataView[] }} Command */

const VERSION = 1;
const SLOW = 2000; // ms without an answer, after which the kernel is told to be busy
const DOUBLE_CLICK = 600; // ms in which a second click sends nothing
const TYPED = 120; // ms after a key before the form is sent
const MOST_CHOSEN = 60; // pictures in one file; Python takes no more

/** Seconds in words: "8 s", "2 min 5 s". @param {number} seconds */
export function inWords(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** The items, those of one request together, in their order. @param {Facts[]} items @returns {Facts[][]} */
export function inRuns(items) {
  /** @type {Facts[][]} */
  const runs = [];
  for (const item of items) {
    if (runs.at(-1)?.[0].run === item.run) runs.at(-1)?.push(item);
    else runs.push([item]);
  }
  return runs;
}

/** Width over height of a size like "1024x768"; 1 for a word. @param {string} size */
export function ratioOf(size) {
  const found = /^(\d+)x(\d+)$/.exec(size);
  return found ? Number(found[1]) / Number(found[2]) : 1;
}

/**
 * The pictures of a grid in the order of its table, between its heads; "" for a place without a picture.
 *
 * @template T
 * @param {{ key: string, place: string[], facts: T }[]} cells
 * @returns {[string, { head?: string, facts?: T }][]}
 */
export function inTable(cells) {
  /** @param {number} at @param {typeof cells} among */
  const distinct = (at, among) => [...new Set(among.map(({ place }) => place[at]))];
  const columns = distinct(1, cells);
  /** @type {[string, { head?: string, facts?: T }][]} */
  const table = [];
  /** @param {string} head */
  const addHead = (head) => table.push([`head ${table.length}`, { head }]);
  for (const block of distinct(2, cells)) {
    const inBlock = cells.filter(({ place }) => place[2] === block);
    [block, ...columns].forEach(addHead);
    for (const row of distinct(0, inBlock)) {
      const inRow = columns.map((column) =>
        inBlock.filter(({ place }) => place[0] === row && place[1] === column),
      );
      for (let line = 0; line < Math.max(...inRow.map((found) => found.length)); line++) {
        addHead(line ? "" : row);
        for (const { [line]: cell } of inRow) {
          if (cell) table.push([cell.key, { facts: cell.facts }]);
          else addHead("");
        }
      }
    }
  }
  return table;
}

/** Which option an arrow key leads to. @param {string} key @param {DOMRect[]} places @param {number} at */
export function nextOption(key, places, at) {
  if (key === "Home") return 0;
  if (key === "End") return places.length - 1;
  if (key === "ArrowLeft") return Math.max(0, at - 1);
  if (key === "ArrowRight") return Math.min(places.length - 1, at + 1);
  const here = places[at];
  const below = key === "ArrowDown";
  const other = places
    .map((place, index) => ({ index, up: place.top - here.top, side: Math.abs(place.left - here.left) }))
    .filter((one) => (below ? one.up > 4 : one.up < -4))
    .sort((one, two) => Math.abs(one.up) - Math.abs(two.up) || one.side - two.side);
  return other.length ? other[0].index : at;
}

/** What all views of one panel in one page share. */
class Shared {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.client = Math.random().toString(36).slice(2);
    /** @type {Facts} */
    this.state = {};
    /** @type {Facts} */
    this.values = {};
    /** @type {Map<string, Typed>} */
    this.typed = new Map(); // texts that no state has shown yet; known: Python has read it
    /** @type {Map<string, string>} */
    this.pictures = new Map(); // addresses: thumbnails by item, previews by run and part
    /** @type {Map<string, number>} */
    this.numbers = new Map(); // which preview a part shows; -1 for the finished picture
    /** @type {Map<string, Command>} */
    this.open = new Map();
    /** @type {Set<() => void>} */
    this.views = new Set();
    /** @type {number | null} */
    this.ahead = null; // ms by which the kernel's clock is ahead; null until it has answered
    this.clicked = 0;
    this.count = 0;
    this.typing = 0;
    this.formRev = -1;
    this.comparing = false; // several values of a field
    this.accept();
    model.on("change:state", () => this.accept());
    model.on("msg:custom", (/** @type {Facts} */ message, /** @type {DataView[]} */ buffers) =>
      this.receive(message, buffers ?? []),
    );
    this.ask("hello");
  }

  /** Take a state, unless a newer one is here. */
  accept() {
    const state = this.model.get("state") ?? {};
    if ((state.rev ?? 0) < (this.state.rev ?? 0)) return;
    this.state = state;
    if (state.form && state.form.rev !== this.formRev) this.acceptForm(state.form);
    this.tell();
  }

  /**
   * Take the form of a state. What is typed here meanwhile stays until Python has read it: a command that has no
   * answer is not in the state yet, as one thread does the commands and sends the states.
   *
   * @param {Facts} form
   */
  acceptForm({ rev, by, values }) {
    this.formRev = rev;
    for (const [name, { text, known }] of this.typed)
      if (known && (by !== this.client || (values[name] ?? "") === text)) this.typed.delete(name);
    this.values = { ...values };
    for (const [name, { text }] of this.typed) this.values[name] = text;
    if (by !== this.client) this.comparing = this.severalNames().length > 0;
  }

  /** Fields with more than one value. @returns {string[]} */
  severalNames() {
    const fields = [{ name: "model", several: true }, ...this.state.form.fields];
    return fields
      .filter(({ name, several }) => several && this.values[name]?.includes(","))
      .map(({ name }) => name);
  }

  /** Offer several values of a field, or only one, of each the first. */
  compareValues() {
    this.comparing = !this.comparing;
    const names = this.comparing ? [] : this.severalNames();
    for (const name of names) this.type(name, this.values[name].split(",")[0]);
    this.tell();
  }

  tell() {
    for (const view of this.views) view();
  }

  /** Time of the kernel's clock, ms. */
  now() {
    return Date.now() + (this.ahead ?? 0);
  }

  /**
   * Send a command.
   *
   * @param {string} kind
   * @param {Facts} [fields]
   * @param {ArrayBuffer[]} [buffers]
   * @returns {Promise<Answer>} when Python has done it, or refused it
   */
  ask(kind, fields = {}, buffers) {
    this.count += 1;
    const id = `${this.client}-${this.count}`;
    return new Promise((done) => {
      const typed = fields.values ? [...this.typed.values()] : [];
      this.open.set(id, { kind, typed, sent: Date.now(), done, reply: {}, buffers: [] });
      setTimeout(() => this.tell(), SLOW + 50);
      const message = { ...fields, kind, id, t: this.now(), client: this.client };
      if (!post(this.model, message, buffers)) {
        this.open.delete(id);
        this.tell();
      }
    });
  }

  /** @param {Facts} message @param {DataView[]} buffers */
  receive(message, buffers) {
    if (message.kind === "ack") {
      const asked = this.open.get(message.id);
      if (!asked) return;
      this.open.delete(message.id);
      for (const one of asked.typed) one.known = true;
      const took = Date.now() - asked.sent;
      if (this.ahead === null || took < 1000) this.ahead = message.now - (Date.now() - took / 2);
      asked.done({ ok: message.ok, error: message.error, reply: asked.reply, buffers: asked.buffers });
      this.tell();
    } else if (message.kind === "thumb") {
      this.keep(message.item, buffers[0]);
    } else if (message.kind === "preview") {
      const key = `${message.run}/${message.part}`;
      this.numbers.set(key, message.final ? -1 : message.number);
      this.keep(key, buffers[0]);
    } else {
      const asked = this.open.get(message.id);
      if (asked) Object.assign(asked, { reply: message, buffers });
    }
  }

  /** Keep a small picture under a name, and show it. @param {string} key @param {DataView | undefined} data */
  keep(key, data) {
    forget(this.pictures.get(key));
    this.pictures.set(key, data?.byteLength ? addressOf(data) : "");
    this.tell();
  }

  /** Ask for the small pictures that are not here. @param {Facts[]} items */
  want(items) {
    const missing = items.map((item) => item.id).filter((id) => !this.pictures.has(id));
    for (const id of missing) this.pictures.set(id, "");
    for (let at = 0; at < missing.length; at += 20) this.ask("thumbs", { items: missing.slice(at, at + 20) });
  }

  /** @param {string} name @param {string} text */
  type(name, text) {
    this.values[name] = text;
    this.typed.set(name, { text, known: false });
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.sendForm(), TYPED);
    this.tell();
  }

  sendForm() {
    const values = Object.fromEntries([...this.typed].map(([name, { text }]) => [name, text]));
    this.ask("form", { values });
  }

  /** Whether a command of a kind has no answer yet. @param {string[]} kinds */
  awaits(...kinds) {
    return [...this.open.values()].some((one) => kinds.includes(one.kind));
  }

  /** Whether the kernel takes long to answer. */
  slow() {
    return [...this.open.values()].some((one) => one.kind !== "thumbs" && Date.now() - one.sent > SLOW);
  }

  close() {
    for (const address of this.pictures.values()) forget(address);
    clearTimeout(this.typing);
  }
}

/** @type {WeakMap<object, Shared>} */
const known = new WeakMap();

/** A picture's address for this page. @param {DataView} data @param {string} [type] */
function addressOf(data, type = "") {
  return URL.createObjectURL(new Blob([/** @type {DataView<ArrayBuffer>} */ (data)], { type }));
}

/** Give an address back; "" is none. @param {string | undefined} address */
const forget = (address) => URL.revokeObjectURL(address ?? "");

/** Set a property only where it changes, so that nothing is read aloud twice. @param {any} what @param {Facts} facts */
function set(what, facts) {
  for (const [name, value] of Object.entries(facts)) {
    if (String(what[name]) !== String(value)) what[name] = value;
  }
}

/** Show a text. @param {Element} where @param {string} text */
const put = (where, text) => set(where, { textContent: text });

/** Show a text, and nothing where there is none. @param {Element} where @param {string} text */
const tell = (where, text) => set(where, { textContent: text, hidden: !text });

/** Offer these to be chosen. @param {HTMLSelectElement} list @param {string[][]} options value and label of each */
const offer = (list, options) =>
  list.replaceChildren(...options.map(([value, textContent]) => h("option", { value, textContent })));

/** Facts by their id, as `patch` takes them. @param {Facts[]} list @returns {[string, Facts][]} */
const byId = (list) => list.map((one) => [one.id, one]);

/** @param {Element} what @param {boolean} hidden */
const hide = (what, hidden) => set(what, { hidden });

/** What is known of several texts, with dots between. @param {unknown[]} texts */
const dots = (...texts) => texts.filter(Boolean).join(" · ");

/**
 * Show a list with one element for each fact, made once and kept by its key.
 *
 * @template {Element} T
 * @param {Element} parent
 * @param {Map<string, { el: T, update: (facts: any) => void }>} kept
 * @param {[string, any][]} wanted
 * @param {(facts: any) => { el: T, update: (facts: any) => void }} make
 */
function patch(parent, kept, wanted, make) {
  const keys = new Set(wanted.map(([key]) => key));
  for (const [key, one] of kept) {
    if (!keys.has(key)) {
      one.el.remove();
      kept.delete(key);
    }
  }
  wanted.forEach(([key, facts], place) => {
    const one = kept.get(key) ?? make(facts);
    kept.set(key, one);
    one.update(facts);
    if (parent.children[place] !== one.el) parent.insertBefore(one.el, parent.children[place] ?? null);
  });
}

/** @param {Element} where @param {boolean} on */
const showStar = (where, on) => set(where, { ariaPressed: on, textContent: on ? "★ Starred" : "☆ Star" });

/** What tells a picture from the others of its grid. @param {Facts} item */
function labelOf(item) {
  return (item.place ?? []).filter(Boolean).join(", ");
}

/** A head of a table of pictures. */
function headCell() {
  const el = h("div.tablehead", { ariaHidden: "true" });
  return { el, update: (/** @type {Facts} */ { head }) => set(el, { textContent: head, title: head }) };
}

let controls = 0; // for names that labels need

/** One control of the form with its label and its sentence. */
class Field {
  /** @type {number | undefined} */ least;
  /** @type {number | undefined} */ most;
  /** @type {HTMLInputElement[]} */ boxes = [];
  choicesOffered = "";
  /** @param {Facts} field @param {(text: string) => void} typed */
  constructor(field, typed) {
    const { kind, label, name, about } = field;
    this.kind = kind;
    this.typed = typed;
    this.offered = "";
    controls += 1;
    const names = { id: `comet-field-${controls}`, said: `comet-said-${controls}` };
    this.control = this.make(field);
    this.control.id = names.id;
    this.custom = h("input", { type: "text", hidden: true, placeholder: "1536x1024", spellcheck: false });
    this.custom.ariaLabel = `Custom ${label.toLowerCase()}`;
    this.custom.oninput = () => typed(this.custom.value);
    this.choices = h("div.choices", { role: "group", ariaLabel: label, hidden: true });
    this.said = h("p.problem", { id: names.said, hidden: true });
    for (const one of [this.control, this.custom]) one.setAttribute("aria-describedby", names.said);
    const title = h("label", { htmlFor: names.id, textContent: label, title: about ?? "" });
    const parts =
      kind === "switch" ? [this.control, title] : [title, this.control, this.custom, this.choices];
    this.el = h(`div.field.${kind}.${name}`, ...parts, this.said);
  }

  /** @param {Facts} field */
  make({ kind, hint = "", name }) {
    if (kind === "choice" || kind === "size" || kind === "model") {
      return h("select", { onchange: (/** @type {any} */ event) => this.choose(event.target.value) });
    }
    if (kind === "switch") {
      const change = (/** @type {any} */ event) => this.typed(event.target.checked ? "true" : "");
      return h("input", { type: "checkbox", onchange: change });
    }
    const input = (/** @type {any} */ event) => this.typed(event.target.value);
    if (kind === "long")
      return h("textarea", { rows: 2, placeholder: hint, oninput: input, spellcheck: false });
    const made = h("input", { type: "text", placeholder: hint, oninput: input, spellcheck: false });
    if (kind !== "number") return made;
    set(made, { inputMode: "numeric", role: "spinbutton", placeholder: hint || (name === "n" ? "1" : "") });
    made.onkeydown = (event) => {
      const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = (Number.parseInt(made.value || made.placeholder, 10) || 0) + step;
      this.typed(String(Math.min(this.most ?? next, Math.max(this.least ?? next, next))));
    };
    return made;
  }

  /** @param {string} value */
  choose(value) {
    this.asks = value === "\u0000";
    this.typed(this.asks ? this.custom.value : value);
    if (this.asks) this.custom.focus();
  }

  /** Offer every value to be chosen beside others. @param {string[][]} options @param {string} text */
  offer(options, text) {
    const chosen = text.split(",").filter(Boolean);
    const other = chosen.filter((value) => !options.some(([one]) => one === value));
    const all = [...options, ...other.map((value) => [value, value])];
    if (JSON.stringify(all) !== this.choicesOffered) {
      this.choicesOffered = JSON.stringify(all);
      this.boxes = all.map(([value]) => h("input", { type: "checkbox", value }));
      const change = () =>
        this.typed(
          this.boxes
            .filter((box) => box.checked)
            .map((box) => box.value)
            .join(","),
        );
      for (const box of this.boxes) box.onchange = change;
      const labelled = all.map(([value, title], at) => h("label", { title }, this.boxes[at], value));
      this.choices.replaceChildren(...labelled);
    }
    for (const box of this.boxes) set(box, { checked: chosen.includes(box.value) });
  }

  /** @param {Facts} field @param {string} text @param {string} [problem] @param {boolean} [several] */
  update({ options = [], min, max, kind, hint }, text = "", problem = "", several = false) {
    const control = /** @type {any} */ (this.control);
    [this.least, this.most] = [min, max];
    hide(this.choices, !several);
    hide(control, several);
    if (several) this.offer(options, text);
    if (control.tagName === "SELECT") {
      const listed = options.some((/** @type {string[]} */ [value]) => value === text);
      const open = kind !== "choice";
      const other = !listed && text && !open ? [[text, `${text} · not available`]] : [];
      const custom = open ? [["\u0000", "Custom…"]] : [];
      const unset = kind === "model" ? [] : [["", hint ?? "Model’s default"]];
      const all = [...unset, ...other, ...options, ...custom];
      if (JSON.stringify(all) !== this.offered) {
        this.offered = JSON.stringify(all);
        offer(control, all);
      }
      const asks = open && !several && (this.asks || (Boolean(text) && !listed));
      if (listed) this.asks = false;
      set(control, { value: asks ? "\u0000" : text });
      hide(this.custom, !asks);
      if (asks) set(this.custom, { value: text });
    } else if (kind === "switch") {
      set(control, { checked: text === "true" });
    } else {
      set(control, { value: text });
      if (kind === "number") set(control, { ariaValueNow: Number.parseInt(text, 10) || min || 0 });
    }
    tell(this.said, problem);
    for (const one of [control, this.custom]) set(one, { ariaInvalid: Boolean(problem) });
  }
}

/** One panel on the page. */
class View {
  /** @type {any} */ account;
  /** @type {any} */ setKey;
  /** @type {any} */ headPrice;
  /** @type {any} */ band;
  /** @type {any} */ key;
  /** @type {any} */ form;
  /** @type {any} */ prompt;
  /** @type {any} */ inputs;
  /** @type {any} */ file;
  /** @type {any} */ add;
  /** @type {any} */ compareSwitch;
  /** @type {any} */ compareHint;
  /** @type {any} */ inputsSaid;
  /** @type {any} */ model;
  /** @type {any} */ grid;
  /** @type {any} */ moreGrid;
  /** @type {any} */ moreBox;
  /** @type {any} */ note;
  /** @type {any} */ code;
  /** @type {any} */ codes;
  /** @type {any} */ price;
  /** @type {any} */ detail;
  /** @type {any} */ go;
  /** @type {any} */ ask;
  /** @type {any} */ asked;
  /** @type {any} */ yes;
  /** @type {any} */ no;
  /** @type {any} */ error;
  /** @type {any} */ said;
  /** @type {any} */ queue;
  /** @type {any} */ tabs;
  /** @type {any} */ words;
  /** @type {any} */ byModel;
  /** @type {any} */ starred;
  /** @type {any} */ day;
  /** @type {any} */ filters;
  /** @type {any} */ choice;
  /** @type {any} */ fetchChosen;
  /** @type {any} */ gallery;
  /** @type {any} */ empty;
  /** @type {any} */ further;
  /** @param {Shared} shared @param {HTMLElement} el @param {AbortSignal} signal */
  constructor(shared, el, signal) {
    this.shared = shared;
    this.signal = signal;
    this.tab = "session";
    /** @type {Facts[]} */
    this.found = [];
    this.next = 0;
    this.more = false;
    this.seenArchive = -1;
    this.selected = "";
    this.rows = { fields: new Map(), more: new Map(), inputs: new Map(), queue: new Map(), runs: new Map() };
    /** @type {Facts[] | null} */
    this.comparing = null;
    /** @type {Set<string> | null} */
    this.chosen = null; // pictures for one file, while they are chosen
    /** @type {string[]} */
    this.prompts = [];
    this.promptAt = -1;
    this.root = h("div", { role: "region", ariaLabel: "Image panel", tabIndex: -1 });
    this.root.className = "comet-panel";
    this.build();
    el.append(this.root);
    keepKeys(this.root, signal);
    this.kernel = watchKernel(shared.model, el, { signal, changed: () => this.update() });
    this.listen();
    const update = () => this.update();
    shared.views.add(update);
    const clock = setInterval(() => this.tick(), 1000);
    signal.addEventListener("abort", () => {
      clearInterval(clock);
      shared.views.delete(update);
      this.root.remove();
    });
    this.update();
  }

  build() {
    this.account = h("div.account", { role: "group", ariaLabel: "Account" });
    this.setKey = button("Set key", () => this.showKey());
    this.headPrice = h("div.next");
    const name = h("span.name", "Comet Magic");
    const head = h("header.head", name, this.account, this.setKey, this.headPrice);
    this.band = h("div.band", { role: "status", ariaLabel: "Kernel", hidden: true });
    this.key = h("div.key", { hidden: true });
    this.form = h("fieldset.form");
    this.buildForm();
    const view = h("section.view", { ariaLabel: "Pictures" });
    this.buildView(view);
    const body = h("div.body", this.form, view);
    this.root.append(head, this.band, this.key, body);
  }

  buildForm() {
    this.prompt = this.field({ name: "prompt", label: "Prompt", kind: "long" });
    const example = "A paper boat on calm water at sunrise";
    set(this.prompt.control, { rows: 4, placeholder: example, spellcheck: true });
    this.inputs = h("ul.inputs", { ariaLabel: "Pictures in" });
    this.file = h("input", { type: "file", multiple: true, accept: "image/*", hidden: true, tabIndex: -1 });
    this.file.onchange = () => {
      this.attach([...(this.file.files ?? [])]);
      this.file.value = "";
    };
    const title = "Or drop or paste them";
    this.add = button("Add pictures", () => this.file.click(), { title }, ".add");
    this.compareSwitch = button("Compare values", () => this.shared.compareValues(), {}, ".add");
    this.compareHint = h("p.note", "Tick several values: every combination becomes a picture.");
    this.inputsSaid = h("p.problem", { hidden: true });
    const adding = h("div.row", this.add, this.compareSwitch);
    const sources = h("div.sources", this.inputs, adding, this.compareHint, this.file, this.inputsSaid);
    this.model = this.field({ name: "model", label: "Model", kind: "model" });
    this.grid = h("div.grid");
    this.moreGrid = h("div.grid", { role: "group", ariaLabel: "More options" });
    const summary = h("summary", "More options");
    this.moreBox = h("details.more", summary, this.moreGrid);
    this.note = h("p.note", { hidden: true });
    this.code = h("details.more.code", h("summary", "As code"));
    this.codes = ["Cell", "Python", "Request"].map((label) => this.codeBox(label));
    this.code.append(...this.codes.map((/** @type {Facts} */ one) => one.el));
    this.code.ontoggle = () => this.fetchCode();
    this.price = h("span.price");
    this.detail = h("span.detail");
    this.go = button("Generate", () => this.generate(), { title: "Ctrl+Enter" }, ".generate");
    this.ask = h("div.ask", { role: "group", ariaLabel: "Confirm", tabIndex: -1, hidden: true });
    this.asked = h("p");
    const confirm = () => this.spend("confirm", { ask: this.shared.state.ask?.id });
    this.yes = button("Send", confirm, {}, ".generate");
    this.no = button("Do not send", () => this.shared.ask("cancel"));
    this.ask.append(this.asked, h("div.row", this.yes, this.no));
    this.error = h("div.error", { role: "alert", hidden: true });
    this.said = h("p.said", { role: "status", ariaLabel: "Progress" });
    const buy = h("div.buy", this.go, h("div", this.price, this.detail));
    this.form.append(this.prompt.el, sources, this.model.el, this.grid, this.moreBox, this.code, this.note);
    this.form.append(buy, this.ask, this.error, this.said);
  }

  /** @param {string} label */
  codeBox(label) {
    const text = h("pre", { tabIndex: 0, ariaLabel: label });
    const copy = button("Copy", () => copyText(text.textContent ?? "", copy));
    copy.ariaLabel = `Copy ${label}`;
    const head = h("div.row", h("span", label), copy);
    return { el: h("div.snippet", head, text), text, name: label.toLowerCase() };
  }

  /** @param {HTMLElement} view */
  buildView(view) {
    this.queue = h("ul.queue", { ariaLabel: "Requests" });
    this.tabs = ["session", "archive"].map((name) => {
      const text = name === "session" ? "This session" : "Archive";
      return { name, el: button(text, () => this.show(name), { role: "tab" }) };
    });
    const tabs = h("div.tabs", { role: "tablist" }, ...this.tabs.map((/** @type {Facts} */ one) => one.el));
    const find = () => this.find();
    let timer = 0;
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(find, 250);
    };
    this.words = h("input", { type: "search", placeholder: "Search", ariaLabel: "Search", oninput: soon });
    this.byModel = h("select", { ariaLabel: "Filter by model", onchange: find });
    this.starred = h("input", { type: "checkbox", onchange: find });
    this.day = h("input", { type: "text", placeholder: "From day", ariaLabel: "From day", oninput: soon });
    this.day.title = "Such as 2026-11-22";
    const stars = h("label.check", this.starred, "Starred only");
    const filters = [this.words, this.byModel, this.day, stars];
    this.filters = h("div.filters", { hidden: true }, ...filters);
    this.gallery = h("div.gallery", { role: "listbox", ariaLabel: "Gallery", tabIndex: -1 });
    this.empty = h("div.empty");
    this.further = button("Show more", () => this.find(this.next), { hidden: true }, ".further");
    this.choice = button("Select", () => this.choose());
    this.fetchChosen = button("", () => this.download({ items: [...(this.chosen ?? [])] }));
    const bar = h("div.bar", tabs, this.filters, h("div.row", this.fetchChosen, this.choice));
    view.append(bar, this.queue, this.gallery, this.empty, this.further);
  }

  listen() {
    const { root } = this;
    root.onkeydown = (event) => this.press(event);
    this.gallery.onkeydown = (/** @type {KeyboardEvent} */ event) => this.move(event);
    const files = (/** @type {DataTransfer | null} */ data) => [...(data?.files ?? [])];
    root.onpaste = (event) => {
      if (!files(event.clipboardData).length) return;
      event.preventDefault();
      this.attach(files(event.clipboardData));
    };
    root.ondragover =
      root.ondragleave =
      root.ondrop =
        (event) => {
          event.preventDefault();
          event.stopPropagation();
          root.classList.toggle("c-dropping", event.type === "dragover");
          if (event.type !== "drop") return;
          const item = event.dataTransfer?.getData("text/x-comet-item");
          if (item) this.shared.ask("use", { item });
          else this.attach(files(event.dataTransfer));
        };
  }

  /** A field of the form. @param {Facts} facts */
  field(facts) {
    return new Field(facts, (text) => {
      if (facts.name === "prompt") this.promptAt = -1;
      this.shared.type(facts.name, text);
    });
  }

  // --- what a person does

  /** @param {KeyboardEvent} event */
  press(event) {
    const target = /** @type {HTMLTextAreaElement} */ (event.composedPath()[0]);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!event.repeat && !target.closest?.("dialog")) this.generate();
    } else if (target === this.prompt.control && !event.shiftKey && !event.altKey) {
      const { selectionStart: at, value } = target;
      if (event.key === "ArrowUp" && at === 0) this.recall(1, event);
      if (event.key === "ArrowDown" && at === value.length && this.promptAt >= 0) this.recall(-1, event);
    }
  }

  /** Put an earlier or later prompt into the form. @param {number} by @param {KeyboardEvent} event */
  async recall(by, event) {
    event.preventDefault();
    if (this.promptAt < 0) {
      const { reply } = await this.shared.ask("prompts");
      this.prompts = [this.shared.values.prompt ?? "", ...(reply.prompts ?? [])];
      this.promptAt = 0;
    }
    const next = Math.min(Math.max(this.promptAt + by, 0), this.prompts.length - 1);
    this.shared.type("prompt", this.prompts[next]);
    this.promptAt = next;
    const area = /** @type {HTMLTextAreaElement} */ (this.prompt.control);
    const end = by > 0 ? 0 : area.value.length;
    area.setSelectionRange(end, end);
  }

  generate() {
    const { values, state, typing } = this.shared;
    if (this.go.disabled) return;
    clearTimeout(typing);
    this.spend("generate", { values, price: state.price.text, seen: state.form.values });
  }

  /** @param {string} kind @param {Facts} fields */
  spend(kind, fields) {
    const { shared } = this;
    shared.clicked = Date.now();
    setTimeout(() => shared.tell(), DOUBLE_CLICK + 20);
    shared.ask(kind, fields);
    shared.tell();
  }

  /** @param {File[]} files */
  async attach(files) {
    for (const file of files) {
      const bytes = await file.arrayBuffer();
      await this.shared.ask("attach", { name: file.name || "pasted picture" }, [bytes]);
    }
  }

  showKey() {
    const line = "%cometimg_login";
    const copy = button("Copy", () => copyText(line, copy));
    const code = h("code", line);
    const text =
      "Run this line in a cell. It prompts for the key without showing it; the header follows by itself.";
    this.key.replaceChildren(h("p", text), h("div.row", code, copy));
    this.key.hidden = !this.key.hidden;
    copy.focus();
  }

  async fetchCode() {
    if (!this.code.open) return;
    const { reply } = await this.shared.ask("code");
    for (const one of this.codes) put(one.text, reply[one.name] ?? "");
  }

  /** @param {string} tab */
  show(tab) {
    this.tab = tab;
    if (tab === "archive") this.find();
    this.update();
  }

  /** @param {number} [offset] */
  async find(offset = 0) {
    const { words, byModel, starred, day } = this;
    const from = { words: words.value, model: byModel.value, day: day.value };
    this.seenArchive = this.shared.state.archive;
    const { ok, reply } = await this.shared.ask("find", { ...from, starred: starred.checked, offset });
    if (!ok || this.signal.aborted) return;
    this.found = offset ? [...this.found, ...reply.items] : reply.items;
    [this.more, this.next] = [reply.more, reply.next];
    this.update();
  }

  // --- what is shown

  /** @returns {Facts[]} */
  items() {
    return this.tab === "archive" ? this.found : (this.shared.state.items ?? []);
  }

  /** @param {string} id */
  item(id) {
    return this.items().find((one) => one.id === id) ?? {};
  }

  update() {
    const { shared } = this;
    const { state } = shared;
    if (state.v !== VERSION) {
      tell(this.band, "Run this cell again: the panel was made by another version.");
      this.form.disabled = true;
      return;
    }
    const lost = this.kernel?.reason() ?? "";
    const busy = !lost && shared.slow();
    const waiting = shared.awaits("generate", "confirm")
      ? " A click that waits longer than 5 s sends nothing."
      : "";
    tell(this.band, lost || (busy ? `Waiting for the running cell.${waiting}` : ""));
    set(this.band, { className: lost ? "c-band c-lost" : "c-band" });
    set(this.form, { disabled: Boolean(lost) });
    this.root.classList.toggle("c-gone", Boolean(lost));
    this.updateHead(state);
    this.updateForm(state);
    this.updateBuy(state, Boolean(lost));
    patch(this.queue, this.rows.queue, byId(state.queue), (run) => this.queueRow(run));
    this.updateGallery();
    this.tick();
    if (this.tab === "archive" && this.seenArchive !== state.archive) this.find();
  }

  /** @param {Facts} state */
  updateHead({ head, price }) {
    const money = { play: "play money", real: "", none: "no key" }[/** @type {string} */ (head.money)];
    const text = dots(head.account, head.address, head.key && `key from ${head.key}`);
    set(this.account, { textContent: text, title: head.notice });
    this.account.dataset.money = head.money;
    hide(this.setKey, head.money === "real");
    if (head.money === "real") hide(this.key, true);
    const next = price.text ? `Next request ${price.text}` : "Next request cannot be sent";
    put(this.headPrice, dots(next, price.text && money));
  }

  /** @param {Facts} state */
  updateForm({ form, inputs }) {
    const { values, comparing } = this.shared;
    const { problems, models } = form;
    this.prompt.update({ kind: "long" }, values.prompt, problems.prompt);
    set(this.compareSwitch, { ariaPressed: comparing });
    hide(this.compareHint, !comparing);
    this.root.classList.toggle("c-comparing", comparing);
    this.model.update({ kind: "model", options: models }, values.model, problems.model, comparing);
    for (const more of [false, true]) {
      const fields = form.fields.filter((/** @type {Facts} */ one) => Boolean(one.more) === more);
      const [grid, rows] = more ? [this.moreGrid, this.rows.more] : [this.grid, this.rows.fields];
      patch(
        grid,
        rows,
        fields.map((/** @type {Facts} */ one) => [`${one.name}/${one.kind}`, one]),
        (one) => this.optionRow(one),
      );
      if (more && fields.some((/** @type {Facts} */ one) => problems[one.name])) this.moreBox.open = true;
    }
    tell(this.note, [form.note, problems.form].filter(Boolean).join(" "));
    tell(this.inputsSaid, problems.inputs ?? "");
    hide(this.add, !form.takes && !inputs.length);
    patch(this.inputs, this.rows.inputs, byId(inputs), (one) => this.inputRow(one));
    if (this.code.open && this.codeRev !== form.rev) this.fetchCode();
    this.codeRev = form.rev;
  }

  /** @param {Facts} one */
  optionRow(one) {
    const { shared } = this;
    const field = this.field(one);
    const update = (/** @type {Facts} */ facts) => {
      const { name, several } = facts;
      field.update(facts, shared.values[name], shared.state.form.problems[name], shared.comparing && several);
    };
    return { el: field.el, update };
  }

  /** @param {Facts} state @param {boolean} lost */
  updateBuy({ price, form, ask, error, said, head, queue }, lost) {
    const { shared } = this;
    const money = head.money === "play" ? "play money" : "";
    put(this.price, price.text);
    put(this.detail, price.text && dots(price.detail, money));
    const early = Date.now() - shared.clicked < DOUBLE_CLICK;
    const off = lost || early || shared.ahead === null || shared.awaits("generate", "confirm", "more");
    const bad = !price.text || Object.keys(form.problems).length > 0 || !(shared.values.prompt ?? "").trim();
    set(this.go, { disabled: off || bad || Boolean(ask) });
    set(this.yes, { disabled: off });
    const appears = Boolean(ask) && this.ask.hidden;
    put(this.asked, ask?.text ?? "");
    hide(this.ask, !ask);
    if (appears && this.root.contains(this.focused())) this.ask.focus();
    if ((error?.id ?? "") !== (this.errorId ?? "")) this.showError(error);
    const line = queue.length ? [said, `${queue[0].line}.`].filter(Boolean).join(" ") : said;
    put(this.said, line);
  }

  /** The element with the focus. */
  focused() {
    return /** @type {HTMLElement | null} */ (
      /** @type {Document} */ (this.root.getRootNode()).activeElement
    );
  }

  /** @param {Facts | null} error */
  showError(error) {
    this.errorId = error?.id ?? "";
    this.error.hidden = !error;
    if (!error) return this.error.replaceChildren();
    const lines = error.lines.map((/** @type {string} */ line) => h("p", line));
    const title = h("strong", { textContent: error.title, title: error.name });
    const dismiss = button("Dismiss", () => this.shared.ask("dismiss"));
    return this.error.replaceChildren(title, ...lines, dismiss);
  }

  /** @param {Facts} one */
  inputRow(one) {
    const { shared } = this;
    const picture = h("img", { alt: "" });
    const name = h("span.input-name");
    const mask = button("Draw mask", () => this.drawMask(one.id));
    const recipe = button("Use its settings", () => shared.ask("recipe", { input: one.id }));
    const named = { ariaLabel: `Remove ${one.name}`, title: "Remove" };
    const remove = button("×", () => shared.ask("detach", { input: one.id }), named, ".icon");
    shared.ask("input", { input: one.id }).then(({ buffers }) => {
      if (buffers[0]) picture.src = addressOf(buffers[0]);
    });
    const words = h("div", name, h("div.row", mask, recipe));
    const el = h("li", picture, words, remove);
    const update = (/** @type {Facts} */ facts) => {
      const { inputs, form } = shared.state;
      put(name, dots(facts.name, `${facts.width} × ${facts.height}`, facts.mask && "masked"));
      put(mask, facts.mask ? "Change mask" : "Draw mask");
      hide(mask, inputs[0]?.id !== facts.id || !form.masks);
      hide(recipe, !facts.recipe);
    };
    return { el, update };
  }

  /** @param {Facts} run */
  queueRow(run) {
    const title = h("span.caption");
    const line = h("span.facts");
    const clock = h("span.facts", { ariaHidden: "true" });
    const bar = h("progress", { max: 1, ariaHidden: "true" });
    const stop = button("Stop", () => this.shared.ask("stop", { run: run.id }));
    const tiles = h("div.tiles");
    const parts = new Map();
    const words = h("div.words", title, h("span", line, clock));
    const el = h("li.run", tiles, h("div.row", words, stop), bar);
    const update = (/** @type {Facts} */ facts) => {
      const stopping = facts.phase === "stopping";
      put(title, facts.prompt);
      put(line, `${facts.model} · ${facts.line}`);
      set(stop, {
        textContent: stopping ? "Cancel" : "Stop",
        title: stopping ? "It may be billed all the same" : "",
      });
      shape(tiles, ratioOf(facts.size));
      tiles.dataset.count = facts.parts.length;
      const all = facts.parts.map((/** @type {Facts} */ part, /** @type {number} */ at) => ({
        key: `${facts.id}/${at}`,
        place: part.place,
        facts: { part, at, facts },
      }));
      this.arrange(tiles, parts, all, () => this.partTile());
    };
    return { el, update, clock, bar };
  }

  /**
   * Show the pictures of a request: in a row, or those of a grid in its table.
   *
   * @param {HTMLElement} tiles
   * @param {Map<string, any>} kept
   * @param {{ key: string, place: string[], facts: any }[]} cells
   * @param {(facts: any) => { el: HTMLElement, update: (facts: any) => void }} make
   */
  arrange(tiles, kept, cells, make) {
    const table = Boolean(cells[0]?.place?.[0]);
    tiles.classList.toggle("c-table", table);
    tiles.style.setProperty("--columns", String(new Set(cells.map(({ place }) => place?.[1])).size));
    /** @type {[string, any][]} */
    const all = table ? inTable(cells) : cells.map(({ key, facts }) => [key, { facts }]);
    patch(
      tiles,
      kept,
      all.map(([key, { head, facts }]) => [key, facts ?? { head }]),
      (facts) => (facts.head === undefined ? make(facts) : headCell()),
    );
  }

  partTile() {
    const picture = h("img", { alt: "" });
    const words = h("span");
    const el = h("div.tile.part", picture, words);
    const update = (/** @type {Facts} */ { part, at, facts }) => {
      const key = `${facts.id}/${at}`;
      const [address, number] = [this.shared.pictures.get(key) ?? "", this.shared.numbers.get(key) ?? 0];
      hide(picture, !address);
      if (address) set(picture, { src: address });
      const most = facts.previews ? ` of ${facts.previews}` : "";
      const of = number > 0 ? `preview ${number}${most}` : part.words;
      const label = part.place && !part.place[0] ? part.place[1] : "";
      put(words, dots(label, part.final ? "" : of));
      el.dataset.busy = String(!part.final);
    };
    return { el, update };
  }

  /** Time goes on. */
  tick() {
    for (const run of this.shared.state.queue ?? []) {
      const row = /** @type {any} */ (this.rows.queue.get(run.id));
      if (!row) continue;
      const seconds = this.shared.now() / 1000 - run.started;
      const usual = run.usual >= 1 ? ` of usually ${inWords(run.usual)}` : "";
      put(row.clock, ` · ${inWords(seconds)}${usual}`);
      if (run.usual) set(row.bar, { value: Math.min(0.95, seconds / run.usual) });
      else row.bar.removeAttribute("value");
    }
  }

  updateGallery() {
    const { state } = this.shared;
    const items = this.items();
    for (const { name, el } of this.tabs)
      set(el, { ariaSelected: name === this.tab, tabIndex: name === this.tab ? 0 : -1 });
    const archive = this.tab === "archive";
    hide(this.filters, !archive);
    const { models } = state.form;
    if (archive && this.byModel.options.length !== models.length + 1)
      offer(this.byModel, [["", "All models"], ...models.map((/** @type {string[]} */ [id]) => [id, id])]);
    this.shared.want(items);
    if (!items.some((item) => item.id === this.selected)) this.selected = items[0]?.id ?? "";
    const runs = inRuns(items).map(
      (run) => /** @type {[string, any]} */ ([`${this.tab}/${run[0].run}/${run[0].id}`, run]),
    );
    patch(this.gallery, this.rows.runs, runs, () => this.runRow());
    const nothing = archive ? "Nothing found" : "Your pictures appear here";
    const hint = archive ? "" : "Write a prompt and press Generate. Drop a picture to change it.";
    const empty = !items.length && (archive || !state.queue.length);
    hide(this.empty, !empty);
    if (empty && this.empty.textContent !== nothing + hint) {
      this.empty.replaceChildren(h("strong", nothing), h("span", hint));
    }
    hide(this.further, !archive || !this.more);
    const count = this.chosen?.size;
    set(this.choice, { ariaPressed: Boolean(this.chosen), hidden: !items.length && !this.chosen });
    set(this.gallery, { ariaMultiSelectable: Boolean(this.chosen) });
    tell(this.fetchChosen, count ? `Download ${count}` : "");
  }

  runRow() {
    const tiles = h("div.tiles", { role: "presentation" });
    const title = h("div.caption");
    const line = h("div.facts");
    /** @type {Facts[]} */
    let shown = [];
    const grid = button("View grid", () => this.viewGrid(shown[0]));
    const save = button("Download all", () => this.download({ items: shown.map(({ id }) => id) }));
    const words = h("div.words", { ariaHidden: "true" }, title, line);
    const el = h("div.run", { role: "group" }, tiles, h("div.row", words, grid, save));
    const kept = new Map();
    const update = (/** @type {Facts[]} */ run) => {
      set(el, { ariaLabel: run[0].prompt });
      set(title, { textContent: run[0].prompt, title: run[0].prompt });
      shown = run;
      put(line, dots(run[0].group ?? run[0].facts, run[0].notice));
      hide(grid, !run[0].group);
      hide(save, run.length < 2);
      shape(tiles, run[0].width / run[0].height);
      tiles.dataset.count = String(run.length);
      const all = run.map((item, at) => ({
        key: item.id,
        place: item.place,
        facts: { item, at, of: run.length },
      }));
      this.arrange(tiles, kept, all, ({ item }) => this.tile(item.id));
    };
    return { el, update };
  }

  /** @param {string} id */
  tile(id) {
    const picture = h("img", { alt: "", draggable: false });
    const option = h("div.option", { role: "option", draggable: true }, picture);
    const star = h("span.star", { textContent: "★", ariaHidden: "true" });
    const unheard = { tabIndex: -1, ariaHidden: "true" };
    const use = button("Use as source", () => this.shared.ask("use", { item: id }), unheard, ".use");
    const chip = h("span.chip", { ariaHidden: "true" });
    option.onclick = () => this.pick(id);
    option.onfocus = () => this.select(id);
    option.ondragstart = (event) => event.dataTransfer?.setData("text/x-comet-item", id);
    const el = h("div.tile", { role: "presentation" }, option, star, chip, use);
    const update = (/** @type {Facts} */ { item, at, of }) => {
      const address = this.shared.pictures.get(id) ?? "";
      hide(picture, !address);
      if (address) set(picture, { src: address });
      const label = labelOf(item);
      const count = of > 1 ? `${at + 1} of ${of}` : "";
      const more = [label, count].filter(Boolean).join(", ");
      set(option, { ariaLabel: more ? `${item.prompt} (${more})` : item.prompt });
      put(chip, dots(!item.place?.[0] && label, item.price));
      const current = id === this.selected;
      set(option, { ariaSelected: this.chosen?.has(id) ?? current, tabIndex: current ? 0 : -1 });
      hide(star, !item.starred);
    };
    return { el, update };
  }

  // --- the gallery and what it opens

  /** @param {string} id */
  select(id) {
    if (this.selected === id) return;
    this.selected = id;
    this.updateGallery();
  }

  /** Open a picture, or compare it with the one that waits for it. @param {string} id */
  pick(id) {
    const item = this.item(id);
    this.select(id);
    if (this.chosen) {
      if (!this.chosen.has(id) && this.chosen.size >= MOST_CHOSEN)
        put(this.said, `One file takes up to ${MOST_CHOSEN} pictures.`);
      else if (!this.chosen.delete(id)) this.chosen.add(id);
      return this.updateGallery();
    }
    const other = this.comparing?.[0];
    this.comparing = null;
    this.root.classList.remove("c-picking");
    if (other && other.id !== id) return this.compare(other, item);
    return this.lightbox(id);
  }

  /** Begin to choose pictures that are downloaded together, or end it. */
  choose() {
    this.chosen = this.chosen ? null : new Set();
    this.root.classList.toggle("c-picking", Boolean(this.chosen));
    this.updateGallery();
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const options = /** @type {HTMLElement[]} */ ([...this.gallery.querySelectorAll("[role=option]")]);
    const at = options.indexOf(/** @type {HTMLElement} */ (event.composedPath()[0]));
    if (at < 0 || isCombined(event)) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.pick(this.items()[at].id);
    } else if (/^(Arrow|Home$|End$)/.test(event.key)) {
      event.preventDefault();
      options[
        nextOption(
          event.key,
          options.map((one) => one.getBoundingClientRect()),
          at,
        )
      ].focus();
    }
  }

  /**
   * Open a dialog over the whole window.
   *
   * @param {string} label
   * @param {Node[]} parts
   * @param {() => void} [closed]
   */
  dialog(label, parts, closed) {
    const close = button("×", () => dialog.close(), { ariaLabel: "Close" }, ".icon.close");
    const dialog = h("dialog.dialog", { ariaLabel: label }, ...parts, close);
    const before = this.focused();
    dialog.onclose = () => {
      dialog.remove();
      closed?.();
      if (before?.isConnected) before.focus();
    };
    this.root.append(dialog);
    this.signal.addEventListener("abort", () => dialog.remove());
    dialog.showModal();
    return dialog;
  }

  /** @param {string} id */
  lightbox(id) {
    const { shared } = this;
    let [now, zoomed, address] = [id, false, ""];
    const picture = h("img", { alt: "" });
    const stage = h("div.stage", picture);
    const caption = h("p.caption");
    const line = h("p.facts", { role: "status" });
    const rows = h("dl.rows");
    const path = h("input", { type: "text", placeholder: "boat.png, or a folder/", ariaLabel: "Save as" });
    const say = (/** @type {string} */ text) => put(line, text);
    const zoom = (/** @type {boolean} */ on) => {
      zoomed = on;
      set(stage, { className: on ? "c-stage c-zoomed" : "c-stage" });
      set(tools.Zoom, { ariaPressed: on });
    };
    const step = (/** @type {number} */ by) => {
      const items = this.items();
      const at = items.findIndex((one) => one.id === now) + by;
      if (items[at]) load(items[at].id);
    };
    /** Do it and say what came of it. @param {string} kind @param {Facts} [more] @param {boolean} [leave] */
    const act = async (kind, more = {}, leave = false) => {
      const { ok, error } = await shared.ask(kind, { item: now, ...more });
      if (!ok) say(error);
      else if (leave) dialog.close();
      else say(shared.state.said);
      if (ok && leave) this.prompt.control.focus();
    };
    const load = async (/** @type {string} */ next) => {
      now = next;
      this.select(next);
      zoom(false);
      const facts = this.item(next);
      set(picture, { src: shared.pictures.get(next) ?? "", alt: facts.prompt });
      shape(picture, facts.width / facts.height);
      picture.style.setProperty("--wide", `${facts.width}px`);
      put(caption, facts.prompt);
      say(dots(labelOf(facts), facts.facts, facts.notice));
      showStar(tools.Star, Boolean(facts.starred));
      set(tools["Reuse settings"], { disabled: !facts.options });
      set(tools["More like this"], { disabled: !facts.options });
      rows.replaceChildren();
      const { ok, error, reply, buffers } = await shared.ask("full", { item: next });
      if (now !== next || !dialog.open) return;
      if (!ok) return say(error);
      forget(address);
      address = addressOf(buffers[0], reply.mime);
      set(picture, { src: address });
      const pairs = reply.rows.flatMap((/** @type {string[]} */ [name, text]) => [
        h("dt", name),
        h("dd", text),
      ]);
      rows.replaceChildren(...pairs);
    };
    /** @type {Record<string, () => void>} */
    const acts = {
      Zoom: () => zoom(!zoomed),
      Star: () => this.star(now, tools.Star, say),
      Compare: () => this.beginCompare(this.item(now), dialog),
      "Edit this": () => act("use", { edit: true }, true),
      "Use as source": () => act("use", {}, true),
      "Reuse settings": () => act("reuse", {}, true),
      "More like this": () => act("more", {}, true),
      Download: () => this.download({ item: now }, say),
      Hide: () => act("hide", {}, true),
    };
    const tools = Object.fromEntries(Object.entries(acts).map(([name, run]) => [name, button(name, run)]));
    tools.Star.ariaLabel = "Star";
    const save = button("Save", () => act("save", { path: path.value }));
    const back = button("‹", () => step(-1), { ariaLabel: "Previous picture" }, ".icon.back");
    const forth = button("›", () => step(1), { ariaLabel: "Next picture" }, ".icon.forth");
    const bar = h("div.tools", ...Object.values(tools), path, save);
    const about = h("details", h("summary", "Details"), rows);
    const foot = h("div.foot", caption, line, bar, about);
    const dialog = this.dialog("Picture", [stage, back, forth, foot], () => forget(address));
    stage.onclick = () => zoom(!zoomed);
    dialog.addEventListener("keydown", (event) => {
      if (event.composedPath()[0] === path || isCombined(event)) return;
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") step(event.key === "ArrowLeft" ? -1 : 1);
      else if (event.key === "+" || event.key === "-") zoom(event.key === "+");
      else return;
      event.preventDefault();
    });
    load(id);
    forth.focus();
  }

  /** @param {string} item @param {HTMLElement} where @param {(text: string) => void} say */
  async star(item, where, say) {
    const on = where.ariaPressed !== "true";
    const { ok, error } = await this.shared.ask("star", { item, on });
    if (!ok) return say(error);
    for (const one of [...this.found, ...this.shared.state.items]) if (one.id === item) one.starred = on;
    showStar(where, on);
    return this.updateGallery();
  }

  /** Several pictures come as one zip. @param {Facts} which @param {(text: string) => void} [say] */
  async download(which, say = (text) => put(this.said, text)) {
    const { ok, error, reply, buffers } = await this.shared.ask("download", which);
    if (!ok) return say(error);
    const href = addressOf(buffers[0], reply.mime);
    this.downloadFrom(href, reply.name);
    setTimeout(() => forget(href), 60000);
    return say(`Downloaded ${reply.name}, with its recipe.`);
  }

  /** @param {string} href @param {string} name */
  downloadFrom(href, name) {
    const link = h("a", { href, download: name });
    this.root.append(link);
    link.click();
    link.remove();
  }

  /** Show a grid as one picture with its labels. @param {Facts} item any of it */
  async viewGrid(item) {
    const { ok, reply, buffers } = await this.shared.ask("grid", { item: item.id });
    if (!ok || this.signal.aborted) return;
    const address = addressOf(buffers[0], reply.mime);
    const picture = h("img", { src: address, alt: `${item.prompt}: ${item.group}` });
    const stage = h("div.stage.sheet", picture);
    const download = button("Download", () => this.downloadFrom(address, reply.name));
    const words = [h("p.caption", item.prompt), h("p.facts", item.group)];
    const foot = h("div.foot", ...words, h("div.tools", download));
    this.dialog("Grid", [stage, foot], () => forget(address));
    download.focus();
  }

  /** Compare with the picture that was edited, or with one that is clicked next. @param {Facts} item @param {HTMLDialogElement} dialog */
  async beginCompare(item, dialog) {
    const answer = item.edited ? await this.shared.ask("before", { item: item.id }) : null;
    dialog.close();
    if (answer?.ok && answer.buffers[0]) return this.compare(item, item, answer.buffers[0]);
    this.comparing = [item];
    this.root.classList.add("c-picking");
    return put(this.said, "Now choose the other picture in the gallery.");
  }

  /** @param {Facts} one @param {Facts} other @param {DataView} [data] of the one, where it is not in the gallery */
  async compare(one, other, data) {
    const asked = [
      data ? null : this.shared.ask("full", { item: one.id }),
      this.shared.ask("full", { item: other.id }),
    ];
    const [first, second] = await Promise.all(asked);
    const before = data ?? first?.buffers[0];
    if (!before || !second?.buffers[0]) return;
    const addresses = [addressOf(before), addressOf(second.buffers[0])];
    const { width, height } = other;
    const slider = compareSlider({ before: addresses[0], after: addresses[1], width, height });
    this.dialog("Compare", [slider], () => {
      for (const address of addresses) forget(address);
    });
  }

  /** @param {string} input */
  async drawMask(input) {
    const { ok, reply, buffers } = await this.shared.ask("input", { input });
    if (!ok || this.signal.aborted) return;
    const image = addressOf(buffers[0]);
    const { width, height, strokes } = reply;
    const end = new AbortController();
    const brush = maskBrush({ image, width, height, strokes, signal: end.signal });
    const finish = () => {
      this.shared.ask("mask", { input, strokes: brush.strokes() });
      dialog.close();
    };
    const use = button("Use mask", finish, {}, ".generate");
    const cancel = button("Cancel", () => dialog.close());
    const hint = h("p.facts", "What you mark may change; the rest stays.");
    const foot = h("div.row", hint, cancel, use);
    const dialog = this.dialog("Draw mask", [brush.el, foot], () => {
      end.abort();
      forget(image);
    });
    brush.focus();
  }
}

/** Copy a text, also where the page may not write to the clipboard. @param {string} text @param {HTMLElement} said */
async function copyText(text, said) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea.offscreen", { value: text });
    said.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  put(said, "Copied");
  setTimeout(() => set(said, { textContent: "Copy" }), 1500);
}

/** What the views of a model share. @param {Model} model */
export function sharedOf(model) {
  // A view's model is another object in some front ends; both lead to the same one by its state.
  const found = known.get(model) ?? new Shared(model);
  known.set(model, found);
  return found;
}

export default () => {
  /** @type {Shared | null} */
  let shared = null;
  return {
    /** @param {{ model: any, signal: AbortSignal }} context */
    initialize({ model, signal }) {
      shared = sharedOf(model);
      signal?.addEventListener("abort", () => shared?.close());
    },
    /** @param {{ model: any, el: HTMLElement, signal: AbortSignal }} context */
    render({ model, el, signal }) {
      shared ??= sharedOf(model);
      new View(shared, el, signal);
    },
  };
};
