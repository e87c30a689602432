// README.md is what the site's pages are written by: it names every text, slot state and reason that the code uses.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { TEXT_KEYS } from "../src/page/text_keys.ts";
import { REASONS } from "../src/verify/index.ts";

const root = new URL("../../", import.meta.url);
const readme = readFileSync(new URL("README.md", root), "utf8");
const sources = readdirSync(new URL("src/page/", root)).map((name) =>
  readFileSync(new URL(`src/page/${name}`, root), "utf8"),
);

test("the contract names every text", () => {
  for (const key of TEXT_KEYS) assert.ok(readme.includes(`\`${key}\``), key);
});

test("every text of the list is used", () => {
  const code = sources.join("\n");
  for (const key of TEXT_KEYS) {
    const families = [...key.matchAll(/_/g)].map(({ index }) => `\`${key.slice(0, index + 1)}\${`);
    const uses = code.split(`"${key}"`).length - 1;
    assert.ok(uses >= 2 || families.some((family) => code.includes(family)), `${key} is asked for by nothing`);
  }
});

test("pages are written to as text alone", () => {
  for (const source of sources)
    assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.style\b/);
});

test("the reasons are those of PROTOCOL 11.4", () => {
  const page = readFileSync(new URL("../../ledger/PROTOCOL.md", root), "utf8");
  const table = page.slice(page.indexOf("### 11.4"), page.indexOf("## 12"));
  const listed = [...table.matchAll(/\| (\d+) \| `(\w+)`/g)].map(([, number, code]) => `${number} ${code}`);
  assert.deepEqual(
    listed.sort(),
    Object.entries(REASONS)
      .map(([number, code]) => `${number} ${code}`)
      .sort(),
  );
});
