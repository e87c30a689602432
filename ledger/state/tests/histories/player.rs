//! Turns plans into signed bundles, by what the naive ledger says of the coins. It holds every opening that was ever made, so it
//! can spend what is spent, frozen or someone else's.

use super::naive::Naive;
use super::plan::*;
use crate::common::*;
use ledger_types::bundle::{Bundle, Slot};
use ledger_types::coin::CoinStatus;
use ledger_types::confirmation::{BatchRecord, Overdue, RecordStatus, SignedBatch};
use ledger_types::encoding::{Decode, Encode, List, Octets};
use ledger_types::envelope::*;
use ledger_types::ids::*;
use ledger_types::participant::{Participant, ValidatorSet};
use ledger_types::request::RequestClass;
use std::collections::HashMap;
use std::sync::Arc;

pub struct Player {
    pub coins: Vec<KnownCoin>,
    envelopes: Vec<Envelope>,
    batches: Vec<SignedBatch>,
    issue_numbers: HashMap<u32, u64>,
}

/// Where lanes and batches stand while a block is put together.
struct Cursor {
    lanes: HashMap<ParticipantNumber, (u32, u64)>,
    batch: u64,
    batch_hash: BatchHash,
}

const BANKS: [ParticipantNumber; 6] = [CENTRAL, BANK2, BANK3, BANK4, BANK5, OBSERVER];
/// Only the central bank may do most kinds of things.
const SUBMITTERS: [ParticipantNumber; 9] = [CENTRAL, BANK2, BANK3, BANK4, BANK5, OBSERVER, CENTRAL, CENTRAL, CENTRAL];

impl Player {
    pub fn new(bed: &Bed) -> Self {
        let (coins, issue_numbers) = (bed.preissued.clone(), HashMap::new());
        Player { coins, envelopes: vec![], batches: vec![], issue_numbers }
    }

    pub fn bundles(&mut self, bed: &mut Bed, naive: &Naive, plan: &BlockPlan) -> Vec<Arc<Bundle>> {
        self.issue_numbers = naive.issue_numbers.clone();
        let mut cursor = Cursor { lanes: HashMap::new(), batch: naive.batch, batch_hash: naive.batch_hash };
        let mut bundles = vec![];
        for plan in &plan.bundles {
            bundles.push(match plan {
                BundlePlan::Envelopes { bank, begins_anew, actions } => {
                    let bank = SUBMITTERS[usize::from(*bank)];
                    let mut envelopes = vec![];
                    for action in actions {
                        envelopes.extend(self.envelopes_of(bed, naive, bank, action));
                    }
                    self.envelopes.extend(envelopes.iter().take(8).cloned());
                    if envelopes.is_empty() {
                        continue;
                    }
                    let slot = cursor.slot(bed, bank, *begins_anew);
                    let key = key_of(bank, "bundle");
                    Arc::new(Bundle::sign(&bed.rules.chain, slot, envelopes, &key).unwrap())
                }
                BundlePlan::Batch(plan) => {
                    let signed = self.batch(bed, naive, &cursor, plan);
                    (cursor.batch, cursor.batch_hash) = (signed.batch.number.0, signed.batch.hash(&bed.rules.chain));
                    self.batches.push(signed.clone());
                    confirmation(bed, &mut cursor, signed)
                }
                BundlePlan::OldBatch { which } => match pick(&self.batches, *which) {
                    Some(signed) => confirmation(bed, &mut cursor, signed.clone()),
                    None => continue,
                },
            });
        }
        self.spoil(bed, &mut cursor, &mut bundles, plan.defect);
        bundles
    }

    fn spoil(&mut self, bed: &mut Bed, cursor: &mut Cursor, bundles: &mut Vec<Arc<Bundle>>, defect: BlockDefect) {
        let hopeless = |bed: &mut Bed, bank| {
            let mut coin = self.coins[0].clone();
            coin.opening.rho = bed.fresh();
            bed.transfer(bank, &[coin], &[(BANK2, 1)]).seal()
        };
        match defect {
            BlockDefect::None | BlockDefect::TimeStandsStill => {}
            BlockDefect::FirstBundleTwice => bundles.extend(bundles.first().cloned()),
            BlockDefect::SlotSkipped => {
                let envelope = hopeless(bed, BANK2);
                cursor.slot(bed, BANK2, false);
                let slot = cursor.slot(bed, BANK2, false);
                let bundle = Bundle::sign(&bed.rules.chain, slot, vec![envelope], &key_of(BANK2, "bundle"));
                bundles.push(Arc::new(bundle.unwrap()));
            }
            BlockDefect::Stranger => {
                let stranger = ParticipantNumber(44);
                let envelope = hopeless(bed, stranger);
                let slot = Slot { submitter: stranger, incarnation: 0, sequence: 0 };
                let bundle = Bundle::sign(&bed.rules.chain, slot, vec![envelope], &key("stranger"));
                bundles.push(Arc::new(bundle.unwrap()));
            }
        }
    }

    fn envelopes_of(
        &mut self,
        bed: &mut Bed,
        naive: &Naive,
        bank: ParticipantNumber,
        action: &Action,
    ) -> Vec<Envelope> {
        let (mut draft, twist) = match action {
            Action::Again { which } => return pick(&self.envelopes, *which).into_iter().cloned().collect(),
            Action::Flood { count } => {
                let mut coin = self.coins[0].clone();
                coin.opening.rho = bed.fresh();
                let one = |bed: &mut Bed| bed.transfer(bank, std::slice::from_ref(&coin), &[(bank, 1)]).seal();
                return (0..*count).map(|_| one(bed)).collect();
            }
            Action::Transfer { own, inputs, outputs, twist } => {
                let inputs = if *own { self.inputs(naive, Some(bank), inputs) } else { self.in_custody(bank, inputs) };
                let outputs: Vec<_> = outputs.iter().map(|o| (BANKS[usize::from(o % 5)], u64::from(*o))).collect();
                (bed.transfer(bank, &inputs, &outputs), *twist)
            }
            Action::Issue { series, number_ahead, amount, twist } => {
                let series = u32::from(*series);
                let next = self.issue_numbers.entry(series).or_insert(0);
                let number = next.wrapping_add_signed(i64::from(*number_ahead));
                if *number_ahead == 0 && *twist == Twist::None && bank == CENTRAL && *amount > 0 {
                    *next += 1;
                }
                let to = BANKS[usize::from(*amount % 5)];
                (bed.issue(series, number, &[(to, u64::from(*amount))]), *twist)
            }
            Action::Redeem { inputs, amount, twist } => {
                let inputs = self.inputs(naive, Some(CENTRAL), inputs);
                (bed.redeem(&inputs, u64::from(*amount % 100), &[(CENTRAL, 1)]), *twist)
            }
            Action::Recover { inputs, officers } => {
                let mut inputs = self.inputs(naive, None, inputs);
                inputs.dedup_by_key(|coin| coin.id);
                let draft = bed.recover(&inputs, &[(BANK3, 1)]);
                (authorize_by(bed, draft, *officers), Twist::None)
            }
            Action::Update { line, change, officers } => {
                let line = changed_line(bed, *line, *change);
                let draft = bed.update(bank, line);
                (authorize_by(bed, draft, *officers), Twist::None)
            }
            Action::Request { class, days_off, officers } => {
                let basis = ["AML-7", "COURT"][usize::from(class / 3 % 2)];
                let mut draft = bed.request(bank, RequestClass::ALL[usize::from(class % 3)], basis);
                let ClearContext::Request(context) = &mut draft.core.context else { unreachable!() };
                context.request.epoch += u64::from(*days_off);
                (authorize_by(bed, draft, *officers), Twist::None)
            }
            Action::HandOver { line, power, defect, officers } => {
                let change = (BANKS[usize::from(line % 6)], u64::from(*power));
                let incoming = match defect {
                    HandOverDefect::Stranger => bed.set_with(&[change, (ParticipantNumber(77), 1)]),
                    _ => bed.set_with(&[change]),
                };
                let mut draft = bed.hand_over(bank, incoming);
                let ClearContext::HandOver(context) = &mut draft.core.context else { unreachable!() };
                match defect {
                    HandOverDefect::None | HandOverDefect::Stranger => {}
                    HandOverDefect::NumberSkipped => context.order.number += 1,
                    HandOverDefect::OtherKey => {
                        let mut validators: Vec<_> = context.order.incoming.iter().cloned().collect();
                        validators[0].consensus = public("another vote");
                        let list: List<_, 256> = List::new(validators).unwrap();
                        context.order.incoming = ValidatorSet::from_bytes(&list.to_bytes()).unwrap();
                    }
                }
                (authorize_by(bed, draft, *officers), Twist::None)
            }
            Action::RulesOrder { ahead, notice, officers } => {
                let height = bed.ledger.height.0 + 1;
                let version = bed.ledger.rules_schedule.at(Height(height)).0 + ahead;
                let draft = bed.rules_order(bank, version, height + u64::from(*notice));
                (authorize_by(bed, draft, *officers), Twist::None)
            }
        };
        // Issue, redeem and recover are drafted for the central bank: another bank tries in its own name.
        if draft.core.submitter != bank && twist != Twist::OtherSubmitter {
            draft.core.submitter = bank;
        }
        twist_draft(bed, &mut draft, twist, bank);
        let takes_issue_key = matches!(draft.core.context, ClearContext::Issue(_) | ClearContext::Redeem(_));
        if takes_issue_key && twist != Twist::NotAuthorized {
            draft = draft.authorize_by_issue_key(&bed.rules);
        }
        self.coins.extend(draft.coins.iter().cloned());
        vec![draft.seal()]
    }

    /// Coins by number among those that a bank could spend now; without a bank, sometimes among all that exist, else among all
    /// that ever did.
    fn inputs(&self, naive: &Naive, of: Option<ParticipantNumber>, picks: &[u8]) -> Vec<KnownCoin> {
        let spendable = |coin: &&KnownCoin| {
            naive.coins.get(&coin.id) == Some(&CoinStatus::Live) && of.is_none_or(|bank| coin.bank == bank)
        };
        let mut candidates: Vec<&KnownCoin> = self.coins.iter().filter(spendable).collect();
        if of.is_none() && picks[0].is_multiple_of(2) {
            candidates = self.coins.iter().filter(|coin| naive.coins.contains_key(&coin.id)).collect();
        }
        if candidates.is_empty() || (of.is_none() && !picks[0].is_multiple_of(2)) {
            candidates = self.coins.iter().collect();
        }
        let mut inputs: Vec<KnownCoin> = vec![];
        for number in picks {
            let coin = candidates[(usize::from(*number) * 7) % candidates.len()];
            if inputs.iter().all(|other| other.id != coin.id) {
                inputs.push(coin.clone());
            }
        }
        inputs
    }

    /// Coins that were once in the bank's custody, whatever became of them.
    fn in_custody(&self, bank: ParticipantNumber, picks: &[u8]) -> Vec<KnownCoin> {
        let once: Vec<&KnownCoin> = self.coins.iter().rev().filter(|coin| coin.bank == bank).take(20).collect();
        let mut inputs: Vec<KnownCoin> = vec![];
        for number in picks {
            let coin = pick(&once, *number).copied().unwrap_or(&self.coins[0]);
            if inputs.iter().all(|other| other.id != coin.id) {
                inputs.push(coin.clone());
            }
        }
        inputs
    }

    fn batch(&self, bed: &Bed, naive: &Naive, cursor: &Cursor, plan: &BatchPlan) -> SignedBatch {
        let mut records: Vec<BatchRecord> = vec![];
        let waiting =
            self.coins.iter().filter(|coin| !matches!(naive.coins.get(&coin.id), None | Some(CoinStatus::Live)));
        records.extend(waiting.take(plan.confirm.into()).map(|coin| live(coin.id)));
        let absent = self.coins.iter().rev().filter(|coin| !naive.coins.contains_key(&coin.id));
        records.extend(absent.take(plan.spent.into()).map(|coin| record(coin.id, RecordStatus::Spent)));
        for (which, status) in &plan.arbitrary {
            let coin = pick(&self.coins, *which).unwrap().id;
            if records.iter().all(|record| record.coin != coin) {
                records.push(record(coin, RecordStatus::ALL[usize::from(*status)]));
            }
        }
        let mut batch = bed.batch(records);
        (batch.number, batch.previous) = (BatchNumber(cursor.batch + 1), cursor.batch_hash);
        if plan.settle {
            let mut open: Vec<EnvelopeId> = naive.unsettled.keys().copied().collect();
            open.sort();
            batch.settled = List::new(open).unwrap();
        }
        if let Some(which) = plan.overdue {
            let submitter = BANKS[usize::from(which % 6)];
            batch.overdue = List::new(vec![Overdue { envelope: EnvelopeId([which; 32]), submitter }]).unwrap();
        }
        if plan.clear {
            let mut all: Vec<Overdue> = naive
                .overdue
                .iter()
                .map(|(envelope, submitter)| Overdue { envelope: *envelope, submitter: ParticipantNumber(*submitter) })
                .collect();
            all.sort();
            batch.cleared = List::new(all).unwrap();
        }
        match plan.defect {
            BatchDefect::None | BatchDefect::OtherKey => {}
            BatchDefect::NumberSkipped => batch.number.0 += 1,
            BatchDefect::ChainBroken => batch.previous.0[0] ^= 1,
            BatchDefect::RecordTwice => {
                let twice = live(self.coins[0].id);
                batch.records = List::new(vec![twice, twice]).unwrap();
            }
            BatchDefect::FieldsDoNotFit => {
                let bad = BatchRecord { tag: OwnerTag::ZERO, ..live(self.coins[0].id) };
                batch.records = List::new(vec![bad]).unwrap();
            }
            BatchDefect::SettlesUnknown => batch.settled = List::new(vec![EnvelopeId([3; 32])]).unwrap(),
            BatchDefect::ClearsUnknown => {
                let unknown = Overdue { envelope: EnvelopeId([255; 32]), submitter: ParticipantNumber(255) };
                batch.cleared = List::new(vec![unknown]).unwrap();
            }
            BatchDefect::TooLarge => {
                let line = |index: u16| live(CoinId([index.to_be_bytes(); 16].concat().try_into().unwrap()));
                batch.records = List::new((0..51).map(line).collect()).unwrap();
            }
        }
        let purpose = if plan.defect == BatchDefect::OtherKey { "bundle" } else { "registration" };
        batch.sign(&bed.rules.chain, &key_of(CENTRAL, purpose))
    }
}

impl Cursor {
    fn slot(&mut self, bed: &Bed, submitter: ParticipantNumber, begins_anew: bool) -> Slot {
        let lane = bed.ledger.lane(submitter);
        let next = self.lanes.entry(submitter).or_insert((lane.incarnation, lane.next_sequence));
        if begins_anew {
            *next = (next.0 + 1, 0);
        }
        let slot = Slot { submitter, incarnation: next.0, sequence: next.1 };
        next.1 += 1;
        slot
    }
}

fn confirmation(bed: &Bed, cursor: &mut Cursor, signed: SignedBatch) -> Arc<Bundle> {
    let slot = cursor.slot(bed, ParticipantNumber::REGISTRATION, false);
    let signer = key_of(CENTRAL, "registration");
    Arc::new(Bundle::sign_confirmation(&bed.rules.chain, slot, signed, &signer).unwrap())
}

fn pick<T>(items: &[T], which: u8) -> Option<&T> {
    if items.is_empty() { None } else { items.get((usize::from(which) * 13) % items.len()) }
}

fn authorize_by(bed: &Bed, draft: Draft, officers: u8) -> Draft {
    let officers: Vec<u8> = (0..3).filter(|index| officers >> index & 1 == 1).collect();
    draft.authorize_by_officers(&bed.rules, &officers)
}

fn changed_line(bed: &mut Bed, which: u8, change: u8) -> Participant {
    let number = BANKS[usize::from(which) % BANKS.len()];
    let mut line = bed.ledger.directory.get(number).unwrap().clone();
    let new = key(&format!("new {which} {change}")).public_key();
    match change % 12 {
        0 => line.number = ParticipantNumber(90),
        1 => line.keys.link = line.keys.desk,
        2 => line.keys.kem = Octets::new(vec![1; 33]).unwrap(),
        3 => line.keys.bundle = new,
        4 => line.keys.consensus = new,
        5 => line.power += 1,
        6 => {
            if let Some(keys) = &mut line.central_bank {
                keys.log = new;
            }
        }
        _ => line.keys.desk = new,
    }
    line
}

fn twist_draft(bed: &Bed, draft: &mut Draft, twist: Twist, bank: ParticipantNumber) {
    let core = &mut draft.core;
    match twist {
        Twist::None | Twist::NotAuthorized => {}
        Twist::OtherSubmitter => core.submitter = if bank == BANK2 { BANK3 } else { BANK2 },
        Twist::Expired => core.expiry_ms = bed.ledger.time_ms,
        Twist::ExpiryTooFar => core.expiry_ms += 10 * EXPIRY_WINDOW_MS,
        Twist::NoOutputs => core.outputs = List::empty(),
        Twist::InputTwice => {
            if let Inputs::Spends(spends) = &core.inputs
                && let Some(first) = spends.first()
            {
                core.inputs = Inputs::Spends(List::new(vec![*first, *first]).unwrap());
            }
        }
        Twist::OutputsReversed => core.outputs.as_mut_slice().reverse(),
        Twist::Contract => core.contract = ContractNumber(1),
        Twist::TermsFlag => {
            if let Some(output) = core.outputs.as_mut_slice().first_mut() {
                output.terms_flag = TermsFlag::Contract;
            }
        }
        Twist::CoinThatNeverWas => {
            if let Inputs::Spends(spends) = &core.inputs
                && let Some(first) = spends.first()
            {
                let never = Spend { kappa: Kappa([3; 32]), ..*first };
                core.inputs = Inputs::Spends(List::new(vec![never]).unwrap());
            }
        }
    }
}
