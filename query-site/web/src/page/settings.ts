// What the page says of its site: the attributes of #assay.

export type Settings = {
  readonly genesisUrl: string;
  readonly genesisHash: string;
  readonly handOversUrl: string;
  readonly consistencyUrl: string;
  readonly stateUrl: string;
  /** Empty: no second site. */
  readonly mirrorUrl: string;
  /** Empty: no live updates. */
  readonly eventsUrl: string;
  readonly currency: string;
  readonly exponent: number;
};

export function readSettings(page: Document): Settings {
  const data = page.getElementById("assay")?.dataset ?? {};
  const exponent = Number(data["exponent"] ?? "0");
  return {
    genesisUrl: data["genesisUrl"] ?? "/genesis",
    genesisHash: data["genesisHash"] ?? "",
    handOversUrl: data["handOversUrl"] ?? "/v1/hand-overs",
    consistencyUrl: data["consistencyUrl"] ?? "/v1/consistency",
    stateUrl: data["stateUrl"] ?? "/v1/supply",
    mirrorUrl: (data["mirrorUrl"] ?? "").replace(/\/+$/, ""),
    eventsUrl: data["eventsUrl"] ?? "",
    currency: data["currency"] ?? "",
    exponent: Number.isInteger(exponent) && exponent >= 0 && exponent <= 6 ? exponent : 0,
  };
}
