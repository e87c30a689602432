// "This tag is mine" (PROTOCOL 10.5, C-6), for a coin whose record was verified.

import { type Bytes, concat, equal, littleEndian, utf8 } from "./bytes.ts";
import type { VerifiedCoin } from "./coin.ts";
import { verifies } from "./ed25519.ts";
import { type Reader, decode } from "./reader.ts";
import type { Trust } from "./trust.ts";
import { type Verdict, require, verdictOf } from "./verdict.ts";

export type Challenge = { readonly text: string; readonly nonce: Bytes; readonly notAfterMs: bigint };

function readChallenge(r: Reader): Challenge {
  return { text: r.text(256), nonce: r.octets(32), notAfterMs: r.u64() };
}

/** Throws `Refused`. */
export function decodeChallenge(bytes: Bytes): Challenge {
  return decode(bytes, readChallenge);
}

/** Throws `Refused` if the text or the nonce is none that a challenge may hold. */
export function encodeChallenge({ text, nonce, notAfterMs }: Challenge): Bytes {
  const octets = (bytes: Bytes) => concat(littleEndian(bytes.length, 2), bytes);
  const bytes = concat(octets(utf8(text)), octets(nonce), littleEndian(notAfterMs, 8));
  decodeChallenge(bytes);
  return bytes;
}

/**
 * Checks an answer to `asked`, a challenge's bytes. It shows who may call the coin theirs in the state that the coin was
 * verified in, no more: whether that state is stale and whether the record says live are for the caller to look at.
 */
export function verifyOwnership(
  trust: Trust,
  coin: VerifiedCoin,
  asked: Bytes,
  bytes: Bytes,
  nowMs: bigint,
): Verdict<Challenge> {
  return verdictOf(() => {
    const proof = decode(bytes, (r) => {
      const head = { coin: r.hash(), owner: r.hash(), blind: r.hash() };
      const start = r.position;
      const challenge = readChallenge(r);
      return { ...head, challenge, challengeBytes: r.since(start), signature: r.signature() };
    });
    require(equal(proof.coin, coin.coin), 16);
    // An answer to an older question, perhaps asked by someone else, proves nothing today.
    require(equal(proof.challengeBytes, asked), 40);
    require(nowMs <= proof.challenge.notAfterMs, 41);
    const tag = trust.chain.d("owner tag", proof.coin, proof.owner, proof.blind);
    // The record of a spent coin has the zero tag, which no owner has.
    require(coin.record !== null && equal(coin.record.tag, tag), 42);
    const message = trust.chain.d("ownership", proof.coin, tag, proof.challengeBytes);
    require(verifies(proof.owner, message, proof.signature), 43);
    return proof.challenge;
  });
}
