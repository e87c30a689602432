// The public log (PROTOCOL 9.2): RFC 6962 over SHA-256, checked by RFC 9162.

import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, EMPTY, concat, equal } from "./bytes.ts";
import { pathRoot } from "./chain.ts";

export const EMPTY_LOG_ROOT: Bytes = sha256(EMPTY);
export const PATH_HASHES_MAX = 64;

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export function leafHash(leaf: Bytes): Bytes {
  return sha256(concat(LEAF, leaf));
}

function node(left: Bytes, right: Bytes): Bytes {
  return sha256(concat(NODE, left, right));
}

export function includes(root: Bytes, index: bigint, size: bigint, leaf: Bytes, path: readonly Bytes[]): boolean {
  const found = pathRoot(leaf, index, size, path, node);
  return found !== null && equal(found, root);
}

/** `length`: the proof is too short or too long, so nothing is shown. `root`: it leads elsewhere, so the logs differ. */
export type Consistency = "holds" | "length" | "root";

/** That the log of size `second` begins with the one of size `first` (RFC 9162, 2.1.4.2); `first` ≤ `second`. */
export function consistency(
  first: bigint,
  firstRoot: Bytes,
  second: bigint,
  secondRoot: Bytes,
  proof: readonly Bytes[],
): Consistency {
  if (first > second) return "root";
  if (first === 0n && !equal(firstRoot, EMPTY_LOG_ROOT)) return "root";
  if (first === second && !equal(firstRoot, secondRoot)) return "root";
  if (first === 0n || first === second) return proof.length === 0 ? "holds" : "length";
  let position = first - 1n;
  let last = second - 1n;
  while ((position & 1n) === 1n) {
    position >>= 1n;
    last >>= 1n;
  }
  let rest = proof;
  let start = firstRoot;
  if ((first & (first - 1n)) !== 0n) {
    const head = proof[0];
    if (head === undefined) return "length";
    start = head;
    rest = proof.slice(1);
  }
  let before = start;
  let after = start;
  for (const sibling of rest) {
    if (last === 0n) return "length";
    if ((position & 1n) === 1n || position === last) {
      before = node(sibling, before);
      after = node(sibling, after);
      while ((position & 1n) === 0n && position !== 0n) {
        position >>= 1n;
        last >>= 1n;
      }
    } else {
      after = node(after, sibling);
    }
    position >>= 1n;
    last >>= 1n;
  }
  if (last !== 0n) return "length";
  return equal(before, firstRoot) && equal(after, secondRoot) ? "holds" : "root";
}

/** The root of these leaves. For small logs: it hashes them all. */
export function rootOf(leaves: readonly Bytes[]): Bytes {
  if (leaves.length === 0) return EMPTY_LOG_ROOT;
  if (leaves.length === 1) return leafHash(leaves[0] as Bytes);
  let left = 1;
  while (2 * left < leaves.length) left *= 2;
  return node(rootOf(leaves.slice(0, left)), rootOf(leaves.slice(left)));
}
