// Hand-overs of the validator set (PROTOCOL 10.6, G-3): the one way from the genesis's validators to others.

import { type Bytes, equal } from "./bytes.ts";
import { checkBlock, readCertificate, readHeader } from "./block.ts";
import { keyIsSound, verifies } from "./ed25519.ts";
import {
  REGISTRATION,
  type Validator,
  allDiffer,
  encodeValidators,
  readValidators,
  strictlyAscending,
  totalPower,
} from "./genesis.ts";
import { type Reader, decode } from "./reader.ts";
import type { Trust } from "./trust.ts";
import { type Verdict, require, requirePower, verdictOf } from "./verdict.ts";

export function readHandOver(r: Reader) {
  const order = { number: r.u32(), outgoing: r.hash(), incoming: readValidators(r) };
  const orderBytes = r.since(0);
  const officers = r.list(16, () => ({ officer: r.u8(), signature: r.signature() }));
  return { ...order, orderBytes, officers, header: readHeader(r), certificate: readCertificate(r) };
}

/** Moves trust to the incoming set when the hand-over holds; otherwise trust stays as it is. Gives the new set's hash. */
export function verifyHandOver(trust: Trust, bytes: Bytes): Verdict<Bytes> {
  return verdictOf(() => {
    const document = decode(bytes, readHandOver);
    const { incoming, officers, header } = document;
    trust.requireStandsAt(document.outgoing);
    require(document.number === trust.handOvers + 1, 30);
    require(setIsSound(incoming), 31);
    require(lessThanAThirdMoves(trust.validators, incoming), 32);
    const message = trust.chain.d("hand over", document.orderBytes);
    const { officers: keys, officerThreshold } = trust.genesis;
    const ascending = strictlyAscending(officers.map(({ officer }) => officer));
    require(ascending && officers.length >= officerThreshold, 33);
    for (const { officer, signature } of officers) {
      const key = keys[officer];
      require(key !== undefined && verifies(key, message, signature), 33);
    }
    require(header.height > trust.since, 30);
    require(equal(header.nextSetHash, trust.chain.d("validator set", encodeValidators(incoming))), 34);
    requirePower(checkBlock(trust, document), trust.quorum);
    trust.moveTo(incoming, header.height);
    return trust.setHash;
  });
}

function setIsSound(set: readonly Validator[]): boolean {
  const keys = set.flatMap(({ consensus, bundle, cosign }) => [consensus, bundle, cosign]);
  return set.every(({ number }) => number !== REGISTRATION) && keys.every(keyIsSound) && allDiffer(keys);
}

/** So that whoever still trusts the outgoing set has an honest majority among those who stay. */
function lessThanAThirdMoves(before: readonly Validator[], after: readonly Validator[]): boolean {
  let kept = 0n;
  for (const old of before) {
    const now = after.find(({ number }) => number === old.number);
    const same =
      now !== undefined &&
      equal(now.consensus, old.consensus) &&
      equal(now.bundle, old.bundle) &&
      equal(now.cosign, old.cosign);
    if (same) kept += now.power < old.power ? now.power : old.power;
  }
  return [before, after].map(totalPower).every((total) => 3n * (total - kept) < total);
}
