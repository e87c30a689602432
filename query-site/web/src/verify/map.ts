// The map of the latest records (PROTOCOL 9.3, L-4): presence, absence and their proofs.

import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, equal, utf8 } from "./bytes.ts";
import { type Reader, Refused } from "./reader.ts";

export const MAP_DEPTH_MAX = 256;
/** End, leaf, depth, bitmap, siblings. */
export const MAP_PROOF_BYTES_MAX = 1 + 64 + 2 + MAP_DEPTH_MAX / 8 + 32 * MAP_DEPTH_MAX;

export const EMPTY_SUBTREE: Bytes = utf8("SPARSE_MERKLE_PLACEHOLDER_HASH__");
const LEAF = utf8("JMT::LeafNode");
const INNER = utf8("JMT::IntrnalNode");

export type MapLeaf = { readonly keyHash: Bytes; readonly valueHash: Bytes };
/** `leaf` is where the walk ends, null for an empty slot; siblings root first. */
export type MapProof = { readonly leaf: MapLeaf | null; readonly siblings: readonly Bytes[] };

export function keyHash(type: number, id: Bytes): Bytes {
  return sha256(concat(Uint8Array.of(type), id));
}

/** Of a coin's record: type 1. */
export function recordKeyHash(coin: Bytes): Bytes {
  return keyHash(1, coin);
}

export function valueHash(value: Bytes): Bytes {
  return sha256(value);
}

export function leafHash(leaf: MapLeaf): Bytes {
  return sha256(concat(LEAF, leaf.keyHash, leaf.valueHash));
}

export function innerHash(left: Bytes, right: Bytes): Bytes {
  return sha256(concat(INNER, left, right));
}

/** Most significant first. */
export function bit(key: Bytes, depth: number): 0 | 1 {
  return (((key[depth >> 3] as number) >> (7 - (depth & 7))) & 1) as 0 | 1;
}

export function readMapProof(reader: Reader): MapProof {
  const leaf = reader.optional(() => ({ keyHash: reader.hash(), valueHash: reader.hash() }));
  const depth = reader.u16();
  if (depth > MAP_DEPTH_MAX) throw new Refused("too deep");
  const bitmap = reader.take(Math.ceil(depth / 8));
  for (let d = depth; d < 8 * bitmap.length; d++) if (bit(bitmap, d) === 1) throw new Refused("bits beyond the depth");
  const siblings: Bytes[] = [];
  for (let d = 0; d < depth; d++) {
    const sibling = bit(bitmap, d) === 1 ? reader.hash() : null;
    if (sibling !== null && equal(sibling, EMPTY_SUBTREE)) throw new Refused("an empty sibling is listed");
    siblings.push(sibling ?? EMPTY_SUBTREE);
  }
  return { leaf, siblings };
}

/** The root to which a subtree leads that stands at the end of these siblings on the walk of `key`. */
export function climb(subtree: Bytes, key: Bytes, siblings: readonly Bytes[]): Bytes {
  let value = subtree;
  for (let d = siblings.length - 1; d >= 0; d--) {
    const sibling = siblings[d] as Bytes;
    value = bit(key, d) === 1 ? innerHash(sibling, value) : innerHash(value, sibling);
  }
  return value;
}

function leadsTo(root: Bytes, key: Bytes, proof: MapProof): boolean {
  return equal(climb(proof.leaf === null ? EMPTY_SUBTREE : leafHash(proof.leaf), key, proof.siblings), root);
}

export function holds(root: Bytes, key: Bytes, value: Bytes, proof: MapProof): boolean {
  const { leaf } = proof;
  return leaf !== null && equal(leaf.keyHash, key) && equal(leaf.valueHash, value) && leadsTo(root, key, proof);
}

export function lacks(root: Bytes, key: Bytes, proof: MapProof): boolean {
  const { leaf, siblings } = proof;
  if (leaf !== null) {
    if (equal(leaf.keyHash, key)) return false;
    for (let d = 0; d < siblings.length; d++) if (bit(leaf.keyHash, d) !== bit(key, d)) return false;
  }
  return leadsTo(root, key, proof);
}

/** The root of the subtree at `depth` that holds exactly these entries. */
export function rootOf(entries: readonly MapLeaf[], depth = 0): Bytes {
  if (entries.length === 0) return EMPTY_SUBTREE;
  if (entries.length === 1) return leafHash(entries[0] as MapLeaf);
  if (depth >= MAP_DEPTH_MAX) throw new Refused("two entries have one key hash");
  const side = (wanted: 0 | 1) => entries.filter((entry) => bit(entry.keyHash, depth) === wanted);
  return innerHash(rootOf(side(0), depth + 1), rootOf(side(1), depth + 1));
}
