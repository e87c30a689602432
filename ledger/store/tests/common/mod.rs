//! A chain that is stored and, beside it, kept in memory: each height is executed on both, and both must give the same.
#![allow(dead_code)] // each test file uses its own part

#[path = "../../../state/tests/common/mod.rs"]
pub mod bed;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bed::{BANK2, BANK3, BANK4, Bed, CENTRAL, KnownCoin, certificates, key_of};
use ledger_state::{Applied, CandidateBlock, apply};
use ledger_store::{AckGuard, CommitError, CommittedHeight, OpenError, Store, StoreOptions, Tip};
use ledger_types::block::Block;
use ledger_types::bundle::Bundle;
use ledger_types::encoding::List;
use ledger_types::participant::SignedBy;
use ledger_types::vote::{CommitCertificate, Vote, VoteStep};
use ledger_types::{BlockHash, Chain, Height, ParticipantNumber};
use tempfile::TempDir;

/// The four validators.
pub const VALIDATORS: [ParticipantNumber; 4] = [CENTRAL, BANK2, BANK3, BANK4];

pub struct StoredChain {
    pub bed: Bed,
    pub store: Option<Store>,
    parent_certificate: Option<CommitCertificate>,
    /// Dropped last: a store that is being closed still writes into it, and what it writes would stay.
    pub folder: TempDir,
}

/// A height that is ready to be committed.
pub struct Decided {
    pub block: Block,
    pub certificate: CommitCertificate,
    pub applied: Applied,
}

impl Decided {
    pub fn height(&self) -> CommittedHeight<'_> {
        CommittedHeight { block: &self.block, certificate: &self.certificate, applied: &self.applied }
    }
}

pub fn precommits(chain: &Chain, height: Height, block: BlockHash, signers: &[ParticipantNumber]) -> CommitCertificate {
    let sign = |validator: &ParticipantNumber| {
        let vote = Vote { step: VoteStep::Precommit, height, round: 0, block: Some(block), validator: *validator };
        SignedBy { signer: *validator, signature: key_of(*validator, "consensus").sign(&vote.message(chain)) }
    };
    CommitCertificate { height, round: 0, block, precommits: List::new(signers.iter().map(sign).collect()).unwrap() }
}

impl StoredChain {
    pub fn new() -> Self {
        Self::of(Bed::new())
    }

    pub fn of(bed: Bed) -> Self {
        let folder = tempfile::tempdir().unwrap();
        AckGuard::create(&folder.path().join("acks"), bed.rules.chain.genesis_hash()).unwrap();
        let mut chain = StoredChain { bed, store: None, parent_certificate: None, folder };
        chain.reopen();
        chain
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ledger")
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    /// Drops the store as a process that ends does, and opens it again.
    pub fn reopen(&mut self) {
        self.store = None;
        self.store = Some(self.open_at(&self.path()).unwrap());
    }

    /// The ack guard lies beside the folder, as with its key; none where there is none.
    pub fn guard_of(&self, path: &Path) -> Option<AckGuard> {
        let file = path.with_file_name("acks");
        file.exists().then(|| AckGuard::open(&file, self.bed.rules.chain.genesis_hash()).unwrap())
    }

    pub fn open_at(&self, path: &Path) -> Result<Store, OpenError> {
        Store::open(path, (*self.bed.rules.genesis).clone(), StoreOptions::default(), self.guard_of(path))
    }

    /// What a process leaves that is killed at this moment. Taken again when the storage engine's background work changed
    /// files meanwhile: files copied one after the other are no moment in time.
    pub fn copy(&self) -> TempDir {
        loop {
            let before = listing(&self.path());
            let copy = tempfile::tempdir().unwrap();
            copy_folder(&self.path(), &copy.path().join("ledger"));
            std::fs::copy(self.folder.path().join("acks"), copy.path().join("acks")).unwrap();
            if listing(&self.path()) == before {
                return copy;
            }
        }
    }

    /// Executes bundles on the stored state, and on the one in memory.
    pub fn decide(&self, bundles: &[Arc<Bundle>]) -> Decided {
        let (bed, readers) = (&self.bed, self.store().readers());
        let certificates = certificates(bundles);
        let (height, time_ms) = (bed.ledger.height.next(), bed.next_time_ms());
        let candidate = CandidateBlock { height, time_ms, certificates: &certificates, bundles, parent_round: 0 };
        let snapshot = readers.snapshot().unwrap();
        let applied = apply(&bed.rules, &snapshot.tip().ledger, &snapshot, candidate).unwrap();
        assert_eq!(applied, bed.try_block(bundles).unwrap());
        let block = Block {
            header: applied.header.clone(),
            certificates: List::new(certificates).unwrap(),
            parent_certificate: self.parent_certificate.clone(),
        };
        let certificate = precommits(&bed.rules.chain, height, applied.ledger.block, &VALIDATORS);
        Decided { block, certificate, applied }
    }

    pub fn commit(&mut self, decided: &Decided) -> Result<Arc<Tip>, CommitError> {
        let tip = self.store().commit(decided.height())?;
        self.bed.write(&decided.applied);
        self.parent_certificate = Some(decided.certificate.clone());
        Ok(tip)
    }

    /// Stores bundles and commits them in one block.
    pub fn block(&mut self, bundles: &[Arc<Bundle>]) -> Decided {
        self.store().bundles().put(bundles).unwrap();
        let decided = self.decide(bundles);
        self.commit(&decided).unwrap();
        decided
    }

    /// Of three heights, and closed: a payment, a confirmation, an empty one.
    pub fn closed() -> Self {
        let mut chain = StoredChain::new();
        chain.payment(0);
        let coin = chain.bed.coin_of(bed::BANK2, 1);
        chain.confirmation(&[coin]);
        chain.empty_block();
        chain.store = None;
        chain
    }

    pub fn empty_block(&mut self) -> Decided {
        self.block(&[])
    }

    /// One envelope alone in a block, which must be accepted.
    #[track_caller]
    pub fn accepted(&mut self, draft: bed::Draft) -> Decided {
        let bundle = self.bed.bundle(draft.core.submitter, vec![draft.seal()]);
        let decided = self.block(&[bundle]);
        assert_eq!(decided.applied.results[0].code, 0);
        decided
    }

    /// A height in which bank 2 pays bank 3 out of its nth coin.
    pub fn payment(&mut self, nth: usize) -> Decided {
        let bundle = self.payment_bundle(nth);
        self.block(&[bundle])
    }

    pub fn payment_bundle(&mut self, nth: usize) -> Arc<Bundle> {
        let coin = self.bed.coin_of(BANK2, nth);
        let draft = self.bed.transfer(BANK2, &[coin], &[(BANK3, 60), (BANK2, 40)]);
        self.bed.bundle(BANK2, vec![draft.seal()])
    }

    /// A height that confirms coins as live.
    pub fn confirmation(&mut self, coins: &[KnownCoin]) -> Decided {
        let batch = self.bed.batch(coins.iter().map(|coin| bed::live(coin.id)).collect());
        let bundle = self.bed.confirmation(batch);
        self.block(&[bundle])
    }

    /// Everything that the store says is what the memory says.
    pub fn agrees_with_memory(&self) {
        let readers = self.store().readers();
        let snapshot = readers.snapshot().unwrap();
        assert_eq!(snapshot.tip().ledger, self.bed.ledger);
        agrees(&snapshot, &self.bed);
    }
}

/// Compares a snapshot with the state in memory, row by row, and with rows that do not exist.
pub fn agrees(snapshot: &ledger_store::Snapshot<'_>, bed: &Bed) {
    use ledger_state::StateReader;
    use ledger_tree::log::LogReader;
    use ledger_tree::map::MapReader;

    let state = &bed.state;
    let mut ids: Vec<_> = state.coins.keys().chain(state.records.keys()).copied().collect();
    ids.extend((0..20u8).map(|byte| ledger_types::CoinId([byte; 32])));
    assert_eq!(snapshot.coins(&ids).unwrap(), state.coins(&ids).unwrap());
    assert_eq!(snapshot.records(&ids).unwrap(), state.records(&ids).unwrap());
    for id in &ids {
        assert_eq!(snapshot.coin(id).unwrap(), state.coins.get(id).copied());
        assert_eq!(snapshot.leaf_of_coin(id).unwrap(), state.record_leaves.get(id).copied());
    }
    for (envelope, amount) in &state.pending {
        assert_eq!(snapshot.pending_amount(envelope).unwrap(), Some(*amount));
    }
    for (key, node) in &state.map_nodes {
        assert_eq!(MapReader::node(snapshot, key).unwrap().as_ref(), Some(node));
    }
    for ((level, index), hash) in &state.log_nodes {
        assert_eq!(LogReader::node(snapshot, *level, *index).unwrap(), Some(*hash));
    }
    for (index, leaf) in &state.log_leaves {
        assert_eq!(snapshot.log_leaf(*index).unwrap().as_ref(), Some(leaf));
    }
    assert_eq!(snapshot.log_leaf(bed.ledger.log_size).unwrap(), None);
    let requests: BTreeMap<_, _> = snapshot.requests_before(u64::MAX).map(Result::unwrap).collect();
    assert_eq!(requests, state.request_leaves);

    use ledger_types::{FeedNumber, ObligationId, Period, PolicyHash};
    let mut policies: Vec<PolicyHash> = state.packages.keys().copied().collect();
    policies.push(PolicyHash([1; 32]));
    for policy in &policies {
        assert_eq!(snapshot.package(policy).unwrap(), state.package(policy).unwrap());
        let bytes = state.packages.get(policy).map(|package| package.to_bytes());
        assert_eq!(snapshot.package_bytes(policy).unwrap(), bytes);
    }
    for feed in bed.ledger.feeds.iter().map(|feed| feed.definition.feed).chain([FeedNumber(9)]) {
        let history: Vec<_> = snapshot.feed_history(feed).map(Result::unwrap).collect();
        let of_feed = state.feed_items.values().filter(|item| item.head.feed == feed);
        assert_eq!(history, of_feed.copied().collect::<Vec<_>>());
        for count in [0, 1, 2, 3, u16::MAX] {
            assert_eq!(snapshot.newest_periods(feed, count).unwrap(), state.newest_periods(feed, count).unwrap());
        }
        for period in history.iter().map(|item| item.head.period).chain([Period(7)]) {
            assert_eq!(snapshot.last_vintage(feed, period).unwrap(), state.last_vintage(feed, period).unwrap());
        }
    }
    let obligations: BTreeMap<_, _> = snapshot.obligations().map(Result::unwrap).collect();
    assert_eq!(obligations, state.obligations);
    assert_eq!(snapshot.obligation(&ObligationId([1; 32])).unwrap(), None);
    for bank in bed.ledger.directory.iter().map(|participant| participant.number) {
        let owed: Vec<_> = snapshot.obligations_of(bank).map(Result::unwrap).collect();
        let mut expected: Vec<_> = state.obligations.iter().filter(|(_, open)| open.bank == bank).collect();
        expected.sort_by_key(|(id, open)| (open.obligation.contract, open.obligation.due_ms, **id));
        let expected: Vec<_> =
            expected.into_iter().map(|(id, open)| (open.obligation.contract, open.obligation.due_ms, *id)).collect();
        assert_eq!(owed, expected);
        for (contract, _) in bed.ledger.contracts.iter() {
            assert_eq!(snapshot.earliest_due(bank, contract).unwrap(), state.earliest_due(bank, contract).unwrap());
        }
    }
    for (contract, _) in bed.ledger.contracts.iter() {
        let mut leaves: Vec<_> = snapshot.contract_leaves_before(contract, u64::MAX).map(Result::unwrap).collect();
        leaves.reverse();
        let expected: Vec<u64> =
            state.contract_leaves.iter().filter(|(of, _)| *of == contract).map(|(_, index)| *index).collect();
        assert_eq!(leaves, expected);
    }
    for (obligation, index) in &state.receipt_leaves {
        assert_eq!(snapshot.leaf_of_receipt(obligation).unwrap(), Some(*index));
    }
}

fn listing(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        // Gone since the folder was read: the next listing differs too.
        let Ok(metadata) = entry.metadata() else { continue };
        match metadata.is_dir() {
            true => files.extend(listing(&entry.path())),
            false => drop(files.insert(entry.path(), metadata.len())),
        }
    }
    files
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            // Deleted by the storage engine in the background.
            false => match fs::copy(entry.path(), target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            },
        }
    }
}

/// The newest file of coins among these rows.
pub fn coin_file(rows: &Path) -> PathBuf {
    let files = fs::read_dir(rows).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "coins")).max().unwrap()
}

/// Opens the rows of a closed store without the store, to damage or to print them.
pub fn raw_rows(path: &Path) -> rocksdb::DB {
    let rows = path.join("state");
    let options = rocksdb::Options::default();
    let columns = rocksdb::DB::list_cf(&options, &rows).unwrap();
    rocksdb::DB::open_cf(&options, &rows, columns).unwrap()
}
