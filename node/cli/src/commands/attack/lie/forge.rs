//! From true answers to false ones. Pure: no network, no clock.

use super::Kind;
use crate::cluster::Cluster;
use crate::key_file::{read_passphrase, signing_key, signing_key_in};
use crate::outcome::Failure;
use ledger_tree::log;
use ledger_tree::note::{Checkpoint, CosignerKey, Note, NoteKey, NoteSignature};
use ledger_types::block::BlockHeader;
use ledger_types::confirmation::{Record, RecordStatus};
use ledger_types::encoding::{Decode, Encode, List, Octets};
use ledger_types::envelope::OfficerSignature;
use ledger_types::keys::SigningKey;
use ledger_types::log_leaf::{LogLeaf, StateLeaf};
use ledger_types::participant::{PARTICIPANTS_MAX, SignedBy, Validator, ValidatorSet};
use ledger_types::vote::{CommitCertificate, Vote, VoteStep};
use ledger_types::*;
use ledger_verify::{Answer, CoinProof, HandOver, HandOverOrder, StateProof, Trust};
use std::collections::HashMap;

/// The keys of those who would have to lie together: the central bank's log, its officers, and every validator.
pub struct Collusion {
    log: SigningKey,
    officers: Vec<SigningKey>,
    validators: Vec<(Validator, Keys)>,
}

struct Keys {
    consensus: SigningKey,
    cosign: SigningKey,
}

impl Collusion {
    /// Of a local cluster: each process's folder holds its keys and its passphrase.
    pub fn of(cluster: &Cluster, trust: &Trust) -> Result<Collusion, Failure> {
        let central = cluster.with_role("central_bank")?;
        let log = signing_key(&central.folder, "log")?;
        // The officers' keys lie beside the central bank's folder, under its passphrase.
        let officers = central.folder.with_file_name("officers");
        let passphrase = read_passphrase(&central.folder.join("passphrase"))?;
        let officers = (1..=trust.genesis().officers.len())
            .map(|number| signing_key_in(&officers, &format!("officer-{number}"), &passphrase))
            .collect::<Result<_, _>>()?;
        let mut validators = Vec::new();
        for validator in trust.validators().iter() {
            let is_its = |process: &&crate::cluster::Process| {
                process.participant == validator.number.0 && process.folder.join("keys/cosign.pem").exists()
            };
            let process = cluster.processes.iter().find(is_its);
            let process = process
                .ok_or_else(|| Failure::usage(format!("the cluster's folder has no keys of {}", validator.number)))?;
            let key = |name| signing_key(&process.folder, name);
            validators.push((validator.clone(), Keys { consensus: key("consensus")?, cosign: key("cosign")? }));
        }
        Ok(Collusion { log, officers, validators })
    }

    /// A checkpoint by the log and all validators.
    fn sign(&self, trust: &Trust, size: u64, root: [u8; 32], time_s: u64) -> String {
        let origin = trust.genesis().origin.as_str();
        let text = Checkpoint::new(origin, size, root).expect("the origin is a checkpoint's: G-1").to_text();
        let log = NoteKey::new(origin, &self.log.public_key().0).expect("a sound key under the origin");
        let mut lines = vec![log.sign(&text, |message| self.log.sign(message).0)];
        for (validator, keys) in &self.validators {
            let name = trust.genesis().cosigner_name(validator.number);
            let key = CosignerKey::new(&name, &keys.cosign.public_key().0).expect("a sound key under its name");
            lines.push(key.cosign(&text, time_s, |message| keys.cosign.sign(message).0));
        }
        Note::new(text, lines).expect("as many lines as validators").to_string()
    }

    /// The set in which the first validator has one vote more: less than a third of the power moves (G-3).
    fn incoming(&self) -> ValidatorSet {
        let mut set: Vec<Validator> = self.validators.iter().map(|(validator, _)| validator.clone()).collect();
        set[0].power += 1;
        let set: List<Validator, PARTICIPANTS_MAX> = List::new(set).expect("as many as before");
        ValidatorSet::from_bytes(&set.to_bytes()).expect("a set with one vote more is a set")
    }

    /// A hand-over to [`Self::incoming`] that holds, decided by a block that exists nowhere else.
    fn hand_over(&self, trust: &Trust) -> HandOver {
        let chain = trust.chain();
        let incoming = self.incoming();
        let next_set_hash = incoming.hash(chain);
        let order = HandOverOrder { number: trust.hand_overs() + 1, outgoing: trust.set_hash(), incoming };
        let message = order.message(chain);
        let officers = self.officers.iter().enumerate().map(|(index, key)| OfficerSignature {
            officer: u8::try_from(index).expect("sixteen officers at most"),
            signature: key.sign(&message),
        });
        let header = BlockHeader {
            version: RulesVersion::GENESIS,
            height: Height(1),
            parent: BlockHash([0; 32]),
            time_ms: trust.genesis().time_ms + 1,
            certificates_root: MerkleRoot([0; 32]),
            results_root: MerkleRoot([0; 32]),
            state_root: StateRoot([0; 32]),
            log_size: 0,
            log_root: TreeRoot([0; 32]),
            map_root: TreeRoot([0; 32]),
            participants_hash: ParticipantsHash([0; 32]),
            next_set_hash,
            parent_round: 0,
        };
        let (height, block) = (header.height, header.hash(chain));
        let precommits = self.validators.iter().map(|(validator, keys)| {
            let signer = validator.number;
            let vote = Vote { step: VoteStep::Precommit, height, round: 0, block: Some(block), validator: signer };
            SignedBy { signer, signature: keys.consensus.sign(&vote.message(chain)) }
        });
        let precommits = List::new(precommits.collect()).expect("as many as validators");
        let certificate = CommitCertificate { height, round: 0, block, precommits };
        HandOver { order, officers: List::new(officers.collect()).expect("as in the genesis"), header, certificate }
    }
}

pub struct Liar {
    kind: Kind,
    trust: Trust,
    collusion: Option<Collusion>,
    /// The oldest seen, for [`Kind::StaleRoot`].
    kept_state: Option<StateProof>,
    kept_coins: HashMap<CoinId, CoinProof>,
}

impl Liar {
    /// `collusion` is there for the kinds that take keys.
    pub fn new(kind: Kind, trust: Trust, collusion: Option<Collusion>) -> Self {
        Liar { kind, trust, collusion, kept_state: None, kept_coins: HashMap::new() }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn state(&mut self, mut state: StateProof, now_s: u64) -> StateProof {
        match self.kind {
            Kind::StaleRoot => {
                let kept = self.kept_state.get_or_insert_with(|| state.clone());
                (state.state_leaf, state.path) = (kept.state_leaf, kept.path.clone());
            }
            Kind::MissingLogSignature | Kind::ForgedSigner | Kind::DuplicatedSigner => {
                state.checkpoint = self.note(&state.checkpoint);
            }
            Kind::OmittedUpdate => {
                let set_hash = self.colluding().incoming().hash(self.trust.chain());
                let leaf = StateLeaf { set_hash, ..state.state_leaf };
                state = self.fork(state, leaf, now_s);
            }
            Kind::SplitView => {
                // A million units that the other log knows nothing of. The registry below stays the true one, so that all
                // answers at one size are of one and the same other log.
                let units = 1_000_000 * 10u128.pow(u32::from(self.trust.genesis().exponent));
                let leaf = StateLeaf { issued: state.state_leaf.issued.saturating_add(units), ..state.state_leaf };
                state = self.fork(state, leaf, now_s);
            }
            Kind::WrongRecord
            | Kind::WrongSet
            | Kind::ContractSource
            | Kind::FeedValue
            | Kind::ReceiptRate
            | Kind::EntryOmitted => {}
        }
        state
    }

    pub fn coin(&mut self, mut proof: CoinProof, now_s: u64) -> CoinProof {
        if self.kind == Kind::StaleRoot {
            let kept = self.kept_coins.entry(proof.coin).or_insert_with(|| proof.clone());
            // The older record with its own path in the map: only that the state is not the newest gives it away.
            if kept.state.state_leaf != proof.state.state_leaf {
                let checkpoint = proof.state.checkpoint.clone();
                proof = kept.clone();
                proof.state.checkpoint = checkpoint;
                return proof;
            }
        }
        proof.state = self.state(proof.state, now_s);
        if self.kind == Kind::WrongRecord {
            proof.answer = Answer::Present(self.other_record(&proof));
        }
        proof
    }

    /// Spent for live, live for all else.
    fn other_record(&self, proof: &CoinProof) -> Record {
        let leaf = proof.state.state_leaf;
        let unknown = Record {
            status: RecordStatus::Spent,
            batch: leaf.batch,
            height: leaf.height,
            time_ms: leaf.time_ms,
            contract: ContractNumber(0),
            failed_check: 0,
            tag: OwnerTag::ZERO,
        };
        let record = match proof.answer {
            Answer::Present(record) => record,
            Answer::Absent => unknown,
        };
        match record.status {
            RecordStatus::Live => Record { status: RecordStatus::Spent, tag: OwnerTag::ZERO, ..record },
            _ => Record { status: RecordStatus::Live, failed_check: 0, tag: OwnerTag(proof.coin.0), ..record },
        }
    }

    /// `None`: what the observer says stands.
    pub fn hand_overs(&self) -> Option<Vec<HandOver>> {
        match self.kind {
            Kind::WrongSet => Some(vec![self.colluding().hand_over(&self.trust)]),
            Kind::OmittedUpdate => Some(Vec::new()),
            _ => None,
        }
    }

    fn colluding(&self) -> &Collusion {
        self.collusion.as_ref().expect("kinds that take keys come with them")
    }

    /// Another log of the same size that ends on this leaf instead, signed by all.
    fn fork(&self, mut state: StateProof, leaf: StateLeaf, now_s: u64) -> StateProof {
        let Some((size, _)) = head(&state.checkpoint) else { return state };
        let path: Vec<[u8; 32]> = state.path.iter().map(|hash| hash.0).collect();
        let leaf_hash = log::leaf_hash(&LogLeaf::State(leaf).to_bytes());
        let Ok(root) = log::root_of_inclusion(size.saturating_sub(1), size, &leaf_hash, &path) else { return state };
        state.state_leaf = leaf;
        let note = self.colluding().sign(&self.trust, size, root, now_s);
        state.checkpoint = Octets::new(note.into_bytes()).expect("a line each of the log and the validators");
        state
    }

    /// The same checkpoint with other lines under it.
    fn note<const MAX: usize>(&self, bytes: &Octets<MAX>) -> Octets<MAX> {
        let Ok(note) = Note::parse(bytes) else { return bytes.clone() };
        let origin = self.trust.genesis().origin.as_str();
        let (log, mut cosigned): (Vec<_>, Vec<_>) =
            note.signatures().iter().cloned().partition(|line| line.name() == origin);
        let lines: Vec<NoteSignature> = match self.kind {
            Kind::MissingLogSignature => cosigned,
            Kind::ForgedSigner => {
                if let Some(first) = cosigned.first_mut() {
                    *first = self.forged(first).unwrap_or_else(|| first.clone());
                }
                [log, cosigned].concat()
            }
            Kind::DuplicatedSigner => {
                // The first stands where the last did: as many lines as before.
                if let [first, .., last] = &mut cosigned[..] {
                    *last = first.clone();
                }
                [log, cosigned].concat()
            }
            _ => return bytes.clone(),
        };
        let note = Note::new(note.text().to_owned(), lines).map(|note| note.to_string().into_bytes());
        note.ok().and_then(|bytes| Octets::new(bytes).ok()).unwrap_or_else(|| bytes.clone())
    }
}

impl Liar {
    /// In the same validator's name, with its key id and a fitting time, and with 64 bytes that no key made.
    fn forged(&self, line: &NoteSignature) -> Option<NoteSignature> {
        let genesis = self.trust.genesis();
        let signer = self.trust.validators().iter().find(|v| genesis.cosigner_name(v.number) == line.name())?;
        let time_s = u64::from_be_bytes(*line.signature().first_chunk()?);
        let key = CosignerKey::new(line.name(), &signer.cosign.0).ok()?;
        Some(key.cosign("", time_s, |_| [1; 64]))
    }
}

/// Size and root that a checkpoint names.
pub fn head(note: &[u8]) -> Option<(u64, [u8; 32])> {
    let note = Note::parse(note).ok()?;
    let checkpoint = Checkpoint::parse(note.text()).ok()?;
    Some((checkpoint.size(), *checkpoint.root()))
}

/// A package in which every figure of the source is another; its program and explanations stay. None if it is no package.
pub fn other_source(package: &[u8]) -> Option<Vec<u8>> {
    const MAGIC: usize = 4;
    let length_at = |at: usize| {
        let bytes = package.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    };
    let source_at = MAGIC + 4 + length_at(MAGIC)?;
    let length = length_at(source_at)?;
    let mut lie = package.to_vec();
    let source = lie.get_mut(source_at + 4..(source_at + 4).checked_add(length)?)?;
    for digit in source.iter_mut().filter(|byte| byte.is_ascii_digit()) {
        *digit = b'0' + (*digit - b'0' + 1) % 10;
    }
    Some(lie)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_source_has_other_figures_and_all_else_stays() {
        let package =
            contracts_vm::Package::of(include_str!("../../../../../../contracts/policies/second-fall.policy"));
        let package = package.unwrap();
        let lie = contracts_vm::Package::as_deployed(&other_source(&package.to_bytes()).unwrap()).unwrap();
        assert_ne!(lie.source, package.source);
        assert!(lie.source.contains("when gdp falls 3 quarters in a row : 1.61 %"), "{}", lie.source);
        assert_eq!((lie.english, lie.program), (package.english, package.program));
        assert_eq!(other_source(b"APK"), None);
    }
}
