//! `assay contract deploy`, `list`, `show`, `status`, `stop`, `retire`: what officers put in force, and what stands.

use super::{Lang, PolicyFile};
use crate::Global;
use crate::cluster::client;
use crate::commands::confirm::confirm;
use crate::commands::{ended, table};
use crate::outcome::{Exit, Failure, Outcome};
use contracts_vm::{Language, Package, Severity};
use node_api::contracts as doc;
use serde_json::json;

#[derive(clap::Args)]
pub struct Deploy {
    #[command(flatten)]
    policy: PolicyFile,
    /// The contract that gets a new version; without it, a new contract.
    #[arg(long, value_name = "NUMBER")]
    contract: Option<u32>,
    /// How many heights before it binds.
    #[arg(long, value_name = "HEIGHTS", default_value_t = 10)]
    notice: u32,
    /// The hash of the back-test's report, as `backtest` prints it.
    #[arg(long, value_name = "HASH")]
    report: Option<String>,
    /// Deploy without asking.
    #[arg(long)]
    yes: bool,
    #[arg(long, default_value_t = 30)]
    timeout_s: u64,
}

impl Deploy {
    pub async fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let checked = self.policy.checked()?;
        let policy = &checked.policy;
        if let Some(defect) = checked.findings.iter().find(|found| found.severity == Severity::Defect) {
            let message = format!("{} should not be deployed so: {}", policy.name, defect.cause);
            return Err(Failure::new(Exit::Refused, "policy_findings", message).with_help(defect.mend.clone()));
        }
        let central = client(global, "central_bank")?;
        let before: Option<doc::Contract> = match self.contract {
            Some(number) => Some(central.get(&format!("/v1/contracts/{number}")).await?),
            None => None,
        };
        let whom = match &before {
            None => {
                format!("a new contract, {} version {}: whoever is issued money under it", policy.name, policy.version)
            }
            Some(before) => format!(
                "contract {}, {} version {} in the place of version {}: all inert money under it, whenever it was issued",
                before.summary.contract, policy.name, policy.version, before.summary.version
            ),
        };
        let report = self.report.as_deref().map_or("none: nothing was back-tested".to_owned(), str::to_owned);
        let announcement = format!(
            "binds      {whom}\nnotice     {} heights after it is ordered\nback-test  {report}\n\n{}",
            self.notice,
            policy.explain(Language::English)
        );
        confirm(global, self.yes, "a deployment", &announcement)?;
        let package = Package::of_policy(policy).to_bytes();
        let deployment = doc::NewDeployment {
            package: hex::encode(package),
            contract: self.contract,
            notice: self.notice,
            report: self.report,
            idempotency_key: None,
        };
        let operation = central.post("/v1/contracts", &deployment).await?;
        ended(&central, operation, self.timeout_s).await?;
        // The newest contract of this name and version is what was just ordered.
        let all: doc::Contracts = central.get("/v1/contracts").await?;
        let is_it = |summary: &&doc::ContractSummary| summary.name == policy.name && summary.version == policy.version;
        let found = all.contracts.iter().rfind(is_it);
        let found = found.ok_or_else(|| Failure::network("not_yet", "the node does not show the deployment yet"))?;
        let contract: doc::Contract = central.get(&format!("/v1/contracts/{}", found.contract)).await?;
        let binds_at = contract.versions.last().map_or(0, |version| version.binds_at);
        let text = format!(
            "{announcement}\n\ncontract {} version {} binds at height {binds_at}",
            found.contract, found.version
        );
        Ok(Outcome::new(json!({ "contract": found.contract, "version": found.version, "binds_at": binds_at }), text))
    }
}

pub async fn list(global: &Global) -> Result<Outcome, Failure> {
    let all: doc::Contracts = client(global, "observer")?.get("/v1/contracts").await?;
    let row = |contract: &doc::ContractSummary| {
        let (number, version) = (contract.contract.to_string(), contract.version.to_string());
        vec![number, contract.name.clone(), version, contract.state.clone()]
    };
    let rows: Vec<Vec<String>> = all.contracts.iter().map(row).collect();
    let text = table(&["contract", "name", "newest version", "state"], &rows);
    Ok(Outcome::new(all, text))
}

/// The newest version as people read it.
pub async fn show(global: &Global, number: u32, lang: Lang) -> Result<Outcome, Failure> {
    let contract: doc::Contract = client(global, "observer")?.get(&format!("/v1/contracts/{number}")).await?;
    let newest = contract.versions.last();
    let explanation = newest.map_or("", |version| match lang {
        Lang::En => version.explanation_en.as_str(),
        Lang::Zh => version.explanation_zh.as_str(),
    });
    let source = newest.map_or("", |version| version.source.as_str());
    let text = format!("{source}\n{explanation}");
    Ok(Outcome::new(contract, text))
}

/// Its state and its versions, and how much is lent under it.
pub async fn status(global: &Global, number: u32) -> Result<Outcome, Failure> {
    let observer = client(global, "observer")?;
    let contract: doc::Contract = observer.get(&format!("/v1/contracts/{number}")).await?;
    let open: Vec<doc::Obligation> = observer.get(&format!("/v1/obligations?contract={number}")).await?;
    let versions: Vec<Vec<String>> = contract
        .versions
        .iter()
        .map(|version| {
            let report = version.report.clone().unwrap_or_else(|| "none".into());
            vec![version.version.to_string(), version.binds_at.to_string(), version.policy.clone(), report]
        })
        .collect();
    let text = format!(
        "contract {number}, {}: {}; {} loans are open\n{}",
        contract.summary.name,
        contract.summary.state,
        open.len(),
        table(&["version", "binds at", "policy", "back-test"], &versions)
    );
    Ok(Outcome::new(json!({ "contract": contract.summary, "versions": contract.versions, "open_loans": open }), text))
}

pub async fn stop(global: &Global, number: u32, timeout_s: u64) -> Result<Outcome, Failure> {
    let central = client(global, "central_bank")?;
    let operation = central.post(&format!("/v1/contracts/{number}/stop"), &doc::NewStop::default()).await?;
    let outcome = ended(&central, operation, timeout_s).await?;
    Ok(Outcome { text: format!("contract {number} is stopped: nothing is issued or lent under it"), ..outcome })
}

pub async fn retire(global: &Global, number: u32, notice: u32, timeout_s: u64) -> Result<Outcome, Failure> {
    let central = client(global, "central_bank")?;
    let order = doc::NewRetirement { notice, idempotency_key: None };
    let operation = central.post(&format!("/v1/contracts/{number}/retire"), &order).await?;
    let outcome = ended(&central, operation, timeout_s).await?;
    Ok(Outcome { text: format!("contract {number} retires {notice} heights after this, for good"), ..outcome })
}
