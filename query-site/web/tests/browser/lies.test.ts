// A server that tells the truth, and one for each lie: the browser shows green for the one and names the other in red.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, beforeEach, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { type Bytes, coinText, concat, recordKeyHash, toHex } from "../../src/verify/index.ts";
import { EMPTY_SUBTREE } from "../../src/verify/map.ts";
import { stateProof, trustOfTests } from "../chain.ts";
import { LIES, type LieKind } from "../lies.ts";
import { type Json, load, unhex } from "../vectors.ts";
import { violations } from "./accessibility.ts";
import { launch } from "./chromium.ts";
import { type Answers, Site, coinPanel, json, page } from "./server.ts";

const coins = load("coin_proof");
const live = coins.cases.find((c: Json) => c.name === "live");
const absent = coins.cases.find((c: Json) => c.name.startsWith("absent"));
const handOvers = load("hand_over");
const remembering = load("remembering");
const supply = load("supply");
const genesis = unhex(coins.genesis);
const genesisHash: string = load("genesis").genesis_hash;
const NOW_MS: number = live.now_ms;
const COIN = coinText(unhex(live.asked));

let browser: Browser;
let context: BrowserContext;
const sites: Site[] = [];
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser.close();
});
beforeEach(async () => {
  await context?.close();
  for (const site of sites.splice(0)) await site.stop();
  context = await browser.newContext();
  await context.clock.install({ time: NOW_MS });
});
after(async () => {
  for (const site of sites) await site.stop();
});

const SETTINGS = { "genesis-hash": genesisHash, currency: "XAS", exponent: "2" };

function truth(proof: Bytes | string = live.proof): Answers {
  return {
    "/": page(SETTINGS, coinPanel(COIN, { status: "live", size: "11" })),
    "/genesis": { body: genesis, type: "application/octet-stream" },
    [`/v1/coins/${COIN}`]: json({
      coin: COIN,
      status: "live",
      proof: typeof proof === "string" ? proof : toHex(proof),
    }),
    "/v1/supply": json({ proof: supply.cases[0].state_proof }),
  };
}

async function open(answers: Answers, mirrors: readonly string[] = []): Promise<{ page: Page; site: Site }> {
  const site = await Site.start(answers, mirrors);
  sites.push(site);
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(`the page failed: ${error}`));
  await page.goto(site.url);
  return { page, site };
}

/** State, reason and words of the page's panel, once it has been judged. */
async function verdict(
  page: Page,
  selector = "[data-verify]",
): Promise<{ state: string; reason: string; code: string; text: string }> {
  const panel = page.locator(`${selector}[data-state]:not([data-state=checking])`);
  await panel.waitFor({ timeout: 10_000 });
  const attribute = async (name: string) => (await panel.getAttribute(name)) ?? "";
  return {
    state: await attribute("data-state"),
    reason: await attribute("data-reason"),
    code: await attribute("data-reason-code"),
    text: (await panel.locator("[data-slot=verdict]").textContent()) ?? "",
  };
}

async function assertReason(page: Page, number: number): Promise<void> {
  const { state, reason, text } = await verdict(page);
  assert.deepEqual([state, reason], ["invalid", String(number)], text);
  assert.match(text, new RegExp(`^invalid: .* ${number} Sentence of `));
}

test("the truth is green, with signers, age and status", async (t) => {
  const { page } = await open(truth());
  const { state, text } = await verdict(page);
  assert.equal(state, "verified", text);
  assert.match(text, /^verified: 4\/4 /);
  const slot = (name: string) => page.locator(`[data-slot=${name}]`).first().textContent();
  assert.match((await slot("status")) ?? "", /^status_live/);
  assert.equal(await slot("signers"), "1, 2, 3, 4");
  assert.match((await slot("age")) ?? "", / 5$/);
  assert.equal(await page.locator("[data-verify]").getAttribute("data-stale"), "false");
  assert.ok(
    await page.getByRole("button", { name: "pin", exact: true }).isVisible(),
    "buttons that need this code are revealed",
  );
  await context.clock.runFor(130_000);
  assert.equal(await page.locator("[data-verify]").getAttribute("data-stale"), "true", "it ages while it is open");
  assert.match((await slot("age")) ?? "", / 2$/);
  assert.deepEqual(await violations(page), []);
  t.diagnostic(`bundle ${readFileSync(new URL("../../../../assets/assay.js", import.meta.url)).length} bytes`);
});

test("a coin that does not exist is proved absent", async () => {
  const coin = coinText(unhex(absent.asked));
  const answers = truth();
  answers["/"] = page(SETTINGS, coinPanel(coin, { status: "not_registered", size: "11" }));
  answers[`/v1/coins/${coin}`] = json({ proof: absent.proof });
  const { page: opened } = await open(answers);
  assert.equal((await verdict(opened)).state, "verified");
  assert.equal(await opened.locator("[data-verify]").getAttribute("data-status"), "absent");
});

for (const [kind, { reason, tell }] of Object.entries(LIES) as [LieKind, (typeof LIES)[LieKind]][])
  test(`the lie ${kind} is ${reason === null ? "amber" : `named in red: ${reason}`}`, async () => {
    const { page } = await open(truth(tell(unhex(live.proof))));
    if (reason === null) {
      const { state, text } = await verdict(page);
      assert.equal(state, "power");
      assert.match(text, /^not_enough_power: .* 2<3 /);
    } else await assertReason(page, reason);
    assert.equal(await page.locator("[data-verify]").getAttribute("data-status"), null, "no status is styled");
  });

test("another coin's answer is named: 16", async () => {
  const { page } = await open(truth(coins.cases.find((c: Json) => c.name === "spent").proof));
  await assertReason(page, 16);
});

test("an omitted hand-over is named: 7", async () => {
  const answers = truth();
  answers["/"] = page(
    SETTINGS,
    '<section data-verify="checkpoint" data-answer-url="/v1/supply"><p data-slot="verdict"></p><p data-slot="reason"></p></section>',
  );
  answers["/v1/supply"] = json({ proof: handOvers.after.state_proof });
  const { page: opened } = await open(answers);
  await assertReason(opened, 7);
});

test("with the hand-over it is green, and a state of the set before is named: 8", async () => {
  const answers = truth();
  answers["/"] = page(
    SETTINGS,
    '<section data-verify="checkpoint" data-answer-url="/v1/supply"><p data-slot="verdict"></p><button data-action="check-again">again</button></section>',
  );
  answers["/v1/hand-overs"] = json({ hand_overs: [handOvers.cases[0].hand_over] });
  answers["/v1/supply"] = json({ proof: handOvers.after.state_proof });
  const { page: opened, site } = await open(answers);
  const { state, text } = await verdict(opened);
  assert.deepEqual([state, text.slice(0, 13)], ["verified", "verified: 3/4"]);
  site.answers["/v1/supply"] = json({ proof: handOvers.before.state_proof });
  await opened.getByRole("button", { name: "again" }).click();
  await opened.locator("[data-verify][data-state=invalid]").waitFor();
  await assertReason(opened, 8);
});

test("two views of one size at two mirrors are named: 13", async () => {
  // Two states of size 12 that the test chain's keys signed: a fork.
  const [, one, two] = supply.cases;
  const mirror = await Site.start({ "/v1/supply": json({ proof: two.state_proof }) });
  sites.push(mirror);
  const answers = truth();
  answers["/"] = page(
    { ...SETTINGS, "mirror-url": mirror.url },
    '<section data-verify="supply" data-answer-url="/v1/supply"><p data-slot="verdict"></p><p data-slot="mirror"></p><p data-slot="circulation"></p></section>',
  );
  answers["/v1/supply"] = json({ proof: one.state_proof });
  const { page: opened, site } = await open(answers, [mirror.url]);
  await opened.locator("[data-verify][data-state=invalid]").waitFor();
  await assertReason(opened, 13);
  assert.ok(await opened.getByRole("alert").isVisible());
  // A contradiction that was seen stays an alarm, though the mirror says the same as the site now.
  mirror.answers["/v1/supply"] = json({ proof: one.state_proof });
  await opened.goto(site.url);
  assert.equal((await verdict(opened)).state, "verified");
  assert.match((await opened.locator("[data-slot=mirror]").textContent()) ?? "", /^mirror_agrees/);
  assert.match((await opened.getByRole("alert").textContent()) ?? "", /split view 13/);
});

test("a mirror that lies in another way is named, and does not make the site red", async () => {
  const mirror = await Site.start({ "/v1/supply": json({ proof: "00" }) });
  sites.push(mirror);
  const answers = truth();
  answers["/"] = page({ ...SETTINGS, "mirror-url": mirror.url }, coinPanel(COIN));
  const { page: opened } = await open(answers, [mirror.url]);
  await opened.locator("[data-slot=mirror]:not(:empty)").waitFor();
  assert.match((await opened.locator("[data-slot=mirror]").textContent()) ?? "", /^mirror_invalid: .*malformed 1 /);
  assert.equal((await verdict(opened)).state, "verified");
});

const grown = remembering.steps.find((s: Json) => s.size === 11 && s.outcome.verified);
const first = remembering.steps[0];

async function visited(answers: Answers, size: number, root: string): Promise<Page> {
  const site = await Site.start(answers);
  sites.push(site);
  const page = await context.newPage();
  await page.addInitScript(
    ([key, head]) => localStorage.setItem(key as string, head as string),
    [`assay:head:${genesisHash}`, `${size} ${root}`],
  );
  await page.goto(site.url);
  return page;
}

test("a log that grew from the one seen before is green, and is what is remembered then", async () => {
  const answers = truth();
  answers["/v1/consistency"] = (query) =>
    json({ from: 7, to: 11, path: query.get("from") === "7" && query.get("to") === "11" ? grown.consistency : [] });
  const page = await visited(answers, 7, first.root);
  const { state, text } = await verdict(page);
  assert.equal(state, "verified", text);
  assert.match((await page.evaluate((key) => localStorage.getItem(key), `assay:head:${genesisHash}`)) ?? "", /^11 /);
});

test("a log that did not grow from the one seen before is named: 13", async () => {
  const answers = truth();
  answers["/v1/consistency"] = json({ path: grown.consistency });
  await assertReason(await visited(answers, 7, "11".repeat(32)), 13);
});

test("another root of the size seen before is named: 13", async () => {
  await assertReason(await visited(truth(), 11, "11".repeat(32)), 13);
});

test("a site that does not show how its log grew is named: 14", async () => {
  const answers = truth();
  answers["/v1/consistency"] = json({ path: [] });
  await assertReason(await visited(answers, 7, first.root), 14);
});

test("a page whose words differ from the proof is red", async () => {
  const answers = truth();
  answers["/"] = page(SETTINGS, coinPanel(COIN, { status: "spent", size: "11" }));
  const { page: opened } = await open(answers);
  assert.deepEqual((await verdict(opened)).code, "page_differs");
});

test("a genesis that is not the reader's pin is an alarm, until the reader gives it up", async () => {
  const { page, site } = await open(truth());
  await verdict(page);
  await page.getByRole("button", { name: "pin", exact: true }).click();
  await page.locator("[data-slot=pin]", { hasText: "pinned_by_you" }).waitFor();
  const other = genesis.slice();
  other[5] = (other[5] as number) ^ 1;
  site.answers["/genesis"] = { body: other };
  await page.goto(site.url);
  assert.equal((await verdict(page)).code, "genesis_changed");
  assert.match((await page.getByRole("alert").textContent()) ?? "", /^genesis_changed/);
  await page.getByRole("button", { name: "unpin" }).click();
  await page.locator('[data-reason-code="genesis_unfit"]').waitFor();
});

test("a silent server is grey, and says nothing about the coin", async () => {
  const answers = truth();
  answers[`/v1/coins/${COIN}`] = { status: 503, body: "" };
  const { page } = await open(answers);
  assert.equal((await verdict(page)).state, "unreachable");
});

test("hostile strings are shown as text", async () => {
  const hostile = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
  const answers = truth();
  answers[`/v1/coins/${COIN}`] = json({
    coin: hostile,
    status: hostile,
    proof: hostile,
    record: { owner_tag: hostile },
  });
  answers["/"] = page(
    SETTINGS,
    `${coinPanel(COIN)}<section data-verify="proof"><form><textarea name="proof"></textarea><input name="coin"><button>check</button></form><p data-slot="verdict"></p><p data-slot="kind"></p></section>`,
  );
  const { page: opened } = await open(answers);
  await opened.locator("textarea").fill(hostile);
  await opened.getByRole("button", { name: "check", exact: true }).click();
  assert.equal((await verdict(opened, '[data-verify="proof"]')).reason, "1");
  assert.equal(await opened.title(), "Test");
  assert.equal(await opened.locator("img").count(), 0);
});

test("a proof is saved, and checked when it is pasted or chosen as a file", async () => {
  const answers = truth();
  answers["/"] = page(
    SETTINGS,
    `${coinPanel(COIN)}<section data-verify="proof"><form><label>proof<textarea name="proof"></textarea></label><label>file<input type="file" name="file"></label><button>check</button></form><p data-slot="verdict"></p><p data-slot="kind"></p><p data-slot="coin"></p></section>`,
  );
  const { page: opened } = await open(answers);
  await verdict(opened, '[data-verify="coin"]');
  const [download] = await Promise.all([
    opened.waitForEvent("download"),
    opened.getByRole("button", { name: "save" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^assay-coin1[a-z0-9]+-11\.proof$/);
  const saved = readFileSync(await download.path());
  assert.equal(toHex(new Uint8Array(saved)), live.proof);
  await opened
    .locator("input[type=file]")
    .setInputFiles({ name: "x.proof", mimeType: "application/octet-stream", buffer: saved });
  assert.equal((await verdict(opened, '[data-verify="proof"]')).state, "verified");
  assert.equal(await opened.locator('[data-verify="proof"] [data-slot=coin]').textContent(), COIN);
  for (const pasted of [live.proof, JSON.stringify({ proof: live.proof })]) {
    await opened.locator("textarea").fill(pasted);
    await opened.getByRole("button", { name: "check", exact: true }).click();
    assert.equal((await verdict(opened, '[data-verify="proof"]')).state, "verified");
  }
});

test("the holder of an opening checks amount and owner, and nothing is sent", async () => {
  const { coins: openings } = load("coin");
  const o = openings[0];
  const fields = ["opening", "origin", "output_index", "bank", "coin"].map(
    (name) => `<label>${name}<input name="${name}"></label>`,
  );
  const answers = truth();
  answers["/"] = page(
    SETTINGS,
    `<section data-verify="opening"><form>${fields.join("")}<button>check</button></form><p data-slot="verdict"></p><p data-slot="amount"></p><p data-slot="owner"></p></section>`,
  );
  const { page: opened, site } = await open(answers);
  const fill = async (values: Record<string, string>) => {
    for (const [name, value] of Object.entries(values)) await opened.locator(`[name=${name}]`).fill(value);
    await opened.getByRole("button").click();
  };
  await opened.waitForLoadState("networkidle");
  const before = site.asked.length;
  const good = {
    opening: o.opening_bytes,
    origin: o.origin,
    output_index: String(o.output_index),
    bank: String(o.bank),
    coin: o.coin_text,
  };
  await fill(good);
  assert.equal((await verdict(opened)).state, "verified");
  assert.equal(await opened.locator("[data-slot=amount]").textContent(), "10.04 XAS");
  await fill({ bank: "3" });
  await opened.locator('[data-reason-code="opening_differs"]').waitFor();
  await fill({ bank: "x" });
  await opened.locator('[data-reason-code="opening_malformed"]').waitFor();
  assert.equal(site.asked.length, before, "nothing is sent");
});

test("an ownership answer is checked against the challenge that was made here", async () => {
  const ownership = load("ownership");
  const answers = truth();
  answers["/"] = page(
    SETTINGS,
    `<section data-verify="ownership" data-coin="${COIN}" data-answer-url="/v1/coins/${COIN}"><form data-step="ask"><label>text<input name="text"></label><label>minutes<input name="minutes" value="5"></label><button>ask</button></form><label>challenge<textarea data-slot="challenge" readonly></textarea></label><form data-step="check"><label>answer<textarea name="ownership"></textarea></label><button>check</button></form><p data-slot="verdict"></p></section>`,
  );
  answers[`/v1/coins/${COIN}`] = json({ proof: ownership.coin_proof });
  const { page: opened } = await open(answers);
  await opened.locator("[name=text]").fill("Order 7");
  await opened.getByRole("button", { name: "ask" }).click();
  const challenge = await opened.locator("[data-slot=challenge]").inputValue();
  assert.match(challenge, /^07004f7264657220372000[0-9a-f]{64}[0-9a-f]{16}$/);
  await opened.locator("[name=ownership]").fill(ownership.cases[0].ownership);
  await opened.getByRole("button", { name: "check" }).click();
  assert.equal((await verdict(opened)).reason, "40", "it answers another challenge");
  // The challenge that the vectors' owner answered, as if it had been made in this tab.
  await opened.evaluate(
    ([key, hex]) => sessionStorage.setItem(key as string, hex as string),
    [`assay:challenge:${COIN}`, ownership.challenge],
  );
  await opened.getByRole("button", { name: "check" }).click();
  await opened.locator("[data-state=verified]").waitFor();
});

test("a look-up by bucket names no coin, however long a prefix the site advises", async () => {
  const trust = trustOfTests();
  const wanted = unhex(live.asked);
  // A map with nothing in it, in a log of one leaf: no prefix is warranted at all.
  const state = stateProof(trust, EMPTY_SUBTREE);
  const bucket = concat(state, Uint8Array.of(0), new Uint8Array(4), new Uint8Array(4));
  const answers: Answers = {
    ...truth(),
    "/": page(
      SETTINGS,
      `<section data-verify="bucket" data-buckets-url="/v1/buckets"><form><label>coin<input name="coin"></label><button>look</button></form><p data-slot="verdict"></p><p data-slot="status"></p><p data-slot="bucket"></p></section>`,
    ),
    "/v1/supply": json({ proof: toHex(state) }),
    "/v1/buckets": json({ bits: 32, expected_entries: 1, log_size: 1 }),
    "/v1/buckets/0/00000000": json({ proof: toHex(bucket) }),
  };
  const { page: opened, site } = await open(answers);
  await opened.locator("[name=coin]").fill(COIN);
  await opened.getByRole("button").click();
  const { state: colour, text } = await verdict(opened);
  assert.equal(colour, "verified", text);
  assert.match((await opened.locator("[data-slot=status]").textContent()) ?? "", /^status_absent/);
  assert.match((await opened.locator("[data-slot=bucket]").textContent()) ?? "", /^bucket_asked/);
  const key = toHex(recordKeyHash(wanted));
  for (const path of site.asked) assert.ok(!path.includes(COIN) && !path.includes(key.slice(0, 2) + "000000"), path);
});

test("live updates are followed, and the panel is checked again", async () => {
  const answers = truth();
  answers["/"] = page(
    { ...SETTINGS, "events-url": "/v1/events" },
    `${coinPanel(COIN, { status: "live", size: "10" })}<p data-live="height"></p><p data-live="state"></p>`,
  );
  const { page: opened, site } = await open(answers);
  await verdict(opened);
  await opened.locator("[data-live=state]", { hasText: "live_connected" }).waitFor();
  const asked = () => site.asked.filter((path) => path.startsWith("/v1/coins/")).length;
  const before = asked();
  site.send("state", { log_size: 12, height: 1234, batch: 3, time_ms: NOW_MS, map_root: "" });
  await opened.locator("[data-live=height]", { hasText: "1,234" }).waitFor();
  await context.clock.runFor(3_000);
  await opened.waitForFunction(
    () => document.querySelector("[data-verify]")?.getAttribute("data-state") === "verified",
  );
  assert.ok(asked() > before);
});

test("the theme is toggled and kept, and buttons copy", async () => {
  const answers = truth();
  answers["/"] = page(
    SETTINGS,
    `<button type="button" data-action="theme">theme</button><p><button type="button" data-action="copy" data-copy="abc">copy</button><span data-slot="copied"></span></p>`,
  );
  const { page: opened, site } = await open(answers);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: site.url });
  const theme = () => opened.locator("html").getAttribute("data-theme");
  await opened.getByRole("button", { name: "theme" }).click();
  assert.equal(await theme(), "dark");
  await opened.reload();
  assert.equal(await theme(), "dark");
  assert.equal(await opened.getByRole("button", { name: "theme" }).getAttribute("aria-pressed"), "true");
  await opened.getByRole("button", { name: "copy" }).click();
  await opened.locator("[data-slot=copied]", { hasText: "copied" }).waitFor();
  assert.equal(await opened.evaluate(() => navigator.clipboard.readText()), "abc");
});
