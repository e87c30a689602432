//! The query site's command.

use assay_site::Site;
use assay_site::clock::Clock;
use assay_site::config::Config;
use clap::Parser;
use eyre::{Context, OptionExt};
use node_api::version::long_version;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

static LONG_VERSION: LazyLock<String> =
    LazyLock::new(|| long_version(env!("CARGO_PKG_VERSION"), option_env!("ASSAY_COMMIT"), &[]));

#[derive(Parser)]
#[command(name = "assay-site", version, long_version = &**LONG_VERSION, about = "The public query site: pages and an API over observers")]
struct Arguments {
    /// A TOML file; the other options override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An observer's address; more than one are compared with each other.
    #[arg(long, value_name = "URL")]
    upstream: Vec<String>,
    /// The genesis document that is pinned.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Write the log as JSON lines.
    #[arg(long)]
    log_json: bool,
}

impl Arguments {
    fn config(&self) -> eyre::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => {
                let genesis = self.genesis.clone().ok_or_eyre("--config FILE, or --upstream URL --genesis FILE")?;
                let listen = SocketAddr::from(([127, 0, 0, 1], 8190));
                Config::new(listen, self.upstream.clone(), genesis)
            }
        };
        if !self.upstream.is_empty() {
            config.upstream = self.upstream.clone();
        }
        config.genesis = self.genesis.clone().unwrap_or(config.genesis);
        config.listen = self.listen.unwrap_or(config.listen);
        config.check()?;
        Ok(config)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if arguments.log_json {
        log.json().init();
    } else {
        log.init();
    }
    let config = match arguments.config() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("{error:#}");
            return ExitCode::from(2);
        }
    };
    match tokio::runtime::Runtime::new().map_err(eyre::Report::from).and_then(|runtime| runtime.block_on(run(config))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> eyre::Result<()> {
    let path = &config.genesis;
    let genesis = std::fs::read(path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
    let (listen, limits) = (config.listen, config.limits.clone());
    let site = Site::new(config, genesis, Clock::system())?;
    site.ledger().open().await?;
    let listener =
        tokio::net::TcpListener::bind(listen).await.wrap_err_with(|| format!("cannot listen on {listen}"))?;
    let (stop, stopped) = watch::channel(false);
    let follower = tokio::spawn(site.ledger().clone().follow(stopped.clone()));
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        let _ = stop.send(true);
    });
    tracing::info!(address = %listener.local_addr()?, genesis = site.genesis_hash(), "the site is open");
    assay_site::http::serve(listener, site.router(), &limits, stopped).await;
    follower.await?;
    Ok(())
}
