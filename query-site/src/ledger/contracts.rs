//! Contracts, feeds and loans: what an observer says of them, believed as far as its proofs of the map and of the log carry.
//!
//! What must stay true:
//! - An observer's words choose the questions and nothing else. What stands under a key its proofs say, all of an answer in one
//!   state; a package is a version's by its hash (PROTOCOL 10.9).
//! - What is dense is shown without a gap: contracts, versions and feeds up to the number under which nothing stands, of a period
//!   every vintage up to the one that there is none of. What an observer leaves out of a list is named [`Failure::Omitted`].
//! - A question costs what is bounded before it is asked: at most [`ENTRIES_MAX`] keys.

mod found;

pub use found::*;

use super::upstream::{Upstream, UpstreamError};
use super::{AnswerError, Failure, Ledger, Settle, note_head, outcome};
use contracts_vm::Package;
use futures::future::BoxFuture;
use ledger_types::contract::{Receipt, policy_hash};
use ledger_types::encoding::{Decode, Encode};
use ledger_types::log_leaf::LogLeaf;
use ledger_types::{ContractNumber, FeedNumber, ObligationId, Period, PolicyHash, PolicyVersion, Vintage};
use ledger_verify::{
    Entry, EntryInState, EntryKey, LeafProof, Reason, StateProof, VerifiedState, verify_entries, verify_leaf,
};
use node_api::contracts::{self as doc, ENTRIES_MAX};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Of one look: a state proof and the entries, in hex.
const ENTRIES_BYTES_MAX: usize = 4 << 20;
const LIST_BYTES_MAX: usize = 1 << 20;
/// A contract with all versions, each with its package twice.
const CONTRACT_BYTES_MAX: usize = 8 << 20;
const FEED_BYTES_MAX: usize = 8 << 20;
const RECEIPT_BYTES_MAX: usize = 256 << 10;
/// Of contracts, and of feeds: the newest.
pub const LISTED_MAX: u32 = 60;
/// Of a contract: the newest, in full.
pub const VERSIONS_MAX: u32 = 16;
/// Of a feed, on one page.
pub const PERIODS_MAX: u32 = 40;
/// Open loans that are shown, of a contract.
pub const OPEN_MAX: usize = 20;
/// A key, its value, and an answer's other bytes leave so many for a feed's vintages.
const FEED_KEYS_MAX: usize = ENTRIES_MAX - 16;

/// A feed of a program: its number, as the observer says, and the keys of what the program may look at.
type FeedAsked = (Option<FeedNumber>, Vec<EntryKey>);

/// Keys of every vintage of the periods from `newest` back to `oldest`, as far as the budget goes: those that the observer has,
/// and after them the one that there must be none of. With the oldest period that they reach.
fn vintage_keys(
    feed: FeedNumber,
    newest: u32,
    oldest: u32,
    items: &[doc::Item],
    budget: usize,
) -> (Vec<EntryKey>, Option<u32>) {
    let mut count: BTreeMap<u32, u32> = BTreeMap::new();
    for item in items {
        *count.entry(item.period).or_default() += 1;
    }
    let (mut keys, mut reached) = (Vec::new(), None);
    for period in (oldest..=newest).rev() {
        let vintages = count.get(&period).copied().unwrap_or_default();
        if keys.len() + vintages as usize + 1 > budget {
            break;
        }
        keys.extend((0..=vintages).map(|vintage| EntryKey::FeedItem(feed, Period(period), Vintage(vintage))));
        reached = Some(period);
    }
    (keys, reached)
}

impl Ledger {
    /// From the first observer that answers; a lie is named only if nobody answers truly.
    async fn first<'a, T>(
        &'a self,
        ask: impl Fn(&'a Upstream) -> BoxFuture<'a, Result<T, AnswerError>>,
    ) -> Result<T, AnswerError> {
        let mut worst = AnswerError::Silent;
        for upstream in self.askable() {
            match ask(upstream).await {
                Ok(found) => return Ok(found),
                Err(AnswerError::Silent) => {}
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }

    /// Whether an answer as of this state is what would be answered now.
    pub(super) fn is_newest(&self, state: &VerifiedState) -> bool {
        let Some(tip) = self.view().tip.clone() else { return false };
        let age_ms = self.clock.now_ms().saturating_sub(state.signed_at_ms());
        // A tip that is no fresher has nothing newer to say.
        let is_fresh = age_ms <= super::PROOF_FRESH_MS || state.signed_at_ms() >= tip.signed_at_ms;
        state.head() == tip.state().head() && is_fresh
    }

    /// None: the observer has no such thing, as it says.
    async fn document<T: serde::de::DeserializeOwned>(
        &self,
        upstream: &Upstream,
        path: &str,
        bytes_max: usize,
    ) -> Result<Option<T>, AnswerError> {
        match upstream.ask::<T>(path, bytes_max).await {
            Ok(document) => Ok(Some(document)),
            Err(UpstreamError::Refused(problem)) => match problem.status {
                404 => Ok(None),
                429 => Err(AnswerError::Busy),
                _ => Err(AnswerError::Silent),
            },
            Err(UpstreamError::Unreachable) => Err(AnswerError::Silent),
            Err(UpstreamError::Busy) => Err(AnswerError::Busy),
            Err(UpstreamError::Foreign) => Err(untrue(upstream, Failure::Invalid(Reason::Malformed))),
        }
    }

    async fn prove(&self, upstream: &Upstream, keys: &[EntryKey]) -> Result<Proved, AnswerError> {
        let texts: Vec<String> = keys.iter().map(|key| hex::encode(key.to_bytes())).collect();
        let path = format!("/v1/entries?keys={}", texts.join(","));
        let document: Option<doc::Entries> = self.document(upstream, &path, ENTRIES_BYTES_MAX).await?;
        let document = document.ok_or(AnswerError::Silent)?;
        let malformed = || untrue(upstream, Failure::Invalid(Reason::Malformed));
        let state: StateProof = decoded(&document.state).ok_or_else(malformed)?;
        let entries: Option<Vec<EntryInState>> = document.entries.iter().map(|text| decoded(text)).collect();
        let entries = entries.ok_or_else(malformed)?;
        let now_ms = self.clock.now_ms();
        let verified = outcome(self.belief.judge(|trust| verify_entries(trust, keys, &state, &entries, now_ms)));
        let verified = verified.map_err(|failure| {
            self.note_split(&failure, upstream, note_head(&state.checkpoint));
            untrue(upstream, failure)
        })?;
        let state = verified.first().expect("at least one key is asked for").state().clone();
        self.settled(upstream, &state).await?;
        let found = verified.into_iter().map(|one| (one.key(), one.entry().cloned())).collect();
        Ok(Proved { state, state_proof: document.state, entries: document.entries, found })
    }

    async fn settled(&self, upstream: &Upstream, state: &VerifiedState) -> Result<(), AnswerError> {
        match self.settle(upstream, state.head()).await {
            Ok(()) => Ok(()),
            Err(Settle::Failed(failure)) => Err(untrue(upstream, failure)),
            Err(Settle::Silent) => Err(AnswerError::Silent),
        }
    }

    /// Of the policy with this hash; asked for once, since it never changes.
    async fn package(
        &self,
        upstream: &Upstream,
        contract: ContractNumber,
        policy: &PolicyHash,
    ) -> Result<Option<Arc<Package>>, AnswerError> {
        if let Some(package) = self.packages.get(policy) {
            return Ok(Some(package));
        }
        let path = format!("/v1/contracts/{contract}");
        let document: Option<doc::Contract> = self.document(upstream, &path, CONTRACT_BYTES_MAX).await?;
        for version in document.iter().flat_map(|document| &document.versions) {
            self.keep_package(&version.package);
        }
        Ok(self.packages.get(policy))
    }

    /// Under the hash that it has. Nothing if it is no package.
    fn keep_package(&self, text: &str) -> Option<(PolicyHash, Arc<Package>)> {
        let bytes = hex::decode(text).ok()?;
        let policy = self.belief.judge(|trust| policy_hash(trust.chain(), &bytes));
        if let Some(package) = self.packages.get(&policy) {
            return Some((policy, package));
        }
        let package = Arc::new(Package::as_deployed(&bytes).ok()?);
        self.packages.put(policy, package.clone());
        Some((policy, package))
    }

    pub async fn contracts(&self) -> Result<Arc<ContractsFound>, AnswerError> {
        if let Some(kept) = self.contract_list.get(&()).filter(|kept| self.is_newest(&kept.proved.state)) {
            return Ok(kept);
        }
        let found = Arc::new(self.first(|upstream| Box::pin(self.contracts_from(upstream))).await?);
        self.contract_list.put((), found.clone());
        Ok(found)
    }

    async fn contracts_from(&self, upstream: &Upstream) -> Result<ContractsFound, AnswerError> {
        let document: Option<doc::Contracts> = self.document(upstream, "/v1/contracts", LIST_BYTES_MAX).await?;
        let said = document.ok_or(AnswerError::Silent)?.contracts;
        let count = u32::try_from(said.len()).unwrap_or(u32::MAX);
        let first = count.saturating_sub(LISTED_MAX) + 1;
        let mut keys = Vec::new();
        for summary in said.iter().skip(first as usize - 1) {
            let number = ContractNumber(summary.contract);
            keys.push(EntryKey::Contract(number));
            // From the one that binds, as the observer says, to the newest: two as a rule.
            let from = summary.version_in_force.unwrap_or(summary.version).min(summary.version);
            let from = from.max(summary.version.saturating_sub(2));
            keys.extend((from..=summary.version).map(|version| EntryKey::Version(number, PolicyVersion(version))));
        }
        keys.push(EntryKey::Contract(ContractNumber(count.saturating_add(1))));
        let proved = self.prove(upstream, &keys).await?;
        let omitted = || untrue(upstream, Failure::Omitted);
        if proved.head(ContractNumber(count.saturating_add(1))).is_some() {
            return Err(omitted());
        }
        let height = proved.state.height().next();
        let mut contracts = Vec::new();
        for number in (first..=count).map(ContractNumber) {
            let head = proved.head(number).ok_or_else(omitted)?;
            let versions = (1..=head.newest.0).rev().map(PolicyVersion);
            let mut known = versions.map_while(|version| Some((version, proved.version(number, version)?)));
            let newest = known.next().ok_or_else(omitted)?;
            let binding = std::iter::once(newest).chain(known).find(|(_, policy)| policy.binds_at <= height);
            let standing = Standing::of(&head, binding.map(|(version, _)| version), height);
            let (shown, deployed) = binding.unwrap_or(newest);
            let package = self.package(upstream, number, &deployed.policy).await?;
            let package = package.ok_or_else(|| untrue(upstream, Failure::Invalid(Reason::WrongRecord)))?;
            contracts.push(ContractListed { number, head, standing, shown, deployed, package });
        }
        Ok(ContractsFound { proved, contracts, count })
    }

    /// None: the map shows that there is no such contract.
    pub async fn contract(&self, number: ContractNumber) -> Result<Option<Arc<ContractFound>>, AnswerError> {
        if let Some(kept) = self.contracts.get(&number).filter(|kept| self.is_newest(&kept.proved.state)) {
            return Ok(Some(kept));
        }
        let found = self.first(|upstream| Box::pin(self.contract_from(upstream, number))).await?.map(Arc::new);
        if let Some(found) = &found {
            self.contracts.put(number, found.clone());
        }
        Ok(found)
    }

    async fn contract_from(
        &self,
        upstream: &Upstream,
        number: ContractNumber,
    ) -> Result<Option<ContractFound>, AnswerError> {
        let path = format!("/v1/contracts/{number}");
        let said: Option<doc::Contract> = self.document(upstream, &path, CONTRACT_BYTES_MAX).await?;
        let Some(said) = said else {
            let proved = self.prove(upstream, &[EntryKey::Contract(number)]).await?;
            return match proved.head(number) {
                None => Ok(None),
                Some(_) => Err(untrue(upstream, Failure::Omitted)),
            };
        };
        // By their hashes; which of them the ledger has, the proofs say.
        let mut packages: BTreeMap<u32, (PolicyHash, Arc<Package>, String)> = BTreeMap::new();
        for version in said.versions.into_iter().rev().take(VERSIONS_MAX as usize) {
            if let Some((policy, package)) = self.keep_package(&version.package) {
                packages.insert(version.version, (policy, package, version.package));
            }
        }
        let newest = said.summary.version;
        let first = newest.saturating_sub(VERSIONS_MAX - 1).max(1);
        let mut keys = vec![EntryKey::Contract(number)];
        keys.extend((first..=newest).map(|version| EntryKey::Version(number, PolicyVersion(version))));
        let path = format!("/v1/obligations?contract={number}");
        let open: Option<Vec<doc::Obligation>> = self.document(upstream, &path, LIST_BYTES_MAX).await?;
        let open = open.unwrap_or_default();
        let ids = open.iter().take(OPEN_MAX).filter_map(|one| ObligationId::from_hex(&one.obligation));
        let ids: Vec<ObligationId> = ids.collect();
        keys.extend(ids.iter().map(|id| EntryKey::Obligation(*id)));
        let shown = said.summary.version_in_force.unwrap_or(newest);
        let used = packages.get(&shown).map(|(_, package, _)| package.clone());
        let asked = match &used {
            Some(package) => self.feeds_to_ask(upstream, package, ENTRIES_MAX - keys.len()).await?,
            None => None,
        };
        keys.extend(asked.iter().flat_map(|asked| asked.iter().flat_map(|(_, keys)| keys.iter().copied())));
        let proved = self.prove(upstream, &keys).await?;

        let omitted = || untrue(upstream, Failure::Omitted);
        let head = proved.head(number).ok_or_else(omitted)?;
        if head.newest.0 != newest {
            return Err(omitted());
        }
        let mut versions = Vec::new();
        for version in (first..=newest).map(PolicyVersion) {
            let deployed = proved.version(number, version).ok_or_else(omitted)?;
            // 10.9: a package is a version's by its hash.
            let (_, package, bytes) = packages
                .remove(&version.0)
                .filter(|(policy, ..)| *policy == deployed.policy)
                .ok_or_else(|| untrue(upstream, Failure::Invalid(Reason::WrongRecord)))?;
            versions.push(VersionFound { version, deployed, package, bytes });
        }
        let height = proved.state.height().next();
        let binds = |one: &&VersionFound| one.deployed.binds_at <= height;
        let binding = versions.iter().rev().find(binds).map(|one| one.version);
        let standing = Standing::of(&head, binding, height);
        let read = binding.unwrap_or(head.newest).0;
        let readings = match (used, asked) {
            (Some(package), Some(asked)) if read == shown => Some(read_feeds(&proved, &package, &asked)),
            _ => None,
        };
        let readings = readings.transpose().map_err(|failure| untrue(upstream, failure))?;
        // One that was returned meanwhile stands no longer.
        let is_more_open = open.len() > ids.len();
        let open = ids.into_iter().filter_map(|id| match proved.get(EntryKey::Obligation(id))? {
            Some(Entry::Obligation(obligation)) if obligation.contract == number => Some((id, *obligation)),
            _ => None,
        });
        let open = open.collect();
        Ok(Some(ContractFound { number, head, standing, versions, binding, readings, open, is_more_open, proved }))
    }

    /// For each feed of a program its number, and the keys of what the program may look at. None if they are too many.
    async fn feeds_to_ask(
        &self,
        upstream: &Upstream,
        package: &Package,
        budget: usize,
    ) -> Result<Option<Vec<FeedAsked>>, AnswerError> {
        let (mut asked, mut left) = (Vec::new(), budget);
        for used in package.program.feeds() {
            let Some(said) = self.feed_said(upstream, used.series.as_str()).await? else {
                asked.push((None, Vec::new()));
                continue;
            };
            let number = FeedNumber(said.summary.feed);
            let mut keys = vec![EntryKey::Feed(number)];
            if let Some(newest) = said.summary.newest_period {
                let mut periods: Vec<u32> = said.items.iter().map(|item| item.period).collect();
                periods.dedup();
                let oldest = periods.iter().rev().take(usize::from(used.periods.max(1))).next_back();
                let oldest = oldest.copied().unwrap_or(newest);
                let (vintages, reached) = vintage_keys(number, newest, oldest, &said.items, left.saturating_sub(1));
                if reached != Some(oldest) {
                    return Ok(None);
                }
                keys.extend(vintages);
            }
            let Some(rest) = left.checked_sub(keys.len()) else { return Ok(None) };
            left = rest;
            asked.push((Some(number), keys));
        }
        Ok(Some(asked))
    }

    async fn feed_said(&self, upstream: &Upstream, name: &str) -> Result<Option<doc::Feed>, AnswerError> {
        // The rules allow these two names, and no address has a segment of dots alone: nobody can be asked for them.
        if matches!(name, "." | "..") {
            return Ok(None);
        }
        self.document(upstream, &format!("/v1/feeds/{name}"), FEED_BYTES_MAX).await
    }

    pub async fn feeds(&self) -> Result<Arc<FeedsFound>, AnswerError> {
        if let Some(kept) = self.feed_list.get(&()).filter(|kept| self.is_newest(&kept.proved.state)) {
            return Ok(kept);
        }
        let found = Arc::new(self.first(|upstream| Box::pin(self.feeds_from(upstream))).await?);
        self.feed_list.put((), found.clone());
        Ok(found)
    }

    async fn feeds_from(&self, upstream: &Upstream) -> Result<FeedsFound, AnswerError> {
        let document: Option<doc::Feeds> = self.document(upstream, "/v1/feeds", LIST_BYTES_MAX).await?;
        let said = document.ok_or(AnswerError::Silent)?.feeds;
        let count = u32::try_from(said.len()).unwrap_or(u32::MAX);
        let first = count.saturating_sub(LISTED_MAX) + 1;
        let numbers = first..=count.saturating_add(1);
        let keys: Vec<EntryKey> = numbers.map(|number| EntryKey::Feed(FeedNumber(number))).collect();
        let proved = self.prove(upstream, &keys).await?;
        let omitted = || untrue(upstream, Failure::Omitted);
        if proved.feed(FeedNumber(count.saturating_add(1))).is_some() {
            return Err(omitted());
        }
        let feeds = (first..=count).map(|number| proved.feed(FeedNumber(number)).cloned().ok_or_else(omitted));
        let feeds = feeds.collect::<Result<_, _>>()?;
        Ok(FeedsFound { proved, feeds, count })
    }

    /// The newest periods of a feed, or those before a period. None: there is no feed of this name.
    pub async fn feed(&self, name: &str, before: Option<u32>) -> Result<Option<Arc<FeedFound>>, AnswerError> {
        let key = (hash_of(name), before);
        if let Some(kept) = self.feeds.get(&key).filter(|kept| self.is_newest(&kept.proved.state)) {
            return Ok(Some(kept));
        }
        let found = self.first(|upstream| Box::pin(self.feed_from(upstream, name.to_owned(), before))).await?;
        let found = found.map(Arc::new);
        if let Some(found) = &found {
            self.feeds.put(key, found.clone());
        }
        Ok(found)
    }

    async fn feed_from(
        &self,
        upstream: &Upstream,
        name: String,
        before: Option<u32>,
    ) -> Result<Option<FeedFound>, AnswerError> {
        let omitted = || untrue(upstream, Failure::Omitted);
        let Some(said) = self.feed_said(upstream, &name).await? else {
            // Feeds are few: their whole list shows it.
            let all = self.feeds_from(upstream).await?;
            let is_there = all.feeds.iter().any(|feed| feed.definition.name.as_str() == name);
            return if is_there { Err(omitted()) } else { Ok(None) };
        };
        let number = FeedNumber(said.summary.feed);
        let mut keys = vec![EntryKey::Feed(number)];
        let oldest = said.items.first().map(|item| item.period);
        let newest = said.summary.newest_period.map(|newest| match before {
            Some(before) => newest.min(before.saturating_sub(1)),
            None => newest,
        });
        let window = newest.zip(oldest).filter(|(newest, oldest)| oldest <= newest);
        let mut reached = None;
        if let Some((newest, oldest)) = window {
            let from = oldest.max(newest.saturating_sub(PERIODS_MAX - 1));
            let vintages;
            (vintages, reached) = vintage_keys(number, newest, from, &said.items, FEED_KEYS_MAX);
            keys.extend(vintages);
        }
        let proved = self.prove(upstream, &keys).await?;
        let feed = proved.feed(number).cloned().ok_or_else(omitted)?;
        if feed.definition.name.as_str() != name {
            return Err(untrue(upstream, Failure::Invalid(Reason::OtherCoin)));
        }
        if feed.newest.map(|period| period.0) != said.summary.newest_period {
            return Err(omitted());
        }
        let mut periods = Vec::new();
        if let (Some((newest, _)), Some(reached)) = (window, reached) {
            for period in (reached..=newest).rev().map(Period) {
                periods.push((period, proved.vintages(number, period).ok_or_else(omitted)?));
            }
        }
        let older = reached.filter(|reached| oldest.is_some_and(|oldest| oldest < *reached)).map(Period);
        Ok(Some(FeedFound { proved, feed, periods, older }))
    }

    /// A loan by its obligation: its receipt, or that it is owed. None: nothing is known of it.
    pub async fn loan(&self, id: ObligationId) -> Result<Option<LoanFound>, AnswerError> {
        if let Some(kept) = self.receipts.get(&id).filter(|kept| self.is_newest(kept.logged.state())) {
            return Ok(Some(LoanFound::Returned(kept)));
        }
        let found = self.first(|upstream| Box::pin(self.loan_from(upstream, id))).await?;
        if let Some(LoanFound::Returned(found)) = &found {
            self.receipts.put(id, found.clone());
        }
        Ok(found)
    }

    async fn loan_from(&self, upstream: &Upstream, id: ObligationId) -> Result<Option<LoanFound>, AnswerError> {
        let path = format!("/v1/receipts/{id}");
        let said: Option<doc::ProvedReceipt> = self.document(upstream, &path, RECEIPT_BYTES_MAX).await?;
        let asked = EntryKey::Obligation(id);
        let Some(said) = said else {
            let proved = self.prove(upstream, &[asked]).await?;
            if let Some(Some(Entry::Obligation(obligation))) = proved.get(asked) {
                let obligation = *obligation;
                return Ok(Some(LoanFound::Open { obligation, proved: Box::new(proved) }));
            }
            // The site has read it in the log itself.
            let is_known = self.view().tail.events().receipt(&id).is_some();
            return if is_known { Err(untrue(upstream, Failure::Omitted)) } else { Ok(None) };
        };
        let malformed = || untrue(upstream, Failure::Invalid(Reason::Malformed));
        let proof: LeafProof = decoded(&said.proof).ok_or_else(malformed)?;
        let now_ms = self.clock.now_ms();
        let logged = outcome(self.belief.judge(|trust| verify_leaf(trust, &asked, &proof, now_ms)));
        let logged = logged.map_err(|failure| {
            self.note_split(&failure, upstream, note_head(&proof.state.checkpoint));
            untrue(upstream, failure)
        })?;
        self.settled(upstream, logged.state()).await?;
        // A false statement is about the same key, and no receipt.
        let LogLeaf::Receipt(receipt) = logged.leaf().clone() else {
            return Err(untrue(upstream, Failure::Invalid(Reason::OtherCoin)));
        };
        let computed = self.computed(upstream, &receipt).await?;
        Ok(Some(LoanFound::Returned(Arc::new(ReceiptFound { receipt, logged, proof: said.proof, computed }))))
    }

    /// The receipt's policy, run on its inputs as they stand in the map.
    async fn computed(&self, upstream: &Upstream, receipt: &Receipt) -> Result<Option<Computed>, AnswerError> {
        let Some(package) = self.package(upstream, receipt.contract, &receipt.policy).await? else { return Ok(None) };
        let mut keys: Vec<EntryKey> = Vec::new();
        let mut add = |key| {
            if !keys.contains(&key) {
                keys.push(key)
            }
        };
        for input in receipt.inputs.iter() {
            add(EntryKey::Feed(input.feed));
            if let Some(found) = input.found {
                add(EntryKey::FeedItem(input.feed, found.period, found.vintage));
            }
        }
        let mut feeds = FeedsRead::default();
        if !keys.is_empty() {
            if keys.len() > ENTRIES_MAX {
                return Ok(None);
            }
            let proved = self.prove(upstream, &keys).await?;
            for used in package.program.feeds() {
                let inputs = receipt
                    .inputs
                    .iter()
                    .filter(|input| proved.feed(input.feed).is_some_and(|feed| is_meant(&feed.definition, used)));
                let inputs: Vec<_> = inputs.collect();
                let mut readings = Vec::new();
                for back in 0..used.periods {
                    let Some(input) = inputs.iter().find(|input| input.back == back) else { break };
                    let Some(found) = input.found else { break };
                    let key = EntryKey::FeedItem(input.feed, found.period, found.vintage);
                    let Some(Some(Entry::FeedItem(item))) = proved.get(key) else { return Ok(None) };
                    let Some(reading) = reading_of(item).filter(|_| item.value == found.value) else { return Ok(None) };
                    readings.push(reading);
                }
                feeds.feeds.push(FeedRead { number: inputs.first().map(|input| input.feed), readings });
            }
        }
        let context = contracts_vm::Return { activated_ms: receipt.from_ms, time_ms: receipt.to_ms };
        let evaluation = package.program.return_rate(&context, &feeds);
        let same_inputs = evaluation.inputs.len() == receipt.inputs.len()
            && evaluation.inputs.iter().zip(receipt.inputs.iter()).all(|(used, said)| {
                let found = said.found.map(|found| (found.period.0, found.vintage.0, found.value));
                let read = used.reading.map(|one| (one.period.0.unsigned_abs(), one.vintage, one.value));
                used.back == said.back && read == found
            });
        Ok(Some(Computed { rate: evaluation.value.0, fuel: evaluation.fuel, same_inputs }))
    }
}

/// What a program's feeds say to it (K-12), from vintages that are shown to be all.
fn read_feeds(proved: &Proved, package: &Package, asked: &[FeedAsked]) -> Result<FeedsRead, Failure> {
    let mut feeds = Vec::new();
    for (used, (number, keys)) in package.program.feeds().iter().zip(asked) {
        let is_meant = |number: &FeedNumber| proved.feed(*number).is_some_and(|feed| is_meant(&feed.definition, used));
        let Some(number) = number.filter(is_meant) else {
            feeds.push(FeedRead { number: None, readings: Vec::new() });
            continue;
        };
        let mut periods: Vec<Period> = keys
            .iter()
            .filter_map(|key| match key {
                EntryKey::FeedItem(_, period, _) => Some(*period),
                _ => None,
            })
            .collect();
        periods.dedup();
        // The newest that the ledger has is where the look begins.
        if proved.feed(number).and_then(|feed| feed.newest) != periods.first().copied() {
            return Err(Failure::Omitted);
        }
        let mut readings = Vec::new();
        for period in periods {
            let vintages = proved.vintages(number, period).ok_or(Failure::Omitted)?;
            let item = match used.vintage {
                contracts_vm::Vintage::First => vintages.first(),
                contracts_vm::Vintage::Latest => vintages.last(),
            };
            readings.extend(item.and_then(reading_of));
        }
        feeds.push(FeedRead { number: Some(number), readings });
    }
    Ok(FeedsRead { feeds })
}

fn untrue(by: &Upstream, failure: Failure) -> AnswerError {
    AnswerError::Untrue { by: by.base().to_owned(), failure }
}

fn decoded<T: Decode>(text: &str) -> Option<T> {
    T::from_bytes(&hex::decode(text).ok()?).ok()
}

/// A name as a key of fixed size.
fn hash_of(name: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(name).into()
}
