// Debian's Chromium, driven by playwright-core.

import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PROGRAMS = [process.env["ASSAY_CHROMIUM"], "/usr/bin/chromium"];

export async function launch(): Promise<Browser> {
  const program = PROGRAMS.find((path) => path !== undefined && existsSync(path));
  if (program === undefined)
    throw new Error("chromium is not installed: apt-get install chromium, or set ASSAY_CHROMIUM");
  return chromium.launch({
    executablePath: program,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
