//! The site over a small registry of this process, to look at its pages without a cluster: a coin of every status, requests of
//! the officers of every class, contracts, feeds and loans, and a new batch every few seconds.
//! `cargo run --release -p assay-site --example small_registry -- 127.0.0.1:8190 [SECONDS]`

#[path = "../tests/support/mod.rs"]
mod support;

use assay_site::Site;
use assay_site::clock::Clock;
use assay_site::config::Config;
use ledger_types::request::RequestClass;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::{Observer, chain, contracts, registry_at};

#[tokio::main]
async fn main() -> eyre::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8190".into()).parse()?;
    let every = Duration::from_secs(arguments.next().map_or(Ok(5), |seconds| seconds.parse())?);
    let clock = Clock::system();
    let mut grown = registry_at(clock.now_ms());
    for class in RequestClass::ALL.iter().chain([&RequestClass::Disclose]) {
        grown.log_request(grown.request(*class, 5));
    }
    for height in 10..60 {
        let lines: Vec<_> = (0..height % 3 + 1).map(|n| grown.live((8 + height * 3 + n) as u8)).collect();
        grown.confirm(height * 1_800, &lines);
    }
    let observer = Observer::start(grown).await;
    observer.cosigned_at_s.store(clock.now_ms() / 1_000, Ordering::Relaxed);
    let mut config = Config::new(listen, vec![observer.base.clone()], "genesis.bin".into());
    config.cache.poll_ms = 500;
    let limits = config.limits.clone();
    let genesis = observer.registry.lock().expect("nobody panics").document();
    let site = Site::new(config, genesis, clock.clone())?;
    site.ledger().open().await?;
    for (number, status) in [(1, "spent"), (4, "live"), (5, "frozen"), (6, "disputed"), (99, "not registered")] {
        let coin = chain::issued_coin(&observer.registry.lock().expect("nobody panics").chain, number);
        println!("{status:<15} http://{listen}/en/coin/{coin}");
    }
    println!("{:<15} http://{listen}/en/contracts", "contracts");
    println!("{:<15} http://{listen}/en/feeds/cn.lpr.1y", "a feed");
    let loan = contracts::returned(&observer.registry.lock().expect("nobody panics"));
    println!("{:<15} http://{listen}/en/loans/{loan}", "a receipt");
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(site.ledger().clone().follow(stopped.clone()));
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            let mut registry = observer.registry.lock().expect("nobody panics");
            observer.cosigned_at_s.store(clock.now_ms() / 1_000, Ordering::Relaxed);
            let height = clock.now_ms().saturating_sub(chain::GENESIS_TIME_MS) / 1_000;
            if height > registry.states.last().map_or(0, |(leaf, _)| leaf.height.0) {
                let line = registry.live((height % 250) as u8);
                registry.confirm(height, &[line]);
            }
        }
    });
    let listener = tokio::net::TcpListener::bind(listen).await?;
    assay_site::http::serve(listener, site.router(), &limits, stopped).await;
    Ok(())
}
