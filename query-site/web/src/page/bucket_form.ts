// A look-up that does not tell the site which coin it is about: only a prefix of the coin's key hash is sent.

import {
  type Trust,
  type VerifiedState,
  BUCKET_BITS_MAX,
  coinInBucket,
  prefixOf,
  prefixText,
  recordKeyHash,
  verifyBucket,
} from "../verify/index.ts";
import { newestState, settle, showCoin } from "./answers.ts";
import { coinFrom, formOf, onSubmit } from "./forms.ts";
import type { Panel } from "./panel.ts";
import { type Registry, hexOf, nowMs } from "./registry.ts";
import { fetchObject } from "./source.ts";
import type { Texts } from "./texts.ts";

// A coin has up to three leaves in its life (live, frozen or disputed, spent), and each batch one more: with so many
// leaves a prefix there are 16 coins and more.
const LEAVES_PER_BUCKET = 64;

export function bucketForm(panel: Panel, registry: Registry, texts: Texts): void {
  onSubmit(formOf(panel), ({ coin }) => {
    const asked = coinFrom(coin ?? "", panel, texts);
    if (asked !== null) void look(panel, registry, texts, asked);
  });
}

async function look(panel: Panel, registry: Registry, texts: Texts, coin: Uint8Array): Promise<void> {
  panel.checking();
  try {
    await registry.inTurn(async () => {
      const trust: Trust = await registry.trust();
      const newest = await newestState(panel, registry, trust);
      if (newest === null) return;
      const url = panel.attribute("bucketsUrl") || "/v1/buckets";
      const advised = (await fetchObject(url))?.["bits"];
      const prefix = prefixOf(recordKeyHash(coin), bitsFor(advised, newest));
      const proof = hexOf((await fetchObject(`${url}/${prefix.bits}/${prefixText(prefix)}`))?.["proof"]);
      if (proof === null) return panel.invalid(1);
      const bucket = verifyBucket(trust, prefix, proof, nowMs());
      const state = await settle(bucket, panel, registry, trust);
      if (state === null || bucket.outcome !== "verified") return;
      const answer = coinInBucket(bucket.value, coin);
      if (answer.outcome === "invalid") return panel.invalid(answer.number);
      if (answer.outcome !== "verified") return;
      showCoin(panel, answer.value, trust, texts);
      panel.showState(state, trust);
      const words = { prefix: prefixText(prefix), bits: prefix.bits, entries: bucket.value.count };
      panel.fill({ bucket: texts.text("bucket_asked", words) });
    });
  } catch (error) {
    panel.failed(error);
  }
}

/** A site that advises long prefixes would learn the coin: the verified log's size says how long one may be. */
export function bitsFor(advised: unknown, { head }: VerifiedState): number {
  let warranted = 0;
  while (warranted < BUCKET_BITS_MAX && head.size >> BigInt(warranted + 1) >= BigInt(LEAVES_PER_BUCKET)) warranted += 1;
  const bits = typeof advised === "number" && Number.isInteger(advised) && advised >= 0 ? advised : warranted;
  return Math.min(bits, warranted);
}
