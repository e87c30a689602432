//! An epoch of a channel: its key sealed to two members, the signed offer, a member's acknowledgement.

use super::chain::{Purpose, Registry, key, seed};
use super::hex;
use ledger_seal::{KemSecret, Member, OfferTerms, accept_offer, make_offer};
use ledger_types::ParticipantNumber;
use ledger_types::encoding::Encode;
use ledger_types::genesis::KemSuite;
use rand_core::{CryptoRng, Error, RngCore};
use serde_json::{Value, json};

/// Bytes 1, 2, 3 …: the vector's own, and nobody's secret.
struct Counting(u8);

impl RngCore for Counting {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Counting {}

pub fn channel() -> Value {
    let registry = Registry::new();
    let chain = &registry.chain;
    let (sender, numbers) = (ParticipantNumber(2), [1, 2, 3].map(ParticipantNumber));
    let kem = |number: ParticipantNumber| KemSecret::from_seed(KemSuite::X25519, &seed(Purpose::Owner, 100 + number.0));
    let keys = numbers.map(|number| kem(number).public_key());
    let members: Vec<Member> =
        numbers.iter().zip(&keys).map(|(number, key)| Member { number: *number, kem_key: key }).collect();
    let terms = OfferTerms { sender, number: 9, not_after_ms: 1_700_000_600_000, envelopes_max: 1 };
    let offered =
        make_offer(chain, KemSuite::X25519, &terms, &members, &key(Purpose::Offer, sender.0), &mut Counting(0))
            .unwrap();
    let signed = offered.signed_offer();
    let receivers: Vec<Value> = [ParticipantNumber(1), ParticipantNumber(3)]
        .into_iter()
        .map(|member| {
            let sender_key = key(Purpose::Offer, sender.0).public_key();
            let epoch = accept_offer(chain, member, &kem(member), &sender_key, signed, 1_700_000_000_000).unwrap();
            let offer_key = key(Purpose::Offer, member.0);
            let ack = epoch.acknowledge(chain, &signed.offer, member, &offer_key).unwrap();
            json!({
                "member": member.0,
                "kem_seed": hex(seed(Purpose::Owner, 100 + member.0)),
                "kem_key": hex(kem(member).public_key().as_ref()),
                "acknowledgement": hex(ack.to_bytes()),
                "acknowledgement_message": hex(signed.offer.ack_message(chain, member)),
            })
        })
        .collect();
    json!({
        "genesis": hex(registry.document()),
        "kem": "X25519; kem_seed is the ikm of RFC 9180 DeriveKeyPair; these keys are not the genesis's",
        "signed_offer": hex(signed.to_bytes()),
        "message": hex(signed.offer.message(chain)),
        "epoch_key": hex((1..=32u8).collect::<Vec<u8>>()),
        "receivers": receivers,
    })
}
