// The verifier, in reading order. Pure: no page, no network, no clock, no storage. By ledger/PROTOCOL.md, section 10.

export { type Bytes, concat, equal, fromHex, toHex, fromUtf8, utf8 } from "./bytes.ts";
export { Refused } from "./reader.ts";
export { REASONS, type ReasonNumber, type ReasonCode, type Verdict, invalid } from "./verdict.ts";

// What is believed.
export { type Genesis, type Participant, type Validator, parseGenesis, totalPower } from "./genesis.ts";
export { Trust, type TreeHead } from "./trust.ts";

// The registry: state, supply, coin, owner.
export { type StateLeaf, type VerifiedState, type Supply, STALE_AFTER_MS, verifyState, verifySupply } from "./state.ts";
export { RECORD_STATUS, type CoinRecord, type VerifiedCoin, verifyCoin } from "./coin.ts";
export {
  type Prefix,
  type VerifiedBucket,
  BUCKET_BITS_MAX,
  prefixOf,
  prefixText,
  verifyBucket,
  coinInBucket,
} from "./bucket.ts";
export { recordKeyHash } from "./map.ts";
export { type Challenge, encodeChallenge, decodeChallenge, verifyOwnership } from "./ownership.ts";
export { type Opening, type DerivedCoin, decodeOpening, deriveCoin } from "./opening.ts";
export { coinText, parseCoin, COIN_TEXT_LENGTH } from "./coin_text.ts";
export { type VerifiedEntry, isTlogProof, parseTlogProof, verifyTlogProof, recordLeaf } from "./tlog_proof.ts";

// Contracts, feeds and loans.
export {
  type ContractHead,
  type DeployedPolicy,
  type Entry,
  type Feed,
  type FeedDefinition,
  type FeedItem,
  type Obligation,
  type Package,
  type VerifiedEntries,
  type VerifiedMapEntry,
  policyHash,
  readPackage,
  verifyEntries,
  verifyEntry,
} from "./entry.ts";
export { type FalseStatement, type LoggedLeaf, type Receipt, type ReceiptInput, verifyLeaf } from "./leaf.ts";
export { entryKey, periodText, scaled, standingOf } from "./policy.ts";
export { type BackTestReport, readReport, reportHash } from "./report.ts";

// Blocks, and the way from one validator set to the next.
export { type VerifiedBlock, type AcceptedEnvelope, verifyBlock, verifyRun, verifyAcknowledgement } from "./block.ts";
export { verifyHandOver } from "./hand_over.ts";

// What a reader pastes.
export { type DocumentKind, documentKind, coinOf } from "./documents.ts";
