// Ed25519 by the one rule of PROTOCOL 3, that of `ed25519-dalek`'s `verify_strict`.
//
// The library's own `verify` is not it: with `zip215` it takes small orders and a cofactor, without it it refuses keys
// with y ≥ p. Here points are decoded with y mod p, and the equation is compared as bytes: [S]B − [k]A, compressed, is
// R. That equality makes R canonical, so R need not be decoded: it is of small order exactly if the computed point is.

import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, equal, fromLittleEndian, toHex } from "./bytes.ts";

const Point = ed25519.Point;
type PointType = InstanceType<typeof Point>;
const ORDER = Point.Fn.ORDER;

// Keys of a directory are few and come back; tables make each further check of a key about three times as fast. A key
// that an answer brings must not make this grow without bound.
const KEYS_KEPT = 64;
const CHECKS_BEFORE_A_TABLE = 8;
const kept = new Map<string, { negated: PointType | null; checks: number }>();

/** The key's point negated; null if it is no point or of small order. */
function negatedKey(key: Bytes): PointType | null {
  const name = toHex(key);
  let entry = kept.get(name);
  if (entry === undefined) {
    const point = decodePoint(key);
    entry = { negated: point === null || point.isSmallOrder() ? null : point.negate(), checks: 0 };
    if (kept.size >= KEYS_KEPT) kept.delete(kept.keys().next().value as string);
    kept.set(name, entry);
  }
  entry.checks += 1;
  if (entry.negated !== null && entry.checks === CHECKS_BEFORE_A_TABLE) entry.negated.precompute(8);
  return entry.negated;
}

/** y is taken mod p. */
function decodePoint(encoded: Bytes): PointType | null {
  try {
    return Point.fromBytes(encoded, true);
  } catch {
    return null;
  }
}

/** A point in its canonical encoding, not of small order (G-2). */
export function keyIsSound(key: Bytes): boolean {
  const point = decodePoint(key);
  return point !== null && !point.isSmallOrder() && equal(point.toBytes(), key);
}

export function verifies(key: Bytes, message: Bytes, signature: Bytes): boolean {
  if (key.length !== 32 || signature.length !== 64) return false;
  const r = signature.subarray(0, 32);
  const s = fromLittleEndian(signature.subarray(32));
  if (s >= ORDER) return false;
  const negated = negatedKey(key);
  if (negated === null) return false;
  const k = fromLittleEndian(sha512(concat(r, key, message))) % ORDER;
  // Nothing is secret in a check: variable time is meant.
  const computed = Point.BASE.multiplyUnsafe(s).add(negated.multiplyUnsafe(k));
  return equal(computed.toBytes(), r) && !computed.isSmallOrder();
}
