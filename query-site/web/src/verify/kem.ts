// Which KEM keys may stand in a directory (PROTOCOL 4, G-2): 1 is X25519, 2 X-Wing.

import { type Bytes, fromLittleEndian } from "./bytes.ts";

const P = (1n << 255n) - 19n;
const littleEndianHex = (hex: string) => BigInt(`0x${(hex.match(/../g) as string[]).reverse().join("")}`);
const SMALL_ORDER: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  P - 1n,
  P,
  P + 1n,
  littleEndianHex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
  littleEndianHex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]);
/** 768 coefficients of 12 bits. */
const ML_KEM_POLYNOMIAL_BYTES = 1152;
const ML_KEM_MODULUS = 3329;

export function kemKeyIsSound(suite: number, key: Bytes): boolean {
  if (key.length !== (suite === 2 ? 1216 : 32)) return false;
  if (suite === 2) {
    for (let i = 0; i < ML_KEM_POLYNOMIAL_BYTES; i += 3) {
      const [a, b, c] = key.subarray(i, i + 3) as unknown as [number, number, number];
      if ((a | ((b & 15) << 8)) >= ML_KEM_MODULUS || ((b >> 4) | (c << 4)) >= ML_KEM_MODULUS) return false;
    }
  }
  const point = fromLittleEndian(key.subarray(key.length - 32)) & ((1n << 255n) - 1n);
  return !SMALL_ORDER.has(point);
}
