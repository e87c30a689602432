//! A process's key folder: names, purposes, public keys and whether a node would take each file. Never a secret.

use super::table;
use crate::Global;
use crate::cluster::{Cluster, trust_of};
use crate::key_file::{Fault, Key, KeyFile, Passphrase, read_passphrase, safety};
use crate::outcome::{Exit, Failure, Outcome};
use ledger_seal::KemSecret;
use ledger_types::genesis::Genesis;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Keys {
    #[command(subcommand)]
    command: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Every key of the folder.
    List(Folder),
    /// One key.
    Show {
        /// Such as consensus or log.
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Whether a node would take every file: encrypted, mode 0600, its own user's, opened by the passphrase.
    Check(Folder),
}

#[derive(clap::Args)]
struct Folder {
    /// A process's folder with `keys` and `passphrase` in it, or a folder of key files; else that of `--as NODE`.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// File with the passphrase that opens them; else the folder's own, else the variable ASSAY_PASSPHRASE.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Compare the public keys with this genesis document's directory; with `--as` the cluster's.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
}

/// What each file is for, by its name.
fn purpose(name: &str) -> &'static str {
    match name {
        "consensus" => "votes and proposals",
        "bundle" => "signs bundles and their acks",
        "cosign" => "cosigns checkpoints",
        "desk" => "accepts payments for the bank's customers",
        "offer" => "signs epoch offers and their acknowledgements",
        "link" => "authenticates links between banks",
        "engine-peer" => "network identity of the consensus engine",
        "data-peer" => "network identity of the data plane",
        "kem" => "opens epoch offers",
        "storage" => "encrypts what the process keeps for itself",
        "vault" => "owner keys of the bank's vault",
        "log" => "signs checkpoints as the public log",
        "issue" => "authorises issue and redeem",
        "registration" => "signs confirmation batches",
        "registration-link" => "registration's end of the links to banks",
        "outbox" => "encrypts the spool between registration and confirmation issuance",
        name if name.starts_with("officer-") => "an officer's part of a recovery or a participant update",
        _ => "not a name that a node uses",
    }
}

/// The folder as it was found.
struct Found {
    keys: Vec<KeyFile>,
    genesis: Option<Genesis>,
    /// What is wrong with the passphrase's file itself.
    passphrase: Option<(PathBuf, Vec<Fault>)>,
}

impl Keys {
    pub fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self.command {
            What::List(folder) => list(&folder.find(global)?),
            What::Show { name, folder } => show(&folder.find(global)?, &name),
            What::Check(folder) => check(&folder.find(global)?),
        }
    }
}

impl Folder {
    fn find(self, global: &Global) -> Result<Found, Failure> {
        let (folder, genesis) = match (self.folder, &global.node) {
            (Some(folder), _) => (folder, self.genesis),
            (None, Some(name)) => {
                let cluster = Cluster::find(global)?;
                (cluster.any_process(name)?.folder.clone(), self.genesis.or(Some(cluster.genesis)))
            }
            (None, None) => {
                return Err(Failure::usage("whose keys? --folder DIR, or --as NODE for one of the local cluster's"));
            }
        };
        let keys = if folder.join("keys").is_dir() { folder.join("keys") } else { folder.clone() };
        let own = folder.join("passphrase");
        let passphrase_file = self.passphrase_file.or_else(|| own.exists().then_some(own));
        let passphrase: Option<Passphrase> = match &passphrase_file {
            Some(path) => Some(read_passphrase(path)?),
            None => std::env::var("ASSAY_PASSPHRASE").ok().map(|text| text.into_bytes().into()),
        };
        let passphrase_faults = passphrase_file.map(|path| {
            let faults = safety(&path, &mut 0).unwrap_or_else(|fault| vec![fault]);
            (path, faults)
        });
        let genesis = genesis.map(|path| Ok::<_, Failure>(trust_of(&path)?.genesis().clone())).transpose()?;
        let entries = std::fs::read_dir(&keys).map_err(|error| Failure::file(&keys, error))?;
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "pem"))
            .collect();
        paths.sort();
        if paths.is_empty() {
            let message = format!("there is no key file (NAME.pem) in {}", keys.display());
            return Err(Failure::new(Exit::NotFound, "no_keys", message));
        }
        let passphrase = passphrase.as_ref().map(|bytes| bytes.as_slice());
        let keys = paths.iter().map(|path| KeyFile::inspect(path, passphrase)).collect();
        Ok(Found { keys, genesis, passphrase: passphrase_faults })
    }
}

impl Found {
    /// Hex; of a KEM only when the genesis says which one the chain uses, of a symmetric key never.
    fn public_key(&self, file: &KeyFile) -> Option<String> {
        match (&file.key, file.name.as_str(), &self.genesis) {
            (Some(Key::Signing(key)), _, _) => Some(key.public_key().to_string()),
            (Some(Key::Secret(seed)), "kem", Some(genesis)) => {
                Some(hex::encode(&*KemSecret::from_seed(genesis.kem_suite, seed).public_key()))
            }
            _ => None,
        }
    }

    fn document(&self, file: &KeyFile) -> Value {
        let faults = file.faults.iter().map(|fault| json!({ "code": fault.code(), "message": fault.to_string() }));
        json!({ "name": file.name, "purpose": purpose(&file.name), "kind": kind(file), "path": file.path,
            "public_key": self.public_key(file), "encrypted": file.encrypted, "mode": format!("{:04o}", file.mode),
            "in_genesis": self.in_genesis(file), "usable": file.faults.is_empty(),
            "faults": faults.collect::<Vec<_>>() })
    }

    /// Whose key it is in the genesis; none without a genesis, or without a public key.
    fn in_genesis(&self, file: &KeyFile) -> Option<String> {
        let known = known_keys(self.genesis.as_ref()?);
        known.get(&(file.name.clone(), self.public_key(file)?)).cloned()
    }

    /// Keys whose public half the genesis should name under this purpose, and does not.
    fn strangers(&self) -> Vec<&str> {
        let expected = |file: &&KeyFile| self.genesis.is_some() && self.public_key(file).is_some();
        let keys = self.keys.iter().filter(expected).filter(|file| self.in_genesis(file).is_none());
        keys.map(|file| file.name.as_str()).collect()
    }
}

fn kind(file: &KeyFile) -> &'static str {
    match (&file.key, file.name.as_str()) {
        (Some(Key::Signing(_)), _) => "signing",
        (Some(Key::Secret(_)), "kem") => "kem",
        (Some(Key::Secret(_)), _) => "secret",
        (None, _) => "unknown",
    }
}

/// (name of the file, public key) → the participant.
fn known_keys(genesis: &Genesis) -> BTreeMap<(String, String), String> {
    let mut known = BTreeMap::new();
    for participant in genesis.directory.iter() {
        let keys = &participant.keys;
        let mut named = vec![
            ("consensus", keys.consensus.to_string()),
            ("bundle", keys.bundle.to_string()),
            ("cosign", keys.cosign.to_string()),
            ("desk", keys.desk.to_string()),
            ("offer", keys.offer.to_string()),
            ("link", keys.link.to_string()),
            ("engine-peer", keys.engine_peer.to_string()),
            ("data-peer", keys.data_peer.to_string()),
            ("kem", hex::encode(&*keys.kem)),
        ];
        if let Some(central) = &participant.central_bank {
            named.push(("log", central.log.to_string()));
            named.push(("registration", central.registration.to_string()));
            named.push(("registration-link", central.registration_link.to_string()));
            named.push(("issue", central.issue.to_string()));
        }
        known.extend(named.into_iter().map(|(name, key)| ((name.into(), key), participant.name.as_str().to_owned())));
    }
    for (number, officer) in (1..).zip(genesis.officers.iter()) {
        known.insert((format!("officer-{number}"), officer.to_string()), format!("officer {number}"));
    }
    known
}

/// A KEM's public key may be longer than a line.
fn shortened(public_key: Option<String>) -> String {
    match public_key {
        Some(key) if key.len() > 64 => format!("{}… ({} bytes)", &key[..48], key.len() / 2),
        Some(key) => key,
        None => "–".into(),
    }
}

fn list(found: &Found) -> Result<Outcome, Failure> {
    let rows: Vec<Vec<String>> = found
        .keys
        .iter()
        .map(|file| {
            vec![
                file.name.clone(),
                kind(file).into(),
                if file.encrypted { "yes" } else { "NO" }.into(),
                format!("{:04o}", file.mode),
                shortened(found.public_key(file)),
                purpose(&file.name).into(),
            ]
        })
        .collect();
    let text = table(&["name", "kind", "encrypted", "mode", "public key", "purpose"], &rows);
    let documents: Vec<Value> = found.keys.iter().map(|file| found.document(file)).collect();
    Ok(Outcome::new(documents, text))
}

fn show(found: &Found, name: &str) -> Result<Outcome, Failure> {
    let file = found.keys.iter().find(|file| file.name == name).ok_or_else(|| {
        let names: Vec<&str> = found.keys.iter().map(|file| file.name.as_str()).collect();
        Failure::new(Exit::NotFound, "no_such_key", format!("there is no key {name} in this folder"))
            .with_help(format!("one of: {}", names.join(", ")))
    })?;
    let mut text = format!(
        "{name}: {}\nfile       {}\nkind       {}\npublic key {}\nencrypted  {}\nmode       {:04o}\n",
        purpose(name),
        file.path.display(),
        kind(file),
        found.public_key(file).unwrap_or_else(|| "–".into()),
        if file.encrypted { "yes" } else { "NO" },
        file.mode,
    );
    found.in_genesis(file).iter().for_each(|whose| text.push_str(&format!("genesis    {whose}\n")));
    file.faults.iter().for_each(|fault| text.push_str(&format!("fault      {fault}\n")));
    Ok(Outcome::new(found.document(file), text))
}

fn check(found: &Found) -> Result<Outcome, Failure> {
    let mut faults: Vec<(&Path, &Fault)> =
        found.keys.iter().flat_map(|file| file.faults.iter().map(|fault| (file.path.as_path(), fault))).collect();
    if let Some((path, wrong)) = &found.passphrase {
        faults.extend(wrong.iter().map(|fault| (path.as_path(), fault)));
    }
    let text: String = match faults.is_empty() {
        true => format!("{} keys: each encrypted, mode 0600, and opened by the passphrase", found.keys.len()),
        false => faults.iter().map(|(path, fault)| format!("{}: {fault}\n", path.display())).collect(),
    };
    let documents: Vec<Value> = faults
        .iter()
        .map(|(path, fault)| json!({ "path": path, "code": fault.code(), "message": fault.to_string() }))
        .collect();
    let strangers = found.strangers();
    let data = json!({ "keys": found.keys.len(), "faults": documents, "not_in_genesis": strangers });
    let mut outcome = Outcome::new(data, text);
    if !strangers.is_empty() {
        let names = strangers.join(", ");
        outcome =
            outcome.with_warning(format!("the genesis names others: {names}; replaced since, or another chain's"));
    }
    Ok(match faults.len() {
        0 => outcome,
        count => outcome.but(Failure::unverified("keys_not_usable", format!("a node would refuse {count} files here"))),
    })
}
