//! A server that lies: an observer's answers, altered, for anyone who wants to watch a lie being named.
//!
//! What it knows is what such a server would know: public answers. Three kinds take keys besides, as [`Collusion`] says; those
//! of a local cluster lie in its folder. Everything that the lie is not about is passed on as the observer says it.

mod forge;
mod serve;

use crate::Global;
use crate::cluster::{Cluster, trust};
use crate::outcome::{Failure, Outcome};
use forge::{Collusion, Liar};
use ledger_verify::Reason;
use serde_json::json;
use std::net::SocketAddr;

#[derive(clap::Args)]
pub struct Lie {
    kind: Kind,
    /// Where to serve it.
    #[arg(long, default_value = "127.0.0.1:8300")]
    listen: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// An older state, kept, under the newest checkpoint. It is told once the log has grown.
    StaleRoot,
    /// The record says another status than the registry holds.
    WrongRecord,
    /// The central bank's log has not signed.
    MissingLogSignature,
    /// A validator's signature that is none.
    ForgedSigner,
    /// One validator, counted twice.
    DuplicatedSigner,
    /// A state of the validators before a hand-over. The hand-over is staged with the cluster's keys; the lie takes none.
    WrongSet,
    /// A state of the validators after a hand-over that is kept back. Staged with the cluster's keys too.
    OmittedUpdate,
    /// Another log of the same size, signed by the log and a quorum: it takes a second view to name it.
    SplitView,
}

impl Kind {
    /// What every verifier must call it.
    pub fn reason(self) -> Reason {
        match self {
            Kind::StaleRoot => Reason::StaleRoot,
            Kind::WrongRecord => Reason::WrongRecord,
            Kind::MissingLogSignature => Reason::MissingLogSignature,
            Kind::ForgedSigner => Reason::ForgedSigner,
            Kind::DuplicatedSigner => Reason::DuplicatedSigner,
            Kind::WrongSet => Reason::WrongSet,
            Kind::OmittedUpdate => Reason::OmittedUpdate,
            Kind::SplitView => Reason::SplitView,
        }
    }

    fn takes_keys(self) -> bool {
        matches!(self, Kind::WrongSet | Kind::OmittedUpdate | Kind::SplitView)
    }
}

impl Lie {
    /// Serves until it is interrupted.
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let cluster = Cluster::find(global)?;
        let trust = trust(global, None)?;
        let observer = match &global.api {
            Some(api) => api.clone(),
            None => cluster.with_role("observer")?.client()?.base().to_owned(),
        };
        let collusion = if self.kind.takes_keys() { Some(Collusion::of(&cluster, &trust)?) } else { None };
        let liar = Liar::new(self.kind, trust, collusion);
        let listener = tokio::net::TcpListener::bind(self.listen).await.map_err(|error| {
            Failure::network("cannot_listen", format!("{}: {error}", self.listen)).with_help("--listen ADDRESS:PORT")
        })?;
        let url = format!("http://{}", self.listen);
        let code = self.kind.reason().code();
        eprintln!("{url} says what {observer} says, with one lie: it must be called {code}");
        eprintln!(
            "try: assay coin show COIN --api {url}{}",
            match self.kind {
                Kind::SplitView => format!(" --mirror {observer}"),
                _ => String::new(),
            }
        );
        let told = serve::serve(listener, liar, observer).await?;
        Ok(Outcome::new(
            json!({ "url": url, "reason": code, "answers_altered": told }),
            format!("{told} answers altered"),
        ))
    }
}
