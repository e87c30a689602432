// What a reader's browser keeps between visits: the pinned genesis, the newest log it accepted, an alarm, the theme.
//
// A browser may refuse storage; then everything holds for this page alone.

import { type TreeHead, fromHex, toHex } from "../verify/index.ts";

const HEX_32 = /^[0-9a-f]{64}$/;

export class Memory {
  readonly #fallback = new Map<string, string>();
  readonly #storage: Storage | null;

  constructor() {
    let storage: Storage | null = null;
    try {
      storage = window.localStorage;
      storage.getItem("assay:pin");
    } catch {
      storage = null;
    }
    this.#storage = storage;
  }

  #get(key: string): string | null {
    return this.#fallback.get(key) ?? this.#storage?.getItem(key) ?? null;
  }

  #set(key: string, value: string | null): void {
    this.#fallback.delete(key);
    try {
      if (this.#storage === null) throw new Error("no storage");
      if (value === null) this.#storage.removeItem(key);
      else this.#storage.setItem(key, value);
    } catch {
      if (value !== null) this.#fallback.set(key, value);
    }
  }

  get pin(): string | null {
    const pin = this.#get("assay:pin");
    return pin !== null && HEX_32.test(pin) ? pin : null;
  }
  set pin(hash: string | null) {
    this.#set("assay:pin", hash);
  }

  get theme(): string | null {
    return this.#get("assay:theme");
  }
  set theme(theme: string | null) {
    this.#set("assay:theme", theme);
  }

  head(genesisHash: string): TreeHead | null {
    const [size, root] = (this.#get(`assay:head:${genesisHash}`) ?? "").split(" ");
    if (size === undefined || root === undefined || !/^[0-9]{1,20}$/.test(size) || !HEX_32.test(root)) return null;
    return { size: BigInt(size), root: fromHex(root) as Uint8Array };
  }
  keepHead(genesisHash: string, { size, root }: TreeHead): void {
    this.#set(`assay:head:${genesisHash}`, `${size} ${toHex(root)}`);
  }

  /** The reason's number of a contradiction that was seen and not yet forgotten by the reader. */
  alarm(genesisHash: string): number | null {
    const alarm = Number(this.#get(`assay:alarm:${genesisHash}`) ?? "");
    return alarm > 0 ? alarm : null;
  }
  keepAlarm(genesisHash: string, reason: number): void {
    this.#set(`assay:alarm:${genesisHash}`, String(reason));
  }

  forget(genesisHash: string): void {
    this.#set(`assay:head:${genesisHash}`, null);
    this.#set(`assay:alarm:${genesisHash}`, null);
  }
}
