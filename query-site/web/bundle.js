// Bundles src/page/main.ts into one ES module: node bundle.js [file]. The same sources give the same bytes: versions are
// pinned by package-lock.json, nothing of the machine (paths, time) enters, and no source map is written.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = process.argv[2] ?? here("../assets/assay.js");

// Their licence (MIT) asks that its text go with every copy.
const bundled = ["@noble/curves", "@noble/hashes"];
const licences = bundled.map((name) => {
  const { version } = JSON.parse(readFileSync(here(`node_modules/${name}/package.json`), "utf8"));
  return `${name} ${version}\n\n${readFileSync(here(`node_modules/${name}/LICENSE`), "utf8").trim()}`;
});
const banner = `/*
Assay's verifier, Apache-2.0. Sources: query-site/web. Contains:

${licences.join("\n\n")}
*/`;

const { metafile } = await build({
  entryPoints: [here("src/page/main.ts")],
  absWorkingDir: here("."),
  outfile: target,
  allowOverwrite: true,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  platform: "browser",
  charset: "utf8",
  legalComments: "none",
  banner: { js: banner },
  metafile: true,
  logLevel: "warning",
});
for (const input of Object.keys(metafile.inputs)) {
  const known = input.startsWith("src/") || bundled.some((name) => input.startsWith(`node_modules/${name}/`));
  if (!known) throw new Error(`${input} entered the bundle, and its licence is not in it`);
}
const text = readFileSync(target, "utf8");
// A page's policy forbids both.
if (/\beval\(|new Function\b|innerHTML|outerHTML|insertAdjacentHTML/.test(text.slice(banner.length)))
  throw new Error("the bundle evaluates text or writes HTML");
if (!text.endsWith("\n")) writeFileSync(target, `${text}\n`);
