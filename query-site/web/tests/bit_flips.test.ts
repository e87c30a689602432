// One flipped bit of a valid document: none is accepted. And how long one check takes.
//
// All four validators signed, so a flip that merely lost a cosignature would still leave a quorum: that it is refused
// all the same is the rule that every signature line of a proof must hold.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Bytes,
  Trust,
  type Verdict,
  verifyAcknowledgement,
  verifyBlock,
  verifyCoin,
  verifyEntry,
  verifyHandOver,
  verifyLeaf,
  verifyOwnership,
  verifyState,
  verifySupply,
} from "../src/verify/index.ts";
import { type Json, load, unhex } from "./vectors.ts";

const FLIPS_WANTED = 100_000;

type Document = { readonly name: string; readonly bytes: Bytes; readonly accepts: (bytes: Bytes) => boolean };

function holds(verdict: Verdict<unknown>): boolean {
  return verdict.outcome === "verified";
}

function documents(): Document[] {
  const found: Document[] = [];
  const genesis = unhex(load("genesis").document);
  const trust = new Trust(genesis);
  const cases = (file: string): Json[] => load(file).cases.filter((c: Json) => c.outcome.verified !== undefined);
  for (const c of cases("coin_proof"))
    found.push({
      name: `coin proof: ${c.name}`,
      bytes: unhex(c.proof),
      accepts: (bytes) => holds(verifyCoin(trust, unhex(c.asked), bytes, BigInt(c.now_ms))),
    });
  for (const c of cases("entry_proof"))
    found.push({
      name: `entry proof: ${c.name}`,
      bytes: unhex(c.proof),
      accepts: (bytes) => holds(verifyEntry(trust, unhex(c.asked), bytes, BigInt(c.now_ms))),
    });
  for (const c of cases("leaf_proof"))
    found.push({
      name: `leaf proof: ${c.name}`,
      bytes: unhex(c.proof),
      accepts: (bytes) => holds(verifyLeaf(trust, unhex(c.asked), bytes, BigInt(c.now_ms))),
    });
  for (const c of cases("supply"))
    found.push({
      name: `supply: ${c.name}`,
      bytes: unhex(c.state_proof),
      accepts: (bytes) => holds(verifySupply(trust, bytes, BigInt(c.now_ms))),
    });
  for (const c of cases("checkpoint"))
    found.push({
      name: `state: ${c.name}`,
      bytes: unhex(c.state_proof),
      accepts: (bytes) => holds(verifyState(trust, bytes, BigInt(c.now_ms))),
    });
  for (const c of cases("hand_over"))
    found.push({
      name: `hand-over: ${c.name}`,
      bytes: unhex(c.hand_over),
      // A fresh trust each time would be slow, and is needed only after one that holds.
      accepts: handOverAccepts(genesis),
    });
  const [run] = cases("run_of_blocks");
  for (const block of run.blocks) {
    const header = unhex(block.header);
    found.push({
      name: "block",
      bytes: unhex(block.header + block.certificate),
      accepts: (bytes) => holds(verifyBlock(trust, bytes.slice(0, header.length), bytes.slice(header.length))),
    });
  }
  const ownership = load("ownership");
  const coin = verifyCoin(
    trust,
    unhex(ownership.cases[0].ownership).slice(0, 32),
    unhex(ownership.coin_proof),
    BigInt(ownership.coin_now_ms),
  );
  assert.ok(coin.outcome === "verified");
  for (const c of cases("ownership"))
    found.push({
      name: `ownership: ${c.name}`,
      bytes: unhex(c.ownership),
      accepts: (bytes) =>
        holds(verifyOwnership(trust, coin.value, unhex(ownership.challenge), bytes, BigInt(c.now_ms))),
    });
  return found;
}

function handOverAccepts(genesis: Bytes): (bytes: Bytes) => boolean {
  let trust = new Trust(genesis);
  return (bytes) => {
    const accepted = holds(verifyHandOver(trust, bytes));
    if (accepted) trust = new Trust(genesis);
    return accepted;
  };
}

test(`of ${FLIPS_WANTED} documents with one flipped bit none is accepted`, (t) => {
  const all = documents();
  const bits = all.flatMap((document) =>
    Array.from({ length: 8 * document.bytes.length }, (_, bit) => ({ document, bit })),
  );
  for (const { name, bytes, accepts } of all) assert.ok(accepts(bytes), `${name} as it is`);
  const wanted = process.env["ASSAY_ALL_FLIPS"] ? bits.length : Math.min(FLIPS_WANTED, bits.length);
  assert.ok(wanted >= FLIPS_WANTED, `only ${bits.length} bits to flip`);
  const started = performance.now();
  for (let i = 0; i < wanted; i++) {
    // Spread evenly over all documents and all their fields.
    const { document, bit } = bits[Math.floor((i * bits.length) / wanted)] as (typeof bits)[number];
    const altered = document.bytes.slice();
    altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.ok(!document.accepts(altered), `bit ${bit} of ${document.name}`);
  }
  const seconds = (performance.now() - started) / 1000;
  t.diagnostic(`${wanted} flips of ${bits.length} bits in ${all.length} documents, ${seconds.toFixed(1)} s`);
});

test("no bit of an acknowledgement can be flipped, save in where its leaf stands (10.3)", () => {
  const data = load("acknowledgement");
  const trust = new Trust(unhex(data.genesis));
  const bytes = unhex(data.cases[1].acknowledgement);
  const honest = verifyAcknowledgement(trust, bytes);
  assert.ok(honest.outcome === "verified");
  const path = bytes.length - 2 - 32 * (bytes[bytes.length - 66] as number);
  const place = path - 8;
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const altered = bytes.slice();
    altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7));
    const found = verifyAcknowledgement(trust, altered);
    if (found.outcome !== "verified") continue;
    assert.ok(bit >> 3 >= place && bit >> 3 < path, `byte ${bit >> 3}`);
    assert.deepEqual(found.value, honest.value, "and it proves the same");
  }
});

test("one check takes at most 100 ms", (t) => {
  const data = load("coin_proof");
  const [c] = data.cases;
  // Warmed up by nothing: keys that were never seen, code that may not be compiled yet.
  const started = performance.now();
  const trust = new Trust(unhex(data.genesis));
  const parsed = performance.now();
  assert.ok(holds(verifyCoin(trust, unhex(c.asked), unhex(c.proof), BigInt(c.now_ms))));
  const first = performance.now() - parsed;
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    const start = performance.now();
    verifyCoin(trust, unhex(c.asked), unhex(c.proof), BigInt(c.now_ms));
    times.push(performance.now() - start);
  }
  const median = times.toSorted((a, b) => a - b)[25] as number;
  t.diagnostic(
    `genesis ${(parsed - started).toFixed(1)} ms, first check ${first.toFixed(1)} ms, then ${median.toFixed(1)} ms`,
  );
  assert.ok(median <= 100);
});
