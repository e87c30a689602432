//! One payment from epoch key to certified bundle: what its parties can read, and what everyone can check.

use super::chain::{Purpose, Registry, issued_coin, key, opening};
use super::hex;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use ledger_types::bundle::{Bundle, BundleCertificate, Slot, ack_message};
use ledger_types::coin::{Opening, issue_origin, origin};
use ledger_types::encoding::{Encode, List, Octets};
use ledger_types::envelope::*;
use ledger_types::order::{AcceptedOutput, AcceptedOutputs, Order, Payee, memo_hash};
use ledger_types::participant::SignedBy;
use ledger_types::sealed::{Sealed, SealedAcceptance, SealedInput, SealedOrder, SealedOutput};
use ledger_types::*;
use serde_json::{Value, json};

const PAYER_BANK: ParticipantNumber = ParticipantNumber(2);
const PAYEE_BANK: ParticipantNumber = ParticipantNumber(3);
const EXPIRY_MS: u64 = 1_700_000_300_000;
const MEMO: [u8; 80] = [b'm'; 80];

/// Output `number`, 300 or the rest of 1,004.
fn output(chain: &Chain, number: u8, amount: u64) -> Opening {
    Opening { amount: Amount(amount), ..opening(chain, number) }
}

pub fn payment() -> Value {
    let registry = Registry::new();
    let chain = &registry.chain;
    let spent = opening(chain, 4);
    let spent_origin = issue_origin(chain, SeriesNumber(1), 4);
    let spent_id = issued_coin(chain, 4);
    let mut made = [(output(chain, 21, 300), PAYEE_BANK), (output(chain, 22, 704), PAYER_BANK)];
    made.sort_by_key(|(opening, _)| opening.note(chain));
    let payee_index = made.iter().position(|(_, bank)| *bank == PAYEE_BANK).unwrap();
    let (paid, change) = (&made[payee_index].0, &made[1 - payee_index].0);

    let order = Order {
        inputs: List::new(vec![spent_id]).unwrap(),
        payee: Some(Payee { bank: PAYEE_BANK, owner: paid.owner, amount: paid.amount }),
        currency: spent.currency,
        change_owners: List::new(vec![change.owner]).unwrap(),
        nonce: 77,
        expiry_ms: EXPIRY_MS + 1_000,
        memo_hash: memo_hash(chain, &MEMO),
    };
    let order_hash = order.hash(chain);
    let accepted = AcceptedOutputs {
        order: order_hash,
        outputs: List::new(vec![AcceptedOutput { note: paid.note(chain), custody: paid.custody(chain, PAYEE_BANK) }])
            .unwrap(),
        expiry_ms: EXPIRY_MS + 500,
    };
    let sealed_output = |(opening, bank): &(Opening, ParticipantNumber)| SealedOutput {
        amount: opening.amount,
        owner: opening.owner,
        rho: opening.rho,
        bank: *bank,
    };
    let sealed = Sealed {
        terms: None,
        currency: spent.currency,
        inputs: List::new(vec![SealedInput {
            amount: spent.amount,
            owner: spent.owner,
            rho: spent.rho,
            origin: spent_origin,
            output_index: 0,
            series: spent.series,
            bank: PAYER_BANK,
        }])
        .unwrap(),
        outputs: List::new(made.iter().map(sealed_output).collect()).unwrap(),
        order: Some(SealedOrder {
            payee_output: Some(payee_index as u8),
            nonce: order.nonce,
            expiry_ms: order.expiry_ms,
            signatures: List::new(vec![key(Purpose::Owner, 4).sign(&order_hash.0)]).unwrap(),
        }),
        acceptance: Some(SealedAcceptance {
            expiry_ms: accepted.expiry_ms,
            signature: key(Purpose::Desk, PAYEE_BANK.0).sign(&accepted.message(chain)),
        }),
        memo: Octets::new(MEMO.to_vec()).unwrap(),
    };
    let plaintext = sealed.to_bytes();
    // The byte budget: one input, two outputs and a memo of 80 bytes in the smallest bucket.
    assert_eq!(plaintext.len(), 427 + 80);

    let (epoch_key, counter) = ([0xe1; 32], 5u64);
    let hint = chain.hash(Tag::Hint, &[&epoch_key, &counter.to_le_bytes()]);
    let core = Core {
        submitter: PAYER_BANK,
        inputs: Inputs::Spends(
            List::new(vec![Spend {
                link: coin::coin_link(chain, &spent_origin, 0, &spent.note(chain)),
                kappa: spent.kappa(chain),
            }])
            .unwrap(),
        ),
        outputs: List::new(
            made.iter()
                .map(|(opening, bank)| Output {
                    note: opening.note(chain),
                    custody: opening.custody(chain, *bank),
                    terms_flag: TermsFlag::Plain,
                })
                .collect(),
        )
        .unwrap(),
        contract: ContractNumber(0),
        expiry_ms: EXPIRY_MS,
        bucket: Bucket::B512,
        hint: EnvelopeHint(hint[..16].try_into().unwrap()),
        salt: Salt([0x5a; 32]),
        context: ClearContext::Transfer,
    };
    assert_eq!(core.input_ids(chain), [spent_id]);
    let root = chain.hash(Tag::EnvelopeKey, &[&epoch_key, &core.hash(chain)]);
    let data_key = chain.hash(Tag::Seal, &[&root]);
    let header = EnvelopeHeader { core, commitment: KeyCommitment(chain.hash(Tag::KeyCommit, &[&root])) };
    assert_eq!(header.to_bytes().len(), 263 + 32);
    let aad = chain.hash(Tag::Header, &[&header.to_bytes()]);
    let padded = sealed.padded(Bucket::B512).expect("507 bytes fit 512");
    let ciphertext = Aes256Gcm::new(&data_key.into())
        .encrypt(&Nonce::default(), Payload { msg: &padded, aad: &aad })
        .expect("512 bytes are far below the limit");
    let core = header.core.clone();
    let envelope = Envelope { header, ciphertext };
    assert_eq!(envelope.to_bytes().len(), 823);
    let id = envelope.id(chain);

    let slot = Slot { submitter: PAYER_BANK, incarnation: 1, sequence: 6 };
    let bundle = Bundle::sign(chain, slot, vec![envelope.clone()], &key(Purpose::Bundle, PAYER_BANK.0)).unwrap();
    let digest = bundle.digest();
    let ack = |signer: u16| {
        let signer = ParticipantNumber(signer);
        SignedBy { signer, signature: key(Purpose::Bundle, signer.0).sign(&ack_message(chain, &digest, signer)) }
    };
    let acks = List::new(vec![ack(1), ack(3), ack(4)]).unwrap();
    let certificate = BundleCertificate { header: bundle.header().clone(), acks };
    assert_eq!(certificate.verify(chain, &registry.set), Ok(()));

    let output_ids: Vec<String> = (0u8..)
        .zip(&made)
        .map(|(index, (opening, bank))| hex(opening.coin_id(chain, &origin(chain, &[spent_id]), index, *bank).0))
        .collect();
    json!({
        "genesis": hex(registry.document()),
        "epoch_key": hex(epoch_key),
        "counter": counter,
        "envelope": hex(envelope.to_bytes()),
        "core_bytes": hex(core.to_bytes()),
        "root": hex(root),
        "data_key": hex(data_key),
        "associated_data": hex(aad),
        "plaintext": hex(plaintext),
        "plaintext_bytes": 507,
        "envelope_bytes": 823,
        "envelope_id": id.to_string(),
        "input_ids": [hex(spent_id.0)],
        "output_ids": output_ids,
        "order_hash": order_hash.to_string(),
        "acceptance_message": hex(accepted.message(chain)),
        "payee_bank": PAYEE_BANK.0,
        "payee_desk_key": hex(key(Purpose::Desk, PAYEE_BANK.0).public_key().0),
        "submitter_bundle_key": hex(key(Purpose::Bundle, PAYER_BANK.0).public_key().0),
        "bundle": hex(bundle.to_bytes()),
        "bundle_digest": digest.to_string(),
        "certificate": hex(certificate.to_bytes()),
        "certificate_hash": hex(certificate.hash(chain)),
    })
}
