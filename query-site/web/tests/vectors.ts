// Reading ledger/vectors: numbers above 2⁵³ keep their digits.

import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Bytes, type Verdict, fromHex, toHex } from "../src/verify/index.ts";

// The tests run from out/tests.
export const VECTORS = fileURLToPath(new URL("../../../../ledger/vectors/", import.meta.url));

export type Json = any;

export function vectorNames(): string[] {
  return readdirSync(VECTORS)
    .map((name) => name.replace(/\.json$/, ""))
    .sort();
}

/** Integers of 16 digits and more become bigints: all strings in the vectors are hex or names. */
export function load(name: string): Json {
  const text = readFileSync(`${VECTORS}${name}.json`, "utf8").replace(
    /([:[,]\s*)(\d{16,})(?=\s*[,}\]])/g,
    '$1"bigint:$2"',
  );
  return JSON.parse(text, (_, value) =>
    typeof value === "string" && value.startsWith("bigint:") ? BigInt(value.slice(7)) : value,
  );
}

export function unhex(text: string): Bytes {
  const bytes = fromHex(text);
  if (bytes === null) throw new Error(`no hex: ${text.slice(0, 40)}`);
  return bytes;
}

/** As the vectors write it: bigints that fit are numbers, bytes are hex. */
export function plain(value: unknown): Json {
  if (typeof value === "bigint") return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return value;
}

export function outcome<T>(verdict: Verdict<T>, show: (value: T) => unknown): Json {
  switch (verdict.outcome) {
    case "verified":
      return { verified: plain(show(verdict.value)) };
    case "not_enough_power":
      return { not_enough_power: plain({ have: verdict.have, need: verdict.need }) };
    case "invalid":
      return { invalid: { number: verdict.number, code: verdict.code } };
  }
}
