//! Which node to ask: a local cluster's by name, or any by address.

use crate::Global;
use crate::outcome::Failure;
use ledger_verify::Trust;
use node_api::Client;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// `cluster.json`, as `assay-node init-cluster` writes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Cluster {
    pub genesis: PathBuf,
    pub currency: String,
    pub exponent: u8,
    pub processes: Vec<Process>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    pub name: String,
    pub role: String,
    pub participant: u16,
    pub folder: PathBuf,
    pub http: Option<String>,
    pub token_file: Option<PathBuf>,
}

pub fn default_folder() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    home.join(".cache/assay/cluster")
}

impl Cluster {
    pub fn find(global: &Global) -> Result<Cluster, Failure> {
        let folder = global.cluster.clone().unwrap_or_else(default_folder);
        Cluster::read(&folder)
    }

    pub fn read(folder: &Path) -> Result<Cluster, Failure> {
        let path = folder.join("cluster.json");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::network("no_cluster", format!("there is no cluster at {}: {error}", path.display()))
                .with_help("scripts/cluster up makes one; --cluster DIR names another; --api URL needs none")
        })?;
        serde_json::from_str(&text).map_err(|error| Failure::file(&path, error))
    }

    /// A process that answers over HTTP.
    pub fn process(&self, name: &str) -> Result<&Process, Failure> {
        self.named(name, |process| process.http.is_some())
    }

    /// Also one that serves nothing, such as registration.
    pub fn any_process(&self, name: &str) -> Result<&Process, Failure> {
        self.named(name, |_| true)
    }

    fn named(&self, name: &str, fits: impl Fn(&Process) -> bool) -> Result<&Process, Failure> {
        let fitting = || self.processes.iter().filter(|process| fits(process));
        fitting().find(|process| process.name == name).ok_or_else(|| {
            let names: Vec<&str> = fitting().map(|process| process.name.as_str()).collect();
            Failure::usage(format!("there is no node {name}")).with_help(format!("one of: {}", names.join(", ")))
        })
    }

    pub fn with_role(&self, role: &str) -> Result<&Process, Failure> {
        let found = self.processes.iter().find(|p| p.role == role && p.http.is_some());
        found.ok_or_else(|| Failure::usage(format!("the cluster has no {role}")))
    }

    pub fn bank_number(&self, text: &str) -> Result<u16, Failure> {
        if let Ok(number) = text.parse() {
            return Ok(number);
        }
        Ok(self.process(text)?.participant)
    }
}

impl Process {
    pub fn client(&self) -> Result<Client, Failure> {
        let token = self.token_file.as_deref().map(read_token).transpose()?;
        Ok(Client::new(self.http.as_deref().unwrap_or_default(), token))
    }
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::file(path, format_args!("cannot read the token: {error}")))?;
    Ok(text.trim().to_owned())
}

/// The node that a command talks to: `--api`, else `--as`, else the given role of the cluster.
pub fn client(global: &Global, default_role: &str) -> Result<Client, Failure> {
    if let Some(api) = &global.api {
        let token = global.token_file.as_deref().map(read_token).transpose()?;
        return Ok(Client::new(api, token));
    }
    let cluster = Cluster::find(global)?;
    match &global.node {
        Some(name) => cluster.process(name)?.client(),
        None => cluster.with_role(default_role)?.client(),
    }
}

/// The pinned genesis: a file, else the cluster's.
pub fn trust(global: &Global, genesis: Option<&Path>) -> Result<Trust, Failure> {
    let path = match genesis {
        Some(path) => path.to_owned(),
        None => Cluster::find(global)?.genesis,
    };
    trust_of(&path)
}

pub fn trust_of(genesis: &Path) -> Result<Trust, Failure> {
    let document = std::fs::read(genesis).map_err(|error| Failure::file(genesis, error))?;
    Trust::from_genesis(&document)
        .map_err(|error| Failure::file(genesis, format_args!("this is no genesis document: {error}")))
}

#[expect(clippy::disallowed_methods, reason = "the command line's one clock")]
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
