//! `assay doctor`: asks the node's own program, which alone opens its files, and says what it said with the same exit code.

use super::bench::beside_this_program;
use crate::Global;
use crate::cluster::Cluster;
use crate::outcome::{Exit, Failure, Outcome};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Looks at a process's files as its start would, and says what is wrong and what to do: as `assay-node doctor`.
///
/// Exit code 0: fine; 1: it would not start; 5: it would start and do less than it should, or it runs and has them open.
#[derive(clap::Args)]
pub struct Doctor {
    /// The process's configuration; else that of the local cluster's process that --as names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Compute log and map anew from the stored bytes too: minutes for ten million coins.
    #[arg(long)]
    deep: bool,
    /// The node's program; else assay-node beside this one.
    #[arg(long, value_name = "FILE")]
    node_program: Option<PathBuf>,
}

impl Doctor {
    pub fn run(self, global: &Global) -> Result<Outcome, Failure> {
        let config = match (self.config, &global.node) {
            (Some(config), _) => config,
            (None, Some(name)) => Cluster::find(global)?.any_process(name)?.folder.join("node.toml"),
            (None, None) => {
                let failure = Failure::usage("which process? --config FILE names its configuration");
                return Err(failure.with_help("--as NODE takes one of the local cluster"));
            }
        };
        let program = self.node_program.unwrap_or_else(|| beside_this_program("assay-node"));
        let mut command = Command::new(&program);
        command.args(["doctor", "--json", "--config"]).arg(&config).args(self.deep.then_some("--deep"));
        let help = "build assay-node, or name it with --node-program";
        let said = command.output().map_err(|error| Failure::file(&program, error).with_help(help))?;
        let report: Value = serde_json::from_slice(&said.stdout).map_err(|_| {
            let complaint = String::from_utf8_lossy(&said.stderr).trim().to_owned();
            Failure::new(Exit::Local, "no_report", format!("{} gave no report: {complaint}", program.display()))
        })?;
        let outcome = Outcome::new(&report, text(&report));
        Ok(match said.status.code() {
            Some(0) => outcome,
            Some(5) => outcome.but(failure(Exit::Network, "attention", &config)),
            _ => outcome.but(failure(Exit::Local, "broken", &config)),
        })
    }
}

fn failure(exit: Exit, verdict: &str, config: &Path) -> Failure {
    let found = match exit {
        Exit::Network => "something needs attention",
        _ => "something is broken",
    };
    Failure::new(exit, verdict, format!("{}: {found}, as the findings say", config.display()))
}

/// As the node's program prints it.
fn text(report: &Value) -> String {
    let mut lines = Vec::new();
    let word = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    for finding in report["findings"].as_array().into_iter().flatten() {
        let [verdict, check, what, action] = ["verdict", "check", "what", "do"].map(|name| word(finding, name));
        lines.push(format!("{verdict:10} {check:14} {what}"));
        if !action.is_empty() {
            lines.push(format!("{:25} -> {action}", ""));
        }
    }
    lines.join("\n")
}
