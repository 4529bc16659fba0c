import { readFileSync } from "node:fs";

/** Scripts of the panel as one module, as Python joins them: their package does not say that they are modules. */
export function load(...scripts) {
  const read = (script) =>
    readFileSync(new URL(`../../comet_magic/notebook/panel/${script}`, import.meta.url), "utf-8");
  const text = scripts
    .map(read)
    .join("\n")
    .replace(/^import .*$/gm, "");
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}
