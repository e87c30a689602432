// A `tlog-proof` file (c2sp.org/tlog-proof): that a leaf stands in the log under a signed checkpoint.
//
// It shows that something was logged, not that it is the latest: that takes a coin proof. In such a file lines of
// witnesses that the verifier does not know are C2SP's to allow; the log's own line and a quorum of the own set are
// asked for as everywhere.

import { type Bytes, concat, decimalU64, fromBase64, fromUtf8, utf8 } from "./bytes.ts";
import { type Checked, sealed } from "./checked.ts";
import { PATH_HASHES_MAX, includes, leafHash } from "./log.ts";
import { Refused } from "./reader.ts";
import { checkCosigned, checkLogSigned, judgeCosigned } from "./state.ts";
import type { TreeHead, Trust } from "./trust.ts";
import { type Verdict, require, verdictOf } from "./verdict.ts";

const FIRST_LINE = "c2sp.org/tlog-proof@v1";
const FILE_BYTES_MAX = 512 * 1024;

export type TlogProof = {
  /** Not authenticated by itself. */
  readonly extra: Bytes | null;
  readonly index: bigint;
  readonly path: readonly Bytes[];
  readonly checkpoint: Bytes;
};

export type VerifiedEntry = Checked<{
  readonly leaf: Bytes;
  readonly index: bigint;
  readonly head: TreeHead;
  readonly signers: readonly number[];
  readonly signedAtMs: bigint;
}>;

/** Throws `Refused`. */
export function parseTlogProof(bytes: Bytes): TlogProof {
  const refuse = (why: string): never => {
    throw new Refused(`tlog-proof: ${why}`);
  };
  if (bytes.length > FILE_BYTES_MAX) refuse("too long");
  const text = fromUtf8(bytes) ?? refuse("not UTF-8");
  const at = text.indexOf("\n\n");
  if (at < 0) refuse("no checkpoint");
  const lines = text.slice(0, at).split("\n");
  if (lines.shift() !== FIRST_LINE) refuse("first line");
  const extra = lines[0]?.startsWith("extra ")
    ? (fromBase64((lines.shift() as string).slice(6)) ?? refuse("extra"))
    : null;
  const indexLine = lines.shift() ?? "";
  const index = (indexLine.startsWith("index ") ? decimalU64(indexLine.slice(6)) : null) ?? refuse("index");
  if (lines.length > PATH_HASHES_MAX) refuse("path too long");
  const path = lines.map((line) => {
    const hash = fromBase64(line);
    return hash !== null && hash.length === 32 ? hash : refuse("path");
  });
  return { extra, index, path, checkpoint: utf8(text.slice(at + 2)) };
}

export function isTlogProof(text: string): boolean {
  return text.startsWith(`${FIRST_LINE}\n`);
}

export function verifyTlogProof(trust: Trust, bytes: Bytes, leaf: Bytes): Verdict<VerifiedEntry> {
  return verdictOf(() => {
    const { index, path, checkpoint } = parseTlogProof(bytes);
    const { note, head } = checkLogSigned(trust, checkpoint);
    require(includes(head.root, index, head.size, leafHash(leaf), path), 12);
    const ours = note.signatures.filter(({ name }) => name === trust.logKey.name || trust.cosigners.has(name));
    const signed = checkCosigned(trust, { text: note.text, signatures: ours });
    require(!trust.contradicts(head), 13);
    const { signedAtMs } = judgeCosigned(trust, signed);
    const signers = signed.map(({ cosigner }) => cosigner.validator.number);
    return sealed({ leaf, index, head, signers, signedAtMs });
  });
}

/** The log's leaf of a coin's record. */
export function recordLeaf(coin: Bytes, record: Bytes): Bytes {
  return concat(Uint8Array.of(1), coin, record);
}
