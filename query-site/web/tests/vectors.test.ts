// Every vector that concerns a verifier, by this verifier. A file that is new and neither handled nor set aside fails.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type CoinRecord,
  type Supply,
  Trust,
  type VerifiedBlock,
  type VerifiedBucket,
  type VerifiedState,
  coinInBucket,
  coinText,
  concat,
  deriveCoin,
  equal,
  parseCoin,
  toHex,
  verifyAcknowledgement,
  verifyBlock,
  verifyBucket,
  policyHash,
  verifyCoin,
  verifyEntries,
  verifyEntry,
  verifyHandOver,
  verifyLeaf,
  verifyOwnership,
  verifyRun,
  verifyState,
  verifySupply,
} from "../src/verify/index.ts";
import { toBase64 } from "../src/verify/bytes.ts";
import { readCertificate, readHeader } from "../src/verify/block.ts";
import { Chain, deriveKey, pathRoot } from "../src/verify/chain.ts";
import { readRecord } from "../src/verify/coin.ts";
import { readFeedItem } from "../src/verify/entry.ts";
import { readLeaf } from "../src/verify/leaf.ts";
import { keyIsSound, verifies } from "../src/verify/ed25519.ts";
import { encodeValidators, readValidators } from "../src/verify/genesis.ts";
import * as log from "../src/verify/log.ts";
import * as map from "../src/verify/map.ts";
import { encodeOpening, issueOriginOf, originOf } from "../src/verify/opening.ts";
import { type Reader, Refused, decode } from "../src/verify/reader.ts";
import { readStateLeaf } from "../src/verify/state.ts";
import { littleEndian } from "../src/verify/bytes.ts";
import { type Json, load, outcome, plain, unhex, vectorNames } from "./vectors.ts";

const OUT_OF_SCOPE: Record<string, string> = {
  channel: "epoch keys between banks: no part of what the public checks",
  payment: "sealed payments: what a bank and registration open",
  transition: "executing blocks: a verifier checks what a quorum says of them",
  lending: "executing blocks of contracts, feeds and loans: a verifier checks what a quorum says of them",
  governance: "executing hand-overs and orders of the rules: a verifier checks what a quorum says of them",
  program: "programs of policies: what validators run",
  request_proof: "requests of the officers: what officers and registration check before they act",
  snapshot: "hashes of whole states (B-7): what a node that joins checks",
  consensus: "votes, proposals and peer proofs between validators: a verifier reads commit certificates",
  reconciliation: "claims and reports between a bank and the registration centre: shown to nobody else",
};

const showState = (s: VerifiedState) => ({
  batch: s.leaf.batch,
  height: s.leaf.height,
  time_ms: s.leaf.timeMs,
  size: s.head.size,
  root: s.head.root,
  signers: s.signers,
  power: s.power,
  signed_at_ms: s.signedAtMs,
  age_ms: s.ageMs,
  stale: s.stale,
});
const showSupply = (s: Supply) => ({
  issued: String(s.issued),
  redeemed: String(s.redeemed),
  in_circulation: String(s.inCirculation),
  state: showState(s.state),
});
const showRecord = (r: CoinRecord) => ({
  status: r.status,
  batch: r.batch,
  height: r.height,
  time_ms: r.timeMs,
  contract: r.contract,
  failed_check: r.failedCheck,
  tag: r.tag,
});
/** Of what stands behind the state proof: the key is where it is found last. */
function entryLength(proof: Uint8Array, key: Uint8Array): number {
  const hex = toHex(proof);
  return proof.length - hex.lastIndexOf(toHex(key)) / 2;
}
const trustOf = (data: Json) => new Trust(unhex(data.genesis));

const CHECKS: Record<string, (data: Json) => void> = {
  contract(data) {
    const chain = new Chain(unhex(data.genesis_hash));
    const policy = policyHash(chain, unhex(data.package));
    assert.equal(toHex(policy), data.policy_hash);
    assert.equal(toHex(chain.d("terms", littleEndian(data.contract, 4), policy)), data.terms);
    const { bank, activation, salt, id } = data.obligation;
    assert.equal(toHex(chain.d("obligation", littleEndian(bank, 2), unhex(activation), unhex(salt))), id);
    for (const { hex, name } of data.leaves) {
      const { about, receipt, statement, bytes } = decode(unhex(hex), readLeaf);
      assert.equal(toHex(bytes), hex, name);
      assert.ok(about.length > 0, name);
      assert.equal(receipt !== null, name === "receipt");
      if (receipt !== null) assert.deepEqual([toHex(receipt.obligation), toHex(receipt.policy)], [id, data.policy_hash]);
      assert.equal(statement !== null, name === "false statement");
      if (statement === null) continue;
      assert.deepEqual([toHex(statement.obligation), statement.contract], [id, data.contract]);
      assert.deepEqual([statement.stated, statement.found, statement.basis], [0x430a, 0x472f, "SRV-12"]);
    }
    const item = decode(unhex(data.item), readFeedItem);
    assert.deepEqual([item.feed, item.vintage, item.value], [1, 1, -7n]);
    // Interest, publications and their signatures are the validators' and the banks' to judge.
  },

  entry_proof(data) {
    const trust = trustOf(data);
    for (const { name, asked, proof, now_ms, outcome: expected } of data.cases) {
      const found = verifyEntry(trust, unhex(asked), unhex(proof), BigInt(now_ms));
      const shown = outcome(found, ({ value, state }) => ({ value, state: showState(state) }));
      assert.deepEqual(shown, expected, name);
      // The same in two parts: the state once, and what an entry proof has behind it.
      if (found.outcome !== "verified") continue;
      const at = unhex(proof).length - entryLength(unhex(proof), unhex(asked));
      const apart = verifyEntries(trust, unhex(proof).slice(0, at), [unhex(proof).slice(at)], BigInt(now_ms));
      assert.ok(apart.outcome === "verified", name);
      assert.deepEqual(apart.value.get(unhex(asked)), found.value.entry, name);
      assert.equal(apart.value.get(Uint8Array.of(9)), undefined);
    }
  },

  leaf_proof(data) {
    const trust = trustOf(data);
    for (const { name, asked, proof, now_ms, outcome: expected } of data.cases) {
      const found = verifyLeaf(trust, unhex(asked), unhex(proof), BigInt(now_ms));
      const shown = outcome(found, ({ leaf, index, state }) => ({ leaf, index, state: showState(state) }));
      assert.deepEqual(shown, expected, name);
    }
  },

  genesis(data) {
    const document = unhex(data.document);
    const trust = new Trust(document);
    const { genesis } = trust;
    assert.equal(toHex(trust.chain.genesisHash), data.genesis_hash);
    assert.deepEqual([genesis.origin, genesis.currency], [data.origin, data.currency]);
    assert.deepEqual([plain(genesis.officers), genesis.officerThreshold], [data.officers, data.officer_threshold]);
    assert.equal(toHex(trust.logKey.key), data.log_key);
    const vkey = ({ name, id, key }: { name: string; id: Uint8Array; key: Uint8Array }, type: number) =>
      `${name}+${toHex(id)}+${toBase64(concat(Uint8Array.of(type), key))}`;
    assert.equal(vkey(trust.logKey, 1), data.log_vkey);
    const validators = [...trust.cosigners.values()].map(({ validator, key }) => ({
      ...plain(validator),
      cosign_vkey: vkey(key, 4),
    }));
    assert.deepEqual(validators, data.validators);
    assert.equal(toHex(encodeValidators(trust.validators)), data.validator_set);
    assert.deepEqual(decode(unhex(data.validator_set), readValidators), trust.validators);
    assert.equal(toHex(trust.setHash), data.validator_set_hash);
    assert.equal(toHex(trust.chain.d("participants", genesis.directoryBytes)), data.participants_hash);
    for (const altered of [concat(document, Uint8Array.of(0)), document.slice(0, -1)])
      assert.throws(() => new Trust(altered), Refused);
  },

  encoding(data) {
    const readers: Record<string, (r: Reader) => unknown> = {
      u8: (r) => r.u8(),
      u16: (r) => r.u16(),
      u32: (r) => r.u32(),
      u64: (r) => r.u64(),
      i64: (r) => BigInt.asIntN(64, r.u64()),
      u128: (r) => String(r.u128()),
      currency: (r) => r.currency(),
      "option u32": (r) => r.optional(() => r.u32()),
      "list u16 max 8": (r) => r.list(8, () => r.u16()),
      "octets max 8": (r) => r.octets(8),
      "text max 8": (r) => r.text(8),
      record: (r) => showRecord(readRecord(r)),
      "state leaf": (r) => {
        const { timeMs: time_ms, mapRoot: map_root, setHash: set_hash, issued, redeemed, ...rest } = readStateLeaf(r);
        return { ...rest, time_ms, map_root, set_hash, issued: String(issued), redeemed: String(redeemed) };
      },
      "log leaf": readLogLeaf,
      "validator set": readValidators,
    };
    for (const { type, hex, value } of data.accepted)
      assert.deepEqual(plain(decode(unhex(hex), readers[type] as never)), value, `${type} ${hex}`);
    for (const { type, hex, because } of data.refused)
      assert.throws(() => decode(unhex(hex), readers[type] as never), Refused, `${type} ${hex}: ${because}`);
  },

  hash(data) {
    for (const { context, input, hash } of data.hashes)
      assert.equal(toHex(deriveKey(context, concat(unhex(data.genesis_hash), unhex(input)))), hash, context);
  },

  signature(data) {
    for (const { name, key, message, signature, valid, key_is_sound } of data.cases) {
      // More than once: a key that is known takes another way than a new one.
      for (let time = 0; time < 10; time++)
        assert.equal(verifies(unhex(key), unhex(message), unhex(signature)), valid, name);
      assert.equal(keyIsSound(unhex(key)), key_is_sound, `key of ${name}`);
    }
  },

  coin(data) {
    const chain = new Chain(unhex(data.genesis_hash));
    for (const c of data.coins) {
      const o = c.opening;
      const opening = {
        ...o,
        amount: BigInt(o.amount),
        terms: unhex(o.terms),
        owner: unhex(o.owner),
        rho: unhex(o.rho),
      };
      assert.equal(toHex(encodeOpening(opening)), c.opening_bytes);
      const from = c.derived_from;
      const origin = from.inputs
        ? originOf(chain, from.inputs.map(unhex))
        : issueOriginOf(chain, from.series, BigInt(from.issue_number));
      assert.equal(toHex(origin), c.origin);
      const derived = deriveCoin(chain, unhex(c.opening_bytes), origin, c.output_index, c.bank);
      const { note, kappa, custody, link, coin_id: coin, tag_blind: tagBlind, owner_tag: ownerTag } = c;
      assert.deepEqual(plain(derived), { note, kappa, custody, link, coin, tagBlind, ownerTag });
      assert.equal(coinText(derived.coin), c.coin_text);
      assert.deepEqual(parseCoin(c.coin_text), derived.coin);
      assert.deepEqual(parseCoin(coin), derived.coin);
    }
    const { seed, index, rho } = data.preissue_rho;
    assert.equal(toHex(chain.d("preissue rho", unhex(seed), littleEndian(index, 4))), rho);
  },

  merkle(data) {
    const chain = new Chain(unhex(data.genesis_hash));
    const items = data.items.map(unhex);
    for (const { count, root, paths } of data.trees) {
      assert.equal(toHex(chain.merkleRoot(items.slice(0, count))), root);
      paths.forEach((path: string[], index: number) => {
        const holds = (at: number, of: number) =>
          chain.pathIsValid(unhex(root), items[index], BigInt(at), BigInt(of), path.map(unhex));
        assert.ok(holds(index, count));
        assert.ok(!holds(count, count), "an index past the count");
      });
    }
  },

  log(data) {
    const leaves = data.leaves.map(unhex);
    const roots = data.roots.map(unhex);
    roots.forEach((root: Uint8Array, size: number) => assert.deepEqual(log.rootOf(leaves.slice(0, size)), root));
    for (const { index, size, proof } of data.inclusion) {
      const includes = (leaf: Uint8Array, path: Uint8Array[]) =>
        log.includes(roots[size], BigInt(index), BigInt(size), log.leafHash(leaf), path);
      assert.ok(includes(leaves[index], proof.map(unhex)));
      assert.ok(!includes(Uint8Array.of(9), proof.map(unhex)));
      assert.ok(!includes(leaves[index], [...proof.map(unhex), roots[0]]));
    }
    for (const { first, second, proof } of data.consistency) {
      const found = (root: Uint8Array, path: Uint8Array[]) =>
        log.consistency(BigInt(first), roots[first], BigInt(second), root, path);
      assert.equal(found(roots[second], proof.map(unhex)), "holds");
      assert.equal(found(roots[second], [...proof.map(unhex), map.EMPTY_SUBTREE]), "length");
      assert.equal(found(map.EMPTY_SUBTREE, proof.map(unhex)), first ? "root" : "holds");
    }
  },

  map(data) {
    const keyOf = (c: Json) => map.keyHash(c.type, unhex(c.id));
    const entries = data.included.map((c: Json) => ({ keyHash: keyOf(c), valueHash: map.valueHash(unhex(c.value)) }));
    data.roots.forEach((root: string, count: number) => assert.equal(toHex(map.rootOf(entries.slice(0, count))), root));
    const root = unhex(data.root);
    for (const c of data.included) {
      const proof = decode(unhex(c.proof), map.readMapProof);
      assert.ok(map.holds(root, keyOf(c), map.valueHash(unhex(c.value)), proof));
      assert.ok(!map.lacks(root, keyOf(c), proof));
      assert.ok(!map.holds(root, keyOf(c), map.valueHash(Uint8Array.of(1)), proof));
    }
    for (const c of data.absent) assert.ok(map.lacks(root, keyOf(c), decode(unhex(c.proof), map.readMapProof)));
  },

  checkpoint(data) {
    for (const c of data.cases)
      assert.deepEqual(
        outcome(verifyState(trustOf(data), unhex(c.state_proof), BigInt(c.now_ms)), showState),
        c.outcome,
        c.name,
      );
  },

  supply(data) {
    for (const c of data.cases)
      assert.deepEqual(
        outcome(verifySupply(trustOf(data), unhex(c.state_proof), BigInt(c.now_ms)), showSupply),
        c.outcome,
        c.name,
      );
  },

  remembering(data) {
    const trust = trustOf(data);
    for (const s of data.steps) {
      const found = trust.remember({ size: BigInt(s.size), root: unhex(s.root) }, s.consistency.map(unhex));
      assert.deepEqual(
        outcome(found, ({ size }) => ({ newest_size: size })),
        s.outcome,
        s.name,
      );
      assert.equal(Number(trust.newest?.size), s.newest_size_after, s.name);
    }
    for (const c of data.then)
      assert.deepEqual(
        outcome(verifyState(trust, unhex(c.state_proof), BigInt(c.now_ms)), showState),
        c.outcome,
        c.name,
      );
  },

  coin_proof(data) {
    for (const c of data.cases) {
      const found = verifyCoin(trustOf(data), unhex(c.asked), unhex(c.proof), BigInt(c.now_ms));
      const show = ({ record, state }: { record: CoinRecord | null; state: VerifiedState }) => ({
        record: record && showRecord(record),
        state: showState(state),
      });
      assert.deepEqual(outcome(found, show), c.outcome, c.name);
    }
  },

  bucket(data) {
    for (const c of data.cases) {
      const trust = trustOf(data);
      const found = verifyBucket(trust, { bits: c.bits, first: unhex(c.prefix) }, unhex(c.proof), BigInt(c.now_ms));
      const answer = (bucket: VerifiedBucket, coin: string) => {
        const says = coinInBucket(bucket, unhex(coin));
        return says.outcome === "verified"
          ? { record: says.value.record && showRecord(says.value.record) }
          : outcome(says, () => ({}));
      };
      const show = (bucket: VerifiedBucket) => ({
        entries: bucket.count,
        answers: data.coins.map((coin: string) => answer(bucket, coin)),
        state: showState(bucket.state),
      });
      assert.deepEqual(outcome(found, show), c.outcome, c.name);
    }
  },

  acknowledgement(data) {
    const trust = trustOf(data);
    const header = decode(unhex(data.first_header), readHeader);
    assert.equal(header.bytes.length, 285);
    assert.equal(toHex(trust.chain.d("block", header.bytes)), data.first_block_hash);
    assert.deepEqual(header.parent, trust.chain.genesisHash);
    for (const c of data.cases) {
      const show = ({ envelope, height, timeMs: time_ms }: Json) => ({ envelope, height, time_ms });
      assert.deepEqual(outcome(verifyAcknowledgement(trust, unhex(c.acknowledgement)), show), c.outcome, c.name);
    }
  },

  run_of_blocks(data) {
    const trust = trustOf(data);
    for (const c of data.cases) {
      const blocks = c.blocks.map((b: Json) => ({
        header: decode(unhex(b.header), readHeader),
        certificate: decode(unhex(b.certificate), readCertificate),
      }));
      let before: VerifiedBlock | null = null;
      if (c.from > 0) {
        const first = verifyRun(trust, null, blocks.slice(0, c.from));
        assert.ok(first.outcome === "verified");
        before = first.value;
      }
      const found = verifyRun(trust, before, blocks.slice(c.from));
      assert.deepEqual(
        outcome(found, ({ hash, header }) => ({ height: header.height, block_hash: hash })),
        c.outcome,
        c.name,
      );
    }
    const [first] = data.cases[0].blocks;
    assert.equal(verifyBlock(trust, unhex(first.header), unhex(first.certificate)).outcome, "verified");
    assert.equal(verifyBlock(trust, unhex(first.header).slice(1), unhex(first.certificate)).outcome, "invalid");
  },

  ownership(data) {
    const trust = trustOf(data);
    const proof = unhex(data.coin_proof);
    // The coin stands behind the state proof; the vectors' first answer names it.
    const coin = unhex(data.cases[0].ownership).slice(0, 32);
    const verified = verifyCoin(trust, coin, proof, BigInt(data.coin_now_ms));
    assert.ok(verified.outcome === "verified");
    for (const c of data.cases) {
      const found = verifyOwnership(trust, verified.value, unhex(data.challenge), unhex(c.ownership), BigInt(c.now_ms));
      assert.deepEqual(
        outcome(found, () => ({})),
        c.outcome,
        c.name,
      );
    }
  },

  hand_over(data) {
    for (const c of data.cases) {
      const trust = trustOf(data);
      const before = trust.setHash;
      const found = verifyHandOver(trust, unhex(c.hand_over));
      assert.deepEqual(
        outcome(found, (set_hash) => ({ set_hash })),
        c.outcome,
        c.name,
      );
      if (found.outcome !== "verified") assert.ok(equal(trust.setHash, before) && trust.handOvers === 0, "trust stays");
    }
    const moved = trustOf(data);
    verifyHandOver(moved, unhex(data.cases[0].hand_over));
    for (const when of ["after", "before"])
      for (const [field, trust] of [
        ["with_the_first_hand_over", moved],
        ["without_it", trustOf(data)],
      ] as const) {
        const found = verifyState(trust, unhex(data[when].state_proof), BigInt(data.now_ms));
        assert.deepEqual(outcome(found, showState), data[when][field], `${when} ${field}`);
      }
  },
};

function readLogLeaf(r: Reader): string {
  switch (r.byte(1, 14, "log leaf")) {
    case 1:
      r.hash();
      readRecord(r);
      return "record";
    case 2:
    case 3:
      r.hash();
      r.u16();
      return "overdue";
    case 4:
      r.hash();
      r.byte(1, 3, "reason");
      r.u16();
      return "recovered";
    case 5:
      r.hash();
      return "participants";
    case 6:
      r.hash();
      return "hand over";
    case 8:
      r.byte(1, 3, "request class");
      if (!/^[A-Z0-9-]{1,8}\0*$/.test(String.fromCharCode(...r.take(8)))) throw new Refused("basis code");
      r.u64();
      r.hash();
      return "request";
    case 7:
      readStateLeaf(r);
      return "state";
    case 14:
      r.u8();
      r.u64();
      return "rules";
    default:
      throw new Refused("a leaf that no vector is of");
  }
}

for (const name of vectorNames()) {
  const check = CHECKS[name];
  if (check !== undefined) test(`the vectors of ${name} hold`, () => check(load(name)));
  else
    test(`the vectors of ${name} are out of scope for a stated reason`, () =>
      assert.ok(OUT_OF_SCOPE[name], `${name} is read by nothing`));
}

test("a path has the length that index and count ask for", () => {
  assert.equal(pathRoot(Uint8Array.of(1), 0n, 0n, [], concat), null);
  assert.equal(pathRoot(Uint8Array.of(1), 0n, 2n, [], concat), null);
});

test("a coin id has one text", () => {
  const [{ coin_text: text }] = load("coin").coins;
  const fault = (text: string) => (parseCoin(text) as { fault: string }).fault;
  assert.equal(fault(text.toUpperCase()), "prefix");
  assert.equal(fault(`bank1${text.slice(5)}`), "prefix");
  assert.equal(fault(text.slice(0, -1)), "length");
  assert.equal(fault(`${text.slice(0, 20)}${text[20] === "q" ? "p" : "q"}${text.slice(21)}`), "checksum");
  assert.equal(fault(`${text.slice(0, 20)}Q${text.slice(21)}`), "checksum");
});
