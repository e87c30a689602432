// Panels that the reader fills in: a pasted or dropped proof, an opening, an ownership answer.

import {
  type Challenge,
  type DocumentKind,
  Refused,
  type Trust,
  type Verdict,
  type VerifiedState,
  coinOf,
  coinText,
  COIN_TEXT_LENGTH,
  decodeChallenge,
  decodeOpening,
  deriveCoin,
  documentKind,
  encodeChallenge,
  equal,
  fromHex,
  fromUtf8,
  isTlogProof,
  parseCoin,
  parseTlogProof,
  toHex,
  utf8,
  verifyAcknowledgement,
  verifyCoin,
  verifyHandOver,
  verifyOwnership,
  verifyState,
  verifyTlogProof,
} from "../verify/index.ts";
import { askMirror, settle, showCoin } from "./answers.ts";
import type { Panel } from "./panel.ts";
import { type Registry, hexOf, nowMs } from "./registry.ts";
import { Unreachable, fetchObject, parseObject } from "./source.ts";
import type { Texts } from "./texts.ts";

type Fields = Readonly<Record<string, string>>;
const PASTED_BYTES_MAX = 1024 * 1024;

function fieldsOf(form: HTMLFormElement): Fields {
  const fields: Record<string, string> = {};
  for (const [name, value] of new FormData(form)) if (typeof value === "string") fields[name] = value.trim();
  return fields;
}

export function formOf(panel: Panel, selector = "form"): HTMLFormElement | null {
  return panel.element instanceof HTMLFormElement
    ? panel.element
    : panel.element.querySelector<HTMLFormElement>(selector);
}

export function onSubmit(form: HTMLFormElement | null, act: (fields: Fields) => unknown): void {
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    act(fieldsOf(form));
  });
}

/** Null, and the panel says why, if the text is no coin id. */
export function coinFrom(text: string, panel: Panel, texts: Texts): Uint8Array | null {
  const coin = parseCoin(text);
  if (coin instanceof Uint8Array) return coin;
  const key = `coin_id_${coin.fault}` as const;
  panel.fault(key, texts.text(key, { expected: COIN_TEXT_LENGTH, found: coin.found }));
  return null;
}

// ---------------------------------------------------------------- a proof

/** Bytes of a document, whether pasted as hex, as a JSON answer or as a file. Null if it is nothing of that. */
function documentFrom(data: Uint8Array): { readonly bytes: Uint8Array; readonly tlog: boolean } | null {
  const text = fromUtf8(data)?.trim() ?? null;
  if (text === null) return { bytes: data, tlog: false };
  if (isTlogProof(text)) return { bytes: utf8(`${text}\n`), tlog: true };
  const answer = text.startsWith("{") ? parseObject(text) : null;
  const bytes =
    answer === null ? hexOf(text.replace(/\s+/g, "")) : (hexOf(answer["proof"]) ?? hexOf(answer["acknowledgement"]));
  // Binary documents are rarely text; that one such is, is decided by its layout.
  return bytes !== null && bytes.length > 0 ? { bytes, tlog: false } : { bytes: data, tlog: false };
}

export function proofForm(panel: Panel, registry: Registry, texts: Texts): void {
  const form = formOf(panel);
  const check = async (data: Uint8Array, coin: string) => {
    panel.checking();
    try {
      if (data.length > PASTED_BYTES_MAX) return panel.invalid(1);
      await registry.inTurn(async () => checkDocument(panel, registry, texts, await registry.trust(), data, coin));
    } catch (error) {
      panel.failed(error);
    }
  };
  const coinField = () => (form === null ? "" : (fieldsOf(form)["coin"] ?? ""));
  onSubmit(form, ({ proof, coin }) => void check(utf8(proof ?? ""), coin ?? ""));
  const take = async (file: File | undefined) => {
    if (file === undefined) return;
    if (file.size > PASTED_BYTES_MAX) return panel.invalid(1);
    await check(new Uint8Array(await file.arrayBuffer()), coinField());
  };
  const input = form?.querySelector<HTMLInputElement>('input[type="file"]');
  input?.addEventListener("change", () => void take(input.files?.[0]));
  panel.element.addEventListener("dragover", (event) => event.preventDefault());
  panel.element.addEventListener("drop", (event) => {
    event.preventDefault();
    void take(event.dataTransfer?.files[0]);
  });
}

async function checkDocument(
  panel: Panel,
  registry: Registry,
  texts: Texts,
  trust: Trust,
  data: Uint8Array,
  coin: string,
): Promise<void> {
  const document = documentFrom(data);
  const kind: DocumentKind | "tlog" | null =
    document === null ? null : document.tlog ? "tlog" : documentKind(document.bytes);
  if (document === null || kind === null) {
    panel.invalid(1);
    return panel.fill({ kind: texts.text("proof_unreadable") });
  }
  const { bytes } = document;
  panel.fill({ kind: texts.text(`kind_${kind}`) });
  switch (kind) {
    case "coin": {
      const asked = coin === "" ? coinOf(bytes) : coinFrom(coin, panel, texts);
      if (asked === null) return;
      const verdict = verifyCoin(trust, asked, bytes, nowMs());
      return showPasted(panel, registry, trust, verdict, () => {
        if (verdict.outcome === "verified") showCoin(panel, verdict.value, trust, texts);
      });
    }
    case "state": {
      const verdict = verifyState(trust, bytes, nowMs());
      const state: Verdict<{ readonly state: VerifiedState }> =
        verdict.outcome === "verified" ? { outcome: "verified", value: { state: verdict.value } } : verdict;
      return showPasted(panel, registry, trust, state, () => {
        if (verdict.outcome === "verified") panel.verified(panel.verifiedText(verdict.value, trust));
      });
    }
    case "tlog":
      return checkTlog(panel, texts, trust, bytes);
    case "acknowledgement":
      return conclude(panel, verifyAcknowledgement(trust, bytes), ({ envelope, height }) =>
        texts.text("acknowledgement_verified", { envelope: toHex(envelope), height: texts.number(height) }),
      );
    case "hand_over":
      // Trust itself moves only by what the site lists: a pasted document is judged and not followed.
      return conclude(panel, await judgeHandOver(registry, bytes), (set) =>
        texts.text("hand_over_verified", { set: toHex(set) }),
      );
  }
}

async function judgeHandOver(registry: Registry, bytes: Uint8Array): Promise<Verdict<Uint8Array>> {
  registry.startOver();
  const verdict = verifyHandOver(await registry.trust(), bytes);
  registry.startOver();
  return verdict;
}

/** A saved proof is older than what was seen since: that the log grew from it is asked for, and not held against it unanswered. */
async function showPasted(
  panel: Panel,
  registry: Registry,
  trust: Trust,
  verdict: Verdict<{ readonly state: VerifiedState }>,
  show: () => void,
): Promise<void> {
  let state: VerifiedState | null;
  try {
    state = await settle(verdict, panel, registry, trust);
  } catch (error) {
    if (!(error instanceof Unreachable) || verdict.outcome !== "verified") throw error;
    ({ state } = verdict.value);
  }
  if (state === null) return;
  show();
  panel.showState(state, trust);
  await askMirror(panel, registry, trust);
}

function checkTlog(panel: Panel, texts: Texts, trust: Trust, bytes: Uint8Array): void {
  let leaf: Uint8Array | null;
  try {
    leaf = parseTlogProof(bytes).extra;
  } catch (error) {
    if (error instanceof Refused) return panel.invalid(1);
    throw error;
  }
  // The extra data is the leaf; it is believed because the path leads from its hash to the signed root.
  if (leaf === null) return panel.invalid(1);
  conclude(panel, verifyTlogProof(trust, bytes, leaf), ({ index, head, signers, leaf }) =>
    texts.text("tlog_verified", {
      index: texts.number(index),
      size: texts.number(head.size),
      leaf: toHex(leaf),
      signers: signers.length,
      validators: trust.validators.length,
    }),
  );
}

function conclude<T>(panel: Panel, verdict: Verdict<T>, text: (value: T) => string): void {
  if (verdict.outcome === "verified") panel.verified(text(verdict.value));
  else if (verdict.outcome === "invalid") panel.invalid(verdict.number);
  else panel.notEnoughPower(verdict.have, verdict.need);
}

// ---------------------------------------------------------------- an opening

export function openingForm(panel: Panel, registry: Registry, texts: Texts): void {
  // The genesis is fetched now, so that checking itself sends nothing.
  registry.trust().catch(() => undefined);
  onSubmit(formOf(panel), (fields) => {
    registry.trust().then(
      (trust) => checkOpening(panel, trust, texts, fields),
      (error: unknown) => panel.failed(error),
    );
  });
}

function checkOpening(panel: Panel, trust: Trust, texts: Texts, typed: Fields): void {
  const malformed = (field: string) => panel.fault("opening_malformed", texts.text("opening_malformed", { field }));
  const pasted = typed["opening"]?.startsWith("{") ? parseObject(typed["opening"]) : null;
  const field = (name: string) => {
    const value = pasted?.[name];
    return value === undefined ? (pasted !== null && name === "opening" ? "" : (typed[name] ?? "")) : String(value);
  };
  const opening = hexOf(field("opening"));
  const origin = hexOf(field("origin"));
  const [index, bank] = [field("output_index"), field("bank")];
  if (origin?.length !== 32) return malformed("origin");
  if (!/^[0-9]{1,3}$/.test(index) || Number(index) > 255) return malformed("output_index");
  if (!/^[0-9]{1,5}$/.test(bank) || Number(bank) > 65535) return malformed("bank");
  let says;
  try {
    says = decodeOpening(opening ?? new Uint8Array(0));
  } catch (error) {
    if (error instanceof Refused) return malformed("opening");
    throw error;
  }
  const derived = deriveCoin(trust.chain, opening as Uint8Array, origin, Number(index), Number(bank));
  const expectedText = typed["coin"] || panel.attribute("coin") || String(pasted?.["coin"] ?? "");
  const expected = expectedText === "" ? derived.coin : coinFrom(expectedText, panel, texts);
  if (expected === null) return;
  const coin = coinText(derived.coin);
  const amount = `${texts.amount(says.amount, trust.genesis.exponent)} ${says.currency}`;
  const owner = toHex(says.owner);
  if (!equal(expected, derived.coin)) {
    panel.fill({ amount: "", owner: "", series: "", coin });
    return panel.fault("opening_differs", texts.text("opening_differs", { coin }));
  }
  panel.fill({ amount, owner, series: String(says.series), tag: toHex(derived.ownerTag), coin });
  panel.verified(texts.text("opening_verified", { amount, owner }));
}

// ---------------------------------------------------------------- ownership

const NONCE_BYTES = 32;
const MINUTES_MAX = 7 * 24 * 60;

export function ownershipPanel(panel: Panel, registry: Registry, texts: Texts): void {
  const coin = () => coinFrom(panel.attribute("coin"), panel, texts);
  const key = () => `assay:challenge:${panel.attribute("coin")}`;
  const kept = readTab(key());
  if (kept !== null) panel.fill({ challenge: kept });

  onSubmit(panel.element.querySelector('form[data-step="ask"]'), ({ text, minutes }) => {
    if (coin() === null) return;
    const wait = Math.min(MINUTES_MAX, Math.max(1, Number(minutes) || 15));
    const challenge: Challenge = {
      text: text ?? "",
      nonce: crypto.getRandomValues(new Uint8Array(NONCE_BYTES)),
      notAfterMs: nowMs() + BigInt(Math.round(wait * 60_000)),
    };
    try {
      const hex = toHex(encodeChallenge(challenge));
      writeTab(key(), hex);
      panel.fill({ challenge: hex });
      panel.element.dataset["asked"] = "true";
      panel.fill({ verdict: texts.text("challenge_made", { time: texts.time(challenge.notAfterMs) }), reason: "" });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      panel.invalid(1);
    }
  });

  onSubmit(panel.element.querySelector('form[data-step="check"]'), ({ ownership }) => {
    const asked = hexOf(readTab(key()) ?? "");
    const answer = hexOf((ownership ?? "").replace(/\s+/g, ""));
    const about = coin();
    if (about === null) return;
    if (asked === null || asked.length === 0) return panel.invalid(40);
    if (answer === null) return panel.invalid(1);
    void checkOwnership(panel, registry, texts, about, asked, answer);
  });
}

async function checkOwnership(
  panel: Panel,
  registry: Registry,
  texts: Texts,
  coin: Uint8Array,
  asked: Uint8Array,
  answer: Uint8Array,
): Promise<void> {
  panel.checking();
  try {
    await registry.inTurn(async () => {
      const trust = await registry.trust();
      const proof = hexOf((await fetchObject(panel.attribute("answerUrl")))?.["proof"]);
      if (proof === null) return panel.invalid(1);
      const verified = verifyCoin(trust, coin, proof, nowMs());
      const state = await settle(verified, panel, registry, trust);
      if (state === null || verified.outcome !== "verified") return;
      const { text, notAfterMs } = decodeChallenge(asked);
      panel.showState(state, trust);
      conclude(panel, verifyOwnership(trust, verified.value, asked, answer, nowMs()), () =>
        texts.text("ownership_verified", { text, time: texts.time(notAfterMs) }),
      );
    });
  } catch (error) {
    panel.failed(error);
  }
}

function readTab(key: string): string | null {
  try {
    const text = sessionStorage.getItem(key);
    return text !== null && fromHex(text) !== null ? text : null;
  } catch {
    return null;
  }
}

function writeTab(key: string, text: string): void {
  try {
    sessionStorage.setItem(key, text);
  } catch {
    // Then the page must stay open until the answer comes; the challenge is in it.
  }
}
