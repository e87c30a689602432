// From an opening to its coin id and owner tag (PROTOCOL 5), and the ids' text. Whoever holds an opening checks with
// this, and sends nothing, that a coin is worth what they were told and is theirs.

import { type Bytes, ZERO_HASH, concat, equal, littleEndian } from "./bytes.ts";
import type { Chain } from "./chain.ts";
import { type Reader, decode } from "./reader.ts";

export const OPENING_BYTES = 111;

export type Opening = {
  readonly amount: bigint;
  readonly currency: string;
  readonly series: number;
  readonly terms: Bytes;
  readonly owner: Bytes;
  readonly rho: Bytes;
};

/** Throws `Refused`. */
export function decodeOpening(bytes: Bytes): Opening {
  return decode(bytes, (r: Reader) => ({
    amount: r.u64(),
    currency: r.currency(),
    series: r.u32(),
    terms: r.hash(),
    owner: r.hash(),
    rho: r.hash(),
  }));
}

export type DerivedCoin = {
  readonly note: Bytes;
  readonly kappa: Bytes;
  readonly custody: Bytes;
  readonly link: Bytes;
  readonly coin: Bytes;
  readonly tagBlind: Bytes;
  readonly ownerTag: Bytes;
};

export function deriveCoin(
  chain: Chain,
  openingBytes: Bytes,
  origin: Bytes,
  outputIndex: number,
  bank: number,
): DerivedCoin {
  const { owner, rho } = decodeOpening(openingBytes);
  const note = chain.d("note", openingBytes);
  const kappa = chain.d("custody blind", rho);
  const custody = chain.d("custody", littleEndian(bank, 2), kappa);
  const link = chain.d("link", origin, littleEndian(outputIndex, 1), note);
  const coin = chain.d("coin", link, custody);
  const tagBlind = chain.d("tag blind", rho);
  return { note, kappa, custody, link, coin, tagBlind, ownerTag: chain.d("owner tag", coin, owner, tagBlind) };
}

/** Of a payment's outputs: its inputs, ascending. */
export function originOf(chain: Chain, inputs: readonly Bytes[]): Bytes {
  return chain.d("origin", littleEndian(inputs.length, 2), ...inputs);
}

export function issueOriginOf(chain: Chain, series: number, issueNumber: bigint): Bytes {
  return chain.d("issue origin", littleEndian(series, 4), littleEndian(issueNumber, 8));
}

export function isPlain({ terms }: Opening): boolean {
  return equal(terms, ZERO_HASH);
}

export function encodeOpening({ amount, currency, series, terms, owner, rho }: Opening): Bytes {
  const letters = Uint8Array.from(currency, (letter) => letter.charCodeAt(0));
  return concat(littleEndian(amount, 8), letters, littleEndian(series, 4), terms, owner, rho);
}
