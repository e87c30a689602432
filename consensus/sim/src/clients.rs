//! Those who pay, registration, and the officers who hand over. They live outside of every node's disk and know what they sent.

use crate::chain::{Chain0, EXPIRY_WINDOW_MS, GENESIS_TIME_MS, KnownCoin, key, officer};
use crate::oracle::Sent;
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::coin::{Opening, coin_link, origin};
use ledger_types::confirmation::{Batch, BatchRecord, RecordStatus};
use ledger_types::encoding::Encode;
use ledger_types::envelope::*;
use ledger_types::hand_over::HandOverOrder;
use ledger_types::ids::*;
use ledger_types::participant::{Validator, ValidatorSet};
use ledger_types::{Decode, List, ParticipantNumber};
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct Clients {
    chain0: &'static Chain0,
    seed: u64,
    counter: u64,
    pub in_flight: Option<Arc<Bundle>>,
    pub signed: BTreeMap<u64, BatchHash>,
}

impl Clients {
    pub fn new(chain0: &'static Chain0, seed: u64) -> Self {
        Clients { chain0, seed, counter: 0, in_flight: None, signed: BTreeMap::new() }
    }

    /// Bytes that never repeat in this run.
    fn fresh(&mut self) -> [u8; 32] {
        self.counter += 1;
        *blake3::hash(&[self.seed.to_le_bytes(), self.counter.to_le_bytes()].concat()).as_bytes()
    }

    /// Spends a coin at its custodian: to one bank, with change to another.
    pub fn transfer(&mut self, coin: &KnownCoin, rng: &mut StdRng) -> (Envelope, EnvelopeId, Sent) {
        let chain = &self.chain0.rules.chain;
        let spend = Spend {
            link: coin_link(chain, &coin.origin, coin.output_index, &coin.opening.note(chain)),
            kappa: coin.opening.kappa(chain),
        };
        let input = spend.coin_id(chain, coin.bank);
        let origin = origin(chain, &[input]);
        let whole = coin.opening.amount.0;
        let paid = if whole > 1 { rng.gen_range(1..=whole) } else { whole };
        let banks = self.chain0.validators;
        let mut amounts = vec![(ParticipantNumber(rng.gen_range(1..=banks)), paid)];
        if whole > paid {
            amounts.push((coin.bank, whole - paid));
        }
        let mut outputs: Vec<KnownCoin> = amounts
            .into_iter()
            .map(|(bank, amount)| {
                let opening = Opening {
                    amount: Amount(amount),
                    currency: coin.opening.currency,
                    series: coin.opening.series,
                    terms: Terms::ZERO,
                    owner: key("owner").public_key(),
                    rho: self.fresh(),
                };
                KnownCoin { id: CoinId::default(), opening, origin, output_index: 0, bank }
            })
            .collect();
        outputs.sort_by_key(|coin| coin.opening.note(chain));
        for (index, coin) in (0u8..).zip(&mut outputs) {
            coin.output_index = index;
            coin.id = coin.opening.coin_id(chain, &origin, index, coin.bank);
        }
        let wire = outputs.iter().map(|coin| Output {
            note: coin.opening.note(chain),
            custody: coin.opening.custody(chain, coin.bank),
            terms_flag: TermsFlag::Plain,
        });
        let core = Core {
            submitter: coin.bank,
            inputs: Inputs::Spends(List::new(vec![spend]).expect("one")),
            outputs: List::new(wire.collect()).expect("two"),
            contract: ContractNumber(0),
            expiry_ms: GENESIS_TIME_MS + EXPIRY_WINDOW_MS / 2,
            bucket: Bucket::B512,
            hint: EnvelopeHint(self.fresh()[..16].try_into().expect("16 of 32")),
            salt: Salt(self.fresh()),
            context: ClearContext::Transfer,
        };
        let commitment = KeyCommitment(core.salt.0);
        let ciphertext = vec![7; Bucket::B512.ciphertext_bytes()];
        let envelope = Envelope { header: EnvelopeHeader { core, commitment }, ciphertext };
        let id = envelope.id(chain);
        (envelope, id, Sent { inputs: vec![input], outputs, incoming: None })
    }

    /// G-3: officers replace one validator, never the central bank, by the participant that is none.
    pub fn hand_over(
        &mut self,
        number: u32,
        deciding: &ValidatorSet,
        rng: &mut StdRng,
    ) -> (Envelope, EnvelopeId, Sent) {
        let chain = &self.chain0.rules.chain;
        let directory = &self.chain0.ledger.directory;
        let others: Vec<&Validator> = deciding.iter().filter(|v| v.number != ParticipantNumber(1)).collect();
        let leaves = others[rng.gen_range(0..others.len())].number;
        let lines = directory.iter().filter(|line| line.number != leaves);
        let validators = lines.map(|line| Validator {
            number: line.number,
            power: 1,
            consensus: line.keys.consensus,
            bundle: line.keys.bundle,
            cosign: line.keys.cosign,
        });
        let list: List<Validator, 256> = List::new(validators.collect()).expect("few");
        let incoming = ValidatorSet::from_bytes(&list.to_bytes()).expect("ascending");
        let order = HandOverOrder { number, outgoing: deciding.hash(chain), incoming: incoming.clone() };
        let message = order.message(chain);
        let sign = |index| OfficerSignature { officer: index, signature: officer(index).sign(&message) };
        let authorizations = List::new((0..2).map(sign).collect()).expect("two");
        let core = Core {
            submitter: ParticipantNumber(1),
            inputs: Inputs::Spends(List::empty()),
            outputs: List::empty(),
            contract: ContractNumber(0),
            expiry_ms: GENESIS_TIME_MS + EXPIRY_WINDOW_MS / 2,
            bucket: Bucket::None,
            hint: EnvelopeHint([0; 16]),
            salt: Salt(self.fresh()),
            context: ClearContext::HandOver(Box::new(HandOverContext { order, authorizations })),
        };
        let envelope =
            Envelope { header: EnvelopeHeader { core, commitment: KeyCommitment::ZERO }, ciphertext: Vec::new() };
        let id = envelope.id(chain);
        (envelope, id, Sent { inputs: Vec::new(), outputs: Vec::new(), incoming: Some(incoming) })
    }

    /// The next batch, as the ledger of registration's own node has it.
    pub fn batch(
        &self,
        slot: Slot,
        number: BatchNumber,
        previous: BatchHash,
        coins: &[KnownCoin],
    ) -> (Arc<Bundle>, BatchHash) {
        let chain = &self.chain0.rules.chain;
        let mut records: Vec<BatchRecord> = coins
            .iter()
            .map(|coin| BatchRecord {
                coin: coin.id,
                status: RecordStatus::Live,
                failed_check: 0,
                tag: coin.opening.owner_tag(chain, &coin.id),
            })
            .collect();
        records.sort_by_key(|record| record.coin);
        let batch = Batch {
            number,
            previous,
            records: List::new(records).expect("few"),
            settled: List::empty(),
            overdue: List::empty(),
            cleared: List::empty(),
        };
        let hash = batch.hash(chain);
        let signed = batch.sign(chain, &self.chain0.registration);
        let bundle = Bundle::sign_confirmation(chain, slot, signed, &self.chain0.registration).expect("small");
        (Arc::new(bundle), hash)
    }
}
