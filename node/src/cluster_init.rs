//! Makes a local cluster's genesis, keys, guards and configuration files: one folder a process.
//!
//! It is the ceremony that real participants would hold together, each for its own keys; here one machine plays them all.
//! Nothing that exists is overwritten.

use crate::clock::now_ms;
use crate::config::{
    BeginsFrom, Config, Desk, History, Http, HttpLimits, Network, Peer, Reconciliation, RoleName, Upstream,
};
use crate::keys::{KeyError, KeyFolder, Passphrase, write_secret_file};
use crate::officers_key::{self, Ceremony, CeremonyFailed};
use crate::wallet_keys::owner_key;
use ledger_seal::KemSecret;
use ledger_types::envelope::OfficerSignature;
use ledger_types::genesis::{GENESIS_VERSION, Genesis, GenesisError, KemSuite, Preissue, Series};
use ledger_types::keys::SigningKey;
use ledger_types::participant::{CentralBankKeys, Directory, DirectoryError, Participant, ParticipantKeys, Roles};
use ledger_types::{Amount, Currency, Encode, List, ParticipantNumber, SeriesNumber, Text};
use node_api::regulator::DISCLOSURE_KEY_FILE;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

pub const OFFICERS: usize = 3;
/// Of feeds that somebody registers (K-10).
pub const PUBLISHERS: usize = 3;
pub const OFFICER_THRESHOLD: u8 = 2;
const BANKS_MAX: u16 = 30;

/// What to make.
pub struct ClusterPlan {
    pub folder: PathBuf,
    /// Commercial banks; the central bank and an observer come on top.
    pub banks: u16,
    /// HTTP listens here, the engine one above, the data plane two and the links three; every process has its own address.
    pub base_port: u16,
    /// The third octet of 127.0.X.n, so that clusters can stand side by side.
    pub subnet: u8,
    /// Pre-issued coins of each commercial bank.
    pub preissued_per_bank: u32,
    pub preissued_amount: u64,
    pub kem_suite: KemSuite,
    pub release_deadline_ms: u64,
}

/// `cluster.json`: what scripts and the command line know of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    pub schema_version: u32,
    pub genesis: PathBuf,
    pub genesis_hash: String,
    pub currency: String,
    pub exponent: u8,
    pub processes: Vec<ClusterProcess>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterProcess {
    pub name: String,
    pub role: RoleName,
    pub participant: u16,
    pub folder: PathBuf,
    pub config: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("a cluster has 3 to {BANKS_MAX} commercial banks")]
    Banks,
    #[error("{0} exists; remove it or choose another folder")]
    Exists(PathBuf),
    #[error("cannot write {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the directory is not sound: {0}")]
    Directory(#[from] DirectoryError),
    #[error("the genesis is not sound: {0}")]
    Genesis(#[from] GenesisError),
    #[error(transparent)]
    Ceremony(#[from] CeremonyFailed),
    #[error("cannot create a guard: {0}")]
    Guard(String),
}

/// Keys of one process folder.
struct Seat {
    name: String,
    role: RoleName,
    number: u16,
    keys: KeyFolder,
}

impl ClusterPlan {
    /// A central bank and three commercial banks that no process runs: keys, guards and a genesis for unit tests.
    #[cfg(test)]
    pub(crate) fn small(folder: &Path) -> Self {
        ClusterPlan {
            folder: folder.join("cluster"),
            banks: 3,
            base_port: 8100,
            subnet: 1,
            preissued_per_bank: 1,
            preissued_amount: 1,
            kem_suite: KemSuite::X25519,
            release_deadline_ms: 30_000,
        }
    }

    fn ip(&self, number: u16) -> String {
        format!("127.0.{}.{number}", self.subnet)
    }

    fn peer_address(&self, number: u16, port_offset: u16) -> String {
        format!("/ip4/{}/tcp/{}", self.ip(number), self.base_port + port_offset)
    }

    pub fn init(&self) -> Result<Cluster, InitError> {
        if !(3..=BANKS_MAX).contains(&self.banks) {
            return Err(InitError::Banks);
        }
        let manifest = self.folder.join("cluster.json");
        if manifest.exists() {
            return Err(InitError::Exists(self.folder.clone()));
        }
        make_folder(&self.folder)?;
        let mut participants = Vec::new();
        let mut preissues = Vec::new();
        let mut seats = Vec::new();
        for number in 1..=self.banks + 2 {
            let (name, role) = match number {
                1 => ("central-bank".to_owned(), RoleName::CentralBank),
                n if n == self.banks + 2 => ("observer".to_owned(), RoleName::Observer),
                n => (format!("bank{n}"), RoleName::CommercialBank),
            };
            let keys = self.seat_keys(&name)?;
            let (participant, vault) = self.participant(&keys, &name, role, number)?;
            if role == RoleName::CommercialBank && self.preissued_per_bank > 0 {
                preissues.push(Preissue {
                    series: SeriesNumber(1),
                    seed: random(),
                    bank: ParticipantNumber(number),
                    owner: owner_key(&vault, 0).public_key(),
                    amount: Amount(self.preissued_amount),
                    count: self.preissued_per_bank,
                });
            }
            participants.push(participant);
            seats.push(Seat { name, role, number, keys });
        }
        // Registration and confirmation issuance: processes of the central bank with keys of their own.
        let registration = self.seat_keys("registration")?;
        let registration_link = registration.create_signing_key("registration-link")?;
        registration.create_secret("storage")?;
        let outbox = registration.create_secret("outbox")?;
        let issuance = self.seat_keys("confirmation-issuance")?;
        let registration_key = issuance.create_signing_key("registration")?;
        issuance.import_secret("outbox", &outbox)?;
        let central = &seats[0].keys;
        participants[0].central_bank = Some(CentralBankKeys {
            log: central.create_signing_key("log")?.public_key(),
            registration: registration_key.public_key(),
            registration_link: registration_link.public_key(),
            issue: central.create_signing_key("issue")?.public_key(),
        });
        seats.push(Seat { name: "registration".into(), role: RoleName::Registration, number: 1, keys: registration });
        let name = "confirmation-issuance".into();
        seats.push(Seat { name, role: RoleName::ConfirmationIssuance, number: 1, keys: issuance });
        // The officers' keys lie with the central bank's passphrase, as if its officers sat at this machine.
        let officer_folder = KeyFolder::new(&self.folder.join("officers"), self.passphrase("central-bank")?);
        let officers: Result<Vec<_>, KeyError> =
            (1..=OFFICERS).map(|n| officer_folder.create_signing_key(&format!("officer-{n}"))).collect();
        let officers = officers?;
        // So do keys of a statistics office's, as if its publishers did: none of them is in the genesis.
        let publishers = KeyFolder::new(&self.folder.join("publishers"), self.passphrase("central-bank")?);
        (1..=PUBLISHERS).try_for_each(|n| publishers.create_signing_key(&format!("publisher-{n}")).map(drop))?;

        let genesis = Genesis {
            version: GENESIS_VERSION,
            currency: Currency(*b"CNY"),
            exponent: 2,
            kem_suite: self.kem_suite,
            time_ms: now_ms(),
            origin: Text::new("assay.local/registry").expect("short printable text"),
            officers: List::new(officers.iter().map(SigningKey::public_key).collect())
                .expect("three officers fit the list"),
            officer_threshold: OFFICER_THRESHOLD,
            unconfirmed_depth_max: 0,
            expiry_window_ms: 60_000,
            release_deadline_ms: self.release_deadline_ms,
            bytes_per_submitter_per_height: 32 << 20,
            batch_records_max: 5_000,
            series: List::new(vec![Series {
                number: SeriesNumber(1),
                name: Text::new("general").expect("short printable text"),
            }])
            .expect("one series fits the list"),
            preissues: List::new(preissues).expect("at most one line a bank"),
            directory: Directory::new(participants)?,
        };
        genesis.check()?;
        let genesis_path = self.folder.join("genesis.bin");
        write(&genesis_path, &genesis.to_bytes())?;
        self.officers_key(&genesis, &officer_folder, &officers)?;
        let mut processes = Vec::new();
        for seat in &seats {
            processes.push(self.process(seat, &genesis)?);
        }
        make_folder(&self.folder.join("outbox"))?;
        let cluster = Cluster {
            schema_version: 1,
            genesis: genesis_path,
            genesis_hash: genesis.hash().to_string(),
            currency: genesis.currency.to_string(),
            exponent: genesis.exponent,
            processes,
        };
        write(&manifest, &serde_json::to_vec_pretty(&cluster).expect("a manifest is plain JSON"))?;
        Ok(cluster)
    }

    /// each officer's share, with the file that remembers what it has answered; the signed document beside the genesis.
    fn officers_key(&self, genesis: &Genesis, folder: &KeyFolder, officers: &[SigningKey]) -> Result<(), InitError> {
        let Ceremony { mut document, shares } = officers_key::hold(OFFICERS as u16, u16::from(OFFICER_THRESHOLD))?;
        for (n, share) in (1..).zip(&shares) {
            folder.import_secret(&format!("officer-{n}-share"), share)?;
            let answered = self.folder.join("officers").join(format!("officer-{n}-share.answered"));
            write_secret_file(&answered, b"")?;
        }
        let message = document.message(&genesis.chain());
        let signed =
            (0u8..).zip(officers).map(|(officer, key)| OfficerSignature { officer, signature: key.sign(&message) });
        document.authorizations = List::new(signed.collect()).expect("three officers fit the list");
        write(&self.folder.join(DISCLOSURE_KEY_FILE), &document.to_bytes())
    }

    fn seat_keys(&self, name: &str) -> Result<KeyFolder, InitError> {
        let folder = self.folder.join(name);
        make_folder(&folder)?;
        write_secret_file(&folder.join("passphrase"), hex::encode(random()).as_bytes())?;
        Ok(KeyFolder::new(&folder.join("keys"), self.passphrase(name)?))
    }

    fn passphrase(&self, name: &str) -> Result<Passphrase, KeyError> {
        crate::keys::passphrase(Some(&self.folder.join(name).join("passphrase")))
    }

    fn participant(
        &self,
        keys: &KeyFolder,
        name: &str,
        role: RoleName,
        number: u16,
    ) -> Result<(Participant, Zeroizing<[u8; 32]>), InitError> {
        let roles = match role {
            RoleName::CentralBank => Roles::VALIDATOR.and(Roles::CENTRAL_BANK),
            RoleName::CommercialBank => Roles::VALIDATOR.and(Roles::COMMERCIAL_BANK),
            _ => Roles::OBSERVER,
        };
        let kem = KemSecret::from_seed(self.kem_suite, &*keys.create_secret("kem")?);
        keys.create_secret("storage")?;
        let vault = keys.create_secret("vault")?;
        let public = |name| keys.create_signing_key(name).map(|key| key.public_key());
        let participant = Participant {
            number: ParticipantNumber(number),
            name: Text::new(name).expect("short printable text"),
            roles,
            power: u64::from(roles.include(Roles::VALIDATOR)),
            keys: ParticipantKeys {
                consensus: public("consensus")?,
                bundle: public("bundle")?,
                cosign: public("cosign")?,
                desk: public("desk")?,
                offer: public("offer")?,
                link: public("link")?,
                engine_peer: public("engine-peer")?,
                data_peer: public("data-peer")?,
                kem: kem.public_key(),
            },
            central_bank: None,
        };
        Ok((participant, vault))
    }

    fn process(&self, seat: &Seat, genesis: &Genesis) -> Result<ClusterProcess, InitError> {
        let folder = self.folder.join(&seat.name);
        let everyone: Vec<u16> = genesis.directory.iter().map(|p| p.number.0).collect();
        let network = |offset: u16, members: &[u16]| Network {
            listen: self.peer_address(seat.number, offset),
            peers: members
                .iter()
                .filter(|number| **number != seat.number || seat.role == RoleName::Registration)
                .map(|number| Peer { participant: *number, address: self.peer_address(*number, offset), key: None })
                .collect(),
        };
        let is_node = matches!(seat.role, RoleName::CentralBank | RoleName::CommercialBank | RoleName::Observer);
        let has_desk = matches!(seat.role, RoleName::CentralBank | RoleName::CommercialBank);
        let banks: Vec<u16> = everyone.iter().copied().filter(|number| *number != self.banks + 2).collect();
        let socket = format!("{}:{}", self.ip(seat.number), self.base_port);
        if is_node {
            write_secret_file(&folder.join("token"), hex::encode(random()).as_bytes())?;
            crate::guards::create(&folder.join("keys"), seat.number, seat.role, genesis).map_err(InitError::Guard)?;
        }
        let mut link = network(3, &banks);
        if seat.role == RoleName::Registration {
            link.listen = String::new();
        }
        let config = Config {
            role: seat.role,
            participant: seat.number,
            genesis: "../genesis.bin".into(),
            state: "state".into(),
            keys: "keys".into(),
            passphrase_file: Some("passphrase".into()),
            begins_from: BeginsFrom::default(),
            returned_keys: Vec::new(),
            rules_known: None,
            http: is_node.then(|| Http {
                listen: socket.parse().expect("an address and a port"),
                token_file: Some("token".into()),
                limits: match seat.role {
                    RoleName::Observer => HttpLimits::of_an_observer_that_serves_a_site(),
                    _ => HttpLimits::default(),
                },
            }),
            engine: is_node.then(|| network(1, &everyone)),
            plane: is_node.then(|| network(2, &everyone)),
            link: (has_desk || seat.role == RoleName::Registration).then_some(link),
            upstream: (!is_node).then(|| Upstream {
                http: format!("http://{}:{}", self.ip(1), self.base_port),
                outbox: "../outbox".into(),
            }),
            desk: Desk {
                officers: (seat.role == RoleName::CentralBank).then(|| "../officers".into()),
                ..Desk::default()
            },
            reconciliation: Reconciliation::default(),
            history: History::default(),
        };
        let path = folder.join("node.toml");
        write(&path, toml::to_string_pretty(&config).expect("a configuration is plain TOML").as_bytes())?;
        Ok(ClusterProcess {
            name: seat.name.clone(),
            role: seat.role,
            participant: seat.number,
            config: path,
            http: is_node.then(|| format!("http://{socket}")),
            token_file: is_node.then(|| folder.join("token")),
            folder,
        })
    }
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    bytes
}

fn make_folder(path: &Path) -> Result<(), InitError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| InitError::Io { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), InitError> {
    std::fs::write(path, bytes).map_err(|source| InitError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RemoteNetwork;
    use crate::http::auth::Token;
    use crate::http::rate::{Class, Gate, limited};
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt;

    /// So many readers a second, of whom each asks the site as often as the site lets one (its default): 50.
    const READERS: u32 = 100;

    #[tokio::test]
    async fn the_observer_of_a_cluster_lets_its_site_ask_for_a_crowd_of_readers_and_the_others_bound_a_stranger() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = ClusterPlan::small(folder.path()).init().unwrap();
        for process in cluster.processes.iter().filter(|process| process.http.is_some()) {
            let limits = Config::read(&process.config).unwrap().http.unwrap().limits;
            let router = Router::new().route("/", get(async || "read"));
            let gate = Gate::new(Token::new(None), &limits);
            let router = router.layer(axum::middleware::from_fn_with_state((gate, Class::Read), limited));
            let mut statuses = Vec::new();
            for _ in 0..READERS * 50 {
                let mut request = Request::get("/").body(Body::empty()).unwrap();
                request.extensions_mut().insert(RemoteNetwork::of("127.0.0.1".parse().unwrap()));
                statuses.push(router.clone().oneshot(request).await.unwrap().status());
            }
            let is_bounded = statuses.contains(&StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(is_bounded, process.role != RoleName::Observer, "{}", process.name);
            // For submissions and guesses an observer's strangers are strangers like any.
            let others = HttpLimits { read: limits.read, ..HttpLimits::default() };
            assert_eq!(limits, others, "{}", process.name);
        }
    }
}
