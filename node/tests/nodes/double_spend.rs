//! A bank that spends a coin twice, in two bundles through two nodes (invariant 1).
//!
//! Validators hold no keys: the sealed part of these envelopes is noise to them, as any sealed part is. The bank's own desk
//! knows nothing of them.

use crate::cluster::*;
use ledger_types::block::Acknowledgement;
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::coin::{coin_link, issue_origin};
use ledger_types::envelope::{Bucket, ClearContext, Core, Envelope, EnvelopeHeader, Inputs, Output, Spend, TermsFlag};
use ledger_types::rejection::Rejection;
use ledger_types::{
    Chain, ContractNumber, Custody, Decode, Encode, EnvelopeHint, KeyCommitment, List, Note, ParticipantNumber, Salt,
};
use ledger_verify::{Reason, Trust, Verdict};

const BANK2: ParticipantNumber = ParticipantNumber(2);
const COINS: u32 = 1_000;
const ROUNDS: u32 = 8;

/// Spends pre-issued coin `index` of bank 2; two values of `which` are two different envelopes.
pub fn spend(trust: &Trust, index: u32, which: u8, submitter: ParticipantNumber) -> Envelope {
    let (chain, genesis) = (trust.chain(), trust.genesis());
    let line = &genesis.preissues[0];
    assert_eq!(line.bank, BANK2);
    let opening = line.opening(chain, genesis.currency, index);
    let origin = issue_origin(chain, line.series, index.into());
    let link = coin_link(chain, &origin, 0, &opening.note(chain));
    noisy(trust, submitter, Spend { link, kappa: opening.kappa(chain) }, index, which)
}

/// An envelope that spends this coin and whose other half is noise.
pub fn noisy(trust: &Trust, submitter: ParticipantNumber, spend: Spend, index: u32, which: u8) -> Envelope {
    let chain = trust.chain();
    let noise = |what: &str| noise(chain, what, index, which);
    let output = Output { note: Note(noise("note")), custody: Custody(noise("custody")), terms_flag: TermsFlag::Plain };
    let core = Core {
        submitter,
        inputs: Inputs::Spends(List::new(vec![spend]).unwrap()),
        outputs: List::new(vec![output]).unwrap(),
        contract: ContractNumber(0),
        expiry_ms: node::clock::now_ms() + trust.genesis().expiry_window_ms - 5_000,
        bucket: Bucket::B512,
        hint: EnvelopeHint(*noise("hint").first_chunk().unwrap()),
        salt: Salt(noise("salt")),
        context: ClearContext::Transfer,
    };
    let header = EnvelopeHeader { core, commitment: KeyCommitment(noise("commitment")) };
    Envelope { header, ciphertext: noise("ciphertext").repeat(17)[..Bucket::B512.ciphertext_bytes()].to_vec() }
}

fn noise(chain: &Chain, what: &str, index: u32, which: u8) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(chain.genesis_hash().as_ref()).update(what.as_bytes()).update(&index.to_le_bytes()).update(&[which]);
    hasher.finalize().into()
}

pub fn bundle_key(cluster: &Cluster, bank: &str) -> ledger_types::keys::SigningKey {
    cluster.keys(bank).signing_key("bundle").unwrap()
}

async fn verdict_everywhere(cluster: &Cluster, envelope: &str) {
    for node in NODES {
        let client = cluster.client(node);
        wait_until(30, "a verdict on the bundle's last envelope", async || client.envelope(envelope).await.is_ok())
            .await;
    }
}

/// Both spends are under way at once: the bank's own node puts one into the next slot of the open incarnation, and the other
/// goes through bank 3 into the first slot of the next incarnation. Neither can take the other's slot, both can be certified,
/// and which a block holds first is the ledger's doing: it may close the open incarnation under the bank's own bundle. Then the
/// bank tries once more.
#[tokio::test]
async fn a_coin_spent_in_two_bundles_through_two_nodes_at_once_is_spent_once() {
    let cluster = Cluster::up(104, COINS).await;
    let (trust, chain) = (cluster.trust(), cluster.trust().chain());
    let (bank2, bank3, observer) = (cluster.client("bank2"), cluster.client("bank3"), cluster.client("observer"));
    let key = bundle_key(&cluster, "bank2");
    let mut pairs = Vec::new();
    for round in 0..ROUNDS {
        let coins = round * COINS / ROUNDS..(round + 1) * COINS / ROUNDS;
        let own: Vec<Envelope> = coins.clone().map(|index| spend(trust, index, 1, BANK2)).collect();
        let other: Vec<Envelope> = coins.map(|index| spend(trust, index, 2, BANK2)).collect();
        pairs.extend(own.iter().zip(&other).map(|(a, b)| [a.id(chain), b.id(chain)].map(|id| id.to_string())));
        let last = pairs.last().expect("a round has coins").clone();
        let own: Vec<String> = own.iter().map(|envelope| hex::encode(envelope.to_bytes())).collect();
        let lane = bank3.lane(2).await.unwrap();
        let slot = Slot { submitter: BANK2, incarnation: lane.incarnation + 1, sequence: 0 };
        let other = Bundle::sign(chain, slot, other, &key).unwrap().to_bytes();

        let through_own = async || drop(bank2.submit_envelopes(own.clone()).await.unwrap());
        let through_bank3 = async || drop(bank3.submit_bundle(other.clone()).await.unwrap());
        // Who is asked first changes with the round; neither waits for the other's answer.
        match round % 2 {
            0 => drop(tokio::join!(through_own(), through_bank3())),
            _ => drop(tokio::join!(through_bank3(), through_own())),
        }
        verdict_everywhere(&cluster, &last[1]).await;
        // The old incarnation is closed: what it does not hold by now it never will (B-3).
        if bank3.envelope(&last[0]).await.is_err() {
            through_own().await;
        }
        verdict_everywhere(&cluster, &last[0]).await;
    }
    let all: Vec<&String> = pairs.iter().flatten().collect();
    wait_until(60, "a verdict on every envelope", async || {
        for id in all.iter().rev() {
            if observer.envelope(id).await.is_err() {
                return false;
            }
        }
        true
    })
    .await;

    for pair in &pairs {
        let mut accepted = Vec::new();
        let mut places = Vec::new();
        for (which, id) in pair.iter().enumerate() {
            let status = observer.envelope(id).await.unwrap();
            let acknowledgement = Acknowledgement::from_bytes(&hex::decode(&status.acknowledgement).unwrap()).unwrap();
            places.push((status.height, acknowledgement.index));
            match verify_status(trust, &status) {
                Verdict::Verified(_) => accepted.push(which),
                // The loser's acknowledgement is a true one of a refusal, and verifies as no acceptance.
                Verdict::Invalid(Reason::EnvelopeRefused) => {
                    let rejection = status.rejection.expect("a refusal has its number");
                    assert_eq!(rejection.number, Rejection::CoinIsNotSpendable.number());
                }
                other => panic!("an acknowledgement that proves nothing: {other:?}"),
            }
        }
        // Whatever was sent first, the ledger's order decides.
        let first = if places[0] < places[1] { 0 } else { 1 };
        assert_eq!(accepted, [first], "{pair:?} at {places:?}");
    }
    // Every node says the same of them.
    wait_until(30, "one height, one hash", async || cluster.same_tip().await.is_some()).await;
    for node in VALIDATORS {
        for id in pairs[..50].iter().flatten() {
            let (here, there) =
                (cluster.client(node).envelope(id).await.unwrap(), observer.envelope(id).await.unwrap());
            assert_eq!((here.verdict, here.height), (there.verdict, there.height), "{node}");
        }
    }
}
