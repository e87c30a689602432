// What the registry says of a coin (PROTOCOL 10.2): its latest record, or that there is none.

import { type Bytes, equal } from "./bytes.ts";
import { type Checked, sealed } from "./checked.ts";
import { MAP_PROOF_BYTES_MAX, type MapProof, holds, lacks, readMapProof, recordKeyHash, valueHash } from "./map.ts";
import { type Reader, decode } from "./reader.ts";
import { type StateProof, type VerifiedState, checkState, judgeState, readStateProof } from "./state.ts";
import type { Trust } from "./trust.ts";
import { type Verdict, require, verdictOf } from "./verdict.ts";

export const RECORD_STATUS = { 1: "live", 2: "spent", 3: "frozen", 4: "disputed" } as const;

export type CoinRecord = {
  readonly status: keyof typeof RECORD_STATUS;
  readonly batch: bigint;
  readonly height: bigint;
  readonly timeMs: bigint;
  readonly contract: number;
  readonly failedCheck: number;
  readonly tag: Bytes;
};

export type CoinProof = {
  readonly state: StateProof;
  readonly coin: Bytes;
  readonly record: CoinRecord | null;
  readonly recordBytes: Bytes;
  readonly mapProof: MapProof;
};

/** `record` null: as of this state nothing was confirmed about the coin. A payment's new coin is absent until its batch. */
export type VerifiedCoin = Checked<{
  readonly coin: Bytes;
  readonly record: CoinRecord | null;
  readonly state: VerifiedState;
}>;

export function readRecord(r: Reader): CoinRecord {
  return {
    status: r.byte(1, 4, "record status") as CoinRecord["status"],
    batch: r.u64(),
    height: r.u64(),
    timeMs: r.u64(),
    contract: r.u32(),
    failedCheck: r.u16(),
    tag: r.hash(),
  };
}

export function readCoinProof(r: Reader): CoinProof {
  const state = readStateProof(r);
  const coin = r.hash();
  let recordBytes: Bytes = new Uint8Array(0);
  const record = r.optional(() => {
    const start = r.position;
    const record = readRecord(r);
    recordBytes = r.since(start);
    return record;
  });
  return { state, coin, record, recordBytes, mapProof: decode(r.octets(MAP_PROOF_BYTES_MAX), readMapProof) };
}

/** `asked` is the coin that the question was about: a proof may hold and be of another one. */
export function verifyCoin(trust: Trust, asked: Bytes, bytes: Bytes, nowMs: bigint): Verdict<VerifiedCoin> {
  return verdictOf(() => {
    const { state, coin, record, recordBytes, mapProof } = decode(bytes, readCoinProof);
    require(equal(coin, asked), 16);
    const checked = checkState(trust, state);
    const { mapRoot } = state.leaf;
    const key = recordKeyHash(coin);
    // L-4: the map holds one record a coin, the latest; a proof of an earlier one does not lead to this root.
    require(record === null
      ? lacks(mapRoot, key, mapProof)
      : holds(mapRoot, key, valueHash(recordBytes), mapProof), 12);
    return sealed({ coin, record, state: judgeState(trust, checked, nowMs) });
  });
}
