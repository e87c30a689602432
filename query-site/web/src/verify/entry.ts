// Contracts, feeds and loans: what stands in the map of them (PROTOCOL 10.9), one entry, or that there is none.

import { type Bytes, equal } from "./bytes.ts";
import type { Chain } from "./chain.ts";
import { type Checked, sealed } from "./checked.ts";
import { MAP_PROOF_BYTES_MAX, type MapProof, holds, keyHash, lacks, readMapProof, valueHash } from "./map.ts";
import { Reader, Refused, decode } from "./reader.ts";
import { type StateProof, type VerifiedState, checkState, judgeState, readStateProof } from "./state.ts";
import type { Trust } from "./trust.ts";
import { type Verdict, require, verdictOf } from "./verdict.ts";

const VALUE_BYTES_MAX = 2048;
const PUBLISHERS_MAX = 16;
/** The map's types of entries, by the first byte of a key. */
const ENTRY_TYPES = [0, 3, 3, 4, 4, 5] as const;
const KEY_BYTES = [0, 4, 8, 4, 12, 32] as const;

export type ContractHead = {
  readonly newest: number;
  readonly stopped: number;
  readonly retiresAt: bigint | null;
};
export type DeployedPolicy = {
  readonly policy: Bytes;
  readonly report: Bytes;
  readonly deployedAt: bigint;
  readonly bindsAt: bigint;
};
export type FeedDefinition = {
  readonly feed: number;
  readonly name: string;
  /** 1 rate in percent, 2 index, 3 money. */
  readonly unit: number;
  readonly currency: string;
  readonly scale: number;
  /** 1 daily, 2 monthly, 3 quarterly, 4 yearly. */
  readonly frequency: number;
  readonly publishers: readonly Bytes[];
  readonly threshold: number;
  readonly stepMax: bigint;
};
export type Feed = { readonly definition: FeedDefinition; readonly newest: number | null };
export type FeedItem = {
  readonly feed: number;
  readonly period: number;
  readonly vintage: number;
  readonly scale: number;
  readonly publishedMs: bigint;
  readonly validUntilMs: bigint;
  readonly value: bigint;
};
export type Obligation = {
  readonly contract: number;
  readonly version: number;
  readonly policy: Bytes;
  readonly activatedMs: bigint;
  readonly dueMs: bigint;
};

/** Of the entry of a key: the part that its kind has. */
export type Entry =
  | { readonly kind: "contract"; readonly value: ContractHead }
  | { readonly kind: "version"; readonly value: DeployedPolicy }
  | { readonly kind: "feed"; readonly value: Feed }
  | { readonly kind: "item"; readonly value: FeedItem }
  | { readonly kind: "obligation"; readonly value: Obligation };

export type EntryInState = { readonly key: Bytes; readonly value: Bytes | null; readonly mapProof: MapProof };

/** `entry` null: as of this state there is none. */
export type VerifiedMapEntry = Checked<{
  readonly key: Bytes;
  readonly value: Bytes | null;
  readonly entry: Entry | null;
  readonly state: VerifiedState;
}>;

export function readI64(r: Reader): bigint {
  return BigInt.asIntN(64, r.u64());
}

export function readFeedDefinition(r: Reader): FeedDefinition {
  const feed = r.u32();
  const name = r.text(32);
  if (!/^[a-z0-9_.-]{1,32}$/.test(name)) throw new Refused("name of a feed");
  const unit = r.byte(1, 3, "unit of a feed");
  return {
    feed,
    name,
    unit,
    currency: unit === 3 ? r.currency() : "",
    scale: r.u8(),
    frequency: r.byte(1, 4, "frequency"),
    publishers: r.list(PUBLISHERS_MAX, () => r.hash()),
    threshold: r.u8(),
    stepMax: r.u64(),
  };
}

export function readFeedItem(r: Reader): FeedItem {
  return {
    feed: r.u32(),
    period: r.u32(),
    vintage: r.u32(),
    scale: r.u8(),
    publishedMs: r.u64(),
    validUntilMs: r.u64(),
    value: readI64(r),
  };
}

function readObligation(r: Reader): Obligation {
  return { contract: r.u32(), version: r.u32(), policy: r.hash(), activatedMs: r.u64(), dueMs: r.u64() };
}

function readKey(r: Reader): Bytes {
  const start = r.position;
  r.take(KEY_BYTES[r.byte(1, 5, "key of an entry")] as number);
  return r.since(start);
}

export function readEntryInState(r: Reader): EntryInState {
  const key = readKey(r);
  const value = r.optional(() => r.octets(VALUE_BYTES_MAX));
  return { key, value, mapProof: decode(r.octets(MAP_PROOF_BYTES_MAX), readMapProof) };
}

function readEntry(key: Bytes, value: Bytes): Entry {
  switch (key[0]) {
    case 1:
      return {
        kind: "contract",
        value: decode(value, (r) => ({ newest: r.u32(), stopped: r.u32(), retiresAt: r.optional(() => r.u64()) })),
      };
    case 2:
      return {
        kind: "version",
        value: decode(value, (r) => ({ policy: r.hash(), report: r.hash(), deployedAt: r.u64(), bindsAt: r.u64() })),
      };
    case 3:
      return {
        kind: "feed",
        value: decode(value, (r) => ({ definition: readFeedDefinition(r), newest: r.optional(() => r.u32()) })),
      };
    case 4:
      return { kind: "item", value: decode(value, readFeedItem) };
    default:
      return { kind: "obligation", value: decode(value, readObligation) };
  }
}

/** Under the map root, and of its key's kind; else 12. */
function shown(mapRoot: Bytes, { key, value, mapProof }: EntryInState): Entry | null {
  const hash = keyHash(ENTRY_TYPES[key[0] as number] as number, key.slice(1));
  require(value === null ? lacks(mapRoot, hash, mapProof) : holds(mapRoot, hash, valueHash(value), mapProof), 12);
  if (value === null) return null;
  try {
    return readEntry(key, value);
  } catch (error) {
    if (error instanceof Refused) require(false, 12);
    throw error;
  }
}

function checkEntries(trust: Trust, state: StateProof, entries: readonly EntryInState[], nowMs: bigint) {
  const checked = checkState(trust, state);
  const found = entries.map((one) => ({ key: one.key, value: one.value, entry: shown(state.leaf.mapRoot, one) }));
  const judged = judgeState(trust, checked, nowMs);
  return { state: judged, entries: found.map((one): VerifiedMapEntry => sealed({ ...one, state: judged })) };
}

/** `asked` is the key that the question was about: a proof may hold and be of another one. */
export function verifyEntry(trust: Trust, asked: Bytes, bytes: Bytes, nowMs: bigint): Verdict<VerifiedMapEntry> {
  return verdictOf(() => {
    const { state, entry } = decode(bytes, (r) => ({ state: readStateProof(r), entry: readEntryInState(r) }));
    require(equal(entry.key, asked), 16);
    const [verified] = checkEntries(trust, state, [entry], nowMs).entries;
    return verified as VerifiedMapEntry;
  });
}

/**
 * Several entries in one state: a state proof, and of each what an entry proof has behind its own. Which are there is
 * the caller's to ask of `get`.
 */
export function verifyEntries(
  trust: Trust,
  stateProof: Bytes,
  entries: readonly Bytes[],
  nowMs: bigint,
): Verdict<VerifiedEntries> {
  return verdictOf(() => {
    const state = decode(stateProof, readStateProof);
    const read = entries.map((bytes) => decode(bytes, readEntryInState));
    const checked = checkEntries(trust, state, read, nowMs);
    return new VerifiedEntries(checked.state, checked.entries);
  });
}

export class VerifiedEntries {
  readonly state: VerifiedState;
  readonly #entries = new Map<string, VerifiedMapEntry>();

  constructor(state: VerifiedState, entries: readonly VerifiedMapEntry[]) {
    this.state = state;
    for (const entry of entries) this.#entries.set(entry.key.join(), entry);
  }

  /** Undefined: nothing is shown about this key. */
  get(key: Bytes): Entry | null | undefined {
    return this.#entries.get(key.join())?.entry;
  }

  /** Those that are there. */
  present(): readonly Entry[] {
    return [...this.#entries.values()].flatMap(({ entry }) => (entry === null ? [] : [entry]));
  }
}

// ---------------------------------------------------------------- packages

export type Package = {
  readonly program: Bytes;
  readonly source: string;
  readonly english: string;
  readonly chinese: string;
};

/** D("policy", package): how the ledger names what was deployed. */
export function policyHash(chain: Chain, bytes: Bytes): Bytes {
  return chain.d("policy", bytes);
}

/** The four fields, each behind its length in four big-endian bytes (contracts/LANGUAGE.md, P). Throws `Refused`. */
export function readPackage(bytes: Bytes): Package {
  const r = new Reader(bytes);
  if (r.take(4).join() !== "65,80,75,1") throw new Refused("no package");
  const field = () => r.take(r.take(4).reduce((value, byte) => value * 256 + byte, 0));
  const text = () => {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(field());
    } catch (error) {
      if (error instanceof TypeError) throw new Refused("not UTF-8");
      throw error;
    }
  };
  const read = { program: field(), source: text(), english: text(), chinese: text() };
  r.end();
  return read;
}
