// A map of a few entries with its proofs, as the ledger's has them (PROTOCOL 9.3), for proofs that no vector holds.

import { concat } from "../src/verify/index.ts";
import { type Bytes, EMPTY, littleEndian } from "../src/verify/bytes.ts";
import { EMPTY_SUBTREE, type MapLeaf, bit, keyHash, rootOf, valueHash } from "../src/verify/map.ts";

export type Held = { readonly key: Bytes; readonly value: Bytes };

const TYPES = [0, 3, 3, 4, 4, 5] as const;

function hashOf(key: Bytes): Bytes {
  return keyHash(TYPES[key[0] as number] as number, key.slice(1));
}

function leaves(held: readonly Held[]): MapLeaf[] {
  return held.map(({ key, value }) => ({ keyHash: hashOf(key), valueHash: valueHash(value) }));
}

export function mapRoot(held: readonly Held[]): Bytes {
  return rootOf(leaves(held));
}

/** What an entry proof has behind its state proof: the value that is held, or that there is none. */
export function entryInState(held: readonly Held[], key: Bytes): Bytes {
  const value = held.find((one) => one.key.join() === key.join())?.value ?? null;
  const shown = value === null ? Uint8Array.of(0) : concat(Uint8Array.of(1), littleEndian(value.length, 2), value);
  const proof = mapProof(leaves(held), hashOf(key));
  return concat(key, shown, littleEndian(proof.length, 2), proof);
}

function mapProof(all: readonly MapLeaf[], key: Bytes): Bytes {
  const siblings: Bytes[] = [];
  let within = all;
  while (within.length > 1) {
    const depth = siblings.length;
    const side = (of: 0 | 1) => within.filter((leaf) => bit(leaf.keyHash, depth) === of);
    siblings.push(rootOf(side(bit(key, depth) === 0 ? 1 : 0), depth + 1));
    within = side(bit(key, depth));
  }
  const [end] = within;
  const bitmap = new Uint8Array(Math.ceil(siblings.length / 8));
  siblings.forEach((sibling, d) => {
    if (sibling !== EMPTY_SUBTREE) bitmap[d >> 3] = (bitmap[d >> 3] as number) | (128 >> (d & 7));
  });
  return concat(
    end === undefined ? Uint8Array.of(0) : concat(Uint8Array.of(1), end.keyHash, end.valueHash),
    littleEndian(siblings.length, 2),
    bitmap,
    ...siblings.map((sibling) => (sibling === EMPTY_SUBTREE ? EMPTY : sibling)),
  );
}

