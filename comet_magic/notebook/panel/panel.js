/**
 * The panel in the browser: looks, keys, drag and drop, drawing. State and work are Python's.
 *
 * This file, host.js and brush.js are ES modules of their own for the linter, the type checker and node's tests.
 * Python joins them into the one module that anywidget loads: host.js, brush.js, panel.js, without the lines that
 * begin with `import`. So a name at the top level is used once in all three, and none is called `render`.
 *
 * Traits: `state` (read-only for the browser) and `uid` (the model's id). Pictures never travel in a trait.
 *
 * state = {
 *   v: 1, rev,                      a smaller rev than the last one is ignored; another v: "Run the cell again"
 *   head: {account, address, key, money: "play"|"real"|"none", notice},
 *   price: {text, detail, problem}, of the next request: "$0.010", "2 pictures · 1 request"
 *   form: {by, values: {name: text}, fields: [{name, label, kind: "choice"|"size"|"number"|"switch"|"text"|"long",
 *          options: [[value, label]], min, max, hint, more: bool, problem}], problems: {prompt, model, inputs, form}, ok}
 *   inputs: [{id, name, width, height, mask: bool, recipe: bool}],
 *   queue: [{id, prompt, model, count, phase: "running"|"stopping", line, started, usual,
 *            parts: [{words, preview, final}]}],      started: s of the kernel's clock; usual: s or null
 *   ask: null | {id, text},         the question before money is spent
 *   error: null | {id, title, lines, name},
 *   said,                           the last thing that happened, one sentence
 *   items: [{id, run, prompt, facts, files, width, height, mime, starred, notice, options: bool}],   newest first
 *   archive: n                      changes when the archive may have changed
 * }
 *
 * Browser to Python: {kind, id, t, client, ...}; id is new for each command, t is ms of the kernel's clock (`now` of an
 * ack tells it), client names the page. A command that spends is refused when it is older than 5 s, and done once.
 *   hello                           answered by ack; then thumbnails are asked for
 *   form {values}                   the form as typed; answered by a new state
 *   generate {values, price}        price: the text that was shown
 *   confirm {ask} · cancel {ask}    answers the question
 *   stop {run} · dismiss {error}
 *   thumbs {items} · full {item} · download {item} · save {item, path} · hide {item} · star {item, on} · reuse {item}
 *   attach {name} + [bytes] · use {item, edit} · detach {input} · input {input} · recipe {input}
 *   mask {input, strokes}           strokes: [{tool: "brush"|"erase"|"box"|"invert", size, points: [x, y, ...]}], in pixels
 *                                   of the picture; [] takes the mask away
 *   find {words, model, starred, day, offset} · code {}
 *
 * Python to browser: {kind, ...}, with binary buffers where there is a picture
 *   ack {id, ok, error, now}        of every command, also of one that was refused; error: one sentence
 *   thumb {item, rev} + [jpeg]      at most 30 KB
 *   preview {run, part, rev, final} + [jpeg]
 *   full {id, item, mime, name} + [bytes] · input {id, input, mime, strokes} + [bytes]
 *   found {id, items, total, offset} · code {id, cell, python, request}
 *
 * Accessible names (tests find everything by these):
 *   region "Image panel" · group "Account" · textbox "Prompt" · combobox "Model", "Size", "Quality" and the other
 *   parameters by their label · textbox "Custom size" after Size "Custom…" · spinbutton "Pictures" · group "More options"
 *   button "Generate" (off: disabled) · button "Set key" · status (role) "Progress"
 *   group "Confirm" with button "Send" and button "Do not send" · alert (role) with button "Dismiss"
 *   list "Requests" with a listitem each, and in it button "Stop"
 *   list "Pictures in" with button "Remove NAME", button "Draw mask", button "Use its settings"; button "Add pictures"
 *   listbox "Gallery" with an option each, named by its prompt · tab "This session", tab "Archive"
 *   searchbox "Search" · combobox "Filter by model" · checkbox "Starred only" · textbox "From day"
 *   dialog "Picture": button "Close", "Previous picture", "Next picture", "Zoom", "Download", "Save", "Star",
 *   "Reuse settings", "Edit this", "Use as source", "Compare", "Hide"; textbox "Save as"
 *   dialog "Compare": slider "Before and after"; dialog "Draw mask": button "Brush", "Erase", "Box", "Invert", "Clear",
 *   "Undo", "Use mask", slider "Brush size"
 *   status (role) "Kernel": the band "The kernel is gone: run this cell again"
 *   invalid field: aria-invalid="true", aria-describedby its sentence
 *
 * host.js gives: watchKernel(model, el, {signal, changed}) -> {gone(), offline(), reason()}: `changed` is called when one
 * of them may have changed; and post(model, message, buffers) -> false when nothing could be sent.
 */
