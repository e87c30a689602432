// The verifier with a network and a memory: from the pinned genesis to what was accepted before.
//
// - The genesis is the reader's pin if there is one, else the site's. Bytes with another hash are never used.
// - A verified state counts only once it is shown to grow from the newest one accepted (L-3). One check at a time, so
//   that two answers are always compared.
// - The second site's word counts for a split view and for nothing else.

import {
  type Bytes,
  type ReasonNumber,
  Refused,
  type TreeHead,
  Trust,
  type Verdict,
  type VerifiedState,
  fromHex,
  invalid,
  toHex,
  verifyHandOver,
  verifyState,
} from "../verify/index.ts";
import { Chain } from "../verify/chain.ts";
import type { Memory } from "./memory.ts";
import type { Settings } from "./settings.ts";
import { Unreachable, fetchBytes, fetchObject, listOfStrings } from "./source.ts";

export type GenesisFault =
  | { readonly fault: "genesis_changed"; readonly pinned: string; readonly found: string }
  | { readonly fault: "genesis_unfit"; readonly found: string };

export class GenesisRefused extends Error {
  readonly is: GenesisFault;
  constructor(is: GenesisFault) {
    super(is.fault);
    this.is = is;
  }
}

export type MirrorWord =
  | { readonly says: "nothing" }
  | { readonly says: "unreachable" }
  | { readonly says: "agrees" }
  | { readonly says: "invalid"; readonly number: ReasonNumber };

export function nowMs(): bigint {
  return BigInt(Date.now());
}

export class Registry {
  readonly settings: Settings;
  readonly memory: Memory;
  #trust: Promise<Trust> | null = null;
  #mirror: Promise<MirrorWord> | null = null;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(settings: Settings, memory: Memory) {
    this.settings = settings;
    this.memory = memory;
  }

  /** Rejects with `Unreachable` or `GenesisRefused`. What failed is tried again at the next call. */
  trust(): Promise<Trust> {
    this.#trust ??= this.#load().catch((error: unknown) => {
      this.#trust = null;
      throw error;
    });
    return this.#trust;
  }

  async #load(): Promise<Trust> {
    const document = await fetchBytes(this.settings.genesisUrl);
    const found = toHex(Chain.ofDocument(document).genesisHash);
    const { pin } = this.memory;
    const claimed = this.settings.genesisHash;
    const other = [found, claimed].find((hash) => pin !== null && hash !== "" && hash !== pin);
    if (pin !== null && other !== undefined)
      throw new GenesisRefused({ fault: "genesis_changed", pinned: pin, found: other });
    if (claimed !== "" && claimed !== found) throw new GenesisRefused({ fault: "genesis_unfit", found });
    let trust: Trust;
    try {
      trust = new Trust(document);
    } catch (error) {
      if (error instanceof Refused) throw new GenesisRefused({ fault: "genesis_unfit", found });
      throw error;
    }
    await this.#followHandOvers(trust);
    const head = this.memory.head(found);
    if (head !== null) trust.resumeFrom(head);
    return trust;
  }

  /** A document that does not hold ends the way; a state of a later set is then named `omitted_update`. */
  async #followHandOvers(trust: Trust): Promise<void> {
    let documents: readonly string[] | null;
    try {
      documents = listOfStrings((await fetchObject(this.settings.handOversUrl))?.["hand_overs"]);
    } catch (error) {
      if (error instanceof Unreachable) return;
      throw error;
    }
    for (const hex of documents ?? []) {
      const document = fromHex(hex);
      if (document === null || verifyHandOver(trust, document).outcome !== "verified") return;
    }
  }

  /** Runs one check after the other. */
  inTurn<T>(check: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(check);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  /**
   * Whether a verified state grows from what was accepted before; keeps it if so. Without an answer about consistency it
   * rejects with `Unreachable`.
   */
  async accept(trust: Trust, head: TreeHead, from = ""): Promise<Verdict<TreeHead>> {
    const newest = trust.newest;
    const path = newest === null || newest.size === head.size ? [] : await this.#consistency(from, newest, head);
    const found = path === null ? invalid(14) : trust.remember(head, path);
    const genesisHash = toHex(trust.chain.genesisHash);
    if (found.outcome === "verified") this.memory.keepHead(genesisHash, found.value);
    else if (found.outcome === "invalid" && found.number === 13) this.memory.keepAlarm(genesisHash, 13);
    return found;
  }

  /** Null if the answer is none. */
  async #consistency(from: string, a: TreeHead, b: TreeHead): Promise<readonly Bytes[] | null> {
    const [first, second] = a.size <= b.size ? [a, b] : [b, a];
    let hashes: readonly string[] | null;
    try {
      const answer = await fetchObject(`${from}${this.settings.consistencyUrl}?from=${first.size}&to=${second.size}`);
      hashes = listOfStrings(answer?.["path"]);
    } catch (error) {
      // Refusing to show it is not showing it.
      if (error instanceof Unreachable && error.status !== null && error.status < 500) return null;
      throw error;
    }
    const path = hashes?.map((hash) => fromHex(hash)) ?? null;
    return path !== null && path.every((hash) => hash?.length === 32) ? (path as Bytes[]) : null;
  }

  /** Asks the second site once a page, after the own one's state was accepted. */
  mirror(trust: Trust): Promise<MirrorWord> {
    this.#mirror ??= this.#askMirror(trust).catch((error: unknown): MirrorWord => {
      this.#mirror = null;
      if (error instanceof Unreachable) return { says: "unreachable" };
      throw error;
    });
    return this.#mirror;
  }

  async #askMirror(trust: Trust): Promise<MirrorWord> {
    const { mirrorUrl, stateUrl } = this.settings;
    if (mirrorUrl === "") return { says: "nothing" };
    const proof = hexOf((await fetchObject(mirrorUrl + stateUrl))?.["proof"]);
    const state: Verdict<VerifiedState> = proof === null ? invalid(1) : verifyState(trust, proof, nowMs());
    if (state.outcome === "not_enough_power") return { says: "unreachable" };
    if (state.outcome === "invalid") {
      if (state.number === 13) this.memory.keepAlarm(toHex(trust.chain.genesisHash), 13);
      return { says: "invalid", number: state.number };
    }
    // Whoever forked the log cannot show that one view grows from the other; both sites are asked.
    let accepted = await this.accept(trust, state.value.head);
    if (accepted.outcome === "invalid" && accepted.number === 14)
      accepted = await this.accept(trust, state.value.head, mirrorUrl);
    return accepted.outcome === "invalid" ? { says: "invalid", number: accepted.number } : { says: "agrees" };
  }

  /** After the reader pinned, unpinned or forgot. */
  startOver(): void {
    this.#trust = null;
    this.#mirror = null;
  }

  /** Asks the second site again at the next check. */
  askMirrorAgain(): void {
    this.#mirror = null;
  }
}

export function hexOf(value: unknown): Bytes | null {
  return typeof value === "string" ? fromHex(value.trim().toLowerCase()) : null;
}
