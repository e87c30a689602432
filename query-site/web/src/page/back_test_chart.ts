// The chart of a verified report: the rate over time, stripes where a loan is permitted, and below it each feed that was read.
//
// It takes the place of the chart that the site drew, so that a reader looks at the report and at nothing else. Its colours
// are those of `contracts/backtest/src/chart.rs`, which the style sheet turns to the reader's theme.

import type { BackTestReport } from "../verify/index.ts";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 960;
const LEFT = 84;
const RIGHT = 18;
const TOP = 24;
const RATE_HEIGHT = 320;
const FEED_HEIGHT = 150;
/** Room below a panel, for the years. */
const BOTTOM = 26;
const YEARS_SHOWN = 12;
const LINES = 4;
/** Hundredths of a basis point in a percent. */
const PERCENT = 10_000;

const PAPER = "#FFFFFF";
const INK = "#222B38";
const GRID = "#DDE1E6";
const RATE = "#0B4F8A";
const PERMITTED = "#D6EED2";
const FEED = "#8A4B08";

type Attributes = Readonly<Record<string, string | number>>;

function element(name: string, attributes: Attributes, text = ""): SVGElement {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.textContent = text;
  return made;
}

/** `label` is what it is called for those who do not see it. */
export function drawBackTest(report: BackTestReport, label: string): SVGElement {
  const feeds = report.feeds.filter(([feed]) => report.rows.some(({ values }) => values.has(feed)));
  const height = RATE_HEIGHT + FEED_HEIGHT * feeds.length;
  const chart = element("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label });
  chart.append(element("rect", { width: WIDTH, height, fill: PAPER }));

  const rates = report.rows.map(({ rate }) => rate / PERCENT);
  const rate = new Panel(report, 0, RATE_HEIGHT, Math.min(0, ...rates), Math.max(...rates));
  for (const [from, to] of runs(report)) chart.append(rate.stripe(from, to));
  chart.append(...rate.frame((value) => `${value.toFixed(2)} %`), rate.steps(rates));

  feeds.forEach(([feed, series], n) => {
    const values = report.rows.map((row) => (row.values.has(feed) ? Number(row.values.get(feed)) : null));
    const known = values.filter((value) => value !== null);
    const panel = new Panel(report, RATE_HEIGHT + n * FEED_HEIGHT, FEED_HEIGHT, Math.min(...known), Math.max(...known));
    const name = { x: WIDTH / 2, y: panel.top - 8, "text-anchor": "middle", "font-size": 14, fill: INK };
    chart.append(element("text", name, `${feed} (${series})`));
    chart.append(...panel.frame((value) => String(Number(value.toPrecision(4)))), panel.line(values));
  });
  return chart;
}

/** Rows from the first to the one after the last in which a loan is permitted without a break. */
function runs(report: BackTestReport): [number, number][] {
  const found: [number, number][] = [];
  report.rows.forEach(({ permits }, n) => {
    if (!permits) return;
    const last = found.at(-1);
    if (last?.[1] === n) last[1] = n + 1;
    else found.push([n, n + 1]);
  });
  return found;
}

/** A span of rows from left to right, and of values from bottom to top. */
class Panel {
  readonly #report: BackTestReport;
  readonly top: number;
  readonly #bottom: number;
  readonly #low: number;
  readonly #high: number;

  constructor(report: BackTestReport, above: number, height: number, low: number, high: number) {
    this.#report = report;
    this.top = above + TOP;
    this.#bottom = above + height - BOTTOM;
    this.#low = low;
    // What never changes is a line in the middle, not a division by nothing.
    this.#high = high > low ? high : low + 1;
  }

  #x(row: number): string {
    return (LEFT + ((WIDTH - LEFT - RIGHT) * row) / this.#report.rows.length).toFixed(1);
  }

  #y(value: number): string {
    const part = (value - this.#low) / (this.#high - this.#low);
    return (this.#bottom - (this.#bottom - this.top) * part).toFixed(1);
  }

  stripe(from: number, to: number): SVGElement {
    const width = (Number(this.#x(to)) - Number(this.#x(from))).toFixed(1);
    return element("rect", { x: this.#x(from), y: this.top, width, height: this.#bottom - this.top, fill: PERMITTED });
  }

  frame(written: (value: number) => string): SVGElement[] {
    const made: SVGElement[] = [];
    for (let n = 0; n <= LINES; n++) {
      const value = this.#low + ((this.#high - this.#low) * n) / LINES;
      const y = this.#y(value);
      made.push(element("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, stroke: GRID }));
      const at = { x: LEFT - 8, y: Number(y) + 4, "text-anchor": "end", "font-size": 13, fill: INK };
      made.push(element("text", at, written(value)));
    }
    const { rows } = this.#report;
    const year = (n: number) => Number.parseInt(rows[n]?.period ?? "", 10);
    const every = Math.max(1, Math.ceil((year(rows.length - 1) - year(0) + 1) / YEARS_SHOWN));
    rows.forEach((_, n) => {
      const is = year(n);
      if (n === 0 || is === year(n - 1) || is % every !== 0) return;
      const at = { x: this.#x(n), y: this.#bottom + 18, "text-anchor": "middle", "font-size": 13, fill: INK };
      made.push(element("text", at, String(is)));
    });
    return made;
  }

  /** A value holds until the next row. */
  steps(values: readonly number[]): SVGElement {
    const path = values.map((value, n) => `${n === 0 ? "M" : "L"}${this.#x(n)} ${this.#y(value)}H${this.#x(n + 1)}`);
    return element("path", { d: path.join(""), fill: "none", stroke: RATE, "stroke-width": 2 });
  }

  /** Broken where nothing was read. */
  line(values: readonly (number | null)[]): SVGElement {
    const points = values.map((value, n) =>
      value === null ? "" : `${n > 0 && values[n - 1] !== null ? "L" : "M"}${this.#x(n)} ${this.#y(value)}`,
    );
    return element("path", { d: points.join(""), fill: "none", stroke: FEED, "stroke-width": 1 });
  }
}
