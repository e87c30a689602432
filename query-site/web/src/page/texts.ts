// The page's texts, and how times, amounts and ages are written in its language.
//
// A text that the page lacks is shown as its key: a failure is named even on a page that is out of date.

import type { ReasonNumber } from "../verify/index.ts";
import { REASONS } from "../verify/index.ts";
import type { TextKey } from "./text_keys.ts";

export type Words = Readonly<Record<string, string | number | bigint>>;

export class Texts {
  readonly #texts = new Map<string, string>();
  readonly #reasons = new Map<number, { readonly name: string; readonly sentence: string }>();
  readonly #failedChecks = new Map<number, string>();
  readonly #language: string;

  constructor(page: Document) {
    this.#language = page.documentElement.lang || "en";
    const holder = page.getElementById("assay-texts");
    const root: ParentNode =
      holder instanceof HTMLTemplateElement ? holder.content : (holder ?? page.createDocumentFragment());
    const of = (element: HTMLElement) => (element.textContent ?? "").trim();
    for (const element of root.querySelectorAll<HTMLElement>("[data-text]"))
      this.#texts.set(element.dataset["text"] ?? "", of(element));
    for (const element of root.querySelectorAll<HTMLElement>("[data-reason]"))
      this.#reasons.set(Number(element.dataset["reason"]), {
        name: element.dataset["name"] ?? "",
        sentence: of(element),
      });
    for (const element of root.querySelectorAll<HTMLElement>("[data-failed-check]"))
      this.#failedChecks.set(Number(element.dataset["failedCheck"]), of(element));
  }

  text(key: TextKey, words: Words = {}): string {
    const text = this.#texts.get(key) ?? [key, ...Object.values(words)].join(" ");
    return text.replace(/\{(\w+)\}/g, (whole, word: string) =>
      Object.hasOwn(words, word) ? String(words[word]) : whole,
    );
  }

  reason(number: ReasonNumber): { readonly name: string; readonly sentence: string } {
    const known = this.#reasons.get(number);
    return { name: known?.name || `${REASONS[number]} (${number})`, sentence: known?.sentence ?? "" };
  }

  failedCheck(number: number): string {
    return this.#failedChecks.get(number) ?? String(number);
  }

  number(value: bigint | number): string {
    return new Intl.NumberFormat(this.#language).format(value);
  }

  time(ms: bigint): string {
    // Beyond what a Date holds there is nothing to write nicely.
    if (ms > 8_640_000_000_000_000n) return `${ms} ms`;
    const format = new Intl.DateTimeFormat(this.#language, {
      dateStyle: "medium",
      timeStyle: "medium",
      timeZone: "UTC",
    });
    return `${format.format(Number(ms))} UTC`;
  }

  /** In the currency's units, without its name. */
  amount(minor: bigint, exponent: number): string {
    const unit = 10n ** BigInt(exponent);
    const fraction = exponent === 0 ? "" : `.${(minor % unit).toString().padStart(exponent, "0")}`;
    return `${this.number(minor / unit)}${fraction}`;
  }

  age(ms: number): string {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const steps = [
      ["age_days", 86_400],
      ["age_hours", 3_600],
      ["age_minutes", 60],
      ["age_seconds", 1],
    ] as const;
    const [key, of] = steps.find(([, of]) => seconds >= 2 * of) ?? ["age_seconds", 1];
    return this.text(key, { n: Math.floor(seconds / of) });
  }
}
