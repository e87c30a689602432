// The genesis document (PROTOCOL 4, G-1 and G-2): everything that a verifier pins. What breaks a rule of it is refused
// whole.

import { type Bytes, compare, concat, littleEndian, toHex } from "./bytes.ts";
import { keyIsSound } from "./ed25519.ts";
import { kemKeyIsSound } from "./kem.ts";
import { Reader, Refused } from "./reader.ts";

export const PARTICIPANTS_MAX = 256;
export const REGISTRATION = 65535;
const TOTAL_POWER_MAX = (1n << 32n) - 1n;
const PREISSUED_COINS_MAX = 20_000_000;
const VALIDATOR = 1;
const CENTRAL_BANK = 2;
const BANK = 2 | 4;

export type Participant = {
  readonly number: number;
  readonly name: string;
  readonly roles: number;
  readonly power: bigint;
  /** Consensus, bundle, cosign, desk, offer, link, engine peer, data-plane peer. */
  readonly keys: readonly Bytes[];
  readonly kem: Bytes;
  /** Log, registration, registration link, issue. */
  readonly centralBank: readonly Bytes[] | null;
};

export type Validator = {
  readonly number: number;
  readonly power: bigint;
  readonly consensus: Bytes;
  readonly bundle: Bytes;
  readonly cosign: Bytes;
};

export type Preissue = {
  readonly series: number;
  readonly seed: Bytes;
  readonly bank: number;
  readonly owner: Bytes;
  readonly amount: bigint;
  readonly count: number;
};

export type Genesis = {
  readonly currency: string;
  readonly exponent: number;
  readonly kemSuite: number;
  readonly timeMs: bigint;
  readonly origin: string;
  readonly officers: readonly Bytes[];
  readonly officerThreshold: number;
  readonly expiryWindowMs: bigint;
  readonly releaseDeadlineMs: bigint;
  readonly bytesPerSubmitterPerHeight: bigint;
  readonly batchRecordsMax: number;
  readonly series: readonly { readonly number: number; readonly name: string }[];
  readonly preissues: readonly Preissue[];
  readonly directory: readonly Participant[];
  /** The directory's list as it stands in the document. */
  readonly directoryBytes: Bytes;
};

function readParticipant(r: Reader): Participant {
  return {
    number: r.u16(),
    name: r.text(32),
    roles: r.byte(1, 31, "roles"),
    power: r.u64(),
    keys: Array.from({ length: 8 }, () => r.hash()),
    kem: r.octets(1216),
    centralBank: r.optional(() => Array.from({ length: 4 }, () => r.hash())),
  };
}

function readDocument(r: Reader): Genesis & { readonly unconfirmedDepthMax: number } {
  r.byte(1, 1, "genesis version");
  const head = {
    currency: r.currency(),
    exponent: r.u8(),
    kemSuite: r.byte(1, 2, "KEM suite"),
    timeMs: r.u64(),
    origin: r.text(64),
    officers: r.list(16, () => r.hash()),
    officerThreshold: r.u8(),
    unconfirmedDepthMax: r.u8(),
    expiryWindowMs: r.u64(),
    releaseDeadlineMs: r.u64(),
    bytesPerSubmitterPerHeight: r.u64(),
    batchRecordsMax: r.u32(),
    series: r.list(256, () => ({ number: r.u32(), name: r.text(32) })),
    preissues: r.list(256, () => ({
      series: r.u32(),
      seed: r.hash(),
      bank: r.u16(),
      owner: r.hash(),
      amount: r.u64(),
      count: r.u32(),
    })),
  };
  const start = r.position;
  const directory = r.list(PARTICIPANTS_MAX, () => readParticipant(r));
  return { ...head, directory, directoryBytes: r.since(start) };
}

/** Throws `Refused`. Whether it is the right document is the caller's to pin, by its hash. */
export function parseGenesis(document: Bytes): Genesis {
  const reader = new Reader(document);
  const genesis = readDocument(reader);
  reader.end();
  const rule = (holds: boolean, broken: string) => {
    if (!holds) throw new Refused(`genesis: ${broken}`);
  };
  const within = (value: bigint | number, least: bigint | number, most: bigint | number) =>
    value >= least && value <= most;

  checkDirectory(genesis.directory, rule);
  rule(genesis.unconfirmedDepthMax === 0, "unconfirmed depth");
  const { officers, officerThreshold } = genesis;
  rule(officers.every(keyIsSound) && allDiffer(officers), "officers' keys");
  rule(within(officerThreshold, 1, officers.length), "officers' threshold");
  rule(genesis.series.length > 0 && genesis.series.every(({ number }, i) => number === i + 1), "series");
  for (const line of genesis.directory) rule(kemKeyIsSound(genesis.kemSuite, line.kem), "KEM key");
  let preissued = 0;
  for (const { series, bank, owner, amount, count } of genesis.preissues) {
    preissued += count;
    const line = genesis.directory.find(({ number }) => number === bank);
    rule(within(series, 1, genesis.series.length) && line !== undefined && (line.roles & BANK) !== 0, "pre-issue");
    rule(amount > 0n && count > 0 && preissued <= PREISSUED_COINS_MAX && keyIsSound(owner), "pre-issue");
  }
  rule(/^[!-*,-~]+$/.test(genesis.origin), "origin");
  rule(within(genesis.exponent, 0, 6), "exponent");
  rule(within(genesis.expiryWindowMs, 1_000, 86_400_000), "expiry window");
  rule(within(genesis.releaseDeadlineMs, 1_000, 604_800_000), "release deadline");
  rule(within(genesis.bytesPerSubmitterPerHeight, 1 << 16, 1 << 30), "bytes per submitter per height");
  rule(within(genesis.batchRecordsMax, 1, 20_000), "batch records");
  return genesis;
}

/** G-2, but for the KEM keys' soundness, which needs the suite. */
function checkDirectory(lines: readonly Participant[], rule: (holds: boolean, broken: string) => void): void {
  rule(strictlyAscending(lines.map(({ number }) => number)), "directory: order");
  for (const { number, roles, power, centralBank } of lines) {
    rule(number !== REGISTRATION, "directory: a participant's number");
    rule(power > 0n === ((roles & VALIDATOR) !== 0), "directory: power and role of a validator");
    rule((centralBank !== null) === ((roles & CENTRAL_BANK) !== 0), "directory: keys and role of the central bank");
  }
  rule(lines.filter(({ centralBank }) => centralBank !== null).length === 1, "directory: exactly one central bank");
  rule(totalPowerIsSound(lines), "directory: total power");
  const keys = lines.flatMap(({ keys, centralBank }) => [...keys, ...(centralBank ?? [])]);
  rule(allDiffer(keys) && allDiffer(lines.map(({ kem }) => kem)), "directory: a repeated key");
  rule(keys.every(keyIsSound), "directory: an unsound key");
}

export function totalPower(set: readonly { readonly power: bigint }[]): bigint {
  return set.reduce((total, { power }) => total + power, 0n);
}

export function totalPowerIsSound(set: readonly { readonly power: bigint }[]): boolean {
  const total = totalPower(set);
  return total >= 1n && total <= TOTAL_POWER_MAX;
}

export function allDiffer(values: readonly Bytes[]): boolean {
  return new Set(values.map(toHex)).size === values.length;
}

export function strictlyAscending(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => i === 0 || (numbers[i - 1] as number) < number);
}

export function strictlyAscendingBytes(values: readonly Bytes[]): boolean {
  return values.every((value, i) => i === 0 || compare(values[i - 1] as Bytes, value) < 0);
}

export function validatorsOf(genesis: Genesis): Validator[] {
  return genesis.directory
    .filter(({ roles }) => (roles & VALIDATOR) !== 0)
    .map(({ number, power, keys }) => {
      const [consensus, bundle, cosign] = keys as [Bytes, Bytes, Bytes];
      return { number, power, consensus, bundle, cosign };
    });
}

export function logKeyOf(genesis: Genesis): Bytes {
  const central = genesis.directory.find(({ centralBank }) => centralBank !== null);
  // G-2 was checked: there is exactly one.
  return central?.centralBank?.[0] as Bytes;
}

export function encodeValidators(set: readonly Validator[]): Bytes {
  const line = ({ number, power, consensus, bundle, cosign }: Validator) =>
    concat(littleEndian(number, 2), littleEndian(power, 8), consensus, bundle, cosign);
  return concat(littleEndian(set.length, 2), ...set.map(line));
}

/** A set's order and power are part of its encoding. */
export function readValidators(r: Reader): Validator[] {
  const set = r.list(PARTICIPANTS_MAX, () => ({
    number: r.u16(),
    power: r.u64(),
    consensus: r.hash(),
    bundle: r.hash(),
    cosign: r.hash(),
  }));
  if (!strictlyAscending(set.map(({ number }) => number))) throw new Refused("validator set: order");
  if (!set.every(({ power }) => power > 0n) || !totalPowerIsSound(set)) throw new Refused("validator set: power");
  return set;
}
