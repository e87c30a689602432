// Ties a page to the verifier, by the contract in README.md. Pages work without this; it only upgrades them.

import { REASONS, toHex, type ReasonNumber } from "../verify/index.ts";
import { checkAnswer, isAnswerKind } from "./answers.ts";
import { bucketForm } from "./bucket_form.ts";
import { applyTheme, copy, follow, saveFile, scanner, tick, toggleTheme } from "./controls.ts";
import { openingForm, ownershipPanel, proofForm } from "./forms.ts";
import { Memory } from "./memory.ts";
import { Panel } from "./panel.ts";
import { Registry } from "./registry.ts";
import { readSettings } from "./settings.ts";
import { Texts } from "./texts.ts";

const memory = new Memory();
applyTheme(memory);
const settings = readSettings(document);
const texts = new Texts(document);
const registry = new Registry(settings, memory);
const panels = new Map<HTMLElement, Panel>();

function alarm(text: string): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-alarm]")) {
    element.hidden = text === "";
    element.textContent = text;
  }
}

function check(panel: Panel): void {
  const kind = panel.attribute("verify");
  if (isAnswerKind(kind)) void checkAnswer(kind, panel, registry, texts);
}

/** Where the pin comes from, in every panel and in the elements that are about it. */
function showPin(): void {
  const { pin } = memory;
  const key = pin !== null ? "pinned_by_you" : settings.genesisHash !== "" ? "pinned_by_site" : "not_pinned";
  const hash = pin ?? settings.genesisHash;
  for (const slot of document.querySelectorAll<HTMLElement>('[data-slot="pin"]'))
    slot.textContent = texts.text(key, { hash });
  document.documentElement.dataset["pin"] = key;
}

/** A contradiction that was seen stays one, however the next answer looks. */
async function showKeptAlarm(): Promise<void> {
  const hash = memory.pin ?? settings.genesisHash;
  const number = memory.alarm(hash);
  if (number === null || !(number in REASONS)) return;
  const { name, sentence } = texts.reason(number as ReasonNumber);
  alarm(texts.text("invalid", { name, number, sentence }));
}

function checkAll(which: (panel: Panel) => boolean): void {
  for (const panel of panels.values()) if (which(panel)) check(panel);
}

async function act(button: HTMLElement): Promise<void> {
  const panel = panels.get(button.closest<HTMLElement>("[data-verify]") ?? button) ?? null;
  switch (button.dataset["action"]) {
    case "check-again":
      registry.askMirrorAgain();
      if (panel !== null) check(panel);
      break;
    case "save-proof":
      if (panel?.proof != null) saveFile(panel.proof.name, panel.proof.bytes);
      break;
    case "pin": {
      // What is pinned is what was checked: the bytes' own hash.
      const trust = await registry.trust();
      memory.pin = toHex(trust.chain.genesisHash);
      showPin();
      break;
    }
    case "unpin":
      memory.pin = null;
      startOver();
      break;
    case "forget":
      memory.forget(memory.pin ?? settings.genesisHash);
      startOver();
      break;
    case "copy":
      await copy(button, texts);
      break;
    case "theme":
      toggleTheme(memory);
      break;
  }
}

function startOver(): void {
  registry.startOver();
  alarm("");
  showPin();
  checkAll(() => true);
}

for (const element of document.querySelectorAll<HTMLElement>("[data-verify]")) {
  const panel = new Panel(element, texts, alarm);
  panels.set(element, panel);
  switch (panel.attribute("verify")) {
    case "proof":
      proofForm(panel, registry, texts);
      break;
    case "bucket":
      bucketForm(panel, registry, texts);
      break;
    case "opening":
      openingForm(panel, registry, texts);
      break;
    case "ownership":
      ownershipPanel(panel, registry, texts);
      break;
    default:
      check(panel);
  }
}
for (const element of document.querySelectorAll<HTMLElement>("[data-js-only]")) element.hidden = false;
for (const element of document.querySelectorAll<HTMLElement>("[data-scan]")) scanner(element, texts);
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-action]") : null;
  if (button !== null) act(button).catch((error: unknown) => console.error(error));
});
showPin();
void showKeptAlarm();
tick(panels.values(), texts);
setInterval(() => tick(panels.values(), texts), 1_000);
follow(settings, texts, () => checkAll((panel) => panel.element.hasAttribute("data-follow")));
