// axe-core on a page, for these tests and for the site's.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";

const AXE = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

export type Violation = { readonly id: string; readonly help: string; readonly nodes: readonly string[] };

/** All rules of WCAG 2.2 A and AA, and best practices. Through the debugger, so that the page's policy need not allow it. */
export async function violations(page: Page): Promise<readonly Violation[]> {
  const session = await page.context().newCDPSession(page);
  try {
    await session.send("Runtime.evaluate", { expression: AXE });
    const { result } = await session.send("Runtime.evaluate", {
      expression: `axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
        JSON.stringify(violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map(({ html }) => html) }))))`,
      awaitPromise: true,
      returnByValue: true,
    });
    return JSON.parse(result.value as string) as Violation[];
  } finally {
    await session.detach();
  }
}
