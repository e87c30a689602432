// Each lie is named, whatever the coin says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Trust, verifyCoin } from "../src/verify/index.ts";
import { LIES, type LieKind } from "./lies.ts";
import { type Json, load, unhex } from "./vectors.ts";

const data = load("coin_proof");
const present = data.cases.filter(
  (c: Json) => c.outcome.verified?.record && c.outcome.verified.state.signers.length === 4,
);

for (const [kind, { reason, tell }] of Object.entries(LIES) as [LieKind, (typeof LIES)[LieKind]][])
  test(`the lie ${kind} is named`, () => {
    assert.ok(present.length > 0);
    for (const c of present) {
      const found = verifyCoin(new Trust(unhex(data.genesis)), unhex(c.asked), tell(unhex(c.proof)), BigInt(c.now_ms));
      if (reason === null) assert.deepEqual(found, { outcome: "not_enough_power", have: 2n, need: 3n });
      else assert.equal(found.outcome === "invalid" ? found.number : found.outcome, reason, c.name);
    }
  });
