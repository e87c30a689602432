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
    /// A contract's text with other figures than were deployed.
    ContractSource,
    /// An item of a feed with another value.
    FeedValue,
    /// A receipt at another rate.
    ReceiptRate,
    /// The list of contracts without the newest.
    EntryOmitted,
}

impl Kind {
    /// What every verifier must call it. What is left out of a list has no reason's number: no proof of it is wrong.
    fn code(self) -> &'static str {
        self.reason().map_or("entry_omitted", Reason::code)
    }

    fn reason(self) -> Option<Reason> {
        Some(match self {
            Kind::StaleRoot => Reason::StaleRoot,
            Kind::WrongRecord => Reason::WrongRecord,
            Kind::MissingLogSignature => Reason::MissingLogSignature,
            Kind::ForgedSigner => Reason::ForgedSigner,
            Kind::DuplicatedSigner => Reason::DuplicatedSigner,
            Kind::WrongSet => Reason::WrongSet,
            Kind::OmittedUpdate => Reason::OmittedUpdate,
            Kind::SplitView => Reason::SplitView,
            Kind::ContractSource | Kind::FeedValue => Reason::WrongRecord,
            Kind::ReceiptRate => Reason::LeafNotLogged,
            Kind::EntryOmitted => return None,
        })
    }

    /// Of which the site's pages are the verifier.
    fn is_of_contracts(self) -> bool {
        matches!(self, Kind::ContractSource | Kind::FeedValue | Kind::ReceiptRate | Kind::EntryOmitted)
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
        let code = self.kind.code();
        eprintln!("{url} says what {observer} says, with one lie: it must be called {code}");
        match self.kind {
            kind if kind.is_of_contracts() => {
                eprintln!("try: assay-site --upstream {url} --genesis GENESIS, and its /en/contracts")
            }
            Kind::SplitView => eprintln!("try: assay coin show COIN --api {url} --mirror {observer}"),
            _ => eprintln!("try: assay coin show COIN --api {url}"),
        }
        let told = serve::serve(listener, liar, observer).await?;
        Ok(Outcome::new(
            json!({ "url": url, "reason": code, "answers_altered": told }),
            format!("{told} answers altered"),
        ))
    }
}
