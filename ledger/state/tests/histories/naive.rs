//! A ledger written again, as plainly as possible and with nothing of `ledger-state`: hash maps, one long function per thing, the
//! whole state copied for every block. It knows the rules and no storage, tree or batching.

use ledger_types::bundle::{Bundle, BundleBody};
use ledger_types::coin::{CoinStatus, coin_id, coin_link, custody, issue_origin, origin};
use ledger_types::confirmation::{Record, RecordStatus, SignedBatch};
use ledger_types::encoding::Encode;
use ledger_types::envelope::{ClearContext, Core, Envelope, Inputs, OfficerSignature, TermsFlag};
use ledger_types::genesis::Genesis;
use ledger_types::hand_over::HandOverOrder;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use ledger_types::participant::{Directory, Participant, Validator, ValidatorSet};
use ledger_types::{Chain, Tag};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

#[derive(Clone)]
pub struct Naive {
    pub chain: Chain,
    pub genesis: Arc<Genesis>,
    pub height: u64,
    pub time: u64,
    pub coins: HashMap<CoinId, CoinStatus>,
    /// All records of a coin, oldest first.
    pub records: HashMap<CoinId, Vec<Record>>,
    /// Series (none: redeemed) and amount.
    pub unsettled: HashMap<EnvelopeId, (Option<u32>, u64)>,
    pub overdue: HashSet<(EnvelopeId, u16)>,
    pub issue_numbers: HashMap<u32, u64>,
    /// Incarnation, next sequence, served at, refused bytes.
    pub lanes: HashMap<u16, (u32, u64, u64, u64)>,
    pub lines: Vec<Participant>,
    pub batch: u64,
    pub batch_hash: BatchHash,
    pub issued: HashMap<u32, u128>,
    pub redeemed: u128,
    /// Without state leaves, whose place is marked by `None`.
    pub log: Vec<Option<LogLeaf>>,
    pub events: Vec<LogLeaf>,
    pub used: HashMap<[u8; 32], u64>,
    /// By class and basis.
    pub requests: HashMap<(u8, String), u64>,
    pub delta: [u8; 32],
    pub skipped: Vec<CoinId>,
    /// Who decides the next height.
    pub validators: ValidatorSet,
    pub hand_overs: u32,
    /// The order, and the first height that its incoming set decides.
    pub pending: Option<(HandOverOrder, Option<u64>)>,
    /// By number: outgoing, incoming, binds at.
    pub ordered: HashMap<u32, (ValidatorSetHash, ValidatorSetHash, Option<u64>)>,
    /// The version that governs, and the height at which the next one begins.
    pub rules: u8,
    pub next_rules: Option<u64>,
    /// All that were ordered: version, first height.
    pub rules_ordered: HashMap<u8, u64>,
}

impl Naive {
    /// One block: the code of every item, or the number of the reason against the block, which then changes nothing.
    pub fn block(&mut self, time: u64, bundles: &[Arc<Bundle>]) -> Result<Vec<u16>, u16> {
        let mut after = self.clone();
        let codes = after.run_block(time, bundles)?;
        after.delta = after.delta_since(self);
        *self = after;
        Ok(codes)
    }

    fn run_block(&mut self, time: u64, bundles: &[Arc<Bundle>]) -> Result<Vec<u16>, u16> {
        if time <= self.time {
            return Err(2);
        }
        let before = self.clone();
        let mut bytes_of: HashMap<u16, u64> = HashMap::new();
        for bundle in bundles {
            let slot = bundle.slot();
            let name = slot.submitter.0;
            if name != 65535 && before.line(name).is_none() {
                return Err(6);
            }
            let lane = self.lanes.entry(name).or_insert((0, 0, 0, 0));
            if (slot.incarnation, slot.sequence) == (lane.0, lane.1) {
                lane.1 += 1;
            } else if (slot.incarnation, slot.sequence) == (lane.0 + 1, 0) {
                (lane.0, lane.1) = (lane.0 + 1, 1);
            } else {
                return Err(7);
            }
            let earlier = bytes_of.get(&name).copied().unwrap_or(0);
            let total = earlier + u64::from(bundle.header().bytes);
            let quota = self.genesis.bytes_per_submitter_per_height;
            let punished = before.lanes.get(&name).map_or(0, |lane| lane.3).min(quota);
            let allowed = if earlier == 0 { quota } else { quota - punished };
            if total > allowed {
                return Err(8);
            }
            bytes_of.insert(name, total);
        }

        self.height += 1;
        if self.next_rules == Some(self.height) {
            (self.rules, self.next_rules) = (self.rules + 1, None);
        }
        self.time = time;
        self.skipped.clear();
        self.used.retain(|_, expiry| *expiry >= time);
        for name in bytes_of.keys() {
            let lane = self.lanes.get_mut(name).unwrap();
            (lane.2, lane.3) = (self.height, 0);
        }
        let mut codes = vec![];
        let mut any_batch = false;
        for bundle in bundles {
            let name = bundle.slot().submitter.0;
            match bundle.body() {
                BundleBody::Confirmation(signed) => {
                    let code = self.run_batch(signed, &before);
                    any_batch |= code == 0;
                    if code != 0 {
                        self.lanes.get_mut(&name).unwrap().3 += u64::from(bundle.header().bytes);
                    }
                    codes.push(code);
                }
                BundleBody::Envelopes(envelopes) => {
                    for envelope in envelopes {
                        let code = self.run_envelope(name, envelope, &before);
                        if code != 0 {
                            self.lanes.get_mut(&name).unwrap().3 += envelope.to_bytes().len() as u64;
                        }
                        codes.push(code);
                    }
                }
            }
        }
        if any_batch {
            self.log.push(None);
        }
        if self.pending.as_ref().is_some_and(|(_, binds_at)| *binds_at == Some(self.height + 1)) {
            self.validators = self.pending.take().unwrap().0.incoming;
            self.hand_overs += 1;
        }
        Ok(codes)
    }

    fn line(&self, name: u16) -> Option<&Participant> {
        self.lines.iter().find(|line| line.number.0 == name)
    }

    fn central(&self) -> &Participant {
        self.lines.iter().find(|line| line.central_bank.is_some()).unwrap()
    }

    fn ids(&self, core: &Core) -> Vec<CoinId> {
        match &core.inputs {
            Inputs::ById(ids) => ids.to_vec(),
            Inputs::Spends(spends) => spends
                .iter()
                .map(|spend| coin_id(&self.chain, &spend.link, &custody(&self.chain, core.submitter, &spend.kappa)))
                .collect(),
        }
    }

    fn officers_agree(&self, core: &Core, signatures: &[OfficerSignature]) -> bool {
        self.officers_signed(core.authorization_message(&self.chain), signatures)
    }

    fn officers_signed(&self, message: [u8; 32], signatures: &[OfficerSignature]) -> bool {
        let mut seen = HashSet::new();
        let mut last = -1;
        for by in signatures {
            let Some(key) = self.genesis.officers.get(by.officer as usize) else { return false };
            if !key.verify(&message, &by.signature) || i32::from(by.officer) <= last {
                return false;
            }
            last = i32::from(by.officer);
            seen.insert(by.officer);
        }
        seen.len() >= self.genesis.officer_threshold as usize
    }

    fn run_envelope(&mut self, bundle_of: u16, envelope: &Envelope, before: &Naive) -> u16 {
        let core = &envelope.header.core;
        if core.submitter.0 != bundle_of {
            return 2;
        }
        let submitter = before.line(bundle_of).unwrap();
        let central = submitter.is_central_bank();
        let bank = central || submitter.is_commercial_bank();
        let (may, inputs_min, inputs_max, outputs_min) = match core.context {
            ClearContext::Issue(_) => (central, 0, 0, 1),
            ClearContext::Transfer => (bank, 1, 8, 1),
            ClearContext::Redeem(_) => (central, 1, 8, 0),
            ClearContext::Recover(_) => (central, 1, 1000, 0),
            ClearContext::ParticipantUpdate(_) | ClearContext::Request(_) => (true, 0, 0, 0),
            ClearContext::HandOver(_) | ClearContext::RulesOrder(_) => (central, 0, 0, 0),
            _ => unreachable!("these histories have no contracts and no feeds"),
        };
        let speaks = matches!(
            core.context,
            ClearContext::ParticipantUpdate(_)
                | ClearContext::Request(_)
                | ClearContext::HandOver(_)
                | ClearContext::RulesOrder(_)
        );
        let outputs_max = if speaks { 0 } else { 8 };
        if !may {
            return 3;
        }
        if core.expiry_ms < self.time {
            return 4;
        }
        if core.expiry_ms > self.time + self.genesis.expiry_window_ms {
            return 5;
        }
        let ids = self.ids(core);
        let outputs = &core.outputs;
        if ids.len() < inputs_min
            || ids.len() > inputs_max
            || outputs.len() < outputs_min
            || outputs.len() > outputs_max
        {
            return 6;
        }
        if (1..ids.len()).any(|i| ids[i - 1] >= ids[i]) {
            return 7;
        }
        if (1..outputs.len()).any(|i| outputs[i - 1].note >= outputs[i].note) {
            return 8;
        }
        if core.contract.0 != 0 {
            return 9;
        }
        if outputs.iter().any(|output| output.terms_flag != TermsFlag::Plain) {
            return 10;
        }
        let issue_key = before.central().central_bank.as_ref().unwrap().issue;
        let message = core.authorization_message(&self.chain);
        match &core.context {
            ClearContext::Issue(issue) => {
                if issue.amount.0 == 0 {
                    return 11;
                }
                if issue.series.0 == 0 || issue.series.0 as usize > self.genesis.series.len() {
                    return 12;
                }
                if !issue_key.verify(&message, &issue.authorization) {
                    return 13;
                }
                if issue.issue_number != self.issue_numbers[&issue.series.0] {
                    return 14;
                }
                *self.issue_numbers.get_mut(&issue.series.0).unwrap() += 1;
                self.create(core, issue_origin(&self.chain, issue.series, issue.issue_number));
                self.unsettled.insert(envelope.id(&self.chain), (Some(issue.series.0), issue.amount.0));
            }
            ClearContext::Transfer => {
                if self.overdue.iter().any(|(_, blamed)| *blamed == bundle_of) {
                    return 15;
                }
                if let Some(code) = self.cannot_spend(&ids, &[CoinStatus::Live]) {
                    return code;
                }
                self.coins.retain(|id, _| !ids.contains(id));
                self.create(core, origin(&self.chain, &ids));
            }
            ClearContext::Redeem(redeem) => {
                if redeem.amount.0 == 0 {
                    return 11;
                }
                if !issue_key.verify(&message, &redeem.authorization) {
                    return 13;
                }
                if let Some(code) = self.cannot_spend(&ids, &[CoinStatus::Live]) {
                    return code;
                }
                self.coins.retain(|id, _| !ids.contains(id));
                self.create(core, origin(&self.chain, &ids));
                self.unsettled.insert(envelope.id(&self.chain), (None, redeem.amount.0));
            }
            ClearContext::Recover(recover) => {
                if !self.officers_agree(core, &recover.authorizations) {
                    return 13;
                }
                let allowed = [CoinStatus::Live, CoinStatus::Frozen, CoinStatus::Disputed];
                if let Some(code) = self.cannot_spend(&ids, &allowed) {
                    return code;
                }
                self.coins.retain(|id, _| !ids.contains(id));
                self.create(core, origin(&self.chain, &ids));
                let envelope = envelope.id(&self.chain);
                self.events.push(LogLeaf::Recovered { envelope, reason: recover.reason, inputs: ids.len() as u16 });
            }
            ClearContext::ParticipantUpdate(update) => {
                if !self.officers_agree(core, &update.authorizations) || self.used.contains_key(&message) {
                    return 13;
                }
                let line = &update.participant;
                let Some(at) = self.lines.iter().position(|old| old.number == line.number) else { return 19 };
                let mut lines = self.lines.clone();
                lines[at] = line.clone();
                let Ok(directory) = Directory::new(lines.clone()) else { return 20 };
                let log_key = |lines: &[Participant]| {
                    lines.iter().find_map(|line| line.central_bank.as_ref()).map(|keys| keys.log)
                };
                if line.keys.kem.len() != 32 || log_key(&lines) != log_key(&self.lines) {
                    return 20;
                }
                let old = &self.lines[at];
                let votes = old.power > 0 || line.power > 0;
                let keys = |line: &Participant| (line.keys.consensus, line.keys.bundle, line.keys.cosign, line.power);
                if votes && keys(old) != keys(line) {
                    return 21;
                }
                self.lines = lines;
                self.used.insert(message, core.expiry_ms);
                self.events.push(LogLeaf::Participants(directory.hash(&self.chain)));
            }
            ClearContext::Request(context) => {
                if !self.officers_agree(core, &context.authorizations) || self.used.contains_key(&message) {
                    return 13;
                }
                let request = context.request;
                if request.epoch != core.expiry_ms / 1000 / 3600 / 24 {
                    return 22;
                }
                self.used.insert(message, core.expiry_ms);
                *self.requests.entry((request.class as u8, request.basis.to_string())).or_insert(0) += 1;
                self.events.push(LogLeaf::Request(request));
            }
            ClearContext::HandOver(context) => {
                let (order, before) = (&context.order, &self.validators);
                if !self.officers_signed(order.message(&self.chain), &context.authorizations) {
                    return 13;
                }
                let line = |validator: &Validator| self.line(validator.number.0);
                if order.incoming.iter().any(|validator| line(validator).is_none()) {
                    return 19;
                }
                if self.pending.is_some() {
                    return 23;
                }
                if order.number != self.hand_overs + 1 || order.outgoing != before.hash(&self.chain) {
                    return 24;
                }
                let keys_of = |v: &Validator| (v.consensus, v.bundle, v.cosign);
                let of_line = |v: &Validator| {
                    let keys = &line(v).unwrap().keys;
                    (keys.consensus, keys.bundle, keys.cosign)
                };
                if order.incoming.iter().any(|validator| keys_of(validator) != of_line(validator)) {
                    return 25;
                }
                let mut kept = 0;
                for old in before.iter() {
                    for new in order.incoming.iter() {
                        if old.number == new.number && keys_of(old) == keys_of(new) {
                            kept += old.power.min(new.power);
                        }
                    }
                }
                if [before, &order.incoming].iter().any(|set| 3 * (set.total_power() - kept) >= set.total_power()) {
                    return 26;
                }
                if order.incoming == *before {
                    return 27;
                }
                if order.incoming.iter().all(|validator| validator.number != self.central().number) {
                    return 28;
                }
                let directory = Directory::new(self.lines.clone()).unwrap().with_validators(&order.incoming).unwrap();
                self.lines = directory.iter().cloned().collect();
                let incoming = order.incoming.hash(&self.chain);
                self.events.push(LogLeaf::Participants(directory.hash(&self.chain)));
                self.events.push(LogLeaf::HandOver(incoming));
                self.ordered.insert(order.number, (order.outgoing, incoming, None));
                self.pending = Some((order.clone(), None));
            }
            ClearContext::RulesOrder(context) => {
                if !self.officers_agree(core, &context.authorizations) || self.used.contains_key(&message) {
                    return 13;
                }
                let order = context.order;
                if self.next_rules.is_some() {
                    return 29;
                }
                if order.version.0 != self.rules + 1 {
                    return 30;
                }
                if order.activates_at.0 < self.height + 2 || order.activates_at.0 > self.height + 10_000_000 {
                    return 31;
                }
                self.used.insert(message, core.expiry_ms);
                self.next_rules = Some(order.activates_at.0);
                self.rules_ordered.insert(order.version.0, order.activates_at.0);
                self.events.push(LogLeaf::Rules(order));
            }
            _ => unreachable!("these histories have no contracts and no feeds"),
        }
        0
    }

    fn cannot_spend(&self, ids: &[CoinId], allowed: &[CoinStatus]) -> Option<u16> {
        if ids.iter().any(|id| !self.coins.contains_key(id)) {
            return Some(16);
        }
        if ids.iter().any(|id| !allowed.contains(&self.coins[id])) {
            return Some(17);
        }
        None
    }

    fn create(&mut self, core: &Core, origin: Origin) {
        for (index, output) in core.outputs.iter().enumerate() {
            let link = coin_link(&self.chain, &origin, index as u8, &output.note);
            let id = coin_id(&self.chain, &link, &output.custody);
            assert!(self.coins.insert(id, CoinStatus::Unconfirmed).is_none(), "C-1: ids are unique for ever");
            assert!(!self.records.contains_key(&id), "C-1: ids are unique for ever");
        }
    }

    fn run_batch(&mut self, signed: &SignedBatch, before: &Naive) -> u16 {
        let batch = &signed.batch;
        if batch.number.0 != self.batch + 1 {
            return 40;
        }
        if batch.previous != self.batch_hash {
            return 41;
        }
        let key = before.central().central_bank.as_ref().unwrap().registration;
        if !signed.signature_is_valid(&self.chain, &key) {
            return 42;
        }
        if batch.records.len() > self.genesis.batch_records_max as usize {
            return 43;
        }
        let coins: Vec<CoinId> = batch.records.iter().map(|record| record.coin).collect();
        if (1..coins.len()).any(|i| coins[i - 1] >= coins[i])
            || (1..batch.settled.len()).any(|i| batch.settled[i - 1] >= batch.settled[i])
            || (1..batch.overdue.len()).any(|i| batch.overdue[i - 1] >= batch.overdue[i])
            || (1..batch.cleared.len()).any(|i| batch.cleared[i - 1] >= batch.cleared[i])
        {
            return 44;
        }
        for record in &batch.records {
            let has_tag = record.tag != OwnerTag::ZERO;
            let has_check = record.failed_check != 0;
            let fits = match record.status {
                RecordStatus::Live | RecordStatus::Frozen => has_tag && !has_check,
                RecordStatus::Spent => !has_tag && !has_check,
                RecordStatus::Disputed => has_check,
            };
            if !fits {
                return 45;
            }
        }
        let mut after = self.clone();
        for line in &batch.records {
            let last = self.records.get(&line.coin).and_then(|records| records.last()).map(|record| record.status);
            let becomes = match (self.coins.get(&line.coin), line.status) {
                (None, RecordStatus::Spent) if last.is_some() && last != Some(RecordStatus::Spent) => None,
                (None, _) => {
                    after.skipped.push(line.coin);
                    continue;
                }
                (Some(CoinStatus::Unconfirmed), RecordStatus::Live) => Some(CoinStatus::Live),
                (Some(CoinStatus::Frozen), RecordStatus::Live) => Some(CoinStatus::Live),
                (Some(CoinStatus::Disputed), RecordStatus::Live) => Some(CoinStatus::Live),
                (Some(CoinStatus::Unconfirmed), RecordStatus::Disputed) => Some(CoinStatus::Disputed),
                (Some(CoinStatus::Unconfirmed), RecordStatus::Frozen) => Some(CoinStatus::Frozen),
                (Some(CoinStatus::Live), RecordStatus::Frozen) => Some(CoinStatus::Frozen),
                _ => return 46,
            };
            let record = Record {
                status: line.status,
                batch: batch.number,
                height: Height(self.height),
                time_ms: self.time,
                contract: ContractNumber(0),
                failed_check: line.failed_check,
                tag: line.tag,
            };
            if let Some(status) = becomes {
                after.coins.insert(line.coin, status);
            }
            after.records.entry(line.coin).or_default().push(record);
            after.log.push(Some(LogLeaf::Record { coin: line.coin, record }));
        }
        for envelope in &batch.settled {
            match after.unsettled.remove(envelope) {
                None => return 47,
                Some((Some(series), amount)) => *after.issued.entry(series).or_default() += u128::from(amount),
                Some((None, amount)) => after.redeemed += u128::from(amount),
            }
        }
        for entry in &batch.overdue {
            if self.line(entry.submitter.0).is_none() || !after.overdue.insert((entry.envelope, entry.submitter.0)) {
                return 48;
            }
            after.log.push(Some(LogLeaf::Overdue(*entry)));
        }
        for entry in &batch.cleared {
            let key = (entry.envelope, entry.submitter.0);
            if !self.overdue.contains(&key) {
                return 48;
            }
            after.overdue.remove(&key);
            after.log.push(Some(LogLeaf::Cleared(*entry)));
        }
        after.log.extend(after.events.drain(..).map(Some));
        if let Some((order, binds_at)) = &mut after.pending {
            let height = *binds_at.get_or_insert(self.height + 2);
            after.ordered.get_mut(&order.number).unwrap().2 = Some(height);
        }
        after.batch = batch.number.0;
        after.batch_hash = batch.hash(&self.chain);
        *self = after;
        0
    }

    /// B-7, by comparing two whole states.
    fn delta_since(&self, before: &Naive) -> [u8; 32] {
        let sorted = |ids: Vec<CoinId>, with_coin: bool| {
            let mut ids = ids;
            ids.sort();
            let mut bytes = (ids.len() as u32).to_le_bytes().to_vec();
            for id in ids {
                bytes.extend(id.0);
                if with_coin {
                    bytes.push(self.coins[&id] as u8);
                    bytes.extend(0u32.to_le_bytes());
                }
            }
            bytes
        };
        let created = self.coins.keys().filter(|id| !before.coins.contains_key(id)).copied().collect();
        let deleted = before.coins.keys().filter(|id| !self.coins.contains_key(id)).copied().collect();
        let is_changed = |id: &&CoinId| before.coins.get(id).is_some_and(|old| *old != self.coins[*id]);
        let changed = self.coins.keys().filter(is_changed).copied().collect();
        let parts = [sorted(created, true), sorted(deleted, false), sorted(changed, true)];
        self.chain.hash(Tag::Delta, &[&before.delta, &parts[0], &parts[1], &parts[2]])
    }

    /// B-1, but for the map's root.
    pub fn state_root(&self, map_root: &TreeRoot) -> StateRoot {
        let mut numbers: Vec<(u32, u64)> = self.issue_numbers.iter().map(|(series, next)| (*series, *next)).collect();
        numbers.sort();
        let mut number_bytes = (numbers.len() as u32).to_le_bytes().to_vec();
        for (series, next) in numbers {
            number_bytes.extend(series.to_le_bytes());
            number_bytes.extend(next.to_le_bytes());
        }
        let mut overdue: Vec<(EnvelopeId, u16)> = self.overdue.iter().copied().collect();
        overdue.sort();
        let mut overdue_bytes = (overdue.len() as u32).to_le_bytes().to_vec();
        for (envelope, submitter) in overdue {
            overdue_bytes.extend(envelope.0);
            overdue_bytes.extend(submitter.to_le_bytes());
        }
        let numbers = self.chain.hash(Tag::IssueNumbers, &[&number_bytes]);
        let overdue = self.chain.hash(Tag::Overdue, &[&overdue_bytes]);
        let parts: [&[u8]; 5] = [&self.delta, &map_root.0, &self.batch_hash.0, &numbers, &overdue];
        StateRoot(self.chain.hash(Tag::State, &parts))
    }
}
