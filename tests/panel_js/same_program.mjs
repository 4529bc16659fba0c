/**
 * `node same_program.mjs TOOLS SHIPPED`: fails unless the module that Python ships is the program of the source files.
 *
 * Both are read by TypeScript, which must be in the folder TOOLS, and compared as trees. Comments and blanks are in
 * neither tree; parentheses, `export`, imports and whether two constants have one `const` do not count.
 */
import { equal } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { source } from "./load.mjs";

const [tools, shipped] = process.argv.slice(2);
const ts = createRequire(`${tools}/`)("typescript");

/** Fields that a class declares for the type checker alone: a field without a value that the constructor sets. */
const isDeclared = (node) => ts.isPropertyDeclaration(node) && !node.initializer;

/** A node as its kind, its text and its children. */
function tree(node) {
  if (ts.isParenthesizedExpression(node)) return tree(node.expression);
  if (ts.isImportDeclaration(node) || node.kind === ts.SyntaxKind.ExportKeyword || isDeclared(node))
    return [];
  // The constants of a statement, each for itself.
  if (ts.isVariableStatement(node) && node.declarationList.flags & ts.NodeFlags.Const)
    return node.declarationList.declarations.flatMap((one) => [["const", ...parts(one)]]);
  return [[ts.SyntaxKind[node.kind], ...parts(node)]];
}

function parts(node) {
  const inner = [];
  ts.forEachChild(node, (child) => {
    inner.push(...tree(child));
  });
  // Which operator, and whether `let` or `var`, is no child.
  return [node.text ?? "", node.operator ?? "", node.flags & ts.NodeFlags.BlockScoped, ...inner];
}

/** The statements of a module, each as one text. */
function read(name, text) {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS);
  for (const { messageText } of file.parseDiagnostics) throw new Error(`${name}: ${messageText}`);
  return file.statements.flatMap(tree).map((one) => JSON.stringify(one));
}

const ours = read("source", source("host.js", "brush.js", "panel.js"));
const theirs = read("shipped", readFileSync(shipped, "utf-8"));
equal(theirs.length, ours.length, "statements");
for (const [at, one] of ours.entries()) {
  // Of a class, the place where they part: the whole is too long to be read.
  const other = theirs[at];
  const apart = [...one].findIndex((letter, place) => letter !== other[place]);
  equal(
    apart,
    -1,
    `shipped: ${other.slice(apart - 200, apart + 60)}\nsource: ${one.slice(apart - 200, apart + 60)}`,
  );
  equal(other, one);
}
