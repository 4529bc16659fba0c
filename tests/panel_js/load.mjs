import { readFileSync } from "node:fs";

/** One script of the panel as a module: its package has no package.json that says that it is one. */
export function load(script) {
  const text = readFileSync(new URL(`../../comet_magic/notebook/panel/${script}`, import.meta.url));
  return import(`data:text/javascript;base64,${text.toString("base64")}`);
}
