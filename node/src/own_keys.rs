//! Whether this process's key files are the keys that the ledger's directory names for it (decision 069).
//!
//! What must stay true:
//! - A key that no participant update changes as long as its participant is a validator (G-3) is the directory's or that of the
//!   set which still decides, or the process does not start: what it signed would count for nobody. Of one that was no
//!   validator for a while an update may have replaced them, which a node with an emptied disk has yet to fetch: its operator says
//!   so, and it follows without using them until its own chain names them.
//! - A key that an update may change is compared with the directory of the durable tip. That one may be older than the file: the
//!   node was down when the update committed, or its state is gone and comes again from its peers. Such a node starts, follows,
//!   and signs with a desk's keys only when its own chain names them.
//! - A key that is known to be wrong (replaced, or somebody else's) stops the start, with what to do. That a later
//!   update has given a replaced key back, which this node has yet to fetch, its operator alone can know, and says
//!   (`returned_keys`).

use crate::keys::{KeyError, KeyFolder};
use crate::ledger::LedgerView;
use ledger_seal::KemSecret;
use ledger_types::genesis::KemSuite;
use ledger_types::keys::{PublicKey, SigningKey};
use ledger_types::participant::{CentralBankKeys, Directory, Participant, ParticipantKeys, ValidatorSet};
use ledger_types::{Height, ParticipantNumber};
use std::sync::Arc;

/// The files of keys that an update may change and that the ledger's directory is compared with.
pub const ROTATED_KEYS: [&str; 11] = [
    "engine-peer",
    "data-peer",
    "link",
    "desk",
    "offer",
    "kem",
    "issue",
    "registration-link",
    "consensus",
    "bundle",
    "cosign",
];

#[derive(Debug, thiserror::Error)]
pub enum KeyRefused {
    #[error(transparent)]
    File(#[from] KeyError),
    #[error(
        "key_differs: the key file {name}.pem is not participant {participant}'s {name} key, and no participant update changes that \
         key of a validator (G-3). What this node signed would count for nobody: put back the file whose key the directory names. \
         If this participant was no validator for a while, and an update that this node has yet to fetch names this key, say \
         returned_keys = [\"{name}\"] in the configuration"
    )]
    Differs { name: &'static str, participant: ParticipantNumber },
    #[error(
        "key_replaced: a participant update has replaced the key in {name}.pem: the directory of height {height} names another. Put \
         the new key there and start again. If a later update, which this node has yet to fetch, gives this key back, say \
         returned_keys = [\"{name}\"] in the configuration"
    )]
    Replaced { name: &'static str, height: Height },
    #[error(
        "key_of_another: the key in {name}.pem is in the directory, and not as participant {participant}'s {name} key. Put the right \
         file there and start again"
    )]
    OfAnother { name: &'static str, participant: ParticipantNumber },
    #[error("participant {0} is not in the directory")]
    UnknownParticipant(ParticipantNumber),
}

/// The log's, which no update changes (L-2).
pub fn log(
    keys: &KeyFolder,
    central: &CentralBankKeys,
    participant: ParticipantNumber,
) -> Result<SigningKey, KeyRefused> {
    let (name, key) = ("log", keys.signing_key("log")?);
    if key.public_key() == central.log { Ok(key) } else { Err(KeyRefused::Differs { name, participant }) }
}

/// Those that a validator signs with, which no update changes while it is one (G-3).
pub struct ValidatorKeys {
    pub consensus: SigningKey,
    pub bundle: SigningKey,
    pub cosign: SigningKey,
}

impl ValidatorKeys {
    /// As the directory's line and the set that still decides name them; a key in `returned` may wait for its update.
    pub fn of(
        keys: &KeyFolder,
        line: &Participant,
        deciding: &ValidatorSet,
        returned: &[String],
    ) -> Result<Self, KeyRefused> {
        let (participant, decides) = (line.number, deciding.get(line.number));
        let one = |name: &'static str, in_line: PublicKey, in_set: Option<PublicKey>| {
            let key = keys.signing_key(name)?;
            let is_named = [Some(in_line), in_set].contains(&Some(key.public_key()));
            match (is_named, returned.iter().any(|returned| returned == name)) {
                (true, true) => tracing::warn!(name, "the directory names this key: take it out of returned_keys"),
                (true, false) => {}
                (false, true) => tracing::warn!(name, "this key is not used before the directory names it"),
                (false, false) => return Err(KeyRefused::Differs { name, participant }),
            }
            Ok(key)
        };
        Ok(ValidatorKeys {
            consensus: one("consensus", line.keys.consensus, decides.map(|line| line.consensus))?,
            bundle: one("bundle", line.keys.bundle, decides.map(|line| line.bundle))?,
            cosign: one("cosign", line.keys.cosign, decides.map(|line| line.cosign))?,
        })
    }

    /// To be told when an update replaces them.
    pub fn own(&self, me: ParticipantNumber) -> OwnKeys {
        let own = |name, key: &SigningKey, named| OwnKey { name, public: key.public_key().0.to_vec(), named };
        let keys = vec![
            own("consensus", &self.consensus, |line| Some(&line.keys.consensus.0)),
            own("bundle", &self.bundle, |line| Some(&line.keys.bundle.0)),
            own("cosign", &self.cosign, |line| Some(&line.keys.cosign.0)),
        ];
        OwnKeys { me, keys }
    }
}

/// A key that an update may change, and where a directory's line names it.
struct OwnKey {
    name: &'static str,
    public: Vec<u8>,
    named: fn(&Participant) -> Option<&[u8]>,
}

impl OwnKey {
    fn is_named(&self, line: &Participant) -> bool {
        (self.named)(line) == Some(&self.public[..])
    }
}

/// Those that a directory names for one process.
pub struct OwnKeys {
    me: ParticipantNumber,
    keys: Vec<OwnKey>,
}

impl OwnKeys {
    pub fn of_network(keys: &KeyFolder, me: ParticipantNumber) -> Result<Self, KeyRefused> {
        let mut own = OwnKeys { me, keys: Vec::new() };
        own.signing(keys, "engine-peer", |line| Some(&line.keys.engine_peer.0))?;
        own.signing(keys, "data-peer", |line| Some(&line.keys.data_peer.0))?;
        Ok(own)
    }

    pub fn of_desk(
        keys: &KeyFolder,
        me: ParticipantNumber,
        is_central_bank: bool,
        suite: KemSuite,
    ) -> Result<Self, KeyRefused> {
        let mut own = OwnKeys { me, keys: Vec::new() };
        own.signing(keys, "link", |line| Some(&line.keys.link.0))?;
        own.signing(keys, "desk", |line| Some(&line.keys.desk.0))?;
        own.signing(keys, "offer", |line| Some(&line.keys.offer.0))?;
        let public = KemSecret::from_seed(suite, &*keys.secret("kem")?).public_key().to_vec();
        own.keys.push(OwnKey { name: "kem", public, named: |line| Some(&line.keys.kem) });
        if is_central_bank {
            own.signing(keys, "issue", |line| line.central_bank.as_ref().map(|central| &central.issue.0[..]))?;
        }
        Ok(own)
    }

    /// The central bank's registration process.
    pub fn of_registration(keys: &KeyFolder, central_bank: ParticipantNumber) -> Result<Self, KeyRefused> {
        let mut own = OwnKeys { me: central_bank, keys: Vec::new() };
        own.signing(keys, "registration-link", |line| {
            line.central_bank.as_ref().map(|central| &central.registration_link.0[..])
        })?;
        Ok(own)
    }

    fn signing(
        &mut self,
        keys: &KeyFolder,
        name: &'static str,
        named: fn(&Participant) -> Option<&[u8]>,
    ) -> Result<(), KeyRefused> {
        let public = keys.signing_key(name)?.public_key().0.to_vec();
        self.keys.push(OwnKey { name, public, named });
        Ok(())
    }

    /// Refuses what is known to be wrong. A key that no directory knows may stand in an update that is still to be
    /// fetched, and so may one that was replaced, if the operator says that it was given back.
    pub fn check(
        &self,
        genesis: &Directory,
        tip: &Directory,
        height: Height,
        returned: &[String],
    ) -> Result<(), KeyRefused> {
        let is_returned = |key: &OwnKey| returned.iter().any(|name| name == key.name);
        let unknown = || KeyRefused::UnknownParticipant(self.me);
        let (first, line) = (genesis.get(self.me).ok_or_else(unknown)?, tip.get(self.me).ok_or_else(unknown)?);
        for key in self.keys.iter().filter(|key| key.is_named(line) && is_returned(key)) {
            tracing::warn!(name = key.name, "the directory names this key: take it out of returned_keys");
        }
        for key in self.keys.iter().filter(|key| !key.is_named(line)) {
            let name = key.name;
            if key.is_named(first) {
                if !is_returned(key) {
                    return Err(KeyRefused::Replaced { name, height });
                }
            } else if [genesis, tip].iter().any(|directory| stands_in(directory, &key.public)) {
                return Err(KeyRefused::OfAnother { name, participant: self.me });
            }
            tracing::warn!(
                name,
                %height,
                "the directory of this height does not name this key: right only if a participant update that names it has \
                 committed since. Until this node has that update, peers alone can tell, and no desk opens"
            );
        }
        Ok(())
    }

    /// The files whose keys this line does not name.
    pub fn unnamed(&self, line: &Participant) -> Vec<&'static str> {
        self.keys.iter().filter(|key| !key.is_named(line)).map(|key| key.name).collect()
    }

    /// Returns when the chain, as far as it is durable here, names all of them.
    pub async fn until_named(&self, view: &LedgerView) {
        let mut heights = view.heights();
        let mut said = Vec::new();
        loop {
            heights.mark_unchanged();
            let ledger = view.ledger();
            let unnamed = ledger.directory.get(self.me).map(|line| self.unnamed(line)).unwrap_or_default();
            if unnamed.is_empty() {
                return;
            }
            if unnamed != said {
                tracing::warn!(
                    keys = ?unnamed,
                    height = %ledger.height,
                    "the desk and the HTTP interface wait for the participant update that names these keys"
                );
                said = unnamed;
            }
            if heights.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Says so when an update replaces a key with which this process runs, or names one that it was waiting for.
    /// `directory` is the one of the start.
    pub async fn watch(self, view: LedgerView, mut directory: Arc<Directory>) {
        let mut heights = view.heights();
        heights.mark_changed();
        while heights.changed().await.is_ok() {
            let ledger = view.ledger();
            if ledger.directory == directory {
                continue;
            }
            let lines = directory.get(self.me).zip(ledger.directory.get(self.me));
            let Some((before, now)) = lines else { continue };
            for key in &self.keys {
                let (name, height) = (key.name, ledger.height);
                match (key.is_named(before), key.is_named(now)) {
                    (true, false) => tracing::error!(
                        name,
                        %height,
                        "key_replaced: a participant update names another key, and nobody takes this one any more. Put the new \
                         key there and restart this node"
                    ),
                    (false, true) => tracing::info!(name, %height, "the directory names this key now"),
                    _ => {}
                }
            }
            directory = ledger.directory.clone();
        }
    }
}

fn stands_in(directory: &Directory, public: &[u8]) -> bool {
    let central = |line: &Participant| line.central_bank.as_ref().map(CentralBankKeys::signing_keys);
    directory.iter().any(|line| {
        let signing = ParticipantKeys::signing_keys(&line.keys).into_iter().chain(central(line).into_iter().flatten());
        signing.into_iter().any(|key| key.0[..] == *public) || line.keys.kem[..] == *public
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_init::ClusterPlan;
    use crate::keys::passphrase;
    use ledger_types::Octets;
    use ledger_types::genesis::Genesis;

    const BANK3: ParticipantNumber = ParticipantNumber(3);

    /// A cluster's genesis, and bank 3's keys.
    fn bank3() -> (tempfile::TempDir, Genesis, KeyFolder) {
        let folder = tempfile::tempdir().unwrap();
        let plan = ClusterPlan::small(folder.path());
        plan.init().unwrap();
        let genesis = Genesis::parse(&std::fs::read(plan.folder.join("genesis.bin")).unwrap()).unwrap();
        let bank = plan.folder.join("bank3");
        let keys = KeyFolder::new(&bank.join("keys"), passphrase(Some(&bank.join("passphrase"))).unwrap());
        (folder, genesis, keys)
    }

    fn desk_keys(keys: &KeyFolder) -> OwnKeys {
        OwnKeys::of_desk(keys, BANK3, false, KemSuite::X25519).unwrap()
    }

    fn with_line_of_bank3(genesis: &Genesis, change: impl FnOnce(&mut Participant)) -> Directory {
        let mut lines: Vec<Participant> = genesis.directory.iter().cloned().collect();
        change(lines.iter_mut().find(|line| line.number == BANK3).unwrap());
        Directory::new(lines).unwrap()
    }

    fn new_key(byte: u8) -> PublicKey {
        SigningKey::from_seed(&[byte; 32]).public_key()
    }

    #[test]
    fn the_directory_of_the_tip_counts_and_not_the_genesis_s() {
        let (_folder, genesis, keys) = bank3();
        let (own, network) = (desk_keys(&keys), OwnKeys::of_network(&keys, BANK3).unwrap());
        own.check(&genesis.directory, &genesis.directory, Height(0), &[]).unwrap();
        network.check(&genesis.directory, &genesis.directory, Height(0), &[]).unwrap();
        assert!(own.unnamed(genesis.directory.get(BANK3).unwrap()).is_empty());

        let tip = with_line_of_bank3(&genesis, |line| line.keys.offer = new_key(1));
        let refused = own.check(&genesis.directory, &tip, Height(7), &[]).unwrap_err();
        assert!(matches!(refused, KeyRefused::Replaced { name: "offer", height: Height(7) }), "{refused}");
        network.check(&genesis.directory, &tip, Height(7), &[]).unwrap();
        assert_eq!(own.unnamed(tip.get(BANK3).unwrap()), ["offer"]);
        let tip = with_line_of_bank3(&genesis, |line| line.keys.kem = Octets::new(vec![9; 32]).unwrap());
        assert!(matches!(
            own.check(&genesis.directory, &tip, Height(7), &[]),
            Err(KeyRefused::Replaced { name: "kem", .. })
        ));
    }

    #[test]
    fn a_key_that_no_directory_names_yet_starts_and_is_waited_for() {
        let (folder, genesis, keys) = bank3();
        std::fs::remove_file(folder.path().join("cluster/bank3/keys/desk.pem")).unwrap();
        let desk = keys.create_signing_key("desk").unwrap().public_key();
        let own = desk_keys(&keys);
        own.check(&genesis.directory, &genesis.directory, Height(0), &[]).unwrap();
        assert_eq!(own.unnamed(genesis.directory.get(BANK3).unwrap()), ["desk"]);
        let tip = with_line_of_bank3(&genesis, |line| line.keys.desk = desk);
        own.check(&genesis.directory, &tip, Height(7), &[]).unwrap();
        assert!(own.unnamed(tip.get(BANK3).unwrap()).is_empty());
    }

    /// Rotated from A to B and back while the node was down: its own chain ends at B, which no peer takes any more.
    #[test]
    fn a_replaced_key_that_a_later_update_gives_back_starts_when_the_operator_says_so() {
        let (_folder, genesis, keys) = bank3();
        let own = OwnKeys::of_network(&keys, BANK3).unwrap();
        let between = with_line_of_bank3(&genesis, |line| line.keys.data_peer = new_key(1));
        let refused = own.check(&genesis.directory, &between, Height(7), &[]).unwrap_err();
        assert!(refused.to_string().contains("returned_keys = [\"data-peer\"]"), "{refused}");
        let check = |name: &str| own.check(&genesis.directory, &between, Height(7), &[name.to_owned()]);
        assert!(matches!(check("engine-peer"), Err(KeyRefused::Replaced { name: "data-peer", .. })));
        check("data-peer").unwrap();
        assert_eq!(own.unnamed(between.get(BANK3).unwrap()), ["data-peer"], "and it is waited for");
        own.check(&genesis.directory, &genesis.directory, Height(8), &["data-peer".to_owned()]).unwrap();
    }

    #[test]
    fn a_key_of_another_purpose_or_participant_does_not_start() {
        let (folder, genesis, keys) = bank3();
        let of = |path: &str| folder.path().join("cluster/bank3/keys").join(path);
        std::fs::copy(of("link.pem"), of("data-peer.pem")).unwrap();
        let refused = OwnKeys::of_network(&keys, BANK3).unwrap();
        let refused = refused.check(&genesis.directory, &genesis.directory, Height(0), &[]).unwrap_err();
        assert!(matches!(refused, KeyRefused::OfAnother { name: "data-peer", .. }), "{refused}");
    }

    #[test]
    fn a_key_that_no_update_changes_is_the_directory_s_or_nothing_starts() {
        let (folder, genesis, keys) = bank3();
        let (line, set) = (genesis.directory.get(BANK3).unwrap(), genesis.directory.validators());
        ValidatorKeys::of(&keys, line, &set, &[]).unwrap();
        std::fs::remove_file(folder.path().join("cluster/bank3/keys/consensus.pem")).unwrap();
        let consensus = keys.create_signing_key("consensus").unwrap().public_key();
        let refusal = |line: &Participant, returned: &[String]| ValidatorKeys::of(&keys, line, &set, returned).err();
        let refused = refusal(line, &["bundle".to_owned()]).unwrap();
        assert!(matches!(refused, KeyRefused::Differs { name: "consensus", .. }), "{refused}");
        assert!(refused.to_string().starts_with("key_differs: "), "{refused}");
        // An update that is yet to be fetched may name it, as its operator says.
        assert!(refusal(line, &["consensus".to_owned()]).is_none());
        // One that has committed does: the directory's line, or the line of the set that still decides.
        let updated = with_line_of_bank3(&genesis, |line| line.keys.consensus = consensus);
        assert!(refusal(updated.get(BANK3).unwrap(), &[]).is_none());
        let replaced = with_line_of_bank3(&genesis, |line| line.keys.bundle = new_key(7));
        let refused = refusal(replaced.get(BANK3).unwrap(), &["consensus".to_owned()]);
        assert!(refused.is_none(), "the set decides with the old bundle key still");
    }
}
