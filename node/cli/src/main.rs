//! `assay`, the command line.
//!
//! - stdout is the result, stderr everything else. With `--json` stdout is one document of a fixed shape, errors included.
//! - What a server says is shown as verified only after this program has checked its proof from the pinned genesis.
//! - Exit codes: 0 done, 2 usage, 3 refused by a rule, 4 not found, 5 no answer, 6 verification failed; beside them 1 for a
//!   file or program of this machine that fails, and 130 for an interrupt (node/decisions/040).

mod amount;
mod cluster;
mod commands;
mod key_file;
mod outcome;

use clap::{CommandFactory, Parser};
use commands::Command;
use node_api::version::long_version;
use outcome::{Exit, Failure, Format, Outcome};
use std::path::Path;
use std::process::ExitCode;
use std::sync::LazyLock;

static LONG_VERSION: LazyLock<String> =
    LazyLock::new(|| long_version(env!("CARGO_PKG_VERSION"), option_env!("ASSAY_COMMIT"), &[]));

#[derive(Parser)]
#[command(name = "assay", version, long_version = &**LONG_VERSION, about = "Issue, pay, query and verify on the Assay ledger")]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(clap::Args, Clone)]
pub struct Global {
    /// One JSON document on stdout, errors included; never asks anything.
    #[arg(long, global = true)]
    json: bool,
    /// Folder of a local cluster.
    #[arg(long, global = true, env = "ASSAY_CLUSTER")]
    cluster: Option<std::path::PathBuf>,
    /// Which of the cluster's nodes to ask, by its name: bank2, central-bank, observer.
    #[arg(long = "as", global = true, value_name = "NODE")]
    node: Option<String>,
    /// Address of a node outside a local cluster.
    #[arg(long, global = true, value_name = "URL")]
    api: Option<String>,
    /// File with that node's token.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse_usage(&error),
    };
    let format = if arguments.global.json { Format::Json } else { Format::Text };
    match &arguments.command {
        Command::Completions { shell } => return outcome::print(format, Ok(completions(*shell))),
        Command::Man { folder } => return outcome::print(format, man_pages(folder)),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(commands::run(&arguments.global, arguments.command));
            // What still computes for a command that was ended is not waited for.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failure::new(Exit::Local, "runtime", error.to_string())),
    };
    outcome::print(format, result)
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "assay", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    Outcome::new(serde_json::json!({ "shell": shell.to_string(), "script": script }), script)
}

fn man_pages(folder: &Path) -> Result<Outcome, Failure> {
    let wrong = |error| Failure::file(folder, error);
    std::fs::create_dir_all(folder).map_err(wrong)?;
    clap_mangen::generate_to(Arguments::command(), folder).map_err(wrong)?;
    let text = format!("man pages are in {0}; try: man {0}/assay.1", folder.display());
    Ok(Outcome::new(serde_json::json!({ "folder": folder }), text))
}

/// clap's own message for people; the same document as all errors for programs.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    let asked_for_help = !error.use_stderr();
    if asked_for_help || !std::env::args().any(|argument| argument == "--json") {
        let _ = error.print();
        return if asked_for_help { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    outcome::print(Format::Json, Err(Failure::usage(error.to_string())))
}
