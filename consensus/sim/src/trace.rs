//! What happened, as a running hash, as a text when it is asked for, and as counts.

use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Default)]
pub struct Trace {
    hasher: blake3::Hasher,
    /// None: nobody reads it.
    text: Option<String>,
    pub counts: BTreeMap<&'static str, u64>,
}

impl Trace {
    pub fn new(readable: bool) -> Self {
        Trace { text: readable.then(String::new), ..Trace::default() }
    }

    /// `what` is what the hash covers; `say` makes the line for people.
    pub fn event(&mut self, now: u64, what: &[u8], say: impl FnOnce() -> String) {
        self.hasher.update(&now.to_le_bytes());
        self.hasher.update(&(what.len() as u32).to_le_bytes());
        self.hasher.update(what);
        if let Some(text) = &mut self.text {
            let _ = writeln!(text, "{:>10.3} ms  {}", now as f64 / 1_000.0, say());
        }
    }

    /// What the hash covers beside.
    pub fn cover(&mut self, what: &[u8]) {
        self.hasher.update(&(what.len() as u32).to_le_bytes());
        self.hasher.update(what);
    }

    pub fn say(&mut self, now: u64, say: impl FnOnce() -> String) {
        if let Some(text) = &mut self.text {
            let _ = writeln!(text, "{:>10.3} ms      {}", now as f64 / 1_000.0, say());
        }
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, what: &'static str, times: u64) {
        if times > 0 {
            *self.counts.entry(what).or_default() += times;
        }
    }

    pub fn hash(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }

    pub fn into_text(self) -> Option<String> {
        self.text
    }
}
