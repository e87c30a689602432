// A coin id's one text (PROTOCOL 1): bech32m (BIP 350), prefix `coin`, lower case, 63 characters, padding bits zero.

import { type Bytes, fromHex } from "./bytes.ts";

const PREFIX = "coin1";
export const COIN_TEXT_LENGTH = 63;
const CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const BECH32M = 0x2bc830a3;

function polymod(values: readonly number[]): number {
  let check = 1;
  for (const value of values) {
    const top = check >>> 25;
    check = ((check & 0x1ffffff) << 5) ^ value;
    GENERATORS.forEach((generator, i) => {
      if ((top >>> i) & 1) check ^= generator;
    });
  }
  return check;
}

const EXPANDED_PREFIX = [..."coin"]
  .map((c) => c.charCodeAt(0) >> 5)
  .concat(0, ...[..."coin"].map((c) => c.charCodeAt(0) & 31));

export function coinText(coin: Bytes): string {
  const data: number[] = [];
  let word = 0;
  let bits = 0;
  for (const byte of coin) {
    word = ((word << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      data.push((word >> bits) & 31);
    }
  }
  if (bits > 0) data.push((word << (5 - bits)) & 31);
  const check = polymod([...EXPANDED_PREFIX, ...data, 0, 0, 0, 0, 0, 0]) ^ BECH32M;
  const checksum = [25, 20, 15, 10, 5, 0].map((shift) => (check >>> shift) & 31);
  return PREFIX + [...data, ...checksum].map((value) => CHARACTERS[value]).join("");
}

export type CoinTextFault = "prefix" | "length" | "checksum" | "padding";

/** Of `coin1…`, or of 64 hex digits as programs write it. */
export function parseCoin(text: string): Bytes | { readonly fault: CoinTextFault; readonly found: number } {
  const found = [...text].length;
  const hex = found === 64 ? fromHex(text) : null;
  if (hex !== null) return hex;
  if (!text.startsWith(PREFIX)) return { fault: "prefix", found };
  if (found !== COIN_TEXT_LENGTH) return { fault: "length", found };
  const values = [...text.slice(PREFIX.length)].map((character) => CHARACTERS.indexOf(character));
  if (values.includes(-1) || polymod([...EXPANDED_PREFIX, ...values]) !== BECH32M) return { fault: "checksum", found };
  const coin = new Uint8Array(32);
  let word = 0;
  let bits = 0;
  let at = 0;
  for (const value of values.slice(0, -6)) {
    word = ((word << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8 && at < 32) {
      bits -= 8;
      coin[at++] = (word >> bits) & 255;
    }
  }
  // 52 characters carry 260 bits: without this, sixteen texts with valid checksums would name one coin.
  return coinText(coin) === text ? coin : { fault: "padding", found };
}
