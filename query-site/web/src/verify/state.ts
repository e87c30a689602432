// State proofs and supply (PROTOCOL 10.1): a checkpoint with the log's signature and a quorum's, and the state leaf
// that is the last under its root.

import { type Bytes, concat, equal } from "./bytes.ts";
import { type Checked, sealed } from "./checked.ts";
import { PATH_HASHES_MAX, includes, leafHash } from "./log.ts";
import { type Note, type SignatureLine, parseCheckpoint, parseNote } from "./note.ts";
import { type Reader, decode } from "./reader.ts";
import type { Cosigner, TreeHead, Trust } from "./trust.ts";
import { type Verdict, require, requirePower, verdictOf } from "./verdict.ts";

export const CHECKPOINT_BYTES_MAX = 46374;
/** An idle log is cosigned every 30 s; four missed rounds are no accident (L-3). */
export const STALE_AFTER_MS = 120_000n;

export type StateLeaf = {
  readonly batch: bigint;
  readonly height: bigint;
  readonly timeMs: bigint;
  readonly mapRoot: Bytes;
  readonly setHash: Bytes;
  readonly issued: bigint;
  readonly redeemed: bigint;
};

export type StateProof = {
  readonly genesisHash: Bytes;
  readonly leaf: StateLeaf;
  readonly leafBytes: Bytes;
  readonly path: readonly Bytes[];
  readonly checkpoint: Bytes;
};

export type VerifiedState = Checked<{
  readonly leaf: StateLeaf;
  readonly head: TreeHead;
  /** Ascending. */
  readonly signers: readonly number[];
  readonly power: bigint;
  readonly signedAtMs: bigint;
  /** Zero if the signers' time lies ahead of the reader's. */
  readonly ageMs: bigint;
  readonly stale: boolean;
}>;

export type Supply = Checked<{
  readonly issued: bigint;
  readonly redeemed: bigint;
  readonly inCirculation: bigint;
  readonly state: VerifiedState;
}>;

export function readStateLeaf(r: Reader): StateLeaf {
  return {
    batch: r.u64(),
    height: r.u64(),
    timeMs: r.u64(),
    mapRoot: r.hash(),
    setHash: r.hash(),
    issued: r.u128(),
    redeemed: r.u128(),
  };
}

export function readStateProof(r: Reader): StateProof {
  r.byte(1, 1, "proof version");
  const genesisHash = r.hash();
  const start = r.position;
  const leaf = readStateLeaf(r);
  const leafBytes = r.since(start);
  const path = r.list(PATH_HASHES_MAX, () => r.hash());
  return { genesisHash, leaf, leafBytes, path, checkpoint: r.octets(CHECKPOINT_BYTES_MAX) };
}

type Signed = { readonly timeS: bigint; readonly cosigner: Cosigner };
/** A state that breaks no rule; whether enough power stands behind it is judged after all else. */
type CheckedState = { readonly proof: StateProof; readonly head: TreeHead; readonly signed: readonly Signed[] };

/** A note of this chain's log, with the log's signature (checks 2–5). */
export function checkLogSigned(trust: Trust, checkpoint: Bytes): { readonly note: Note; readonly head: TreeHead } {
  const note = parseNote(checkpoint);
  require(note !== null, 3);
  const text = parseCheckpoint(note.text);
  require(text !== null, 3);
  require(text.origin === trust.logKey.name, 2);
  require(text.extensions.length === 0, 3);
  const byLog = note.signatures.filter(({ name }) => name === trust.logKey.name);
  const [line, second] = byLog;
  require(line !== undefined, 4);
  require(second === undefined, 9);
  require(trust.logKey.signed(note.text, line), 5);
  return { note, head: { size: text.size, root: text.root } };
}

/** Checks 8 and 9. Every line that is not the log's is a validator's: a proof that can be altered is no proof. */
export function checkCosigned(trust: Trust, note: Note): Signed[] {
  const lines = new Map<string, SignatureLine>();
  for (const line of note.signatures) {
    if (line.name === trust.logKey.name) continue;
    require(trust.cosigners.has(line.name), 10);
    require(!lines.has(line.name), 9);
    lines.set(line.name, line);
  }
  const signed: Signed[] = [];
  for (const [name, cosigner] of trust.cosigners) {
    const line = lines.get(name);
    if (line === undefined) continue;
    const timeS = cosigner.key.cosigned(note.text, line);
    require(timeS !== null, 11);
    signed.push({ timeS, cosigner });
  }
  return signed;
}

export function checkState(trust: Trust, proof: StateProof): CheckedState {
  require(equal(proof.genesisHash, trust.chain.genesisHash), 2);
  const { note, head } = checkLogSigned(trust, proof.checkpoint);
  // L-1: what is latest is said by the last leaf, and by no other.
  const leaf = leafHash(concat(Uint8Array.of(7), proof.leafBytes));
  require(head.size >= 1n && includes(head.root, head.size - 1n, head.size, leaf, proof.path), 6);
  // G-3: the state leaf itself names who cosigns at this size.
  trust.requireStandsAt(proof.leaf.setHash);
  const signed = checkCosigned(trust, note);
  require(!trust.contradicts(head), 13);
  return { proof, head, signed };
}

/** The power of these cosigners, and when a quorum of them had signed (L-3). Too little power throws. */
export function judgeCosigned(trust: Trust, signed: readonly Signed[]): { power: bigint; signedAtMs: bigint } {
  const powerOf = (of: readonly Signed[]) => of.reduce((sum, { cosigner }) => sum + cosigner.validator.power, 0n);
  const power = powerOf(signed);
  requirePower(power, trust.quorum);
  const newestFirst = signed.toSorted((a, b) => (a.timeS < b.timeS ? 1 : a.timeS > b.timeS ? -1 : 0));
  const reached = newestFirst.findIndex((_, i) => powerOf(newestFirst.slice(0, i + 1)) >= trust.quorum);
  return { power, signedAtMs: (newestFirst[reached] as Signed).timeS * 1_000n };
}

export function judgeState(trust: Trust, { proof, head, signed }: CheckedState, nowMs: bigint): VerifiedState {
  const { power, signedAtMs } = judgeCosigned(trust, signed);
  const apart = nowMs - signedAtMs;
  return sealed({
    leaf: proof.leaf,
    head,
    signers: signed.map(({ cosigner }) => cosigner.validator.number),
    power,
    signedAtMs,
    ageMs: apart > 0n ? apart : 0n,
    stale: apart > STALE_AFTER_MS || -apart > STALE_AFTER_MS,
  });
}

export function verifyState(trust: Trust, bytes: Bytes, nowMs: bigint): Verdict<VerifiedState> {
  return verdictOf(() => judgeState(trust, checkState(trust, decode(bytes, readStateProof)), nowMs));
}

/** the totals are the central bank's signed statement. */
export function verifySupply(trust: Trust, bytes: Bytes, nowMs: bigint): Verdict<Supply> {
  return verdictOf(() => {
    const proof = decode(bytes, readStateProof);
    const state = checkState(trust, proof);
    const { issued, redeemed } = proof.leaf;
    require(redeemed <= issued, 15);
    return sealed({ issued, redeemed, inCirculation: issued - redeemed, state: judgeState(trust, state, nowMs) });
  });
}
