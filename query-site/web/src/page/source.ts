// What comes from the network: bounded, without credentials, never believed.

/** Nobody answered, or not what was asked for. */
export class Unreachable extends Error {
  readonly status: number | null;
  constructor(what: string, status: number | null = null) {
    super(what);
    this.status = status;
  }
}

const TIMEOUT_MS = 15_000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

export async function fetchBytes(url: string): Promise<Uint8Array> {
  let answer: Response;
  try {
    answer = await fetch(url, {
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new Unreachable(url);
  }
  if (!answer.ok || answer.body === null) throw new Unreachable(url, answer.status);
  const parts: Uint8Array[] = [];
  let length = 0;
  const reader = answer.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > ANSWER_BYTES_MAX) {
        await reader.cancel();
        throw new Unreachable(url, answer.status);
      }
      parts.push(value);
    }
  } catch {
    throw new Unreachable(url, answer.status);
  }
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Null if it is no JSON object. */
export async function fetchObject(url: string): Promise<Readonly<Record<string, unknown>> | null> {
  return parseObject(new TextDecoder().decode(await fetchBytes(url)));
}

export function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** The hex strings of a list; null if it is none. */
export function listOfStrings(value: unknown): readonly string[] | null {
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : null;
}
