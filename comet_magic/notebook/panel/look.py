"""How the panel looks: one style sheet, in the host's own colours, light or dark, wide or narrow."""

from __future__ import annotations

# The host's variables come first; the values behind them are for hosts that set none.
_COLOURS = """
.comet-panel {
  --comet-paper: var(--jp-layout-color1, var(--vscode-editor-background, #ffffff));
  --comet-ground: var(--jp-layout-color2, var(--vscode-sideBar-background, #f3f4f6));
  --comet-ink: var(--jp-ui-font-color1, var(--vscode-editor-foreground, #1f2328));
  --comet-soft: var(--jp-ui-font-color2, var(--vscode-descriptionForeground, #59616b));
  --comet-line: var(--jp-border-color2, var(--vscode-panel-border, #d9dde2));
  --comet-edge: var(--jp-border-color1, var(--vscode-input-border, #b9c0c8));
  --comet-accent: #3a55b4;
  --comet-accent-hover: #2f4799;
  --comet-on-accent: #ffffff;
  --comet-tint: rgba(58, 85, 180, .09);
  --comet-bad: #b3372f;
  --comet-bad-tint: rgba(197, 61, 52, .09);
  --comet-mind: #9a6700;
  --comet-mind-tint: rgba(201, 144, 20, .13);
}
[data-jp-theme-light="false"] .comet-panel, .vscode-dark .comet-panel {
  --comet-accent: #93a8f4;
  --comet-accent-hover: #aebdf8;
  --comet-on-accent: #10162e;
  --comet-tint: rgba(147, 168, 244, .14);
  --comet-bad: #ff9a92;
  --comet-bad-tint: rgba(255, 120, 110, .13);
  --comet-mind: #f0c45c;
  --comet-mind-tint: rgba(240, 196, 92, .13);
}
"""

_FRAME = """
.comet-panel.widget-vbox {
  box-sizing: border-box; width: 100%; max-width: 1120px; margin: 4px 0 8px; padding: 0; overflow: hidden;
  color: var(--comet-ink); background: var(--comet-paper);
  border: 1px solid var(--comet-line); border-radius: 12px;
  font: 400 13px/1.5 var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", sans-serif);
}
.comet-panel .comet-style { display: none; }
.comet-panel .comet-hidden { display: none !important; }
.comet-panel .jupyter-widgets { margin: 0; font-size: 13px; color: inherit; max-width: 100%; min-width: 0; }
.comet-panel .widget-html, .comet-panel .widget-html-content { width: 100%; min-width: 0; color: inherit; line-height: 1.5; font-size: 13px; height: auto; align-self: auto; }
.comet-panel .widget-html > .widget-label { display: none; }
.comet-head { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 4px 16px; padding: 12px 20px; border-bottom: 1px solid var(--comet-line); }
.comet-name { font-size: 15px; font-weight: 650; letter-spacing: -.01em; }
.comet-name::before { content: ""; display: inline-block; width: 9px; height: 9px; margin-right: 9px; border-radius: 50%; background: var(--comet-accent); box-shadow: -5px 2px 0 -2px var(--comet-tint), -9px 4px 0 -3px var(--comet-tint); }
.comet-chip { font-size: 12px; color: var(--comet-soft); overflow-wrap: anywhere; }
.comet-band { padding: 9px 20px; font-size: 12.5px; background: var(--comet-mind-tint); border-bottom: 1px solid var(--comet-line); overflow-wrap: anywhere; }
.comet-panel .comet-body { display: flex; flex-flow: row wrap; align-items: stretch; }
.comet-panel .comet-left { flex: 1 1 340px; gap: 18px; padding: 18px 20px 20px; }
.comet-panel .comet-stage { flex: 1.25 1 360px; gap: 12px; padding: 18px 20px 20px; background: var(--comet-ground); overflow: hidden; }
.comet-panel .comet-form, .comet-panel .comet-order { gap: 12px; overflow: visible; }
.comet-panel .comet-left, .comet-panel .comet-form, .comet-panel .comet-grid, .comet-panel .comet-order { overflow: visible; }
"""

_CONTROLS = """
.comet-panel .comet-control { display: flex; flex-flow: column nowrap; align-items: stretch; width: auto; height: auto; gap: 4px; overflow: visible; }
.comet-panel .comet-control > .widget-label { width: auto; max-width: 100%; height: auto; margin: 0; padding: 0; text-align: left; font-size: 12px; font-weight: 600; line-height: 1.35; color: var(--comet-soft); white-space: normal; }
.comet-panel .comet-control > input[type], .comet-panel .comet-control > input, .comet-panel .comet-control > select, .comet-panel .comet-control > textarea {
  box-sizing: border-box; width: 100%; min-width: 0; min-height: 34px; flex: none; margin: 0; padding: 6px 10px; font: inherit; font-size: 13px; line-height: 1.45;
  color: var(--comet-ink); background-color: var(--comet-paper); border: 1px solid var(--comet-edge); border-radius: 7px; box-shadow: none;
}
.comet-panel .comet-control > select { padding-right: 30px; text-overflow: ellipsis; }
.comet-panel .comet-control > textarea { resize: vertical; min-height: 92px; }
.comet-panel .comet-raw > textarea { min-height: 58px; font-family: var(--jp-code-font-family, ui-monospace, monospace); font-size: 12px; }
.comet-panel .comet-control ::placeholder { color: var(--comet-soft); opacity: .8; }
.comet-panel .comet-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(142px, 1fr)); gap: 12px 14px; align-items: start; }
.comet-panel .comet-grid > .comet-check, .comet-panel .comet-grid > .comet-raw { grid-column: 1 / -1; }
.comet-panel .comet-check { width: auto; height: auto; overflow: visible; }
.comet-panel .comet-check > .widget-label { display: none; }
.comet-panel .comet-check .widget-label-basic { display: flex; align-items: center; gap: 8px; width: auto; height: auto; font-size: 13px; line-height: 1.4; white-space: normal; }
.comet-panel .comet-check input { flex: none; width: 15px; height: 15px; margin: 0; accent-color: var(--comet-accent); }
.comet-panel .comet-slider { display: grid; grid-template-columns: 1fr auto; gap: 4px 12px; align-items: center; }
.comet-panel .comet-slider > .widget-label { grid-column: 1 / -1; }
.comet-panel .comet-slider .slider-container { width: auto; min-width: 0; margin: 0; height: 30px; }
.comet-panel .comet-slider .widget-readout { min-width: 34px; margin: 0; text-align: right; font-variant-numeric: tabular-nums; color: inherit; }
.comet-panel .comet-slider .noUi-connect, .comet-panel .comet-slider .noUi-handle { background: var(--comet-accent); border-color: var(--comet-accent); }
.comet-panel :is(input, select, textarea, button, a, pre, summary, .noUi-handle):focus-visible { outline: 2px solid var(--comet-accent); outline-offset: 1px; }
.comet-about, .comet-hint { font-size: 12px; }
.comet-panel .comet-about .widget-html-content, .comet-panel .comet-hint .widget-html-content { font-size: 12px; color: var(--comet-soft); }
.comet-panel .comet-about { margin-top: -6px; }
.comet-panel .comet-hint:not(:has(.widget-html-content div)) { display: none; }
.comet-panel .comet-more { border: 1px solid var(--comet-line); border-radius: 8px; overflow: hidden; }
.comet-panel .comet-more .jupyter-widget-Collapse, .comet-panel .comet-more .p-Collapse { margin: 0; }
.comet-panel .comet-more .jupyter-widget-Collapse-header, .comet-panel .comet-more .p-Collapse-header { padding: 8px 12px; border: 0; font-size: 12.5px; font-weight: 600; color: var(--comet-ink); background: transparent; cursor: pointer; }
.comet-panel .comet-more .jupyter-widget-Collapse-contents, .comet-panel .comet-more .p-Collapse-contents { padding: 10px 12px 14px; border: 0; border-top: 1px solid var(--comet-line); background: transparent; color: inherit; overflow: visible; }
"""

_BUTTONS = """
.comet-panel .jupyter-button { box-sizing: border-box; width: auto; min-width: 0; height: auto; min-height: 32px; padding: 5px 13px; font: inherit; font-size: 13px; font-weight: 550; line-height: 1.4; color: var(--comet-ink); background: var(--comet-paper); border: 1px solid var(--comet-edge); border-radius: 7px; box-shadow: none; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.comet-panel .jupyter-button:hover:enabled { background: var(--comet-tint); border-color: var(--comet-accent); box-shadow: none; }
.comet-panel .jupyter-button:disabled { opacity: .45; cursor: default; }
.comet-panel .comet-generate { flex: 1 1 auto; min-height: 40px; font-size: 14px; font-weight: 650; color: var(--comet-on-accent); background: var(--comet-accent); border-color: var(--comet-accent); }
.comet-panel .comet-generate:hover:enabled { color: var(--comet-on-accent); background: var(--comet-accent-hover); border-color: var(--comet-accent-hover); }
.comet-panel .comet-stop { min-height: 40px; min-width: 84px; }
.comet-panel .comet-buttons { gap: 10px; overflow: visible; }
.comet-panel .comet-tools { flex-flow: row wrap; gap: 8px; overflow: visible; }
.comet-panel .comet-saving { align-items: flex-end; gap: 8px; overflow: visible; }
.comet-panel .comet-saving > .comet-path { flex: 1 1 auto; }
.comet-panel .comet-saving > .jupyter-button { min-height: 34px; }
.comet-panel .comet-quiet { min-height: 28px; padding: 3px 10px; font-size: 12px; }
"""

_WORDS = """
.comet-panel .comet-price { padding-top: 14px; border-top: 1px solid var(--comet-line); }
.comet-cost strong { font-size: 19px; font-weight: 650; letter-spacing: -.015em; font-variant-numeric: tabular-nums; }
.comet-cost span { margin-left: 4px; color: var(--comet-soft); }
.comet-cost strong span { margin: 0; color: inherit; }
.comet-request { font-size: 12px; color: var(--comet-soft); overflow-wrap: anywhere; }
.comet-refusal { color: var(--comet-soft); }
.comet-said { overflow-wrap: anywhere; }
.comet-panel .comet-status { font-size: 12.5px; color: var(--comet-soft); }
.comet-panel .comet-error:not(:has(.comet-alert)) { display: none; }
.comet-alert { padding: 10px 13px; border-left: 3px solid var(--comet-bad); border-radius: 0 7px 7px 0; background: var(--comet-bad-tint); overflow-wrap: anywhere; font-size: 12.5px; }
.comet-alert-head { font-size: 13px; font-weight: 650; color: var(--comet-bad); }
.comet-faint { margin-top: 4px; font-size: 11.5px; color: var(--comet-soft); }
.comet-panel .comet-late { align-items: center; justify-content: space-between; gap: 10px; padding: 8px 12px; border-radius: 7px; background: var(--comet-mind-tint); }
.comet-panel .comet-late > .comet-late-line { flex: 1; }
.comet-panel .comet-late > .comet-drop { flex: none; }
"""

_STAGE = """
.comet-panel .comet-nothing, .comet-panel .comet-nothing .widget-html-content { flex: 1 1 auto; display: flex; flex-direction: column; }
.comet-empty { flex: 1; display: flex; align-items: center; justify-content: center; box-sizing: border-box; height: 100%; min-height: 300px; padding: 24px; text-align: center; color: var(--comet-soft); border: 1.5px dashed var(--comet-edge); border-radius: 10px; }
.comet-empty strong { display: block; margin-bottom: 4px; font-size: 14px; font-weight: 600; color: var(--comet-ink); }
.comet-line .comet-said { display: inline; font-weight: 600; }
.comet-clock { margin-left: 8px; color: var(--comet-soft); font-variant-numeric: tabular-nums; }
.comet-bar { height: 3px; margin-bottom: 10px; border-radius: 2px; background: linear-gradient(90deg, var(--comet-tint), var(--comet-accent), var(--comet-tint)); background-size: 200% 100%; animation: comet-pass 1.6s linear infinite; }
@keyframes comet-pass { from { background-position: 200% 0 } to { background-position: 0 0 } }
@media (prefers-reduced-motion: reduce) { .comet-bar { animation: none } }
.comet-previews .widget-html-content { display: flex; flex-wrap: wrap; gap: 10px; }
.comet-part { display: flex; flex-direction: column; justify-content: flex-end; box-sizing: border-box; width: 132px; min-height: 96px; font-size: 11.5px; color: var(--comet-soft); border-radius: 8px; background: var(--comet-paper); border: 1px solid var(--comet-line); overflow: hidden; }
.comet-part img { width: 100%; height: 96px; object-fit: cover; display: block; margin: 0; }
.comet-part span { padding: 4px 8px 5px; }
.comet-part span:only-child { margin: auto; text-align: center; }
.comet-part.comet-alone { width: 100%; min-height: 320px; justify-content: center; }
.comet-part.comet-alone img { height: auto; max-height: 520px; object-fit: contain; }
.comet-panel figure { margin: 0; min-width: 0; }
.comet-figure figure > img { display: block; width: 100%; height: auto; max-height: 520px; margin: 0; object-fit: contain; object-position: left top; border-radius: 9px; }
.comet-panel figcaption { margin-top: 10px; font-size: 12.5px; }
.comet-facts { font-weight: 600; }
.comet-panel dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 5px 0 0; }
.comet-panel dt { margin: 0; color: var(--comet-soft); font-weight: 400; width: auto; float: none; }
.comet-panel dd { margin: 0; min-width: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.comet-notice { margin-top: 5px; color: var(--comet-soft); font-size: 12px; }
.comet-panel .comet-download:not(:has(.widget-html-content *)) { display: none; }
.comet-panel .comet-download a { color: var(--comet-accent); text-decoration: underline; overflow-wrap: anywhere; }
.comet-panel .comet-large { align-items: flex-start; gap: 10px; padding: 18px 20px; border-top: 1px solid var(--comet-line); }
.comet-side-by-side { display: flex; flex-wrap: wrap; gap: 16px; }
.comet-side-by-side figure { flex: 1 1 300px; }
.comet-side-by-side img { display: block; width: 100%; height: auto; margin: 0; border-radius: 9px; }
"""

_GALLERY = """
.comet-panel .comet-gallery { gap: 12px; padding: 16px 20px 18px; border-top: 1px solid var(--comet-line); }
.comet-panel .comet-gallery-head { flex-flow: row wrap; align-items: center; gap: 8px 14px; }
.comet-panel .comet-source { display: flex; align-items: center; width: auto; height: auto; gap: 10px; overflow: visible; }
.comet-panel .comet-source > .widget-label { width: auto; margin: 0; padding: 0; font-size: 12px; font-weight: 600; color: var(--comet-soft); }
.comet-panel .comet-source .jupyter-button { margin: 0; padding: 3px 12px; min-height: 30px; font-size: 12.5px; border-radius: 0; }
.comet-panel .comet-source .jupyter-button:first-of-type { border-radius: 7px 0 0 7px; }
.comet-panel .comet-source .jupyter-button:last-of-type { border-radius: 0 7px 7px 0; margin-left: -1px; }
.comet-panel .comet-source .jupyter-button.mod-active { color: var(--comet-ink); background: var(--comet-tint); border-color: var(--comet-accent); box-shadow: none; z-index: 1; position: relative; }
.comet-panel .comet-count { flex: 1; font-size: 12px; color: var(--comet-soft); }
.comet-panel .comet-pages { flex: none; gap: 6px; }
.comet-panel .comet-tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 10px; overflow: visible; }
.comet-panel .comet-tiles:empty { display: none; }
.comet-panel .comet-tile { position: relative; aspect-ratio: 1; overflow: hidden; border-radius: 8px; background: var(--comet-ground); border: 0; outline: 1px solid var(--comet-line); outline-offset: -1px; }
.comet-panel .comet-tile .widget-html, .comet-panel .comet-tile .widget-html-content { width: 100%; height: 100%; overflow: hidden; }
.comet-panel .comet-tile img { display: block; width: 100%; height: 100%; margin: 0; object-fit: cover; }
.comet-missing { display: grid; place-items: center; height: 100%; padding: 6px; font-size: 11px; text-align: center; color: var(--comet-soft); }
.comet-panel .comet-tile .comet-pick { position: absolute; inset: 0; width: 100%; height: 100%; min-height: 0; padding: 0; border: 0; border-radius: 8px; background: transparent; color: transparent; font-size: 1px; }
.comet-panel .comet-tile .comet-pick:hover:enabled { background: var(--comet-tint); }
.comet-panel .comet-tile:hover { outline-color: var(--comet-accent); }
.comet-panel .comet-tile.comet-selected, .comet-panel .comet-tile:focus-within { outline: 3px solid var(--comet-accent); outline-offset: -3px; }
.comet-panel .comet-tile.comet-selected .comet-pick, .comet-panel .comet-tile:focus-within .comet-pick { outline: none; box-shadow: inset 0 0 0 3px var(--comet-accent), inset 0 0 0 5px var(--comet-paper); }
"""

_CODE = """
.comet-panel .comet-into { gap: 12px; padding: 16px 20px 20px; border-top: 1px solid var(--comet-line); }
.comet-panel .comet-variable { max-width: 300px; }
.comet-panel .comet-code { overflow: hidden; border: 1px solid var(--comet-line); border-radius: 9px; background: transparent; }
.comet-panel .comet-code.widget-tab > .lm-TabBar { min-height: 0; background: var(--comet-ground); border-bottom: 1px solid var(--comet-line); overflow: hidden; }
.comet-panel .comet-code.widget-tab > .lm-TabBar .lm-TabBar-tab { flex: 0 1 auto; min-width: 0; min-height: 34px; margin: 0; padding: 0 16px; line-height: 34px; font-size: 12.5px; color: var(--comet-soft); background: transparent; border: 0; transform: none; }
.comet-panel .comet-code.widget-tab > .lm-TabBar .lm-TabBar-tab.lm-mod-current { min-height: 34px; color: var(--comet-ink); font-weight: 600; background: var(--comet-paper); box-shadow: inset 0 2px 0 var(--comet-accent); transform: none; }
.comet-panel .comet-code.widget-tab > .lm-TabBar .lm-TabBar-tab.lm-mod-current::before { display: none; }
.comet-panel .comet-code .widget-tab-contents { padding: 0; border: 0; background: transparent; color: inherit; overflow: hidden; }
.comet-code-box { position: relative; }
.comet-panel .comet-code-box pre { box-sizing: border-box; min-height: 52px; max-height: 300px; margin: 0; padding: 14px 84px 14px 16px; overflow: auto; font: 12.5px/1.55 var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace); color: var(--comet-ink); background: var(--comet-paper); white-space: pre-wrap; overflow-wrap: anywhere; }
.comet-panel .comet-copy { position: absolute; top: 9px; right: 10px; padding: 3px 11px; font: 550 12px/1.5 var(--jp-ui-font-family, system-ui, sans-serif); color: var(--comet-ink); background: var(--comet-ground); border: 1px solid var(--comet-edge); border-radius: 6px; cursor: pointer; }
.comet-panel .comet-copy:hover { border-color: var(--comet-accent); background: var(--comet-tint); }
"""

STYLE = (
    "<style>" + "".join((_COLOURS, _FRAME, _CONTROLS, _BUTTONS, _WORDS, _STAGE, _GALLERY, _CODE)) + "</style>"
)
