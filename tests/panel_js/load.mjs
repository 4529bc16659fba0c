// The panel's scripts have no exports of their own, because Python joins them into one module.
import { readFileSync } from "node:fs";

const FOLDER = new URL("../../comet_magic/notebook/panel/", import.meta.url);

/** The named functions of one script of the panel. */
export function load(script, ...names) {
  const text = `${readFileSync(new URL(script, FOLDER), "utf8")}\nexport { ${names.join(", ")} };`;
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}
