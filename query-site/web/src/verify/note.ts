// Signed notes and checkpoints (PROTOCOL 9.4; c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature). Shapes and key
// ids; who must have signed is for `state.ts`.

import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, decimalU64, equal, fromBase64, fromBigEndian, fromUtf8, utf8 } from "./bytes.ts";
import { verifies } from "./ed25519.ts";

const NOTE_BYTES_MAX = 256 * 1024;
const SIGNATURES_MAX = 256;

export type SignatureLine = { readonly name: string; readonly keyId: Bytes; readonly signature: Bytes };
export type Note = { readonly text: string; readonly signatures: readonly SignatureLine[] };
export type Checkpoint = {
  readonly origin: string;
  readonly size: bigint;
  readonly root: Bytes;
  readonly extensions: readonly string[];
};

export function parseNote(bytes: Bytes): Note | null {
  if (bytes.length > NOTE_BYTES_MAX) return null;
  const note = fromUtf8(bytes);
  if (note === null || /[\u0000-\u0009\u000b-\u001f]/.test(note)) return null;
  const at = note.lastIndexOf("\n\n");
  if (at < 0) return null;
  const text = note.slice(0, at + 1);
  const block = note.slice(at + 2);
  if (!block.endsWith("\n")) return null;
  const lines = block.slice(0, -1).split("\n");
  if (lines.length > SIGNATURES_MAX) return null;
  const signatures: SignatureLine[] = [];
  for (const line of lines) {
    const parsed = parseSignatureLine(line);
    if (parsed === null) return null;
    signatures.push(parsed);
  }
  return { text, signatures };
}

function parseSignatureLine(line: string): SignatureLine | null {
  const [dash, name, encoded, ...rest] = line.split(" ");
  if (dash !== "—" || name === undefined || encoded === undefined || rest.length > 0) return null;
  const nameBytes = utf8(name).length;
  if (nameBytes < 1 || nameBytes > 255 || name.includes("+") || /\p{White_Space}/u.test(name)) return null;
  const data = fromBase64(encoded);
  if (data === null || data.length < 5 || data.length > 8196) return null;
  return { name, keyId: data.slice(0, 4), signature: data.slice(4) };
}

export function parseCheckpoint(text: string): Checkpoint | null {
  if (!text.endsWith("\n")) return null;
  const [origin, sizeText, rootText, ...extensions] = text.slice(0, -1).split("\n");
  if (!origin || !sizeText || !rootText || !extensions.every((line) => line.length > 0)) return null;
  const size = decimalU64(sizeText);
  const root = fromBase64(rootText);
  if (size === null || root === null || root.length !== 32) return null;
  return { origin, size, root, extensions };
}

function keyId(name: string, type: number, key: Bytes): Bytes {
  return sha256(concat(utf8(`${name}\n`), Uint8Array.of(type), key)).slice(0, 4);
}

class NoteKey {
  readonly name: string;
  readonly key: Bytes;
  readonly id: Bytes;

  constructor(name: string, type: number, key: Bytes) {
    this.name = name;
    this.key = key;
    this.id = keyId(name, type, key);
  }
}

/** Of the log: signs the text as it is. */
export class LogKey extends NoteKey {
  constructor(name: string, key: Bytes) {
    super(name, 1, key);
  }

  signed(text: string, line: SignatureLine): boolean {
    return equal(line.keyId, this.id) && verifies(this.key, utf8(text), line.signature);
  }
}

/** Of a validator: signs the text and a time. */
export class CosignerKey extends NoteKey {
  constructor(name: string, key: Bytes) {
    super(name, 4, key);
  }

  /** The time in seconds, or null if it is not this key's cosignature. */
  cosigned(text: string, line: SignatureLine): bigint | null {
    if (!equal(line.keyId, this.id) || line.signature.length !== 72) return null;
    const time = fromBigEndian(line.signature.subarray(0, 8));
    if (time >= 1n << 63n) return null;
    const message = utf8(`cosignature/v1\ntime ${time}\n${text}`);
    return verifies(this.key, message, line.signature.subarray(8)) ? time : null;
  }
}
