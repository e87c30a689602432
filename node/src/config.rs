//! One configuration file decides a process's role. Every path in it is relative to the file's own folder.

use crate::own_keys::ROTATED_KEYS;
use consensus::pinned::PinnedKey;
use ledger_types::ParticipantNumber;
use ledger_types::keys::PublicKey;
use ledger_types::rules::RULES_KNOWN;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    /// Validator, issuance, redemption, recovery.
    CentralBank,
    /// Validator and desk.
    CommercialBank,
    /// Full replica without a vote.
    Observer,
    /// Opens and books what was ordered; listens on nothing.
    Registration,
    /// Desensitises and submits confirmation batches.
    ConfirmationIssuance,
}

impl RoleName {
    pub fn as_str(self) -> &'static str {
        match self {
            RoleName::CentralBank => "central_bank",
            RoleName::CommercialBank => "commercial_bank",
            RoleName::Observer => "observer",
            RoleName::Registration => "registration",
            RoleName::ConfirmationIssuance => "confirmation_issuance",
        }
    }
}

/// What a node begins from that has no ledger yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeginsFrom {
    /// Every block since the genesis, which it executes: all of the chain is here afterwards.
    #[default]
    Blocks,
    /// A state that a quorum stands for (B-7): blocks and envelopes before it are not here afterwards. A bank's desk that is itself
    /// from nothing needs blocks.
    Snapshot,
}

/// Where another participant listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    pub participant: ParticipantNumberConfig,
    /// `/ip4/…/tcp/…`; no names are resolved.
    pub address: String,
    /// Its public key of this network, in hex, for a process whose chain is older than the participant update that named the key
    /// (decision 069). It counts until the directory names it; take it away then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Peer {
    /// [`Config::check`] has parsed it.
    pub fn pinned(&self) -> PinnedKey {
        PinnedKey::new(self.key.as_deref().and_then(parse_key))
    }
}

fn parse_key(text: &str) -> Option<PublicKey> {
    hex::decode(text).ok()?.try_into().ok().map(PublicKey).filter(PublicKey::is_sound)
}

pub type ParticipantNumberConfig = u16;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub listen: String,
    #[serde(default)]
    pub peers: Vec<Peer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub listen: SocketAddr,
    /// File with the bank's local token (0600); without it the desk's and the participants' endpoints refuse everyone.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    #[serde(default)]
    pub limits: HttpLimits,
}

/// A token bucket: a first burst, then so many a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

impl Rate {
    const fn new(per_second: u32, burst: u32) -> Self {
        Rate {
            per_second: NonZeroU32::new(per_second).expect("not zero"),
            burst: NonZeroU32::new(burst).expect("not zero"),
        }
    }
}

/// `[http.limits]`: what strangers may take. Rates are for each remote address (IPv6: each /64) and do not bind whoever shows
/// the node's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpLimits {
    pub connections: usize,
    /// Half of all by default, so that no single address has them all; a bank's own tools on one machine stay below it.
    pub connections_per_address: usize,
    /// Public documents. A local cluster's own processes (confirmation issuance polls the registry 33 times a second) stay below.
    pub read: Rate,
    /// Bundles that a participant signed.
    pub submit: Rate,
    /// Endpoints that take the node's token, asked without it.
    pub no_token: Rate,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            connections: 1024,
            connections_per_address: 512,
            read: Rate::new(100, 500),
            submit: Rate::new(50, 200),
            no_token: Rate::new(20, 100),
        }
    }
}

impl HttpLimits {
    /// Of an observer that serves a query site: the reads of all the site's readers come from the site's one address. The site
    /// bounds each of them, and its own questions at once; this is above what such an observer answers (decision 074), so what
    /// bounds it is its reads of the disk, which refuse by themselves.
    pub fn of_an_observer_that_serves_a_site() -> Self {
        HttpLimits { read: Rate::new(10_000, 10_000), ..HttpLimits::default() }
    }
}

/// A process of the central bank that reads blocks and the registry from its own validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The validator's HTTP address, `http://127.0.0.1:8101`.
    pub http: String,
    /// The spool folder from registration to confirmation issuance.
    pub outbox: PathBuf,
}

/// How many coins of which size the desk keeps ready in the vault and the wallets by splitting in idle time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Desk {
    /// Live coins that a wallet should have before the desk stops splitting.
    pub live_coins_per_wallet: u32,
    /// Coins smaller than this are not split.
    pub split_above: u64,
    /// The desk's wait between looks for something to split.
    pub split_every_ms: u64,
    /// An order expires after this.
    pub order_lifetime_ms: u64,
    /// Value checks are mandatory; the payer's signature is checked unless this says no (rule P).
    pub check_order_signatures: bool,
    /// Folder of the officers' keys, for a central bank whose officers sit at this machine.
    pub officers: Option<PathBuf>,
}

impl Default for Desk {
    fn default() -> Self {
        Desk {
            live_coins_per_wallet: 4,
            split_above: 1_000,
            split_every_ms: 1_000,
            order_lifetime_ms: 20_000,
            check_order_signatures: true,
            officers: None,
        }
    }
}

/// `[reconciliation]`, of registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reconciliation {
    /// Registration compares with every bank so often. A run reads all accounts once: some seconds for a million coins.
    pub every_s: NonZeroU64,
}

impl Default for Reconciliation {
    fn default() -> Self {
        Reconciliation { every_s: NonZeroU64::new(900).expect("not zero") }
    }
}

/// `[history]`: how much of what was decided this node keeps. State, log, map and what proves them stay whole whatever it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Blocks and envelopes of so many days before the newest block; more where this node itself, or one that joins by its snapshots,
    /// needs more. None: all. A bank that was away for longer finds what it missed at nodes that keep more, and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_days: Option<u32>,
}

impl History {
    fn keeps_all(&self) -> bool {
        self.kept_days.is_none()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub role: RoleName,
    pub participant: ParticipantNumberConfig,
    /// The genesis document's canonical bytes.
    pub genesis: PathBuf,
    /// Database, bundle files, WAL, guards.
    pub state: PathBuf,
    pub keys: PathBuf,
    /// File (0600) with the passphrase that opens the key files; else the variable ASSAY_PASSPHRASE.
    #[serde(default)]
    pub passphrase_file: Option<PathBuf>,
    /// For a node whose ledger is not there yet.
    #[serde(default)]
    pub begins_from: BeginsFrom,
    /// Own key files whose keys an update has replaced and a later one, which this process's chain does not hold yet,
    /// has given back; or consensus, bundle and cosign keys that such an update has given a participant which was no validator
    /// then (decision 069). Take a name away when the directory names its key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned_keys: Vec<String>,
    /// The node plays a program that knows the ledger's rules up to this version only, so that an upgrade can be rehearsed (B-13). None:
    /// what the program knows. More than that is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_known: Option<u8>,
    #[serde(default)]
    pub http: Option<Http>,
    #[serde(default)]
    pub engine: Option<Network>,
    #[serde(default)]
    pub plane: Option<Network>,
    #[serde(default)]
    pub link: Option<Network>,
    #[serde(default)]
    pub upstream: Option<Upstream>,
    #[serde(default)]
    pub desk: Desk,
    #[serde(default)]
    pub reconciliation: Reconciliation,
    #[serde(default, skip_serializing_if = "History::keeps_all")]
    pub history: History,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is no configuration: {source}")]
    Parse { path: PathBuf, source: toml::de::Error },
    #[error("{path}: the role {role} needs the section [{section}]")]
    Section { path: PathBuf, role: &'static str, section: &'static str },
    #[error("{path}: the role {role} holds no ledger; remove kept_days from [history]")]
    HoldsNoLedger { path: PathBuf, role: &'static str },
    #[error("{path}: registration listens on nothing; remove [{section}]")]
    Listens { path: PathBuf, section: &'static str },
    #[error("{path}: {address} is no address such as /ip4/127.0.1.1/tcp/8101")]
    Address { path: PathBuf, address: String },
    #[error("{path}: the key of peer {participant} is no Ed25519 public key of 64 hex digits")]
    PeerKey { path: PathBuf, participant: u16 },
    #[error("{path}: rules_known is {version}, and this program knows the versions 1 to {RULES_KNOWN}")]
    RulesKnown { path: PathBuf, version: u8 },
    #[error("{path}: returned_keys names {name}, which is none of {ROTATED_KEYS:?}")]
    ReturnedKey { path: PathBuf, name: String },
}

impl Config {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut config: Config =
            toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })?;
        config.check(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut paths = vec![&mut config.genesis, &mut config.state, &mut config.keys];
        paths.extend(config.passphrase_file.as_mut());
        paths.extend(config.http.as_mut().and_then(|http| http.token_file.as_mut()));
        paths.extend(config.upstream.as_mut().map(|upstream| &mut upstream.outbox));
        paths.extend(config.desk.officers.as_mut());
        for relative in paths {
            *relative = folder.join(&*relative);
        }
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let have = [
            ("http", self.http.is_some()),
            ("engine", self.engine.is_some()),
            ("plane", self.plane.is_some()),
            ("link", self.link.is_some()),
            ("upstream", self.upstream.is_some()),
        ];
        let need: &[&'static str] = match self.role {
            RoleName::CentralBank | RoleName::CommercialBank => &["http", "engine", "plane", "link"],
            RoleName::Observer => &["http", "engine", "plane"],
            RoleName::Registration => &["link", "upstream"],
            RoleName::ConfirmationIssuance => &["upstream"],
        };
        for section in need {
            if !have.iter().any(|(name, present)| name == section && *present) {
                return Err(ConfigError::Section { path: path.to_owned(), role: self.role.as_str(), section });
            }
        }
        if self.role == RoleName::Registration {
            for section in ["http", "engine", "plane"] {
                if have.iter().any(|(name, present)| *name == section && *present) {
                    return Err(ConfigError::Listens { path: path.to_owned(), section });
                }
            }
        }
        let holds_no_ledger = matches!(self.role, RoleName::Registration | RoleName::ConfirmationIssuance);
        if holds_no_ledger && !self.history.keeps_all() {
            return Err(ConfigError::HoldsNoLedger { path: path.to_owned(), role: self.role.as_str() });
        }
        if let Some(version) = self.rules_known.filter(|version| !(1..=RULES_KNOWN.0).contains(version)) {
            return Err(ConfigError::RulesKnown { path: path.to_owned(), version });
        }
        if let Some(name) = self.returned_keys.iter().find(|name| !ROTATED_KEYS.contains(&name.as_str())) {
            return Err(ConfigError::ReturnedKey { path: path.to_owned(), name: name.clone() });
        }
        for network in [&self.engine, &self.plane, &self.link].into_iter().flatten() {
            let listens = self.role != RoleName::Registration;
            let addresses = network.peers.iter().map(|peer| &peer.address);
            for address in addresses.chain(listens.then_some(&network.listen)) {
                if address.parse::<libp2p::Multiaddr>().is_err() || !address.starts_with("/ip") {
                    return Err(ConfigError::Address { path: path.to_owned(), address: address.clone() });
                }
            }
            let malformed = |peer: &&Peer| peer.key.as_deref().is_some_and(|key| parse_key(key).is_none());
            if let Some(Peer { participant, .. }) = network.peers.iter().find(malformed) {
                return Err(ConfigError::PeerKey { path: path.to_owned(), participant: *participant });
            }
        }
        Ok(())
    }

    pub fn me(&self) -> ParticipantNumber {
        ParticipantNumber(self.participant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_init::ClusterPlan;
    use std::io::Write;

    #[test]
    fn only_who_holds_a_ledger_says_how_much_of_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let plan = ClusterPlan { base_port: 18_750, subnet: 78, ..ClusterPlan::small(folder.path()) };
        let processes = plan.init().unwrap().processes;
        assert!(processes.len() > 4);
        for process in processes {
            let role = Config::read(&process.config).unwrap();
            assert_eq!(role.history, History { kept_days: None });
            let mut file = std::fs::OpenOptions::new().append(true).open(&process.config).unwrap();
            writeln!(file, "\n[history]\nkept_days = 30").unwrap();
            let holds_none = matches!(role.role, RoleName::Registration | RoleName::ConfirmationIssuance);
            match Config::read(&process.config) {
                Ok(config) => assert_eq!((config.history.kept_days, holds_none), (Some(30), false)),
                Err(error) => assert!(holds_none && matches!(error, ConfigError::HoldsNoLedger { .. }), "{error}"),
            }
        }
    }
}
