// Looks at the pages of a running site: axe-core, console errors, width, in both themes.
//
//   npm run site -- http://127.0.0.1:8190 /en/ /zh/ /en/supply … [--screenshots FOLDER]
//
// Exit code 1 if a page has a violation, an error in its console, or scrolls sideways at 360 px.

import { mkdirSync } from "node:fs";
import { argv } from "node:process";
import type { Browser } from "playwright-core";
import { violations } from "./accessibility.ts";
import { launch } from "./chromium.ts";

const THEMES = ["light", "dark"] as const;
const WIDTHS = [360, 1280];

async function look(browser: Browser, url: string, folder: string | null): Promise<string[]> {
  const found: string[] = [];
  for (const colorScheme of THEMES)
    for (const width of WIDTHS) {
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
      const page = await context.newPage();
      const where = `${url} ${colorScheme} ${width}px`;
      page.on("console", (message) => {
        if (message.type() === "error") found.push(`${where}: console: ${message.text()}`);
      });
      page.on("pageerror", (error) => found.push(`${where}: ${error}`));
      const answer = await page.goto(url);
      if (!answer?.ok()) found.push(`${where}: status ${answer?.status()}`);
      // The panels of the page must have come to a verdict: their colours are part of what is looked at.
      await page.waitForFunction(() => document.querySelector("[data-state=checking]") === null);
      for (const { id, help, nodes } of await violations(page))
        found.push(`${where}: ${id}: ${help}: ${nodes.join(" ")}`);
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      if (overflow > 0) found.push(`${where}: ${overflow} px wider than the window`);
      if (folder !== null) {
        const name = `${new URL(url).pathname.replaceAll("/", "_")}-${colorScheme}-${width}.png`;
        await page.screenshot({ path: `${folder}/${name}`, fullPage: true });
      }
      await context.close();
    }
  return found;
}

const words = argv.slice(2);
const at = words.indexOf("--screenshots");
const [, folder = null] = at < 0 ? [] : words.splice(at, 2);
const [base, ...paths] = words;
if (base === undefined || paths.length === 0) {
  console.error("usage: npm run site -- URL PATH… [--screenshots FOLDER]");
  process.exit(2);
}
if (folder !== null) mkdirSync(folder, { recursive: true });
const browser = await launch();
let count = 0;
for (const path of paths) {
  for (const line of await look(browser, new URL(path, base).href, folder)) {
    console.log(line);
    count += 1;
  }
}
await browser.close();
console.log(`${paths.length} pages in ${THEMES.length} themes and ${WIDTHS.length} widths: ${count} findings`);
process.exit(count === 0 ? 0 : 1);
