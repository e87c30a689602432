// The lies that need no key: from a true coin proof to one that a server without anybody's secrets could give instead.
//
//   node out/tests/lies.js KIND < proof.hex > lie.hex
//
// What takes keys of the central bank and of validators (a forked log, a state of another validator set) cannot be made
// from a true answer; the tests take such states from ledger/vectors, where the test chain's keys signed them.

import { readFileSync } from "node:fs";
import { argv, stdin } from "node:process";
import { pathToFileURL } from "node:url";
import { type Bytes, type ReasonNumber, concat, fromHex, fromUtf8, toHex, utf8 } from "../src/verify/index.ts";
import { fromBase64, littleEndian, toBase64 } from "../src/verify/bytes.ts";
import { type CoinProof, readCoinProof } from "../src/verify/coin.ts";
import { decode } from "../src/verify/reader.ts";

type Parts = { readonly proof: CoinProof; readonly before: Bytes; readonly note: string; readonly after: Bytes };

/** A coin proof's bytes around its checkpoint note. */
function parts(bytes: Bytes): Parts {
  const proof = decode(bytes, readCoinProof);
  const start = 1 + 32 + 120 + 2 + 32 * proof.state.path.length;
  const { checkpoint } = proof.state;
  return {
    proof,
    before: bytes.slice(0, start),
    note: fromUtf8(checkpoint) as string,
    after: bytes.slice(start + 2 + checkpoint.length),
  };
}

function withNote({ before, after }: Parts, note: string): Bytes {
  const bytes = utf8(note);
  return concat(before, littleEndian(bytes.length, 2), bytes, after);
}

function signatureLines(note: string): { readonly text: string; readonly lines: string[] } {
  const at = note.lastIndexOf("\n\n") + 2;
  return { text: note.slice(0, at), lines: note.slice(at).trimEnd().split("\n") };
}

function flip(bytes: Bytes, at: number, bit = 1): Bytes {
  const altered = bytes.slice();
  altered[at] = (altered[at] as number) ^ bit;
  return altered;
}

/** The line with the last byte of its signature changed. */
function forged(line: string): string {
  const [dash, name, encoded] = line.split(" ") as [string, string, string];
  const bytes = fromBase64(encoded) as Bytes;
  return `${dash} ${name} ${toBase64(flip(bytes, bytes.length - 40))}`;
}

export type LieKind = keyof typeof LIES;

/** Each with the reason by which it must be named. The log's own line comes first in a note. */
export const LIES = {
  /** An older state's leaf under the newest checkpoint: here, one with another batch number. */
  stale_root: { reason: 6, tell: (bytes: Bytes) => flip(bytes, 33) },
  /** The record says another status than the map holds: live for spent, spent for live. */
  wrong_record: {
    reason: 12,
    tell: (bytes: Bytes) => {
      const { after } = parts(bytes);
      return flip(bytes, bytes.length - after.length + 33, 3);
    },
  },
  /** The coin is said not to exist. */
  hidden_record: {
    reason: 12,
    tell: (bytes: Bytes) => {
      const { after, proof } = parts(bytes);
      const start = bytes.length - after.length;
      return concat(bytes.slice(0, start + 32), Uint8Array.of(0), bytes.slice(start + 33 + proof.recordBytes.length));
    },
  },
  missing_log_signature: {
    reason: 4,
    tell: (bytes: Bytes) => {
      const all = parts(bytes);
      const { text, lines } = signatureLines(all.note);
      return withNote(all, `${text}${lines.slice(1).join("\n")}\n`);
    },
  },
  forged_log_signature: {
    reason: 5,
    tell: (bytes: Bytes) => {
      const all = parts(bytes);
      const { text, lines } = signatureLines(all.note);
      return withNote(all, `${text}${[forged(lines[0] as string), ...lines.slice(1)].join("\n")}\n`);
    },
  },
  forged_signer: {
    reason: 11,
    tell: (bytes: Bytes) => {
      const all = parts(bytes);
      const { text, lines } = signatureLines(all.note);
      return withNote(all, `${text}${[lines[0], forged(lines[1] as string), ...lines.slice(2)].join("\n")}\n`);
    },
  },
  duplicated_signer: {
    reason: 9,
    tell: (bytes: Bytes) => {
      const all = parts(bytes);
      const { text, lines } = signatureLines(all.note);
      return withNote(all, `${text}${[...lines, lines[1]].join("\n")}\n`);
    },
  },
  /** A validator that the genesis does not know. */
  unknown_signer: {
    reason: 10,
    tell: (bytes: Bytes) => {
      const all = parts(bytes);
      const { text, lines } = signatureLines(all.note);
      const stranger = (lines[1] as string).replace(/\/\d+ /, "/60000 ");
      return withNote(all, `${text}${[...lines, stranger].join("\n")}\n`);
    },
  },
  /** Signers are left out until no quorum is left: nothing is false, and nothing is shown. */
  too_few_signers: {
    reason: null,
    tell: (bytes: Bytes) => {
      const all = parts(bytes);
      const { text, lines } = signatureLines(all.note);
      return withNote(all, `${text}${lines.slice(0, 3).join("\n")}\n`);
    },
  },
  other_chain: { reason: 2, tell: (bytes: Bytes) => flip(bytes, 1) },
  malformed: { reason: 1, tell: (bytes: Bytes) => bytes.slice(0, -1) },
} as const satisfies Record<string, { readonly reason: ReasonNumber | null; readonly tell: (bytes: Bytes) => Bytes }>;

export function isLieKind(kind: string): kind is LieKind {
  return Object.hasOwn(LIES, kind);
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) {
  const kind = argv[2] ?? "";
  const bytes = fromHex(readFileSync(stdin.fd, "utf8").trim());
  if (!isLieKind(kind) || bytes === null) {
    console.error(`usage: lies.js ${Object.keys(LIES).join("|")} < proof.hex`);
    process.exit(2);
  }
  console.log(toHex(LIES[kind].tell(bytes)));
}
