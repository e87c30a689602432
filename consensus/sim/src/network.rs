//! Who hears whom, when, and how often.

use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeSet;

/// Microseconds of virtual time.
pub type Micros = u64;

#[derive(Clone, Debug)]
pub struct Weather {
    /// Of a message, each in 1,000.
    pub loss: u32,
    pub replay: u32,
    /// Some messages take much longer than the others and so come out of order.
    pub straggle: u32,
    pub delay: (Micros, Micros),
}

impl Weather {
    pub const CALM: Weather = Weather { loss: 0, replay: 0, straggle: 0, delay: (300, 3_000) };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    Symmetric,
    OneWay,
    Minority,
    /// Two halves that one node alone hears both of.
    Bridge,
    /// Everyone hears the neighbours only.
    Ring,
}

impl Partition {
    pub const ALL: [Partition; 5] =
        [Partition::Symmetric, Partition::OneWay, Partition::Minority, Partition::Bridge, Partition::Ring];
}

pub struct Network {
    pub weather: Weather,
    nodes: usize,
    cut: BTreeSet<(usize, usize)>,
    /// Swizzled clogging: a clogged link holds what it carries until then, and lets it out at once.
    clogged_until: Vec<Micros>,
}

impl Network {
    pub fn new(nodes: usize, weather: Weather) -> Self {
        Network { weather, nodes, cut: BTreeSet::new(), clogged_until: vec![0; nodes * nodes] }
    }

    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }

    pub fn mend(&mut self) {
        self.cut.clear();
    }

    pub fn unclog(&mut self) {
        self.clogged_until.fill(0);
    }

    pub fn part(&mut self, partition: Partition, rng: &mut StdRng) {
        self.cut.clear();
        let mut order: Vec<usize> = (0..self.nodes).collect();
        for at in (1..self.nodes).rev() {
            order.swap(at, rng.gen_range(0..=at));
        }
        let place = |node: usize| order.iter().position(|other| *other == node).expect("all are in");
        let half = self.nodes / 2;
        for from in 0..self.nodes {
            for to in (0..self.nodes).filter(|to| *to != from) {
                let (a, b) = (place(from), place(to));
                let hears = match partition {
                    Partition::Symmetric => (a < half) == (b < half),
                    Partition::OneWay => a >= half || b < half,
                    Partition::Minority => (a == 0) == (b == 0),
                    Partition::Bridge => a == 0 || b == 0 || (a <= half) == (b <= half),
                    Partition::Ring => a.abs_diff(b) == 1 || a.abs_diff(b) == self.nodes - 1,
                };
                if !hears {
                    self.cut.insert((from, to));
                }
            }
        }
    }

    /// Some links, each for a time of its own, so that they open in another order than they closed.
    pub fn clog(&mut self, now: Micros, rng: &mut StdRng) {
        for until in &mut self.clogged_until {
            if rng.gen_bool(0.4) {
                *until = now + rng.gen_range(50_000..900_000);
            }
        }
    }

    /// When a message sent now arrives: not at all, once, or more than once.
    pub fn arrivals(&self, from: usize, to: usize, now: Micros, rng: &mut StdRng) -> (Vec<Micros>, Fate) {
        let weather = &self.weather;
        if self.is_cut(from, to) {
            return (Vec::new(), Fate::Cut);
        }
        if weather.loss > 0 && rng.gen_range(0..1_000) < weather.loss {
            return (Vec::new(), Fate::Lost);
        }
        let mut fate = Fate::Sent;
        let mut at = now + rng.gen_range(weather.delay.0..=weather.delay.1);
        if weather.straggle > 0 && rng.gen_range(0..1_000) < weather.straggle {
            at += rng.gen_range(10_000..2_000_000);
            fate = Fate::Straggles;
        }
        let open = self.clogged_until[from * self.nodes + to];
        if open > at {
            at = open;
            fate = Fate::Clogged;
        }
        let mut arrivals = vec![at];
        if weather.replay > 0 && rng.gen_range(0..1_000) < weather.replay {
            arrivals.push(at + rng.gen_range(1_000..3_000_000));
            fate = Fate::Replayed;
        }
        (arrivals, fate)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Sent,
    Cut,
    Lost,
    Straggles,
    Clogged,
    Replayed,
}
