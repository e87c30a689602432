// Blocks that a quorum decided (PROTOCOL 10.3, 10.4): one alone, a run of them, and the verdict on one envelope.

import { type Bytes, concat, equal, littleEndian } from "./bytes.ts";
import { type Checked, sealed } from "./checked.ts";
import { PARTICIPANTS_MAX } from "./genesis.ts";
import { type Reader, decode } from "./reader.ts";
import { verifies } from "./ed25519.ts";
import type { Trust } from "./trust.ts";
import { type Verdict, require, requirePower, verdictOf } from "./verdict.ts";

export type BlockHeader = {
  readonly version: number;
  readonly height: bigint;
  readonly parent: Bytes;
  readonly timeMs: bigint;
  readonly certificatesRoot: Bytes;
  readonly resultsRoot: Bytes;
  readonly stateRoot: Bytes;
  readonly logSize: bigint;
  readonly logRoot: Bytes;
  readonly mapRoot: Bytes;
  readonly participantsHash: Bytes;
  readonly nextSetHash: Bytes;
  readonly parentRound: number;
  readonly bytes: Bytes;
};

export type CommitCertificate = {
  readonly height: bigint;
  readonly round: number;
  readonly block: Bytes;
  readonly precommits: readonly { readonly signer: number; readonly signature: Bytes }[];
};

export type Block = { readonly header: BlockHeader; readonly certificate: CommitCertificate };
export type VerifiedBlock = Checked<{ readonly hash: Bytes; readonly header: BlockHeader }>;
export type AcceptedEnvelope = Checked<{ readonly envelope: Bytes; readonly height: bigint; readonly timeMs: bigint }>;

export function readHeader(r: Reader): BlockHeader {
  const start = r.position;
  const header = {
    version: r.u8(),
    height: r.u64(),
    parent: r.hash(),
    timeMs: r.u64(),
    certificatesRoot: r.hash(),
    resultsRoot: r.hash(),
    stateRoot: r.hash(),
    logSize: r.u64(),
    logRoot: r.hash(),
    mapRoot: r.hash(),
    participantsHash: r.hash(),
    nextSetHash: r.hash(),
    parentRound: r.u32(),
  };
  return { ...header, bytes: r.since(start) };
}

export function readCertificate(r: Reader): CommitCertificate {
  return {
    height: r.u64(),
    round: r.u32(),
    block: r.hash(),
    precommits: r.list(PARTICIPANTS_MAX, () => ({ signer: r.u16(), signature: r.signature() })),
  };
}

export function blockHash(trust: Trust, header: BlockHeader): Bytes {
  return trust.chain.d("block", header.bytes);
}

/** Version 2 of the ledger's rules is version 1 under another number. */
const RULES_KNOWN = 2;

/** All of 10.3 but the power, which is returned and judged last; of rules that are newer than this code a quorum alone is believed. */
export function checkBlock(trust: Trust, { header, certificate }: Block): bigint {
  const hash = blockHash(trust, header);
  const isItsCertificate = equal(certificate.block, hash) && certificate.height === header.height;
  require(header.version >= 1 && isItsCertificate, 20);
  // The block that named the trusted set was still decided by the set before.
  require(header.height > trust.since, 8);
  const place = concat(littleEndian(header.height, 8), littleEndian(certificate.round, 4));
  let power = 0n;
  let last = -1;
  for (const { signer, signature } of certificate.precommits) {
    require(signer > last, 9);
    last = signer;
    const validator = trust.validators.find(({ number }) => number === signer);
    require(validator !== undefined, 10);
    const vote = trust.chain.d("vote", Uint8Array.of(2), place, Uint8Array.of(1), hash, littleEndian(signer, 2));
    require(verifies(validator.consensus, vote, signature), 11);
    power += validator.power;
  }
  require(header.version <= RULES_KNOWN, power >= trust.quorum ? 24 : 20); // B-13
  return power;
}

export function verifyBlock(trust: Trust, header: Bytes, certificate: Bytes): Verdict<VerifiedBlock> {
  return verdictOf(() => {
    const block = { header: decode(header, readHeader), certificate: decode(certificate, readCertificate) };
    requirePower(checkBlock(trust, block), trust.quorum);
    return sealed({ hash: blockHash(trust, block.header), header: block.header });
  });
}

/** From `after`, or from the genesis if it is null. All are of one validator set. */
export function verifyRun(trust: Trust, after: VerifiedBlock | null, blocks: readonly Block[]): Verdict<VerifiedBlock> {
  return verdictOf(() => {
    let last: { readonly hash: Bytes; readonly header: BlockHeader } | null = after;
    const powers: bigint[] = [];
    for (const block of blocks) {
      const { header } = block;
      const height = last?.header.height ?? 0n;
      const parent = last?.hash ?? trust.chain.genesisHash;
      const timeMs = last?.header.timeMs ?? trust.genesis.timeMs;
      require(header.height === height + 1n && equal(header.parent, parent) && header.timeMs > timeMs, 21);
      if (last !== null) trust.requireStandsAt(last.header.nextSetHash);
      powers.push(checkBlock(trust, block));
      last = { hash: blockHash(trust, header), header };
    }
    require(last !== null, 21);
    for (const power of powers) requirePower(power, trust.quorum);
    return sealed(last);
  });
}

/** B-2. What is proved is that this verdict lies under the results root; index and count only say how to walk the path. */
export function verifyAcknowledgement(trust: Trust, bytes: Bytes): Verdict<AcceptedEnvelope> {
  return verdictOf(() => {
    const { header, certificate, envelope, code, index, count, path } = decode(bytes, (r) => ({
      header: readHeader(r),
      certificate: readCertificate(r),
      envelope: r.hash(),
      code: r.u16(),
      index: BigInt(r.u32()),
      count: BigInt(r.u32()),
      path: r.list(32, () => r.hash()),
    }));
    const power = checkBlock(trust, { header, certificate });
    const item = trust.chain.d("result", envelope, littleEndian(code, 2));
    require(trust.chain.pathIsValid(header.resultsRoot, item, index, count, path), 22);
    require(code === 0, 23);
    requirePower(power, trust.quorum);
    return sealed({ envelope, height: header.height, timeMs: header.timeMs });
  });
}
