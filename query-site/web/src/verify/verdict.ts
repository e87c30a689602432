// The three outcomes of a check, and the numbered reasons of the third (PROTOCOL 10, 11.4).
//
// *Not enough power* means that all else holds, so power is judged last.

import { Refused } from "./reader.ts";

export const REASONS = {
  1: "malformed",
  2: "other_chain",
  3: "malformed_checkpoint",
  4: "missing_log_signature",
  5: "forged_log_signature",
  6: "stale_root",
  7: "omitted_update",
  8: "wrong_set",
  9: "duplicated_signer",
  10: "unknown_signer",
  11: "forged_signer",
  12: "wrong_record",
  13: "split_view",
  14: "consistency_not_shown",
  15: "impossible_supply",
  16: "other_coin",
  17: "request_not_logged",
  18: "request_expired",
  19: "leaf_not_logged",
  20: "wrong_block",
  21: "broken_chain",
  22: "wrong_result",
  23: "envelope_refused",
  24: "unknown_rules",
  30: "hand_over_not_next",
  31: "unsound_set",
  32: "too_much_power_moved",
  33: "not_authorized",
  34: "hand_over_not_decided",
  40: "other_challenge",
  41: "challenge_expired",
  42: "not_the_owner",
  43: "forged_ownership",
} as const;

export type ReasonNumber = keyof typeof REASONS;
export type ReasonCode = (typeof REASONS)[ReasonNumber];

export type Invalid = { readonly outcome: "invalid"; readonly number: ReasonNumber; readonly code: ReasonCode };
export type NotEnoughPower = { readonly outcome: "not_enough_power"; readonly have: bigint; readonly need: bigint };
export type Verdict<T> = { readonly outcome: "verified"; readonly value: T } | NotEnoughPower | Invalid;

export function invalid(number: ReasonNumber): Invalid {
  return { outcome: "invalid", number, code: REASONS[number] };
}

// Thrown between the checks of this folder, never past `verdictOf`.
class Fault extends Error {
  readonly verdict: Invalid | NotEnoughPower;
  constructor(verdict: Invalid | NotEnoughPower) {
    super(verdict.outcome);
    this.verdict = verdict;
  }
}

export function require(holds: boolean, otherwise: ReasonNumber): asserts holds {
  if (!holds) throw new Fault(invalid(otherwise));
}

export function requirePower(have: bigint, need: bigint): void {
  if (have < need) throw new Fault({ outcome: "not_enough_power", have, need });
}

/** Runs checks; what does not decode is reason 1. A defect of this code stays an error: it is no verdict. */
export function verdictOf<T>(checks: () => T): Verdict<T> {
  try {
    return { outcome: "verified", value: checks() };
  } catch (error) {
    if (error instanceof Fault) return error.verdict;
    if (error instanceof Refused) return invalid(1);
    throw error;
  }
}
