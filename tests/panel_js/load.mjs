import { readFileSync } from "node:fs";

const EXPORTED = /^export (?:const|class|function) (\w+)/gm;

/** Scripts of the panel as one text, as Python joins them. */
export function source(...scripts) {
  const read = (script) =>
    readFileSync(new URL(`../../comet_magic/notebook/panel/${script}`, import.meta.url), "utf-8");
  return scripts
    .map(read)
    .join("\n")
    .replace(/^import .*$/gm, "");
}

/**
 * Scripts of the panel as one module: their package does not say that they are modules.
 *
 * With PANEL_SHIPPED in the environment, the file of that name is the module, as Python ships it: it exports nothing
 * but the widget, so what the scripts export is added.
 */
export function load(...scripts) {
  let text = source(...scripts);
  if (process.env.PANEL_SHIPPED) {
    const names = [...text.matchAll(EXPORTED)].map(([, name]) => name);
    text = `${readFileSync(process.env.PANEL_SHIPPED, "utf-8")}\nexport { ${names} };`;
  }
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}
