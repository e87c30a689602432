//! What is played in one run: who lies, what befalls whom and when.

use crate::bugs::Bug;
use crate::byzantine::Liar;
use crate::byzantine::twin::Schedule;
use crate::network::{Micros, Partition, Weather};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;

/// What a run is made of; all of it follows from a seed, or from the number of a schedule.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub validators: usize,
    /// By instance.
    pub liars: BTreeMap<usize, Liar>,
    pub weather: Weather,
    pub chaos_until: Micros,
    /// Between two faults, on average.
    pub fault_every: Micros,
    pub pays: bool,
    pub hand_overs: HandOvers,
    /// Faults at times of their own, beside those that the seed chooses.
    pub script: Vec<(Micros, Scripted)>,
    pub schedule: Option<Schedule>,
    pub bug: Option<Bug>,
    pub readable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripted {
    Part(Partition),
    Mend,
    /// All at once; they start again 10 ms later.
    CrashAll,
    /// The instance dies at one of its next writes or syncs.
    Die(usize),
    /// It stops, and starts again when all heals.
    Stop(usize),
    /// It starts again 10 ms later.
    Restart(usize),
    /// Somebody copies its guard and its log.
    Copy(usize),
    /// It stops, and starts again 10 ms later with the copy in place of its guard and log.
    PutBack(usize),
    /// Officers replace one validator.
    HandOver,
}

/// Officers replace validators, and one machine more is there to come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOvers {
    None,
    /// By [`Scripted::HandOver`].
    Scripted,
    AtRandom,
}

impl Plan {
    pub fn of_seed(seed: u64) -> Plan {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5eed);
        let validators = if rng.gen_ratio(1, 5) { 7 } else { 4 };
        let faulty = (validators - 1) / 3;
        let mut liars = BTreeMap::new();
        if rng.gen_bool(0.6) {
            for _ in 0..rng.gen_range(1..=faulty) {
                let liar = Liar::ALL[rng.gen_range(0..Liar::ALL.len())];
                // One machine more is enough of them.
                if liar != Liar::Twin || !liars.values().any(|other| *other == Liar::Twin) {
                    liars.insert(rng.gen_range(0..validators), liar);
                }
            }
        }
        let weather = Weather {
            loss: [0, 10, 100, 300][rng.gen_range(0..4)],
            replay: [0, 20, 100][rng.gen_range(0..3)],
            straggle: [0, 10, 50][rng.gen_range(0..3)],
            delay: [(300, 3_000), (5_000, 25_000), (500, 80_000)][rng.gen_range(0..3)],
        };
        let chaos_until = rng.gen_range(800_000..2_500_000);
        let fault_every = [120_000, 250_000, 600_000][rng.gen_range(0..3)];
        let hands_over = rng.gen_ratio(1, 3);
        Plan {
            seed,
            validators,
            liars,
            weather,
            // An order, a batch that logs it and two heights more take their time.
            chaos_until: chaos_until + if hands_over { 2_500_000 } else { 0 },
            fault_every,
            pays: true,
            hand_overs: if hands_over { HandOvers::AtRandom } else { HandOvers::None },
            script: Vec::new(),
            schedule: None,
            bug: None,
            readable: false,
        }
    }

    pub fn of_twins(index: u64) -> Plan {
        let schedule = Schedule::of(index);
        Plan {
            seed: index,
            validators: 4,
            liars: BTreeMap::from([(schedule.twinned, Liar::Twin)]),
            weather: Weather::CALM,
            chaos_until: 0,
            fault_every: 0,
            pays: false,
            hand_overs: HandOvers::None,
            script: Vec::new(),
            schedule: Some(schedule),
            bug: None,
            readable: false,
        }
    }
}
