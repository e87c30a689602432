// Buttons, live updates and the camera: everything that is not a check.

import type { Memory } from "./memory.ts";
import type { Panel } from "./panel.ts";
import { parseObject } from "./source.ts";
import type { Settings } from "./settings.ts";
import type { TextKey } from "./text_keys.ts";
import type { Texts } from "./texts.ts";

// ---------------------------------------------------------------- buttons

export function saveFile(name: string, bytes: Uint8Array): void {
  const url = URL.createObjectURL(new Blob([bytes.slice()], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export async function copy(button: HTMLElement, texts: Texts): Promise<void> {
  const from = button.dataset["copyFrom"];
  const source = from === undefined ? null : document.querySelector<HTMLElement>(from);
  const value =
    source instanceof HTMLTextAreaElement || source instanceof HTMLInputElement ? source.value : source?.textContent;
  const text = button.dataset["copy"] ?? value?.trim() ?? "";
  let told: "copied" | "copy_failed" = "copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    told = "copy_failed";
  }
  button.dataset["copied"] = String(told === "copied");
  const near = button.parentElement?.querySelector<HTMLElement>('[data-slot="copied"]');
  if (near) near.textContent = texts.text(told);
  setTimeout(() => {
    button.removeAttribute("data-copied");
    if (near) near.textContent = "";
  }, 2_000);
}

function isDark(): boolean {
  const theme = document.documentElement.dataset["theme"];
  return theme === undefined || theme === "" ? matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
}

function showTheme(): void {
  for (const button of document.querySelectorAll('[data-action="theme"]'))
    button.setAttribute("aria-pressed", String(isDark()));
}

export function applyTheme(memory: Memory): void {
  const { theme } = memory;
  if (theme === "dark" || theme === "light") document.documentElement.dataset["theme"] = theme;
  showTheme();
}

export function toggleTheme(memory: Memory): void {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset["theme"] = theme;
  memory.theme = theme;
  showTheme();
}

// ---------------------------------------------------------------- live updates

const FOLLOW_EVERY_MS = 2_000;

/** `changed` is called at most once in two seconds, and once after the last event. */
export function follow(settings: Settings, texts: Texts, changed: () => void): void {
  if (settings.eventsUrl === "" || typeof EventSource === "undefined") return;
  const show = (name: string, text: string) => {
    for (const element of document.querySelectorAll<HTMLElement>(`[data-live="${name}"]`)) element.textContent = text;
  };
  const events = new EventSource(settings.eventsUrl);
  let waits = false;
  let last = -Infinity;
  events.addEventListener("open", () => show("state", texts.text("live_connected")));
  events.addEventListener("error", () => show("state", texts.text("live_lost")));
  events.addEventListener("state", (event: MessageEvent) => {
    const state = parseObject(String(event.data)) ?? {};
    for (const name of ["height", "batch", "log_size"] as const) {
      const value = state[name];
      if (typeof value === "number") show(name, texts.number(value));
    }
    const time = state["time_ms"];
    if (typeof time === "number" && Number.isSafeInteger(time) && time >= 0) show("time", texts.time(BigInt(time)));
    if (waits) return;
    waits = true;
    const wait = Math.max(0, last + FOLLOW_EVERY_MS - performance.now());
    setTimeout(() => {
      waits = false;
      last = performance.now();
      changed();
    }, wait);
  });
}

/** Every second: the ages of the page, and of its panels. */
export function tick(panels: Iterable<Panel>, texts: Texts): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-age-of]")) {
    const of = Number(element.dataset["ageOf"]);
    if (Number.isFinite(of)) element.textContent = texts.age(Date.now() - of);
  }
  for (const panel of panels) panel.tick();
}

// ---------------------------------------------------------------- codes in pictures

type Detector = { detect(image: ImageBitmapSource): Promise<readonly { readonly rawValue: string }[]> };
type DetectorClass = new (options: { formats: readonly string[] }) => Detector;
const SCAN_EVERY_MS = 200;

export function scanner(element: HTMLElement, texts: Texts): void {
  const Class = (globalThis as { BarcodeDetector?: DetectorClass }).BarcodeDetector;
  const target = document.querySelector<HTMLInputElement>(element.dataset["scan"] ?? "");
  if (Class === undefined || target === null) return;
  element.hidden = false;
  const detector = new Class({ formats: ["qr_code"] });
  const video = element.querySelector("video");
  const tell = (key: TextKey | "") => {
    const slot = element.querySelector('[data-slot="scan"]');
    if (slot !== null) slot.textContent = key === "" ? "" : texts.text(key);
  };
  const take = async (image: ImageBitmapSource): Promise<boolean> => {
    const [code] = await detector.detect(image);
    if (code === undefined) return false;
    target.value = code.rawValue;
    target.dispatchEvent(new Event("input", { bubbles: true }));
    target.focus();
    tell("");
    return true;
  };

  const input = element.querySelector<HTMLInputElement>('input[type="file"]');
  input?.addEventListener("change", async () => {
    const file = input.files?.[0];
    if (file === undefined) return;
    try {
      if (!(await take(await createImageBitmap(file)))) tell("scan_nothing");
    } catch {
      tell("scan_nothing");
    }
  });

  let stream: MediaStream | null = null;
  const stop = () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    if (video !== null) {
      video.srcObject = null;
      video.hidden = true;
    }
  };
  element.querySelector('[data-action="camera-stop"]')?.addEventListener("click", stop);
  element.querySelector('[data-action="camera"]')?.addEventListener("click", async () => {
    if (video === null || stream !== null) return;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = stream;
      video.hidden = false;
      await video.play();
    } catch {
      stop();
      return tell("scan_failed");
    }
    const look = async () => {
      if (stream === null) return;
      // A frame that is not there yet is no error.
      if (await take(video).catch(() => false)) stop();
      else setTimeout(() => void look(), SCAN_EVERY_MS);
    };
    void look();
  });
}
