// Panels that check what the site answers: a coin, the supply, the newest checkpoint.

import {
  RECORD_STATUS,
  type Supply,
  type Trust,
  type Verdict,
  type VerifiedCoin,
  type VerifiedState,
  coinText,
  invalid,
  parseCoin,
  toHex,
  verifyCoin,
  verifyState,
  verifySupply,
} from "../verify/index.ts";
import { type ContractKind, checkContractAnswer, fetchBeside, isContractKind } from "./contract_answers.ts";
import { type Registry, hexOf, nowMs } from "./registry.ts";
import type { Panel } from "./panel.ts";
import { fetchObject } from "./source.ts";
import type { Texts } from "./texts.ts";

export type AnswerKind = "coin" | "supply" | "checkpoint" | ContractKind;

export function isAnswerKind(kind: string): kind is AnswerKind {
  return kind in CHECKS || isContractKind(kind);
}

export async function checkAnswer(kind: AnswerKind, panel: Panel, registry: Registry, texts: Texts): Promise<void> {
  panel.checking();
  try {
    await registry.inTurn(async () => {
      const trust = await registry.trust();
      const answer = await fetchObject(panel.attribute("answerUrl"));
      const beside = isContractKind(kind) ? await fetchBeside(kind, panel) : new Uint8Array(0);
      const started = performance.now();
      const checked = isContractKind(kind)
        ? checkContractAnswer(kind, panel, trust, answer, texts, beside)
        : checkProof(kind, panel, trust, hexOf(answer?.["proof"]), texts);
      const took = performance.now() - started;
      const state = await settle(checked.verdict, panel, registry, trust);
      if (state === null) return;
      panel.proof = { bytes: checked.proof, name: `assay-${checked.name}-${state.head.size}.proof` };
      checked.show();
      panel.fill({ check_ms: texts.number(Math.max(1, Math.round(took))) });
      panel.showState(state, trust);
      await askMirror(panel, registry, trust);
    });
  } catch (error) {
    panel.failed(error);
  }
}

function checkProof(
  kind: ProofKind,
  panel: Panel,
  trust: Trust,
  proof: Uint8Array | null,
  texts: Texts,
): Checked & { readonly proof: Uint8Array } {
  const bytes = proof ?? new Uint8Array(0);
  return { ...CHECKS[kind](panel, trust, bytes, texts), proof: bytes };
}

/** The newest state that the site shows, verified and accepted; null, and the panel says why, if it is not. */
export async function newestState(panel: Panel, registry: Registry, trust: Trust): Promise<VerifiedState | null> {
  const proof = hexOf((await fetchObject(registry.settings.stateUrl))?.["proof"]);
  const found = proof === null ? invalid(1) : verifyState(trust, proof, nowMs());
  return settle(
    found.outcome === "verified" ? { outcome: "verified", value: { state: found.value } } : found,
    panel,
    registry,
    trust,
  );
}

type Checked = {
  readonly verdict: Verdict<{ readonly state: VerifiedState }>;
  readonly name: string;
  /** Fills the panel from what was verified. Called only if it was, and accepted. */
  readonly show: () => void;
};

type ProofKind = Exclude<AnswerKind, ContractKind>;

const CHECKS: Record<ProofKind, (panel: Panel, trust: Trust, proof: Uint8Array, texts: Texts) => Checked> = {
  coin(panel, trust, proof, texts) {
    const asked = parseCoin(panel.attribute("coin"));
    const verdict = asked instanceof Uint8Array ? verifyCoin(trust, asked, proof, nowMs()) : invalid(16);
    return {
      verdict,
      name: asked instanceof Uint8Array ? coinText(asked).slice(0, 14) : "coin",
      show: () => {
        if (verdict.outcome === "verified") showCoin(panel, verdict.value, trust, texts);
      },
    };
  },

  supply(panel, trust, proof, texts) {
    const verdict: Verdict<Supply> = verifySupply(trust, proof, nowMs());
    return {
      verdict,
      name: "supply",
      show: () => {
        if (verdict.outcome !== "verified") return;
        const { issued, redeemed, inCirculation, state } = verdict.value;
        const amount = (minor: bigint) => texts.amount(minor, trust.genesis.exponent);
        panel.verified(panel.verifiedText(state, trust));
        panel.fill({ issued: amount(issued), redeemed: amount(redeemed), circulation: amount(inCirculation) });
        compareClaims(panel, state, texts, [
          ["claimIssued", String(issued)],
          ["claimRedeemed", String(redeemed)],
        ]);
      },
    };
  },

  checkpoint(panel, trust, proof, texts) {
    const verdict = verifyState(trust, proof, nowMs());
    return {
      verdict: verdict.outcome === "verified" ? { outcome: "verified", value: { state: verdict.value } } : verdict,
      name: "state",
      show: () => {
        if (verdict.outcome !== "verified") return;
        panel.verified(panel.verifiedText(verdict.value, trust));
        compareClaims(panel, verdict.value, texts, [["claimRoot", toHex(verdict.value.head.root)]]);
      },
    };
  },
};

/** The word for what a verified record says. */
export function statusOf({ record }: VerifiedCoin): "live" | "spent" | "frozen" | "disputed" | "absent" {
  return record === null ? "absent" : RECORD_STATUS[record.status];
}

export function showCoin(panel: Panel, coin: VerifiedCoin, trust: Trust, texts: Texts): void {
  const { record, state } = coin;
  const status = statusOf(coin);
  const asOf = { time: texts.time(state.leaf.timeMs), height: texts.number(state.leaf.height) };
  const says = texts.text(`status_${status}`, asOf);
  const claimed = claimOf(panel, "claimStatus");
  // The page was rendered at an older log, and its own words stand outside of any slot.
  const changed = claimed !== "" && claimed !== status ? ` ${texts.text("status_changed", { status: says })}` : "";
  panel.verified(panel.verifiedText(state, trust) + changed);
  panel.element.dataset["status"] = status;
  panel.fill({
    coin: coinText(coin.coin),
    status: says,
    tag: record === null ? "" : toHex(record.tag),
    since_height: record === null ? "" : texts.number(record.height),
    since_batch: record === null ? "" : texts.number(record.batch),
    failed_check: record === null || record.failedCheck === 0 ? "" : texts.failedCheck(record.failedCheck),
  });
  if (record === null) panel.fill({ since_time: "" });
  else panel.fillTime("since_time", record.timeMs);
  compareClaims(panel, state, texts, [
    ["claimStatus", status],
    ["claimTag", record === null ? "" : toHex(record.tag)],
  ]);
}

function claimOf(panel: Panel, name: string): string {
  return panel.attribute(name).replace(/^not_registered$/, "absent");
}

/** What the page says without proof, of the same log, must be what the proof says. */
function compareClaims(
  panel: Panel,
  state: VerifiedState,
  texts: Texts,
  pairs: readonly (readonly [string, string])[],
): void {
  const size = panel.attribute("claimSize");
  if (size !== "" && size !== String(state.head.size)) return;
  for (const [name, proof] of pairs) {
    const page = claimOf(panel, name);
    if (page !== "" && page !== proof) panel.fault("page_differs", texts.text("page_differs", { page, proof }));
  }
}

/** Shows what is wrong, or gives the state: verified, and grown from what was accepted before. */
export async function settle(
  verdict: Verdict<{ readonly state: VerifiedState }>,
  panel: Panel,
  registry: Registry,
  trust: Trust,
): Promise<VerifiedState | null> {
  if (verdict.outcome === "not_enough_power") {
    panel.notEnoughPower(verdict.have, verdict.need);
    return null;
  }
  if (verdict.outcome === "invalid") {
    if (verdict.number === 13) registry.memory.keepAlarm(toHex(trust.chain.genesisHash), 13);
    panel.invalid(verdict.number);
    return null;
  }
  const { state } = verdict.value;
  const accepted = await registry.accept(trust, state.head);
  if (accepted.outcome === "invalid") {
    panel.invalid(accepted.number);
    return null;
  }
  return state;
}

/** Another view at the second site makes everything that this one says doubtful, whoever of the two lies. */
export async function askMirror(panel: Panel, registry: Registry, trust: Trust): Promise<void> {
  const word = await registry.mirror(trust);
  panel.showMirror(word, registry.settings);
  if (word.says === "invalid" && (word.number === 13 || word.number === 14)) panel.invalid(word.number);
}
