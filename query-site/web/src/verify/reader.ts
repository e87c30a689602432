// Decoding (PROTOCOL 1): a value has one encoding, and whatever is no encoding is refused.
//
// A length is compared with its maximum and with what is left before anything is allocated. What is decoded is believed
// in no way: the shapes say what a document claims.

import { type Bytes, fromLittleEndian, fromUtf8 } from "./bytes.ts";

/** The bytes are no value of the layout. Of a proof it is reason 1. */
export class Refused extends Error {}

export class Reader {
  readonly #data: Bytes;
  #at = 0;

  constructor(data: Bytes) {
    this.#data = data;
  }

  get position(): number {
    return this.#at;
  }

  /** What was read since an earlier position. */
  since(position: number): Bytes {
    return this.#data.slice(position, this.#at);
  }

  take(count: number): Bytes {
    if (count > this.#data.length - this.#at) throw new Refused("ends in a field");
    this.#at += count;
    return this.#data.slice(this.#at - count, this.#at);
  }

  #small(width: number): number {
    const bytes = this.take(width);
    return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
  }

  u8(): number {
    return this.#small(1);
  }
  u16(): number {
    return this.#small(2);
  }
  u32(): number {
    return this.#small(4);
  }
  u64(): bigint {
    return fromLittleEndian(this.take(8));
  }
  u128(): bigint {
    return fromLittleEndian(this.take(16));
  }
  hash(): Bytes {
    return this.take(32);
  }
  signature(): Bytes {
    return this.take(64);
  }

  /** A byte within a closed range. */
  byte(least: number, most: number, what: string): number {
    const value = this.u8();
    if (value < least || value > most) throw new Refused(`${what}: ${value}`);
    return value;
  }

  optional<T>(read: () => T): T | null {
    return this.byte(0, 1, "neither 0 nor 1") === 1 ? read() : null;
  }

  list<T>(most: number, read: () => T): T[] {
    const count = this.u16();
    if (count > most) throw new Refused("too many");
    const items: T[] = [];
    for (let i = 0; i < count; i++) items.push(read());
    return items;
  }

  octets(most: number): Bytes {
    const length = this.u16();
    if (length > most) throw new Refused("too long");
    return this.take(length);
  }

  text(most: number): string {
    const text = fromUtf8(this.octets(most));
    if (text === null) throw new Refused("not UTF-8");
    if (/\p{Cc}/u.test(text)) throw new Refused("a control character");
    return text;
  }

  currency(): string {
    const letters = this.take(3);
    if (!letters.every((letter) => letter >= 65 && letter <= 90)) throw new Refused("not A to Z");
    return String.fromCharCode(...letters);
  }

  end(): void {
    if (this.#at !== this.#data.length) throw new Refused("bytes left over");
  }
}

export function decode<T>(data: Bytes, read: (reader: Reader) => T): T {
  const reader = new Reader(data);
  const value = read(reader);
  reader.end();
  return value;
}
