//! `assay rules`: the version of the ledger's rules, who knows which, and the order that changes it (B-13).

use super::confirm::confirm;
use super::regulator::Officers;
use super::{order, table};
use crate::Global;
use crate::cluster::{Cluster, client, trust};
use crate::outcome::{Failure, Outcome};
use ledger_types::envelope::{ClearContext, RulesOrderContext};
use ledger_types::rules::RulesOrder;
use ledger_types::{Height, List, RulesVersion};
use node_api::{Client, ledger as doc};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

const ASK_EVERY: Duration = Duration::from_millis(250);

#[derive(clap::Subcommand)]
pub enum Rules {
    /// The version that governs, the one that is ordered, and which nodes know it.
    Show,
    /// Order the next version. It governs from a height on, and is not taken back.
    Order {
        /// Its first height, at least two after the order.
        #[arg(long, value_name = "HEIGHT")]
        at: u64,
        #[command(flatten)]
        officers: Officers,
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
        /// Order without asking.
        #[arg(long)]
        yes: bool,
        #[arg(long, default_value_t = 30)]
        timeout_s: u64,
    },
}

/// Of one node, as it says.
#[derive(Serialize)]
struct Knows {
    name: String,
    /// None: it does not answer.
    rules_known: Option<u8>,
}

#[derive(Serialize)]
struct Standing {
    rules_version: u8,
    pending_rules: Option<doc::PendingRules>,
    height: u64,
    nodes: Vec<Knows>,
}

impl Rules {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        match self {
            Rules::Show => Ok(show(standing(global, &client(global, "observer")?).await?)),
            Rules::Order { at, officers, genesis, yes, timeout_s } => {
                let trust = trust(global, genesis.as_deref())?;
                let keys = officers.keys(global, &trust)?;
                let node = client(global, "central_bank")?;
                let before = standing(global, &node).await?;
                let Some(version) = RulesVersion(before.rules_version).next() else {
                    return Err(Failure::usage("there is no version after this one"));
                };
                confirm(global, yes, "an order of rules", &announcement(&before, version, at))?;
                let order = RulesOrder { version, activates_at: Height(at) };
                let context = |authorizations| ClearContext::RulesOrder(RulesOrderContext { order, authorizations });
                let mut core = order::core(&trust, &node, context(List::empty())).await?;
                core.context = context(order::signatures(&keys, &core.authorization_message(trust.chain()))?);
                let id = order::submit(&trust, &node, core).await?;
                taken(&node, &id, Duration::from_secs(timeout_s)).await?;
                Ok(show(standing(global, &node).await?))
            }
        }
    }
}

/// Every node of a local cluster is asked; elsewhere the one alone.
async fn standing(global: &Global, node: &Client) -> Result<Standing, Failure> {
    let status = node.status().await?;
    let mut nodes = Vec::new();
    match Cluster::find(global) {
        Ok(cluster) if global.api.is_none() => {
            for process in cluster.processes.iter().filter(|process| process.http.is_some()) {
                let answer = process.client()?.status().await;
                nodes.push(Knows { name: process.name.clone(), rules_known: answer.ok().map(|s| s.rules_known) });
            }
        }
        _ => nodes.push(Knows { name: status.name, rules_known: Some(status.rules_known) }),
    }
    let doc::Status { rules_version, pending_rules, height, .. } = status;
    Ok(Standing { rules_version, pending_rules, height, nodes })
}

fn announcement(before: &Standing, version: RulesVersion, at: u64) -> String {
    let old = before.nodes.iter().filter(|node| node.rules_known.is_none_or(|known| known < version.0));
    let old: Vec<&str> = old.map(|node| node.name.as_str()).collect();
    let who = match old.is_empty() {
        true => "every node that was asked knows it".to_owned(),
        false => format!("{} will stop before it, or did not answer", old.join(", ")),
    };
    format!(
        "version    {version} of the rules, from height {at} on; the chain is at height {}\nnodes      {who}",
        before.height
    )
}

/// Waits until the ledger holds the order, or refuses it.
async fn taken(node: &Client, id: &str, patience: Duration) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        if order::is_accepted(node, id).await? {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            let message = "the order was submitted, and no height has taken it yet";
            return Err(Failure::network("not_ordered_yet", message).with_help("assay rules show"));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn show(standing: Standing) -> Outcome {
    let due = standing.pending_rules.as_ref().map_or(standing.rules_version, |order| order.version);
    let row = |node: &Knows| {
        let (known, is_ready) = match node.rules_known {
            None => ("no answer".to_owned(), ""),
            Some(known) if known < due => (known.to_string(), "no: it stops before them"),
            Some(known) => (known.to_string(), "yes"),
        };
        vec![node.name.clone(), known, is_ready.to_owned()]
    };
    let rows: Vec<Vec<String>> = standing.nodes.iter().map(row).collect();
    let next = match &standing.pending_rules {
        None => "none is ordered".to_owned(),
        Some(order) => format!("version {} governs from height {} on", order.version, order.activates_at),
    };
    let text = format!(
        "{}\nversion {} of the rules governs at height {}, {next}",
        table(&["node", "knows rules up to", "ready"], &rows),
        standing.rules_version,
        standing.height
    );
    Outcome::new(standing, text)
}
