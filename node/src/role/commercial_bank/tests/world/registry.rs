//! What the registry proves of this world, and what officers ask of it in public.

use super::{BANKS, CENTRAL, Chain, Said, World, key_of, named, officer};
use ledger_tree::log;
use ledger_tree::map::{self, EntryType, Version};
use ledger_tree::note::{Checkpoint, CosignerKey, Note, NoteKey};
use ledger_types::confirmation::{BatchRecord, RecordStatus};
use ledger_types::envelope::*;
use ledger_types::request::*;
use ledger_types::*;
use ledger_verify::{Answer, CoinProof, RequestProof, StateProof};
use node_api::regulator::RequestFile;
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// Under a checkpoint that the log and every validator sign now.
    fn prove_state(&self, chain: &Chain) -> StateProof {
        let (genesis, size) = (&self.rules.genesis, chain.ledger.log_size);
        let text = Checkpoint::new(genesis.origin.as_str(), size, chain.ledger.log_root.0).unwrap().to_text();
        let log_key = key_of(CENTRAL, "log");
        let by_log = NoteKey::new(genesis.origin.as_str(), &log_key.public_key().0).unwrap();
        let mut lines = vec![by_log.sign(&text, |message| log_key.sign(message).0)];
        for bank in BANKS {
            let key = key_of(bank, "cosign");
            let cosigner = CosignerKey::new(&genesis.cosigner_name(bank), &key.public_key().0).unwrap();
            lines.push(cosigner.cosign(&text, crate::clock::now_ms() / 1_000, |message| key.sign(message).0));
        }
        let checkpoint = Note::new(text, lines).unwrap().to_string();
        StateProof {
            genesis_hash: self.rules.chain.genesis_hash(),
            state_leaf: chain.ledger.last_state_leaf,
            path: path(chain, size - 1),
            checkpoint: Octets::new(checkpoint.into_bytes()).unwrap(),
        }
    }

    /// As the ledger has it.
    pub fn unspent(&self) -> BTreeSet<CoinId> {
        self.chain().state.coins.keys().copied().collect()
    }

    pub fn prove_coin(&self, coin: &CoinId) -> CoinProof {
        let chain = self.chain();
        let state = self.prove_state(&chain);
        let version = Version::after_height(state.state_leaf.height.0);
        let map_proof = map::prove(&chain.state, version, &map::key_hash(EntryType::Record, &coin.0)).unwrap().proof;
        let answer = chain.state.records.get(coin).map_or(Answer::Absent, |record| Answer::Present(*record));
        CoinProof { state, coin: *coin, answer, map_proof }
    }

    /// A request about the coin, ordered, and brought into the log by a batch that confirms nothing.
    pub async fn ask(&self, class: RequestClass, coin: &CoinId) -> RequestFile {
        let tree = &self.rules.chain;
        let expiry_ms = crate::clock::now_ms() + 30_000;
        let blind = named(&format!("{class:?} {coin}"));
        let request = OfficerRequest {
            class,
            basis: BasisCode::parse("COURT-9").unwrap(),
            epoch: expiry_ms / EPOCH_MS,
            commitment: request_commitment(tree, coin, &blind),
        };
        let mut core = Core {
            submitter: CENTRAL,
            inputs: Inputs::Spends(List::empty()),
            outputs: List::empty(),
            contract: ContractNumber(0),
            expiry_ms,
            bucket: Bucket::None,
            hint: EnvelopeHint([0; 16]),
            salt: Salt(blind),
            context: ClearContext::Request(RequestContext { request, authorizations: List::empty() }),
        };
        let message = core.authorization_message(tree);
        let sign = |index: u8| OfficerSignature { officer: index, signature: officer(index.into()).sign(&message) };
        let authorizations = List::new((0..2).map(sign).collect()).unwrap();
        core.context = ClearContext::Request(RequestContext { request, authorizations });
        let header = EnvelopeHeader { core, commitment: KeyCommitment::ZERO };
        self.submit(CENTRAL, Envelope { header, ciphertext: Vec::new() });
        self.block().await;
        self.confirm(Said::default()).await;

        let chain = self.chain();
        let leaves = chain.state.request_leaves.iter();
        let index = *leaves.clone().find(|(_, logged)| **logged == request).expect("the batch brought it in").0;
        let proof = RequestProof { state: self.prove_state(&chain), request, index, path: path(&chain, index) };
        RequestFile {
            schema_version: 1,
            genesis_hash: tree.genesis_hash().to_string(),
            class: class.as_str().into(),
            basis: request.basis.to_string(),
            epoch: request.epoch,
            coin: coin.to_string(),
            blind: hex::encode(blind),
            index,
            proof: hex::encode(proof.to_bytes()),
            hand_overs: Vec::new(),
        }
    }

    /// A batch says it of the coin, whose owner stays.
    pub async fn publish(&self, coin: CoinId, status: RecordStatus) {
        let tag = self.record(&coin).expect("it is registered").tag;
        let records = BTreeMap::from([(coin, BatchRecord { coin, status, failed_check: 0, tag })]);
        self.confirm(Said { records, ..Said::default() }).await;
    }
}

/// Of a leaf, up to the log's root.
fn path<const MAX: usize>(chain: &Chain, index: u64) -> List<TreeRoot, MAX> {
    let path = log::prove_inclusion(&chain.state, index, chain.ledger.log_size).unwrap();
    List::new(path.into_iter().map(TreeRoot).collect()).unwrap()
}
