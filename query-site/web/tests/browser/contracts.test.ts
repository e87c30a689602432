// Contracts, feeds and receipts: the truth is green, and each lie about them is named in red.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { type Bytes, concat, entryKey, policyHash, reportHash, toHex } from "../../src/verify/index.ts";
import { littleEndian, utf8 } from "../../src/verify/bytes.ts";
import { NOW_MS, stateProof, trustOfTests } from "../chain.ts";
import { type Held, entryInState, mapRoot } from "../map.ts";
import { type Json, load, unhex } from "../vectors.ts";
import { violations } from "./accessibility.ts";
import { launch } from "./chromium.ts";
import { type Answers, Site, WORDS, json, page } from "./server.ts";

const trust = trustOfTests();
const SOURCE = 'policy "bridge" version 1\ncurrency CNY\n';
const OTHER_SOURCE = 'policy "other" version 1\ncurrency CNY\n';

function packageOf(source: string): Bytes {
  const fields = [utf8("program"), utf8(source), utf8(`It says ${source}`), utf8("中文说明")];
  const field = (bytes: Bytes) => concat(littleEndian(bytes.length, 4).toReversed(), bytes);
  return concat(utf8("APK\u0001"), ...fields.map(field));
}

const PACKAGE = packageOf(SOURCE);
const u32 = (n: number) => littleEndian(n, 4);
const u64 = (n: bigint | number) => littleEndian(n, 8);

const head = concat(u32(1), u32(0), Uint8Array.of(0));
// What `assay contract backtest` writes, of three quarters.
const permit = { due_days: 395, permit: true };
const deny = { detail: 3, permit: false, reason: 6 };
const quarter = (period: string, known: string, rate: number, verdict: unknown, value: string | null) => ({
  fuel: [9, 8],
  inputs: [{ back: 0, feed: "gdp", period: value === null ? null : period, value }],
  known_from: known,
  period,
  rate,
  verdicts: [verdict],
});
const QUARTERS = [
  quarter("1974Q3", "1974-10-01", 40_000, deny, "4916.4"),
  quarter("1974Q4", "1975-01-01", 5_000, permit, "4873.2"),
  quarter("1975Q1", "1975-04-01", 5_000, permit, null),
];
const BACK_TEST = {
  changes: [
    { known_from: "1974-07-01", period: "1974Q2", rate: 40_000, rate_before: 30_000, verdicts: [deny], verdicts_before: [deny] },
    { known_from: "1975-01-01", period: "1974Q4", rate: 5_000, rate_before: 40_000, verdicts: [permit], verdicts_before: [deny] },
  ],
  data: { feeds: [{ feed: "gdp", series: "us.gdp.real" }] },
  rows: QUARTERS,
  schema: "assay-backtest-1",
  years: [{ permitted: ["1974Q4"], rate_average: 22_500, rate_highest: 40_000, rate_lowest: 5_000, year: 1974 }],
};
const REPORT = utf8(JSON.stringify(BACK_TEST));
const version = (source: string, report = REPORT) =>
  concat(policyHash(trust.chain, packageOf(source)), reportHash(report), u64(1), u64(3));
const NAME = "cn.lpr.1y";
const definition = (feed: number) =>
  concat(u32(feed), littleEndian(NAME.length, 2), utf8(NAME), Uint8Array.of(1, 2, 2, 0, 0, 1), u64(9));
const PERIOD = 24_284;
const item = (period: number, vintage: number, value: number) =>
  concat(u32(1), u32(period), u32(vintage), Uint8Array.of(2), u64(1_700_000_000_000), u64(1_800_000_000_000), u64(value));

const HELD: readonly Held[] = [
  { key: entryKey(1, 1), value: head },
  { key: entryKey(2, 1, 1), value: version(SOURCE) },
  { key: entryKey(3, 1), value: concat(definition(1), Uint8Array.of(1), u32(PERIOD)) },
  { key: entryKey(4, 1, PERIOD, 0), value: item(PERIOD, 0, 345) },
  { key: entryKey(4, 1, PERIOD - 1, 0), value: item(PERIOD - 1, 0, 350) },
  { key: entryKey(4, 1, PERIOD - 1, 1), value: item(PERIOD - 1, 1, 352) },
];
const CONTRACT_KEYS = [entryKey(1, 1), entryKey(2, 1, 1)];
const FEED_KEYS = [
  entryKey(3, 1),
  entryKey(4, 1, PERIOD, 0),
  entryKey(4, 1, PERIOD, 1),
  entryKey(4, 1, PERIOD - 1, 0),
  entryKey(4, 1, PERIOD - 1, 1),
  entryKey(4, 1, PERIOD - 1, 2),
];

function proofs(keys: readonly Bytes[], held: readonly Held[] = HELD, said: readonly Held[] = held): unknown {
  const entries = keys.map((key) => toHex(saying(entryInState(held, key), held, said, key)));
  return { state: toHex(stateProof(trust, mapRoot(held))), entries };
}

/** The proof of what is held, with what is said in its value's place. */
function saying(entry: Bytes, held: readonly Held[], said: readonly Held[], key: Bytes): Bytes {
  const of = (all: readonly Held[]) => all.find((one) => one.key.join() === key.join())?.value;
  const [is, says] = [of(held), of(said)];
  if (is === undefined || says === undefined || is === says) return entry;
  const at = key.length + 3;
  return concat(entry.slice(0, at), says, entry.slice(at + is.length));
}

function replaced(key: Bytes, value: Bytes): Held[] {
  return HELD.map((one) => (one.key.join() === key.join() ? { key, value } : one));
}

const contractAnswer = (source = SOURCE, keys = CONTRACT_KEYS, held = HELD, said = held) => ({
  versions: [{ version: 1, package: toHex(packageOf(source)) }],
  proofs: proofs(keys, held, said),
});

const SLOTS = '<p role="status" data-slot="verdict"></p><p data-slot="reason"></p>';
const contractPanel = (source = SOURCE, state = "in_force", size = "1") =>
  `<div data-verify="contract" data-contract="1" data-answer-url="/v1/contracts/1" data-claim-state="${state}" data-claim-size="${size}">
${SLOTS}<span data-check="version">1</span><code data-check="policy">${toHex(policyHash(trust.chain, PACKAGE))}</code>
<p data-check="explanation">It says ${SOURCE}</p><pre tabindex="0" data-check="source">${source}</pre></div>`;

const paid = (average: string, lent: string) =>
  `<tr data-year="1974"><th scope="row">1974</th><td data-check="lowest">0.50 %</td><td data-check="highest">4.00 %</td><td data-check="average">${average}</td><td data-check="permitted">${lent}</td></tr>`;
// The page's word for a verdict is its text's.
const [PERMIT, DENY] = ["report_permit", "report_deny"].map((key) => `${key}: ${WORDS}`);
const changed = (verdict = `${DENY} → ${PERMIT}`, rate = "4.00 % → 0.50 %") =>
  `<tr data-change><td data-check="known_from">1975-01-01</td><td data-check="period">1974Q4</td><td data-check="verdict">${verdict}</td><td data-check="rate">${rate}</td></tr>`;
const reportPanel = (years = paid("2.25 %", "1974Q4"), changes = changed()) =>
  `<div data-verify="report" data-contract="1" data-version="1" data-answer-url="/v1/contracts/1" data-report-url="/v1/report">${SLOTS}<figure data-chart aria-label="what it would have done"><svg viewBox="0 0 9 9"><text>the site's own drawing</text></svg></figure><table>${years}</table><table>${changes}</table></div>`;

const row = (period: number, vintage: number, text: string, value: string) =>
  `<tr data-entry="${toHex(entryKey(4, 1, period, vintage))}"><th scope="row" data-check="period">${text}</th><td data-check="vintage">${vintage}</td><td data-check="value">${value}</td><td><time data-check="published" datetime="2023-11-14T22:13:20Z">then</time></td></tr>`;
const feedPanel = (newest = "3.45") =>
  `<div data-verify="feed" data-feed="1" data-answer-url="/v1/feeds/${NAME}" data-claim-size="1">${SLOTS}<table>${row(PERIOD, 0, "2023-09", newest)}${row(PERIOD - 1, 1, "2023-08", "3.52")}${row(PERIOD - 1, 0, "2023-08", "3.50")}</table></div>`;

const receipts = load("leaf_proof");
const receipt = receipts.cases.find((c: Json) => c.name === "receipt");
const OBLIGATION: string = receipt.asked.slice(2);
const input = (...cells: (number | string)[]) => `<tr data-input>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
const receiptPanel = (rate = "-0.25 %", value = -7) =>
  `<div data-verify="receipt" data-obligation="${OBLIGATION}" data-answer-url="/v1/receipts/${OBLIGATION}">${SLOTS}<h2 data-check="rate">${rate}</h2><dl><div><dt>fuel</dt><dd data-check="fuel">31</dd></div></dl><table>${input(1, 0, 24286, 1, value)}${input(1, 1, "–", "–", "–")}</table></div>`;

let browser: Browser;
let context: BrowserContext;
const sites: Site[] = [];
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser.close();
  for (const site of sites) await site.stop();
});
beforeEach(async () => {
  await context?.close();
  for (const site of sites.splice(0)) await site.stop();
  context = await browser.newContext();
  await context.clock.install({ time: Number(NOW_MS) });
});

const SETTINGS = { "genesis-hash": load("genesis").genesis_hash, currency: "XAS", exponent: "2" };

async function open(panel: string, answers: Answers): Promise<Page> {
  const site = await Site.start({
    "/": page(SETTINGS, panel),
    "/genesis": { body: unhex(load("genesis").document), type: "application/octet-stream" },
    "/v1/supply": json({ proof: load("supply").cases[0].state_proof }),
    ...answers,
  });
  sites.push(site);
  const opened = await context.newPage();
  opened.on("pageerror", (error) => assert.fail(`the page failed: ${error}`));
  await opened.goto(site.url);
  return opened;
}

async function verdict(opened: Page): Promise<{ state: string; code: string; reason: string; text: string }> {
  const panel = opened.locator("[data-verify][data-state]:not([data-state=checking])");
  await panel.waitFor({ timeout: 10_000 });
  const attribute = async (name: string) => (await panel.getAttribute(name)) ?? "";
  const text = (await panel.locator("[data-slot=verdict]").textContent()) ?? "";
  const [state, code] = [await attribute("data-state"), await attribute("data-reason-code")];
  return { state, code, reason: await attribute("data-reason"), text };
}

async function named(panel: string, answers: Answers, code: string, reason = ""): Promise<void> {
  const found = await verdict(await open(panel, answers));
  assert.deepEqual([found.state, found.code, found.reason], ["invalid", code, reason], found.text);
}

const contract = (answer: unknown): Answers => ({ "/v1/contracts/1": json(answer) });
const feed = (answer: unknown): Answers => ({ [`/v1/feeds/${NAME}`]: json(answer) });
const report = (bytes: Bytes, answer: unknown = contractAnswer()): Answers => ({
  ...contract(answer),
  "/v1/report": { type: "application/json", body: bytes },
});
const ofReceipt = (proof: string): Answers => ({ [`/v1/receipts/${OBLIGATION}`]: json({ proof }) });

test("a contract, a feed and a receipt that are true are green, with signers", async () => {
  for (const [panel, answers] of [
    [contractPanel(), contract(contractAnswer())],
    [feedPanel(), feed({ proofs: proofs(FEED_KEYS) })],
    [receiptPanel(), ofReceipt(receipt.proof)],
  ] as const) {
    const opened = await open(panel, answers);
    const { state, text } = await verdict(opened);
    assert.equal(state, "verified", text);
    assert.match(text, /^verified: 4\/4 /);
    assert.deepEqual(await violations(opened), []);
  }
});

test("a back-test's report is hashed in the browser, and the chart is drawn from it", async () => {
  const opened = await open(reportPanel(), report(REPORT));
  const { state, text } = await verdict(opened);
  assert.equal(state, "verified", text);
  assert.match(text, /report_verified/);
  const figure = opened.locator("figure[data-chart]");
  assert.doesNotMatch((await figure.textContent()) ?? "", /own drawing/);
  assert.match((await figure.textContent()) ?? "", /4\.00 %.*gdp \(us\.gdp\.real\)/s);
  // Two of three quarters are permitted, without a break; the rate falls once.
  assert.equal(await figure.locator('rect[fill="#D6EED2"]').count(), 1);
  assert.equal(await figure.locator('path[stroke="#0B4F8A"]').getAttribute("d"), "M84.0 24.0H370.0L370.0 260.3H656.0L656.0 260.3H942.0");
  assert.deepEqual(await violations(opened), []);
});

test("another report, and one byte of the true one changed, are named with both hashes and nothing is drawn", async () => {
  const other = utf8(JSON.stringify({ ...BACK_TEST, years: [] }));
  for (const at of [0, 100, REPORT.length - 1]) {
    const flipped = REPORT.slice();
    flipped[at] = (flipped[at] as number) ^ 1;
    await named(reportPanel(), report(flipped), "report_differs");
  }
  const opened = await open(reportPanel(), report(other));
  const found = await verdict(opened);
  assert.deepEqual([found.state, found.code], ["invalid", "report_differs"]);
  assert.ok(found.text.includes(toHex(reportHash(other))) && found.text.includes(toHex(reportHash(REPORT))), found.text);
  assert.match((await opened.locator("figure").textContent()) ?? "", /own drawing/);
  await named(reportPanel(), report(concat(REPORT, utf8("\n"))), "report_differs");
});

test("another deployment's report hash is named by the proof, and its absence too", async () => {
  const other = utf8(JSON.stringify({ ...BACK_TEST, years: [] }));
  const altered = replaced(entryKey(2, 1, 1), version(SOURCE, other));
  const lie = contractAnswer(SOURCE, CONTRACT_KEYS, HELD, altered);
  await named(reportPanel(), report(other, lie), "wrong_record", "12");
  await named(reportPanel(), report(REPORT, contractAnswer(SOURCE, CONTRACT_KEYS.slice(0, 1))), "entry_omitted");
  const missing = await verdict(await open(reportPanel(), contract(contractAnswer())));
  assert.equal(missing.state, "unreachable", missing.text);
});

test("what a page says of a true report is held to it", async () => {
  await named(reportPanel(paid("2.00 %", "1974Q4")), report(REPORT), "page_differs");
  await named(reportPanel(paid("2.25 %", "–")), report(REPORT), "page_differs");
  await named(reportPanel(paid("2.25 %", "1974Q4").replaceAll("1974<", "1980<").replace('"1974"', '"1980"')), report(REPORT), "page_differs");
  await named(reportPanel(undefined, changed(`${PERMIT} → ${DENY}`)), report(REPORT), "page_differs");
  await named(reportPanel(undefined, changed(undefined, "4.00 % → 0.40 %")), report(REPORT), "page_differs");
  await named(reportPanel(undefined, ""), report(REPORT), "page_differs");
  await named(reportPanel(undefined, changed() + changed()), report(REPORT), "page_differs");
});

test("a report with the deployed hash that is none is said to be unreadable", async () => {
  for (const bytes of [utf8("{}"), utf8("no JSON"), Uint8Array.of(0xff), utf8(JSON.stringify({ ...BACK_TEST, rows: [{}] }))]) {
    const held = replaced(entryKey(2, 1, 1), version(SOURCE, bytes));
    await named(reportPanel(), report(bytes, contractAnswer(SOURCE, CONTRACT_KEYS, held)), "report_unreadable");
  }
});

test("the lists are green up to the number that nothing has", async () => {
  const contracts = `<section data-verify="contracts" data-answer-url="/v1/contracts" data-claim-size="1">${SLOTS}<table><tr data-contract="1" data-claim-state="in_force"><th scope="row">bridge</th><td data-check="version">1</td></tr></table></section>`;
  const feeds = `<section data-verify="feeds" data-answer-url="/v1/feeds" data-claim-size="1">${SLOTS}<table><tr data-feed="1"><th scope="row" data-check="name">${NAME}</th><td data-check="newest">2023-09</td></tr></table></section>`;
  const whole = { "/v1/contracts": json({ proofs: proofs([...CONTRACT_KEYS, entryKey(1, 2)]) }), "/v1/feeds": json({ proofs: proofs([entryKey(3, 1), entryKey(3, 2)]) }) };
  for (const panel of [contracts, feeds]) assert.equal((await verdict(await open(panel, whole))).state, "verified");
  // Without the proof that there is no further one, one may be hidden.
  const cut = { "/v1/contracts": json({ proofs: proofs(CONTRACT_KEYS) }), "/v1/feeds": json({ proofs: proofs([entryKey(3, 1)]) }) };
  for (const panel of [contracts, feeds]) await named(panel, cut, "entry_omitted");
  await named(contracts.replace("in_force", "in_notice"), whole, "page_differs");
  // Nor may a short list begin behind the first.
  await named(contracts.replace('data-contract="1"', 'data-contract="2"'), whole, "entry_omitted");
  await named(feeds.replace("2023-09", "2023-10"), whole, "page_differs");
});

test("another contract's source under this number is named, in the answer and on the page", async () => {
  await named(contractPanel(), contract(contractAnswer(OTHER_SOURCE)), "wrong_record", "12");
  const altered = replaced(entryKey(2, 1, 1), version(OTHER_SOURCE));
  await named(contractPanel(), contract(contractAnswer(OTHER_SOURCE, CONTRACT_KEYS, HELD, altered)), "wrong_record", "12");
  await named(contractPanel(OTHER_SOURCE), contract(contractAnswer()), "page_differs");
  // Not even as of another log: a version never changes.
  await named(contractPanel(OTHER_SOURCE, "in_force", "7"), contract(contractAnswer()), "page_differs");
  await named(contractPanel(SOURCE, "in_notice"), contract(contractAnswer()), "page_differs");
});

test("an altered value of a feed is named, in the answer and on the page", async () => {
  const altered = replaced(entryKey(4, 1, PERIOD, 0), item(PERIOD, 0, 346));
  await named(feedPanel("3.46"), feed({ proofs: proofs(FEED_KEYS, HELD, altered) }), "wrong_record", "12");
  await named(feedPanel("3.46"), feed({ proofs: proofs(FEED_KEYS) }), "page_differs");
});

test("a receipt at another rate is named, in the answer and on the page", async () => {
  const cheaper = receipts.cases.find((c: Json) => c.name === "another rate");
  await named(receiptPanel("-0.26 %"), ofReceipt(cheaper.proof), "leaf_not_logged", "19");
  await named(receiptPanel("-0.26 %"), ofReceipt(receipt.proof), "page_differs");
  await named(receiptPanel("-0.25 %", -8), ofReceipt(receipt.proof), "page_differs");
  const other = receipts.cases.find((c: Json) => c.name === "contract event");
  await named(receiptPanel(), ofReceipt(other.proof), "other_coin", "16");
  // About the same loan, and no receipt of it.
  const statement = receipts.cases.find((c: Json) => c.name === "false statement");
  await named(receiptPanel(), ofReceipt(statement.proof), "other_coin", "16");
});

test("an entry that is left out is named: a version, a period, and that a vintage is the last", async () => {
  await named(contractPanel(), contract(contractAnswer(SOURCE, CONTRACT_KEYS.slice(0, 1))), "entry_omitted");
  for (const left of [1, 2, 3, 4, 5]) {
    const keys = FEED_KEYS.filter((_, n) => n !== left);
    await named(feedPanel(), feed({ proofs: proofs(keys) }), "entry_omitted");
  }
});

test("entries of a state that nobody signed are named", async () => {
  const answer = contractAnswer() as { proofs: { state: string } };
  const unsigned = { ...answer, proofs: { ...answer.proofs, state: `${answer.proofs.state.slice(0, -20)}${"0".repeat(20)}` } };
  const found = await verdict(await open(contractPanel(), contract(unsigned)));
  assert.equal(found.state, "invalid", found.text);
  await named(contractPanel(), contract({}), "malformed", "1");
});
