// One panel of a page: its state, its slots, its proof. Everything goes in as text.

import { type ReasonNumber, REASONS, STALE_AFTER_MS, type VerifiedState, toHex } from "../verify/index.ts";
import { totalPower } from "../verify/index.ts";
import type { Trust } from "../verify/index.ts";
import { GenesisRefused, type MirrorWord } from "./registry.ts";
import type { Settings } from "./settings.ts";
import { Unreachable } from "./source.ts";
import type { Texts, Words } from "./texts.ts";

export type PanelState = "checking" | "verified" | "power" | "invalid" | "unreachable";
type Slots = Readonly<Record<string, string>>;

export class Panel {
  readonly element: HTMLElement;
  readonly #texts: Texts;
  readonly #alarm: (text: string) => void;
  /** What "save proof" saves. */
  proof: { readonly bytes: Uint8Array; readonly name: string } | null = null;
  #signedAtMs: bigint | null = null;

  constructor(element: HTMLElement, texts: Texts, alarm: (text: string) => void) {
    this.element = element;
    this.#texts = texts;
    this.#alarm = alarm;
  }

  attribute(name: string): string {
    return this.element.dataset[name] ?? "";
  }

  slots(name: string): HTMLElement[] {
    const all = [...this.element.querySelectorAll<HTMLElement>(`[data-slot="${name}"]`)];
    return all.filter((slot) => slot.closest("[data-verify]") === this.element);
  }

  fill(values: Slots): void {
    for (const [name, value] of Object.entries(values))
      for (const slot of this.slots(name)) {
        if (
          slot instanceof HTMLTextAreaElement ||
          slot instanceof HTMLInputElement ||
          slot instanceof HTMLOutputElement
        )
          slot.value = value;
        else slot.textContent = value;
      }
  }

  fillTime(name: string, ms: bigint): void {
    this.fill({ [name]: this.#texts.time(ms) });
    for (const slot of this.slots(name))
      if (slot instanceof HTMLTimeElement && ms <= 8_640_000_000_000_000n)
        slot.dateTime = new Date(Number(ms)).toISOString();
  }

  #is(state: PanelState, verdict: string, sentence = ""): void {
    const { element } = this;
    element.dataset["state"] = state;
    element.removeAttribute("data-reason");
    element.removeAttribute("data-reason-code");
    element.setAttribute("aria-busy", String(state === "checking"));
    this.fill({ verdict, reason: sentence });
  }

  checking(): void {
    this.#is("checking", this.#texts.text("checking"));
  }

  verified(text: string): void {
    this.#is("verified", text);
  }

  notEnoughPower(have: bigint, need: bigint): void {
    this.#clearStatus();
    this.#is("power", this.#texts.text("not_enough_power", { have, need }));
  }

  invalid(number: ReasonNumber): void {
    const { name, sentence } = this.#texts.reason(number);
    this.fault(REASONS[number], this.#texts.text("invalid", { name, number, sentence }), sentence);
    this.element.dataset["reason"] = String(number);
    if (number === 13) this.#alarm(this.#texts.text("invalid", { name, number, sentence }));
  }

  /** What is wrong, and has no number of the protocol. */
  fault(code: string, text: string, sentence = ""): void {
    this.#clearStatus();
    this.#is("invalid", text, sentence);
    this.element.dataset["reasonCode"] = code;
  }

  unreachable(what: string): void {
    this.#clearStatus();
    this.#is("unreachable", this.#texts.text("unreachable", { what }));
  }

  /** A status that is not verified must not be styled as one. */
  #clearStatus(): void {
    this.element.removeAttribute("data-status");
  }

  /** What kept a check from a verdict. */
  failed(error: unknown): void {
    if (error instanceof GenesisRefused) {
      const text = this.#texts.text(error.is.fault, error.is as unknown as Words);
      this.fault(error.is.fault, text);
      this.#alarm(text);
    } else if (error instanceof Unreachable) {
      this.unreachable(error.message);
    } else {
      // A defect of this code: nothing was verified, and nothing is said of the site.
      this.unreachable("");
      console.error(error);
    }
  }

  verifiedText(state: VerifiedState, trust: Trust): string {
    return this.#texts.text("verified", {
      signers: state.signers.length,
      validators: trust.validators.length,
      power: state.power,
      total: totalPower(trust.validators),
    });
  }

  /** As of which batch, height and time, signed by whom. */
  showState(state: VerifiedState, trust: Trust): void {
    const { leaf, head } = state;
    this.fill({
      height: this.#texts.number(leaf.height),
      batch: this.#texts.number(leaf.batch),
      signers: state.signers.join(", "),
      signer_count: String(state.signers.length),
      validators: String(trust.validators.length),
      power: String(state.power),
      size: this.#texts.number(head.size),
      root: toHex(head.root),
      genesis_hash: toHex(trust.chain.genesisHash),
    });
    this.fillTime("time", leaf.timeMs);
    this.fillTime("signed_at", state.signedAtMs);
    this.#signedAtMs = state.signedAtMs;
    this.tick();
  }

  /** Ages grow while the page is open, and what was fresh goes stale. */
  tick(): void {
    if (this.#signedAtMs === null) return;
    const apart = BigInt(Date.now()) - this.#signedAtMs;
    const stale = apart > STALE_AFTER_MS || -apart > STALE_AFTER_MS;
    const age = this.#texts.age(Number(apart));
    this.fill({ age });
    if (this.element.dataset["stale"] === String(stale)) return;
    this.element.dataset["stale"] = String(stale);
    for (const slot of this.slots("stale")) {
      slot.hidden = !stale;
      slot.textContent = stale ? this.#texts.text("stale", { age }) : "";
    }
  }

  showMirror(word: MirrorWord, settings: Settings): void {
    const mirror = settings.mirrorUrl;
    if (word.says === "agrees") this.fill({ mirror: this.#texts.text("mirror_agrees", { mirror }) });
    if (word.says === "unreachable") this.fill({ mirror: this.#texts.text("mirror_unreachable", { mirror }) });
    if (word.says === "invalid") {
      const { name, sentence } = this.#texts.reason(word.number);
      this.fill({ mirror: this.#texts.text("mirror_invalid", { mirror, name, number: word.number, sentence }) });
    }
  }
}
