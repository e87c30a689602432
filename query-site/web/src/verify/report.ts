// The report of a back-test (`assay-backtest-1`): what a deployment's hash is of, read as far as a page shows it.
//
// The hash is of the bytes (PROTOCOL 12.1); a report that has it is the officers', whoever sent it.

import { blake3 } from "@noble/hashes/blake3.js";
import { type Bytes, fromUtf8 } from "./bytes.ts";

export function reportHash(bytes: Bytes): Bytes {
  return blake3(bytes);
}

export type BackTestRow = {
  readonly period: string;
  readonly knownFrom: string;
  /** Hundredths of a basis point. */
  readonly rate: number;
  /** Of the first loan. */
  readonly permits: boolean;
  /** By feed: the newest value that was read, as it is written. */
  readonly values: ReadonlyMap<string, string>;
};

export type BackTestChange = {
  readonly period: string;
  readonly knownFrom: string;
  readonly rates: readonly [number, number];
  readonly permits: readonly [boolean, boolean];
};

export type BackTestYear = {
  readonly year: number;
  readonly lowest: number;
  readonly highest: number;
  readonly average: number;
  readonly permitted: readonly string[];
};

export type BackTestReport = {
  /** Name and series. */
  readonly feeds: readonly (readonly [string, string])[];
  readonly rows: readonly BackTestRow[];
  readonly changes: readonly BackTestChange[];
  readonly years: readonly BackTestYear[];
};

/** Null if it is none of this schema. */
export function readReport(bytes: Bytes): BackTestReport | null {
  try {
    const report = object(JSON.parse(fromUtf8(bytes) ?? ""));
    if (report["schema"] !== "assay-backtest-1") return null;
    const feeds = list(object(report["data"])["feeds"]).map((one) => {
      const feed = object(one);
      return [text(feed["feed"]), text(feed["series"])] as const;
    });
    const rows = list(report["rows"]).map(row);
    if (rows.length === 0) return null;
    return { feeds, rows, changes: list(report["changes"]).map(change), years: list(report["years"]).map(year) };
  } catch (error) {
    if (error instanceof Unfit || error instanceof SyntaxError) return null;
    throw error;
  }
}

class Unfit extends Error {}

type Fields = Readonly<Record<string, unknown>>;

function object(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Unfit();
  return value as Fields;
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Unfit();
  return value;
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new Unfit();
  return value;
}

function integer(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new Unfit();
  return value as number;
}

function permits(verdicts: unknown): boolean {
  const permit = object(list(verdicts)[0])["permit"];
  if (typeof permit !== "boolean") throw new Unfit();
  return permit;
}

function row(value: unknown): BackTestRow {
  const found = object(value);
  const values = new Map<string, string>();
  for (const one of list(found["inputs"])) {
    const input = object(one);
    if (input["back"] === 0 && input["value"] !== null) values.set(text(input["feed"]), text(input["value"]));
  }
  return {
    period: text(found["period"]),
    knownFrom: text(found["known_from"]),
    rate: integer(found["rate"]),
    permits: permits(found["verdicts"]),
    values,
  };
}

function change(value: unknown): BackTestChange {
  const found = object(value);
  return {
    period: text(found["period"]),
    knownFrom: text(found["known_from"]),
    rates: [integer(found["rate_before"]), integer(found["rate"])],
    permits: [permits(found["verdicts_before"]), permits(found["verdicts"])],
  };
}

function year(value: unknown): BackTestYear {
  const found = object(value);
  return {
    year: integer(found["year"]),
    lowest: integer(found["rate_lowest"]),
    highest: integer(found["rate_highest"]),
    average: integer(found["rate_average"]),
    permitted: list(found["permitted"]).map(text),
  };
}
