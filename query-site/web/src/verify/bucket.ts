// What the registry says of every coin below a prefix of key hashes (PROTOCOL 10.7), for a reader who does not name the
// one it means. The entries are checked to be *all* below the prefix, so one proof answers for any coin there, a coin
// without a record too.

import { type Bytes, compare, equal, toHex } from "./bytes.ts";
import { type Checked, sealed } from "./checked.ts";
import { type CoinRecord, type VerifiedCoin, readRecord } from "./coin.ts";
import { bit, climb, recordKeyHash, rootOf, valueHash } from "./map.ts";
import { type Reader, Refused, decode } from "./reader.ts";
import { type StateProof, type VerifiedState, checkState, judgeState, readStateProof } from "./state.ts";
import type { Trust } from "./trust.ts";
import { type Verdict, require, verdictOf } from "./verdict.ts";

export const BUCKET_BITS_MAX = 32;
const ENTRIES_MAX = 1_024;
const VALUE_BYTES_MAX = 2_048;

/** The first bits of a key hash; those beyond `bits` are zero in the four bytes. */
export type Prefix = { readonly bits: number; readonly first: Bytes };
type Entry = { readonly keyHash: Bytes; readonly value: Bytes };
type BucketProof = {
  readonly state: StateProof;
  readonly prefix: Prefix;
  readonly siblings: readonly Bytes[];
  readonly entries: readonly Entry[];
};

/** Every entry below a prefix, in a confirmed state. */
export type VerifiedBucket = Checked<{
  readonly prefix: Prefix;
  readonly entries: readonly Entry[];
  /** Among how many a coin is hidden. */
  readonly count: number;
  readonly state: VerifiedState;
}>;

export function prefixOf(keyHash: Bytes, bits: number): Prefix {
  const first = keyHash.slice(0, 4).map((byte, i) => {
    const kept = Math.min(8, Math.max(0, bits - 8 * i));
    return byte & (0xff << (8 - kept));
  });
  return { bits, first };
}

function agrees(keyHash: Bytes, prefix: Prefix, depth: number): boolean {
  for (let d = 0; d < depth; d++) if (bit(keyHash, d) !== bit(prefix.first, d)) return false;
  return true;
}

function readBucketProof(r: Reader): BucketProof {
  const state = readStateProof(r);
  const prefix = { bits: r.byte(0, BUCKET_BITS_MAX, "bits of a bucket"), first: r.take(4) };
  if (!equal(prefixOf(prefix.first, prefix.bits).first, prefix.first)) throw new Refused("bits behind the prefix");
  const siblings = r.list(BUCKET_BITS_MAX, () => r.hash());
  const entries = r.list(ENTRIES_MAX, () => ({ keyHash: r.hash(), value: r.octets(VALUE_BYTES_MAX) }));
  const ascending = entries.every(
    ({ keyHash }, i) => i === 0 || compare((entries[i - 1] as Entry).keyHash, keyHash) < 0,
  );
  if (!ascending) throw new Refused("order of a bucket's entries");
  return { state, prefix, siblings, entries };
}

/** `asked` is the prefix that the question was about. */
export function verifyBucket(trust: Trust, asked: Prefix, bytes: Bytes, nowMs: bigint): Verdict<VerifiedBucket> {
  return verdictOf(() => {
    const { state, prefix, siblings, entries } = decode(bytes, readBucketProof);
    require(prefix.bits === asked.bits && equal(prefix.first, asked.first), 16);
    const checked = checkState(trust, state);
    const depth = siblings.length;
    require(depth <= prefix.bits && (depth === prefix.bits || entries.length <= 1), 12);
    require(entries.every(({ keyHash }) => agrees(keyHash, prefix, depth)), 12);
    // L-4: an entry that is left out, added or altered leads to another root.
    const below = rootOf(
      entries.map(({ keyHash, value }) => ({ keyHash, valueHash: valueHash(value) })),
      depth,
    );
    require(equal(climb(below, prefix.first, siblings), state.leaf.mapRoot), 12);
    const count = entries.filter(({ keyHash }) => agrees(keyHash, prefix, prefix.bits)).length;
    return sealed({ prefix, entries, count, state: judgeState(trust, checked, nowMs) });
  });
}

/** What a bucket says of a coin. */
export function coinInBucket({ prefix, entries, state }: VerifiedBucket, coin: Bytes): Verdict<VerifiedCoin> {
  return verdictOf(() => {
    const key = recordKeyHash(coin);
    require(agrees(key, prefix, prefix.bits), 16);
    const entry = entries.find(({ keyHash }) => equal(keyHash, key));
    let record: CoinRecord | null = null;
    if (entry !== undefined) {
      try {
        record = decode(entry.value, readRecord);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        require(false, 12);
      }
    }
    return sealed({ coin, record, state });
  });
}

/** As it stands in `/v1/buckets/{bits}/{prefix}`. */
export function prefixText({ first }: Prefix): string {
  return toHex(first);
}
