// States that the test chain's keys signed: the genesis of ledger/vectors, whose keys are made of known seeds (purpose,
// number). With them the tests make the proofs that no vector holds.

import { ed25519 } from "@noble/curves/ed25519.js";
import { Trust, concat, utf8 } from "../src/verify/index.ts";
import { type Bytes, littleEndian, toBase64 } from "../src/verify/bytes.ts";
import * as log from "../src/verify/log.ts";
import { load, unhex } from "./vectors.ts";

export const NOW_MS = 1_700_000_105_000n;
const COSIGNED_AT_S = 1_700_000_100n;
const COSIGN = 3;
const LOG = 9;

function sign(purpose: number, number: number, message: Bytes): Bytes {
  const seed = new Uint8Array(32);
  seed.set([purpose, number & 255, number >> 8]);
  return ed25519.sign(message, seed);
}

export function trustOfTests(): Trust {
  return new Trust(unhex(load("genesis").document));
}

/** A log of one state leaf with this map root, signed by all. */
export function stateProof(trust: Trust, mapRoot: Bytes): Bytes {
  const place = concat(littleEndian(2, 8), littleEndian(5, 8), littleEndian(1_700_000_005_000n, 8));
  const leaf = concat(place, mapRoot, trust.setHash, littleEndian(7_000, 16), littleEndian(0, 16));
  const root = log.rootOf([concat(Uint8Array.of(7), leaf)]);
  const text = `${trust.genesis.origin}\n1\n${toBase64(root)}\n`;
  let note = `${text}\n— ${trust.logKey.name} ${toBase64(concat(trust.logKey.id, sign(LOG, 1, utf8(text))))}\n`;
  for (const { validator, key } of trust.cosigners.values()) {
    const signature = sign(COSIGN, validator.number, utf8(`cosignature/v1\ntime ${COSIGNED_AT_S}\n${text}`));
    const time = littleEndian(COSIGNED_AT_S, 8).toReversed();
    note += `— ${key.name} ${toBase64(concat(key.id, time, signature))}\n`;
  }
  const bytes = utf8(note);
  return concat(
    Uint8Array.of(1),
    trust.chain.genesisHash,
    leaf,
    littleEndian(0, 2),
    littleEndian(bytes.length, 2),
    bytes,
  );
}
