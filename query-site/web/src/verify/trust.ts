// What a verifier believes: the genesis, the validators of now, and the newest log that it accepted (PROTOCOL 10).
//
// - The only way in is the genesis document; the only way to other validators is a verified hand-over (G-3).
// - A set that was handed over signs nothing any more: whoever holds its retired keys could sign an old state anew.
// - The log key is the genesis's for good.

import { type Bytes, equal } from "./bytes.ts";
import { Chain } from "./chain.ts";
import {
  type Genesis,
  type Validator,
  encodeValidators,
  logKeyOf,
  parseGenesis,
  totalPower,
  validatorsOf,
} from "./genesis.ts";
import { consistency } from "./log.ts";
import { CosignerKey, LogKey } from "./note.ts";
import { type ReasonNumber, type Verdict, require, verdictOf } from "./verdict.ts";

export type TreeHead = { readonly size: bigint; readonly root: Bytes };
export type Cosigner = { readonly validator: Validator; readonly key: CosignerKey };

export class Trust {
  readonly genesis: Genesis;
  readonly chain: Chain;
  readonly logKey: LogKey;
  #validators!: readonly Validator[];
  #setHash!: Bytes;
  #cosigners!: ReadonlyMap<string, Cosigner>;
  #since = 0n;
  readonly #pastSets: Bytes[] = [];
  #newest: TreeHead | null = null;

  /** Throws `Refused` if the document breaks G-1 or G-2. Compare `chain.genesisHash` with what is pinned. */
  constructor(document: Bytes) {
    this.genesis = parseGenesis(document);
    this.chain = Chain.ofDocument(document);
    this.logKey = new LogKey(this.genesis.origin, logKeyOf(this.genesis));
    this.#standAt(validatorsOf(this.genesis));
  }

  #standAt(set: readonly Validator[]): void {
    this.#validators = set;
    this.#setHash = this.chain.d("validator set", encodeValidators(set));
    this.#cosigners = new Map(
      set.map((validator) => {
        const name = `${this.genesis.origin}/${validator.number}`;
        return [name, { validator, key: new CosignerKey(name, validator.cosign) }];
      }),
    );
  }

  get validators(): readonly Validator[] {
    return this.#validators;
  }
  get setHash(): Bytes {
    return this.#setHash;
  }
  /** By name, ascending by number. */
  get cosigners(): ReadonlyMap<string, Cosigner> {
    return this.#cosigners;
  }
  get handOvers(): number {
    return this.#pastSets.length;
  }
  /** The height above which the set decides. */
  get since(): bigint {
    return this.#since;
  }
  get newest(): TreeHead | null {
    return this.#newest;
  }
  get quorum(): bigint {
    return (2n * totalPower(this.#validators)) / 3n + 1n;
  }

  /** Takes up what an earlier run of this verifier accepted and kept; never what another party says. */
  resumeFrom(newest: TreeHead): void {
    this.#newest = newest;
  }

  /** Accepts a *verified* log state as seen (10.1). An older one than the newest is checked too, and changes nothing. */
  remember(seen: TreeHead, proof: readonly Bytes[]): Verdict<TreeHead> {
    return verdictOf(() => {
      const newest = this.#newest;
      if (newest !== null) {
        const [first, second] = newest.size <= seen.size ? [newest, seen] : [seen, newest];
        const found = consistency(first.size, first.root, second.size, second.root, proof);
        require(found !== "length", 14);
        require(found === "holds", 13);
      }
      if (newest === null || seen.size > newest.size) this.#newest = seen;
      return this.#newest as TreeHead;
    });
  }

  /** L-3: two roots of one size are a split view, and no proof is needed to say so. */
  contradicts(seen: TreeHead): boolean {
    return this.#newest !== null && this.#newest.size === seen.size && !equal(this.#newest.root, seen.root);
  }

  /** Why a set that a document names is not the own one; null if it is. */
  strays(set: Bytes): ReasonNumber | null {
    if (equal(set, this.#setHash)) return null;
    return this.#pastSets.some((past) => equal(past, set)) ? 8 : 7;
  }

  requireStandsAt(set: Bytes): void {
    const reason = this.strays(set);
    if (reason !== null) require(false, reason);
  }

  /** Called by the check of a hand-over alone, with sound keys. */
  moveTo(set: readonly Validator[], since: bigint): void {
    this.#pastSets.push(this.#setHash);
    this.#since = since;
    this.#standAt(set);
  }
}
