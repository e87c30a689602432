// A site for the tests: pages that carry the contract of README.md, and answers that a test decides.

import { readFileSync } from "node:fs";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { TEXT_KEYS } from "../../src/page/text_keys.ts";
import { REASONS } from "../../src/verify/index.ts";

const BUNDLE = new URL("../../../../assets/assay.js", import.meta.url);

export type Answer = { readonly status?: number; readonly type?: string; readonly body: string | Uint8Array };
/** By path without query; a function gets the query. */
export type Answers = Record<string, Answer | ((query: URLSearchParams) => Answer)>;

export function json(value: unknown): Answer {
  return { type: "application/json", body: JSON.stringify(value) };
}

export class Site {
  readonly answers: Answers;
  /** Paths with query, in the order asked. */
  readonly asked: string[] = [];
  readonly #server: Server;
  #streams: import("node:http").ServerResponse[] = [];

  private constructor(server: Server, answers: Answers) {
    this.#server = server;
    this.answers = answers;
  }

  static async start(answers: Answers, mirrors: readonly string[] = []): Promise<Site> {
    const server = createServer();
    const site = new Site(server, answers);
    server.on("request", (request, response) => {
      const url = new URL(request.url ?? "/", "http://site");
      site.asked.push(`${url.pathname}${url.search}`);
      if (url.pathname === "/v1/events") {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(": open\n\n");
        site.#streams.push(response);
        return;
      }
      const found: Answer | ((query: URLSearchParams) => Answer) | undefined =
        url.pathname === "/assets/assay.js"
          ? { type: "text/javascript", body: readFileSync(BUNDLE) }
          : site.answers[url.pathname];
      const answer: Answer | undefined = typeof found === "function" ? found(url.searchParams) : found;
      response.writeHead(answer === undefined ? 404 : (answer.status ?? 200), {
        "content-type": answer?.type ?? "text/html; charset=utf-8",
        "access-control-allow-origin": "*",
        "content-security-policy":
          `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ${mirrors.join(" ")}; ` +
          "require-trusted-types-for 'script'",
      });
      response.end(answer?.body ?? "");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return site;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  send(event: string, data: unknown): void {
    for (const stream of this.#streams) stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  async stop(): Promise<void> {
    for (const stream of this.#streams) stream.end();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** What every text of a page says behind its key. */
export const WORDS =
  "{signers}/{validators} {have}<{need} {name} {number} {sentence} {what} {page} {proof} {pinned} {found} {hash} {mirror} {age} {time} {height} {n}";

export function page(settings: Record<string, string>, body: string): Answer {
  const attributes = Object.entries(settings).map(([name, value]) => `data-${name}="${value}"`);
  const texts = TEXT_KEYS.map((key) => `<span data-text="${key}">${key}: ${WORDS}</span>`);
  const reasons = Object.entries(REASONS).map(
    ([number, code]) =>
      `<span data-reason="${number}" data-name="${code.replaceAll("_", " ")}">Sentence of ${code}.</span>`,
  );
  return {
    body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Test</title>
<script type="module" src="/assets/assay.js"></script></head><body><main><h1>Test</h1>
<div data-alarm hidden role="alert"></div>${body}</main>
<div id="assay" hidden ${attributes.join(" ")}></div>
<template id="assay-texts">${texts.join("")}${reasons.join("")}</template></body></html>`,
  };
}

export function coinPanel(coin: string, claim: Record<string, string> = {}): string {
  const claims = Object.entries(claim).map(([name, value]) => ` data-claim-${name}="${value}"`);
  const slots = ["reason", "status", "tag", "height", "size", "age", "signers", "mirror", "pin"].map(
    (slot) => `<p data-slot="${slot}"></p>`,
  );
  return `<section data-verify="coin" data-coin="${coin}" data-answer-url="/v1/coins/${coin}" data-follow${claims.join("")}>
<p role="status" data-slot="verdict"></p>${slots.join("")}<p data-slot="stale" hidden></p><time data-slot="time"></time>
<button type="button" data-action="check-again">again</button><button type="button" data-action="save-proof">save</button>
<button type="button" data-action="pin" data-js-only hidden>pin</button><button type="button" data-action="unpin">unpin</button>
<button type="button" data-action="forget">forget</button></section>`;
}
