// Values and states as the site writes them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { periodText, scaled, standingOf } from "../src/verify/index.ts";

test("a value is written with its decimals, and a rate with two at least", () => {
  assert.deepEqual(
    [scaled(345n, 2), scaled(-7n, 1), scaled(5n, 3), scaled(0n, 0), scaled(-120n, 0)],
    ["3.45", "-0.7", "0.005", "0", "-120"],
  );
  assert.deepEqual([scaled(43_000n, 4, 2), scaled(-2_550n, 4, 2)], ["4.30", "-0.255"]);
});

test("a period is written as its feed counts", () => {
  assert.deepEqual(
    [periodText(19_723, 1), periodText(2023 * 12 + 9, 2), periodText(4 * 2026, 3), periodText(2026, 4)],
    ["2024-01-01", "2023-10", "2026Q1", "2026"],
  );
});

test("a contract's state is as of the next height", () => {
  const head = (newest: number, stopped = 0, retiresAt: bigint | null = null) => ({ newest, stopped, retiresAt });
  const binds = new Map([
    [1, 4n],
    [2, 9n],
  ]);
  for (const [of, height, state, binding] of [
    [head(2), 2n, "in_notice", null],
    [head(2), 3n, "in_force", 1],
    [head(2), 8n, "in_force", 2],
    [head(2, 1), 7n, "stopped", 1],
    [head(2, 1), 8n, "in_force", 2],
    [head(2, 2), 8n, "stopped", 2],
    [head(2, 0, 9n), 8n, "retired", 2],
    [head(2, 0, 10n), 8n, "in_force", 2],
  ] as const)
    assert.deepEqual(standingOf(of, binds, height), { state, binding }, `${state} at ${height}`);
});
