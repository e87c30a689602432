// The edge cases on which Ed25519 verifiers disagree (Chalkias, Garillot, Nikolaenko: "Taming the many EdDSAs").

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { keyIsSound, verifies } from "../src/verify/ed25519.ts";
import { ed25519 } from "@noble/curves/ed25519.js";
import { unhex } from "./vectors.ts";

// Their cases 0–5 lie with the tests of ledger-types.
const FILE = new URL("../../../../ledger/types/tests/vectors/ed25519-speccheck/cases-0-5.json", import.meta.url);
type Case = { message: string; pub_key: string; signature: string };

test("of the speccheck cases exactly the honest and the mixed-order one without a cofactor are accepted", () => {
  assert.ok(existsSync(FILE));
  const cases: Case[] = JSON.parse(readFileSync(FILE, "utf8"));
  const accepted = cases.map((c) => verifies(unhex(c.pub_key), unhex(c.message), unhex(c.signature)));
  // 0–2: A or R of small order. 3: mixed orders, the cofactorless equation holds. 4: it holds only with a cofactor. 5:
  // likewise, with k reduced after it.
  assert.deepEqual(accepted, [false, false, false, true, false, false]);
});

test("random signatures are accepted, and their altered neighbours are not", () => {
  for (let i = 0; i < 40; i++) {
    const secret = Uint8Array.from({ length: 32 }, (_, j) => (i * 37 + j * 11) & 255);
    const message = Uint8Array.from({ length: i }, (_, j) => (j * 5 + i) & 255);
    const [key, signature] = [ed25519.getPublicKey(secret), ed25519.sign(message, secret)];
    assert.ok(verifies(key, message, signature));
    assert.ok(keyIsSound(key));
    for (const bit of [0, 100, 255, 256, 300, 500, 511]) {
      const altered = signature.slice();
      altered[bit >> 3] = (altered[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.ok(!verifies(key, message, altered), `bit ${bit}`);
    }
  }
});

test("what has the wrong length is no key and no signature", () => {
  assert.ok(!verifies(new Uint8Array(31), new Uint8Array(0), new Uint8Array(64)));
  assert.ok(!verifies(new Uint8Array(32), new Uint8Array(0), new Uint8Array(63)));
});
