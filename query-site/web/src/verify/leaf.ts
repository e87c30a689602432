// A leaf of the log that is about a key of the map (PROTOCOL 10.10): a receipt, a false statement, an order about a
// contract, a feed or its item.

import { type Bytes, concat, equal, littleEndian } from "./bytes.ts";
import { type Checked, sealed } from "./checked.ts";
import { readFeedDefinition, readFeedItem, readI64 } from "./entry.ts";
import { PATH_HASHES_MAX, includes, leafHash } from "./log.ts";
import { type Reader, Refused, decode } from "./reader.ts";
import { type VerifiedState, checkState, judgeState, readStateLeaf, readStateProof } from "./state.ts";
import { readRecord } from "./coin.ts";
import type { Trust } from "./trust.ts";
import { type Verdict, require, verdictOf } from "./verdict.ts";

const INPUTS_MAX = 512;

export type ReceiptInput = {
  readonly feed: number;
  readonly back: number;
  /** Null: there was no such period. */
  readonly found: { readonly period: number; readonly vintage: number; readonly value: bigint } | null;
};

export type Receipt = {
  readonly obligation: Bytes;
  readonly contract: number;
  readonly version: number;
  readonly policy: Bytes;
  /** Of a year, in hundredths of a basis point. */
  readonly rate: bigint;
  readonly fromMs: bigint;
  readonly toMs: bigint;
  readonly fuel: number;
  readonly inputs: readonly ReceiptInput[];
};

/** Officers found that what a bank stated of a loan is false (K-9). Sectors as the ledger numbers them. */
export type FalseStatement = {
  readonly obligation: Bytes;
  readonly contract: number;
  readonly stated: number;
  readonly found: number;
  readonly basis: string;
  readonly evidence: Bytes;
};

/** `receipt` and `statement` null: another leaf about the key that was asked for. */
export type LoggedLeaf = Checked<{
  readonly leaf: Bytes;
  readonly index: bigint;
  readonly receipt: Receipt | null;
  readonly statement: FalseStatement | null;
  readonly state: VerifiedState;
}>;

function readReceipt(r: Reader): Receipt {
  return {
    obligation: r.hash(),
    contract: r.u32(),
    version: r.u32(),
    policy: r.hash(),
    rate: readI64(r),
    fromMs: r.u64(),
    toMs: r.u64(),
    fuel: r.u32(),
    inputs: r.list(INPUTS_MAX, () => ({
      feed: r.u32(),
      back: r.u16(),
      found: r.optional(() => ({ period: r.u32(), vintage: r.u32(), value: readI64(r) })),
    })),
  };
}

function readBasis(r: Reader): string {
  const text = String.fromCharCode(...r.take(8));
  if (!/^[A-Z0-9-]{1,8}\0*$/.test(text)) throw new Refused("basis code");
  return text.replace(/\0+$/, "");
}

function readFalseStatement(r: Reader): FalseStatement {
  return {
    obligation: r.hash(),
    contract: r.u32(),
    stated: r.u32(),
    found: r.u32(),
    basis: readBasis(r),
    evidence: r.hash(),
  };
}

type Leaf = {
  /** The keys of 10.9 that it is about. */
  readonly about: readonly Bytes[];
  readonly receipt: Receipt | null;
  readonly statement: FalseStatement | null;
  readonly bytes: Bytes;
};

/** Every kind of 9.2: one that is about no key decodes too, and is then of another key. */
export function readLeaf(r: Reader): Leaf {
  const start = r.position;
  const { about, receipt, statement } = readContent(r);
  return { about, receipt, statement, bytes: r.since(start) };
}

function readContent(r: Reader): Omit<Leaf, "bytes"> {
  const key = (kind: number, ...numbers: number[]) =>
    concat(Uint8Array.of(kind), ...numbers.map((number) => littleEndian(number, 4)));
  const of = (about: readonly Bytes[]) => ({ about, receipt: null, statement: null });
  const nothing = of([]);
  switch (r.byte(1, 14, "log leaf")) {
    case 1:
      r.hash();
      readRecord(r);
      return nothing;
    case 2:
    case 3:
      r.hash();
      r.u16();
      return nothing;
    case 4:
      r.hash();
      r.byte(1, 3, "reason");
      r.u16();
      return nothing;
    case 5:
    case 6:
      r.hash();
      return nothing;
    case 7:
      readStateLeaf(r);
      return nothing;
    case 8:
      r.byte(1, 3, "request class");
      readBasis(r);
      r.u64();
      r.hash();
      return nothing;
    case 9: {
      const action = r.byte(1, 3, "action");
      const contract = r.u32();
      const version = r.u32();
      r.hash();
      r.hash();
      r.u64();
      const deploys = action === 1 ? [key(2, contract, version)] : [];
      return of([key(1, contract), ...deploys]);
    }
    case 10:
      return of([key(3, readFeedDefinition(r).feed)]);
    case 11: {
      const item = readFeedItem(r);
      return of([key(4, item.feed, item.period, item.vintage)]);
    }
    case 12: {
      const receipt = readReceipt(r);
      return { ...of([concat(Uint8Array.of(5), receipt.obligation)]), receipt };
    }
    case 14:
      r.u8();
      r.u64();
      return nothing;
    default: {
      const statement = readFalseStatement(r);
      return { ...of([concat(Uint8Array.of(5), statement.obligation)]), statement };
    }
  }
}

/** `asked` is the key that the question was about. Nothing says that the leaf is the last about it. */
export function verifyLeaf(trust: Trust, asked: Bytes, bytes: Bytes, nowMs: bigint): Verdict<LoggedLeaf> {
  return verdictOf(() => {
    const { state, leaf, index, path } = decode(bytes, (r) => ({
      state: readStateProof(r),
      leaf: readLeaf(r),
      index: r.u64(),
      path: r.list(PATH_HASHES_MAX, () => r.hash()),
    }));
    require(leaf.about.some((key) => equal(key, asked)), 16);
    const checked = checkState(trust, state);
    require(includes(checked.head.root, index, checked.head.size, leafHash(leaf.bytes), path), 19);
    const { bytes: is, receipt, statement } = leaf;
    return sealed({ leaf: is, index, receipt, statement, state: judgeState(trust, checked, nowMs) });
  });
}
