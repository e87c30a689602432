// A bucket answers for every coin below its prefix, and for no other (10.7).

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Verdict, coinInBucket, concat, prefixOf, recordKeyHash, verifyBucket } from "../src/verify/index.ts";
import { type Bytes, compare, littleEndian } from "../src/verify/bytes.ts";
import * as map from "../src/verify/map.ts";
import { NOW_MS, stateProof, trustOfTests } from "./chain.ts";

const trust = trustOfTests();
const coin = (n: number) => Uint8Array.from({ length: 32 }, (_, i) => (n * 7 + i * n) & 255);
const record = (n: number) =>
  concat(
    Uint8Array.of(1),
    littleEndian(1, 8),
    littleEndian(2, 8),
    littleEndian(3, 8),
    littleEndian(0, 4),
    littleEndian(0, 2),
    coin(n + 100),
  );
const COINS = 40;
const all = Array.from({ length: COINS }, (_, n) => ({ keyHash: recordKeyHash(coin(n)), value: record(n) }))
  // An entry that is no record: a directory line.
  .concat({ keyHash: map.keyHash(2, littleEndian(1, 2)), value: Uint8Array.of(1, 2, 3) })
  .toSorted((a, b) => compare(a.keyHash, b.keyHash));
type Entry = (typeof all)[number];
const leaf = ({ keyHash, value }: Entry) => ({ keyHash, valueHash: map.valueHash(value) });
const state = stateProof(trust, map.rootOf(all.map(leaf)));

/** As an honest node makes it: down to the prefix, or to where one entry or none is left. */
function bucket(
  key: Bytes,
  bits: number,
  change = (entries: Entry[], siblings: Bytes[]) => ({ entries, siblings }),
): Bytes {
  let entries = all;
  const siblings: Bytes[] = [];
  for (let d = 0; d < bits && entries.length > 1; d++) {
    siblings.push(map.rootOf(entries.filter((e) => map.bit(e.keyHash, d) !== map.bit(key, d)).map(leaf), d + 1));
    entries = entries.filter((e) => map.bit(e.keyHash, d) === map.bit(key, d));
  }
  const made = change(entries, siblings);
  const list = (items: Bytes[]) => concat(littleEndian(items.length, 2), ...items);
  const entry = ({ keyHash, value }: Entry) => concat(keyHash, littleEndian(value.length, 2), value);
  return concat(
    state,
    Uint8Array.of(bits),
    prefixOf(key, bits).first,
    list(made.siblings),
    list(made.entries.map(entry)),
  );
}

const reason = (found: Verdict<unknown>) => (found.outcome === "invalid" ? found.number : found.outcome);

test("from a bucket of any depth a reader learns of presence and of absence", () => {
  for (const bits of [0, 1, 2, 3, 5, 8, 9, 20, 32])
    for (let n = 0; n < COINS + 20; n++) {
      const key = recordKeyHash(coin(n));
      const found = verifyBucket(trust, prefixOf(key, bits), bucket(key, bits), NOW_MS);
      assert.ok(found.outcome === "verified", `${bits} bits, coin ${n}: ${reason(found)}`);
      const answer = coinInBucket(found.value, coin(n));
      assert.ok(answer.outcome === "verified");
      assert.equal(answer.value.record !== null, n < COINS, `${bits} bits, coin ${n}`);
    }
});

test("a bucket that hides, adds or alters an entry is named: 12", () => {
  const key = recordKeyHash(coin(0));
  const judge = (change: (entries: Entry[], siblings: Bytes[]) => { entries: Entry[]; siblings: Bytes[] }) =>
    reason(verifyBucket(trust, prefixOf(key, 2), bucket(key, 2, change), NOW_MS));
  assert.equal(
    judge((entries, siblings) => ({ entries, siblings })),
    "verified",
  );
  assert.equal(
    judge((entries, siblings) => ({ entries: entries.slice(1), siblings })),
    12,
  );
  assert.equal(
    judge((_, siblings) => ({ entries: [], siblings })),
    12,
  );
  assert.equal(
    judge(([first, ...rest], siblings) => ({
      entries: [{ ...(first as Entry), value: record(99) }, ...rest],
      siblings,
    })),
    12,
  );
  assert.equal(
    judge((entries, siblings) => ({ entries, siblings: siblings.slice(1) })),
    12,
  );
  assert.equal(
    judge((entries, siblings) => ({ entries: entries.toReversed(), siblings })),
    1,
  );
});

test("a bucket above its prefix lists one entry at most: 12", () => {
  // The whole map for a prefix of two bits: true, and not what was asked for.
  const key = recordKeyHash(coin(0));
  const found = verifyBucket(
    trust,
    prefixOf(key, 2),
    bucket(key, 2, () => ({ entries: all, siblings: [] })),
    NOW_MS,
  );
  assert.equal(reason(found), 12);
});

test("a bucket says nothing of a coin of another, and is none for another prefix: 16", () => {
  const [one, other] = [
    coin(0),
    Array.from({ length: 50 }, (_, n) => coin(n)).find(
      (c) => map.bit(recordKeyHash(c), 0) !== map.bit(recordKeyHash(coin(0)), 0),
    ) as Bytes,
  ];
  const key = recordKeyHash(one);
  const found = verifyBucket(trust, prefixOf(key, 1), bucket(key, 1), NOW_MS);
  assert.ok(found.outcome === "verified");
  assert.equal(reason(coinInBucket(found.value, other)), 16);
  assert.equal(reason(verifyBucket(trust, prefixOf(recordKeyHash(other), 1), bucket(key, 1), NOW_MS)), 16);
  assert.equal(reason(verifyBucket(trust, prefixOf(key, 2), bucket(key, 1), NOW_MS)), 16);
});

test("no bit of a bucket can be flipped", () => {
  const key = recordKeyHash(coin(3));
  const honest = bucket(key, 3);
  for (let bit = 0; bit < 8 * honest.length; bit += 3) {
    const altered = honest.slice();
    altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.notEqual(verifyBucket(trust, prefixOf(key, 3), altered, NOW_MS).outcome, "verified", `bit ${bit}`);
  }
});
