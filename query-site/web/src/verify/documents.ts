// Which document some bytes are, for a reader who pastes one. A document names no type: the one layout that fits says
// it.

import type { Bytes } from "./bytes.ts";
import { readCertificate, readHeader } from "./block.ts";
import { type CoinProof, readCoinProof } from "./coin.ts";
import { readHandOver } from "./hand_over.ts";
import { Refused, type Reader, decode } from "./reader.ts";
import { readStateProof } from "./state.ts";

export type DocumentKind = "coin" | "state" | "acknowledgement" | "hand_over";

const LAYOUTS: readonly (readonly [DocumentKind, (reader: Reader) => unknown])[] = [
  ["coin", readCoinProof],
  ["state", readStateProof],
  [
    "acknowledgement",
    (r) => [readHeader(r), readCertificate(r), r.hash(), r.u16(), r.u32(), r.u32(), r.list(32, () => r.hash())],
  ],
  ["hand_over", readHandOver],
];

export function documentKind(bytes: Bytes): DocumentKind | null {
  for (const [kind, read] of LAYOUTS) {
    try {
      decode(bytes, read);
      return kind;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
  return null;
}

/** The coin that a proof says it is of. Throws `Refused`. */
export function coinOf(bytes: Bytes): CoinProof["coin"] {
  return decode(bytes, readCoinProof).coin;
}
