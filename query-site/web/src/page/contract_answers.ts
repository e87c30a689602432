// Panels of contracts, feeds and receipts: what the site answers is checked, and what the page shows is held to it.
//
// A page marks what it shows: `data-check="name"` on an element whose text must be what was verified, `data-entry="key"`
// on the row of an item, `data-contract` and `data-feed` on the rows of a list. What the ledger's map must show and the
// answer leaves out is the fault `entry_omitted`.

import {
  type BackTestReport,
  type Feed,
  type FeedItem,
  type Package,
  Refused,
  type Trust,
  type Verdict,
  type VerifiedEntries,
  type VerifiedState,
  concat,
  entryKey,
  equal,
  fromHex,
  invalid,
  periodText,
  policyHash,
  readPackage,
  readReport,
  reportHash,
  scaled,
  standingOf,
  toHex,
  verifyEntries,
  verifyLeaf,
} from "../verify/index.ts";
import { drawBackTest } from "./back_test_chart.ts";
import type { Panel } from "./panel.ts";
import { hexOf, nowMs } from "./registry.ts";
import { fetchBytes, listOfStrings } from "./source.ts";
import type { Texts } from "./texts.ts";

export type ContractKind = "contracts" | "contract" | "report" | "feeds" | "feed" | "receipt";
type Answer = Readonly<Record<string, unknown>> | null;
/** What a panel's words are compared with. */
type Shown = Readonly<Record<string, string>>;

export type CheckedAnswer = {
  readonly verdict: Verdict<{ readonly state: VerifiedState }>;
  readonly name: string;
  /** What "save proof" saves. */
  readonly proof: Uint8Array;
  readonly show: () => void;
};

const OMITTED = "omitted";
const RATE_SCALE = 4;
const ROW = "[data-entry], tr[data-contract], tr[data-feed], tr[data-year], tr[data-change]";
/** A list that does not begin with the first has so many rows: the newest. */
const LISTED = 60;

export function isContractKind(kind: string): kind is ContractKind {
  return kind in CHECKS;
}

/** What a check looks at beside the answer: of a report its bytes. */
export async function fetchBeside(kind: ContractKind, panel: Panel): Promise<Uint8Array> {
  return kind === "report" ? fetchBytes(panel.attribute("reportUrl")) : new Uint8Array(0);
}

export function checkContractAnswer(
  kind: ContractKind,
  panel: Panel,
  trust: Trust,
  answer: Answer,
  texts: Texts,
  beside: Uint8Array,
): CheckedAnswer {
  return CHECKS[kind](panel, trust, answer, texts, beside);
}

function entriesOf(trust: Trust, answer: Answer): { verdict: Verdict<VerifiedEntries>; proof: Uint8Array } {
  const proofs = answer?.["proofs"] as Answer | undefined;
  const state = hexOf(proofs?.["state"]);
  const entries = listOfStrings(proofs?.["entries"])?.map((text) => fromHex(text)) ?? null;
  const proof = state ?? new Uint8Array(0);
  if (state === null || entries === null || entries.includes(null)) return { verdict: invalid(1), proof };
  const first = entries[0] as Uint8Array | undefined;
  const verdict = verifyEntries(trust, state, entries as Uint8Array[], nowMs());
  return { verdict, proof: first === undefined ? proof : concat(state, first) };
}

/** Verified, if `read` finds what must be there; `read` gives what to show, `OMITTED`, or the number of a reason. */
function judged<T>(
  panel: Panel,
  trust: Trust,
  texts: Texts,
  answer: Answer,
  name: string,
  read: (entries: VerifiedEntries) => T | typeof OMITTED | 12,
  /** Gives what has changed since the page was rendered. */
  show: (value: T, isSameLog: boolean) => string | null,
): CheckedAnswer {
  const { verdict, proof } = entriesOf(trust, answer);
  if (verdict.outcome !== "verified") return { verdict, name, proof, show: () => undefined };
  const entries = verdict.value;
  const found = read(entries);
  if (found === 12) return { verdict: invalid(12), name, proof, show: () => undefined };
  const state = { outcome: "verified", value: { state: entries.state } } as const;
  return {
    verdict: state,
    name,
    proof,
    show: () => {
      if (found === OMITTED) return panel.fault("entry_omitted", texts.text("entry_omitted"));
      const changed = show(found, isSameLog(panel, entries.state));
      const more = changed === null ? "" : ` ${texts.text("status_changed", { status: changed })}`;
      // What the page shows wrongly was named; it stays red.
      if (panel.attribute("reasonCode") === "") panel.verified(panel.verifiedText(entries.state, trust) + more);
    },
  };
}

/** The page was rendered at this log. Of another it may show what has changed since, and nothing else otherwise. */
function isSameLog(panel: Panel, state: VerifiedState): boolean {
  const size = panel.attribute("claimSize");
  return size === "" || size === String(state.head.size);
}

function number(panel: Panel, name: string): number {
  return Number(panel.attribute(name));
}

/** Every element of `within` that says what it shows must show that. */
function hold(panel: Panel, texts: Texts, within: Element, shown: Shown): void {
  for (const element of within.querySelectorAll<HTMLElement>("[data-check]")) {
    const proof = shown[element.dataset["check"] ?? ""];
    // Rows of a table are held by themselves.
    if (proof === undefined || element.closest(ROW) !== rowOf(within)) continue;
    const page = element instanceof HTMLTimeElement ? element.dateTime : (element.textContent ?? "");
    if (page.trim() !== proof.trim()) differs(panel, texts, page.trim(), proof.trim());
  }
}

function rowOf(element: Element): Element | null {
  return element.matches(ROW) ? element : null;
}

function differs(panel: Panel, texts: Texts, page: string, proof: string): void {
  const short = (text: string) => (text.length > 80 ? `${text.slice(0, 80)}…` : text);
  panel.fault("page_differs", texts.text("page_differs", { page: short(page), proof: short(proof) }));
}

function seconds(ms: bigint): string {
  const number = Number(ms);
  return Number.isFinite(new Date(number).getTime()) ? `${new Date(number).toISOString().slice(0, 19)}Z` : "";
}

/** Of a dense list: how many are there, if the answer shows that there is no further one. */
function count(entries: VerifiedEntries, kind: 1 | 3, first: number, rows: number): number | null {
  if (first !== 1 && rows < LISTED) return null;
  for (let n = first; ; n++) {
    const entry = entries.get(entryKey(kind, n));
    if (entry === undefined) return null;
    if (entry === null) return n - 1;
  }
}

function bindsAt(entries: VerifiedEntries, contract: number, newest: number): Map<number, bigint> {
  const found = new Map<number, bigint>();
  for (let version = newest; version >= 1; version--) {
    const entry = entries.get(entryKey(2, contract, version));
    if (entry?.kind !== "version") break;
    found.set(version, entry.value.bindsAt);
  }
  return found;
}

/** Whether what is known of a contract's versions says which binds: down to one that does, or to the first. */
function isEnough(found: ReadonlyMap<number, bigint>, newest: number, height: bigint): boolean {
  return found.has(newest) && (found.has(1) || [...found.values()].some((binds) => binds <= height + 1n));
}

type Check = (panel: Panel, trust: Trust, answer: Answer, texts: Texts, beside: Uint8Array) => CheckedAnswer;

const CHECKS: Record<ContractKind, Check> = {
  contracts(panel, trust, answer, texts) {
    const rows = [...panel.element.querySelectorAll<HTMLElement>("tr[data-contract]")];
    const numbers = rows.map((row) => Number(row.dataset["contract"]));
    return judged(
      panel,
      trust,
      texts,
      answer,
      "contracts",
      (entries) => {
        const first = numbers[0] ?? 1;
        const last = count(entries, 1, first, rows.length);
        if (last === null) return OMITTED;
        const states = new Map<number, { state: string; version: string }>();
        for (let n = first; n <= last; n++) {
          const head = entries.get(entryKey(1, n));
          if (head?.kind !== "contract") return OMITTED;
          const binds = bindsAt(entries, n, head.value.newest);
          if (!isEnough(binds, head.value.newest, entries.state.leaf.height)) return OMITTED;
          const { state, binding } = standingOf(head.value, binds, entries.state.leaf.height);
          states.set(n, { state, version: String(binding ?? head.value.newest) });
        }
        return states;
      },
      (states, isSame) => {
        if (!isSame) return [...states].map(([n, { state }]) => `${n} ${state}`).join(", ");
        if (states.size !== rows.length) differs(panel, texts, String(rows.length), String(states.size));
        for (const row of rows) {
          const known = states.get(Number(row.dataset["contract"]));
          const claimed = row.dataset["claimState"] ?? "";
          if (known?.state !== claimed) differs(panel, texts, claimed, known?.state ?? "–");
          if (known !== undefined) hold(panel, texts, row, { version: known.version });
        }
        return null;
      },
    );
  },

  contract(panel, trust, answer, texts) {
    const contract = number(panel, "contract");
    type Found = { readonly shown: Shown; readonly state: string; readonly binding: number };
    // What the page is about; that it is the one that binds is checked apart.
    const claimed = Number(panel.element.querySelector('[data-check="version"]')?.textContent ?? Number.NaN);
    return judged<Found>(
      panel,
      trust,
      texts,
      answer,
      `contract-${contract}`,
      (entries) => {
        const head = entries.get(entryKey(1, contract));
        if (head?.kind !== "contract") return OMITTED;
        const { newest } = head.value;
        const binds = bindsAt(entries, contract, newest);
        if (!isEnough(binds, newest, entries.state.leaf.height)) return OMITTED;
        const { state, binding } = standingOf(head.value, binds, entries.state.leaf.height);
        const version = binds.has(claimed) ? claimed : (binding ?? newest);
        const deployed = entries.get(entryKey(2, contract, version));
        if (deployed?.kind !== "version") return OMITTED;
        const { policy, report } = deployed.value;
        // 10.9: a package is a version's by its hash.
        const read = packageOf(answer, version, (bytes) => equal(policyHash(trust.chain, bytes), policy));
        if (read === null) return 12;
        const isChinese = document.documentElement.lang.startsWith("zh");
        return {
          state,
          binding: binding ?? newest,
          shown: {
            version: String(version),
            policy: toHex(policy),
            report: toHex(report),
            source: read.source,
            explanation: isChinese ? read.chinese : read.english,
            explanation_other: isChinese ? read.english : read.chinese,
          },
        };
      },
      ({ shown, state, binding }, isSame) => {
        // A version never changes, whatever the log has become.
        hold(panel, texts, panel.element, shown);
        const page = `${panel.attribute("claimState")} ${shown["version"]}`;
        const proof = `${state} ${binding}`;
        if (page === proof) return null;
        if (isSame) differs(panel, texts, page, proof);
        return isSame ? null : proof;
      },
    );
  },

  report(panel, trust, answer, texts, bytes) {
    const [contract, version] = [number(panel, "contract"), number(panel, "version")];
    const checked = judged(
      panel,
      trust,
      texts,
      answer,
      `contract-${contract}`,
      (entries) => {
        const deployed = entries.get(entryKey(2, contract, version));
        return deployed?.kind === "version" ? deployed.value.report : OMITTED;
      },
      (deployed) => {
        const found = reportHash(bytes);
        if (!equal(found, deployed)) {
          const words = { found: toHex(found), proof: toHex(deployed) };
          panel.fault("report_differs", texts.text("report_differs", words));
          return null;
        }
        const report = readReport(bytes);
        if (report === null) panel.fault("report_unreadable", texts.text("report_unreadable"));
        else showReport(panel, texts, report);
        return null;
      },
    );
    return {
      ...checked,
      show: () => {
        checked.show();
        if (panel.attribute("state") !== "verified") return;
        for (const slot of panel.slots("verdict")) slot.textContent += ` ${texts.text("report_verified")}`;
      },
    };
  },

  feeds(panel, trust, answer, texts) {
    const rows = [...panel.element.querySelectorAll<HTMLElement>("tr[data-feed]")];
    const first = Number(rows[0]?.dataset["feed"] ?? 1);
    return judged(
      panel,
      trust,
      texts,
      answer,
      "feeds",
      (entries) => {
        const last = count(entries, 3, first, rows.length);
        if (last === null) return OMITTED;
        const feeds = new Map<number, Feed>();
        for (const { kind, value } of entries.present()) if (kind === "feed") feeds.set(value.definition.feed, value);
        return feeds.size === last - first + 1 ? feeds : OMITTED;
      },
      (feeds, isSame) => {
        if (!isSame) return [...feeds.values()].map(({ definition }) => definition.name).join(", ");
        if (feeds.size !== rows.length) differs(panel, texts, String(rows.length), String(feeds.size));
        for (const row of rows) {
          const feed = feeds.get(Number(row.dataset["feed"]));
          if (feed === undefined) differs(panel, texts, row.dataset["feed"] ?? "", "–");
          else {
            const { newest, definition } = feed;
            const period = newest === null ? "–" : periodText(newest, definition.frequency);
            hold(panel, texts, row, { name: definition.name, newest: period });
          }
        }
        return null;
      },
    );
  },

  feed(panel, trust, answer, texts) {
    const number_ = number(panel, "feed");
    type Found = { readonly feed: Feed; readonly items: ReadonlyMap<string, FeedItem> };
    return judged<Found>(
      panel,
      trust,
      texts,
      answer,
      `feed-${number_}`,
      (entries) => {
        const entry = entries.get(entryKey(3, number_));
        if (entry?.kind !== "feed") return OMITTED;
        const items = allVintages(entries, entry.value, panel.attribute("answerUrl"));
        return items === null ? OMITTED : { feed: entry.value, items };
      },
      ({ feed, items }, isSame) => {
        const rows = [...panel.element.querySelectorAll<HTMLElement>("[data-entry]")];
        if (isSame && rows.length !== items.size) differs(panel, texts, String(rows.length), String(items.size));
        for (const row of rows) {
          // No item changes; one may have left the window since.
          const item = items.get(row.dataset["entry"] ?? "");
          if (item === undefined) {
            if (isSame) differs(panel, texts, row.dataset["entry"] ?? "", "–");
            continue;
          }
          hold(panel, texts, row, {
            period: periodText(item.period, feed.definition.frequency),
            vintage: String(item.vintage),
            value: scaled(item.value, feed.definition.scale),
            published: seconds(item.publishedMs),
            valid_until: seconds(item.validUntilMs),
          });
        }
        return !isSame && rows.length !== items.size ? String(items.size) : null;
      },
    );
  },

  receipt(panel, trust, answer, texts) {
    const obligation = fromHex(panel.attribute("obligation"));
    const proof = hexOf(answer?.["proof"]) ?? new Uint8Array(0);
    const asked = concat(Uint8Array.of(5), obligation ?? new Uint8Array(0));
    const found = verifyLeaf(trust, asked, proof, nowMs());
    // A false statement is about the same key, and no receipt.
    const verdict = found.outcome === "verified" && found.value.receipt === null ? invalid(16) : found;
    return {
      verdict,
      name: `receipt-${panel.attribute("obligation").slice(0, 8)}`,
      proof,
      show: () => {
        if (verdict.outcome !== "verified" || verdict.value.receipt === null) return;
        const { receipt, index, state } = verdict.value;
        panel.verified(panel.verifiedText(state, trust));
        hold(panel, texts, panel.element, {
          rate: `${scaled(receipt.rate, RATE_SCALE, 2)} %`,
          contract: String(receipt.contract),
          version: String(receipt.version),
          policy: toHex(receipt.policy),
          fuel: String(receipt.fuel),
          to: seconds(receipt.toMs),
          index: String(index),
        });
        const rows = [...panel.element.querySelectorAll<HTMLElement>("[data-input]")];
        const words = (row: HTMLElement) => [...row.children].map((cell) => (cell.textContent ?? "").trim()).join(" ");
        const proved = receipt.inputs.map(({ feed, back, found }) =>
          [feed, back, found?.period ?? "–", found?.vintage ?? "–", found?.value ?? "–"].join(" "),
        );
        const paged = rows.map(words);
        const at = proved.findIndex((line, i) => line !== paged[i]);
        if (at >= 0 || paged.length !== proved.length)
          differs(panel, texts, paged[Math.max(at, 0)] ?? "–", proved[Math.max(at, 0)] ?? "–");
      },
    };
  },
};

/** The package of a version in an answer, if `fits` says that it is the one. */
function packageOf(answer: Answer, version: number, fits: (bytes: Uint8Array) => boolean): Package | null {
  const versions = answer?.["versions"];
  for (const one of Array.isArray(versions) ? versions : []) {
    const bytes = hexOf((one as Answer)?.["package"]);
    if ((one as Answer)?.["version"] !== version || bytes === null || !fits(bytes)) continue;
    try {
      return readPackage(bytes);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
  return null;
}

/**
 * Items of a window of periods without a gap, by their keys in hex. Null if the answer leaves a period out, or does not show that a
 * period's last vintage is its last. The window ends at the newest period, or before the one that was asked for.
 */
function allVintages(entries: VerifiedEntries, feed: Feed, url: string): Map<string, FeedItem> | null {
  const items = new Map<string, FeedItem>();
  const found = entries
    .present()
    .flatMap((entry) => (entry.kind === "item" && entry.value.feed === feed.definition.feed ? [entry.value] : []));
  if (feed.newest === null) return found.length === 0 ? items : null;
  const before = Number(new URL(url, location.href).searchParams.get("before") ?? Number.NaN);
  const newest = Number.isNaN(before) ? feed.newest : Math.min(feed.newest, before - 1);
  const oldest = found.reduce((least, { period }) => Math.min(least, period), newest);
  let known = 0;
  for (let period = newest; period >= oldest; period--) {
    for (let vintage = 0; ; vintage++) {
      const key = entryKey(4, feed.definition.feed, period, vintage);
      const entry = entries.get(key);
      if (entry === undefined) return known === 0 && found.length === 0 && !Number.isNaN(before) ? items : null;
      if (entry === null) break;
      if (entry.kind === "item") items.set(toHex(key), entry.value);
      known += 1;
    }
  }
  return items;
}

/** What the page says of the report is held to it, and its chart is drawn from it. */
function showReport(panel: Panel, texts: Texts, report: BackTestReport): void {
  const percent = (rate: number) => `${scaled(BigInt(rate), RATE_SCALE, 2)} %`;
  const fromTo = (was: string, is: string) => (was === is ? is : `${was} → ${is}`);
  const verdict = (permits: boolean) => texts.text(permits ? "report_permit" : "report_deny");
  for (const row of panel.element.querySelectorAll<HTMLElement>("tr[data-year]")) {
    const year = report.years.find(({ year }) => String(year) === row.dataset["year"]);
    if (year === undefined) differs(panel, texts, row.dataset["year"] ?? "", "–");
    else
      hold(panel, texts, row, {
        lowest: percent(year.lowest),
        highest: percent(year.highest),
        average: percent(year.average),
        permitted: year.permitted.length === 0 ? "–" : year.permitted.join(", "),
      });
  }
  const rows = [...panel.element.querySelectorAll<HTMLElement>("tr[data-change]")];
  const changes = report.changes.filter(({ permits: [before, after] }) => before !== after);
  if (rows.length !== changes.length) differs(panel, texts, String(rows.length), String(changes.length));
  changes.forEach((change, n) => {
    const row = rows[n];
    if (row === undefined) return;
    hold(panel, texts, row, {
      known_from: change.knownFrom,
      period: change.period,
      verdict: fromTo(verdict(change.permits[0]), verdict(change.permits[1])),
      rate: fromTo(percent(change.rates[0]), percent(change.rates[1])),
    });
  });
  for (const figure of panel.element.querySelectorAll<HTMLElement>("[data-chart]"))
    figure.replaceChildren(drawBackTest(report, figure.getAttribute("aria-label") ?? ""));
}
