// What is read from entries: keys, states of a contract, and values as people write them. The site writes them the same.

import { type Bytes, concat, littleEndian } from "./bytes.ts";
import type { ContractHead } from "./entry.ts";

/** PROTOCOL 10.9: kind 1 contract, 2 version, 3 feed, 4 item. */
export function entryKey(kind: 1 | 2 | 3 | 4, ...numbers: readonly number[]): Bytes {
  return concat(Uint8Array.of(kind), ...numbers.map((number) => littleEndian(number, 4)));
}

/** As the height after a state judges (K-7, K-8). `bindsAt` is of each version, the first's first. */
export function standingOf(
  head: ContractHead,
  bindsAt: ReadonlyMap<number, bigint>,
  height: bigint,
): { readonly state: "in_force" | "in_notice" | "stopped" | "retired"; readonly binding: number | null } {
  const next = height + 1n;
  const binding = [...bindsAt].filter(([, binds]) => binds <= next).reduce((newest, [v]) => Math.max(newest, v), 0);
  const known = binding === 0 ? null : binding;
  if (head.retiresAt !== null && head.retiresAt <= next) return { state: "retired", binding: known };
  if (known === null) return { state: "in_notice", binding: null };
  return { state: known <= head.stopped ? "stopped" : "in_force", binding: known };
}

/** An integer of a decimal scale, with at least so many decimals. */
export function scaled(value: bigint, scale: number, decimalsLeast = scale): string {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  let fraction = digits.slice(digits.length - scale);
  while (fraction.length > decimalsLeast && fraction.endsWith("0")) fraction = fraction.slice(0, -1);
  return `${value < 0n ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** 1 daily, 2 monthly, 3 quarterly, 4 yearly: `2026Q1`. */
export function periodText(period: number, frequency: number): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const four = (n: number) => String(n).padStart(4, "0");
  switch (frequency) {
    case 1:
      return new Date(period * 86_400_000).toISOString().slice(0, 10);
    case 2:
      return `${four(Math.floor(period / 12))}-${two((period % 12) + 1)}`;
    case 3:
      return `${four(Math.floor(period / 4))}Q${(period % 4) + 1}`;
    default:
      return four(period);
  }
}
