//! The site as its routes see it.

use crate::clock::Clock;
use crate::config::Config;
use crate::counterfactual::Counterfactuals;
use crate::ledger::Ledger;
use crate::trial::Trials;
use crate::{api, http, pages};
use axum::Router;
use eyre::Context;
use ledger_verify::Trust;
use std::sync::Arc;
use tokio::sync::Semaphore;

#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    ledger: Arc<Ledger>,
    config: Config,
    genesis: Vec<u8>,
    genesis_hash: String,
    streams: Arc<Semaphore>,
    trials: Trials,
    counterfactuals: Counterfactuals,
}

impl Site {
    /// `genesis` are the bytes of the document that is pinned.
    pub fn new(config: Config, genesis: Vec<u8>, clock: Clock) -> eyre::Result<Self> {
        config.check()?;
        let trust = Trust::from_genesis(&genesis).wrap_err("the genesis document breaks a rule")?;
        let genesis_hash = trust.chain().genesis_hash().to_string();
        let ledger = Ledger::new(trust, &config, clock);
        let streams = Arc::new(Semaphore::new(config.limits.event_streams));
        let trials = Trials::default();
        let counterfactuals = Counterfactuals::new(&config.back_tests, trials.clone())?;
        Ok(Site(Arc::new(Inner { ledger, config, genesis, genesis_hash, streams, trials, counterfactuals })))
    }

    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.0.ledger
    }

    pub fn config(&self) -> &Config {
        &self.0.config
    }

    pub fn genesis(&self) -> &[u8] {
        &self.0.genesis
    }

    pub fn genesis_hash(&self) -> &str {
        &self.0.genesis_hash
    }

    /// Places for browsers that follow the log.
    pub fn streams(&self) -> &Arc<Semaphore> {
        &self.0.streams
    }

    pub fn trials(&self) -> &Trials {
        &self.0.trials
    }

    /// What deployed policies would have done.
    pub fn counterfactuals(&self) -> &Counterfactuals {
        &self.0.counterfactuals
    }

    pub fn now_ms(&self) -> u64 {
        self.0.ledger.clock().now_ms()
    }

    pub fn router(&self) -> Router {
        let router = api::router(self.clone()).merge(pages::router(self.clone()));
        http::guarded(router, &self.0.config)
    }
}
