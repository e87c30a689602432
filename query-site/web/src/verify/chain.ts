// D(tag, x) of a chain, and the Merkle trees of its blocks (PROTOCOL 2).

import { blake3 } from "@noble/hashes/blake3.js";
import { type Bytes, concat, equal, utf8 } from "./bytes.ts";

export type Tag =
  | "terms"
  | "policy"
  | "obligation"
  | "note"
  | "custody blind"
  | "custody"
  | "origin"
  | "issue origin"
  | "link"
  | "coin"
  | "owner tag"
  | "tag blind"
  | "ownership"
  | "preissue rho"
  | "result"
  | "merkle leaf"
  | "merkle node"
  | "merkle empty"
  | "vote"
  | "block"
  | "participants"
  | "validator set"
  | "hand over";

export function deriveKey(context: string, material: Bytes): Bytes {
  return blake3(material, { context: utf8(context) });
}

export class Chain {
  readonly genesisHash: Bytes;

  constructor(genesisHash: Bytes) {
    this.genesisHash = genesisHash;
  }

  static ofDocument(document: Bytes): Chain {
    return new Chain(deriveKey("assay genesis v1", document));
  }

  d(tag: Tag, ...parts: readonly Bytes[]): Bytes {
    return deriveKey(`assay ${tag} v1`, concat(this.genesisHash, ...parts));
  }

  merkleRoot(items: readonly Bytes[]): Bytes {
    if (items.length === 0) return this.d("merkle empty");
    return this.#subtree(items.map((item) => this.d("merkle leaf", item)));
  }

  #subtree(leaves: readonly Bytes[]): Bytes {
    if (leaves.length === 1) return leaves[0] as Bytes;
    let left = 1;
    while (2 * left < leaves.length) left *= 2;
    return this.d("merkle node", this.#subtree(leaves.slice(0, left)), this.#subtree(leaves.slice(left)));
  }

  pathIsValid(root: Bytes, item: Bytes, index: bigint, count: bigint, path: readonly Bytes[]): boolean {
    const node = (left: Bytes, right: Bytes) => this.d("merkle node", left, right);
    const found = pathRoot(this.d("merkle leaf", item), index, count, path, node);
    return found !== null && equal(found, root);
  }
}

/** RFC 9162, 2.1.3.2. Null if index, count and the path's length do not fit. */
export function pathRoot(
  leaf: Bytes,
  index: bigint,
  count: bigint,
  path: readonly Bytes[],
  node: (left: Bytes, right: Bytes) => Bytes,
): Bytes | null {
  if (index >= count) return null;
  let position = index;
  let last = count - 1n;
  let value = leaf;
  for (const sibling of path) {
    if (last === 0n) return null;
    if ((position & 1n) === 1n || position === last) {
      value = node(sibling, value);
      while ((position & 1n) === 0n && position !== 0n) {
        position >>= 1n;
        last >>= 1n;
      }
    } else {
      value = node(value, sibling);
    }
    position >>= 1n;
    last >>= 1n;
  }
  return last === 0n ? value : null;
}
