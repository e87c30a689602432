//! Time, the network between the nodes, what befalls them, and the order of it all: one queue, one seed.

use crate::bugs::Bug;
use crate::byzantine::twin;
use crate::byzantine::{self, Liar, amnesiac};
use crate::chain::chain_of;
use crate::clients::Clients;
use crate::disk::Disk;
use crate::network::{Fate, Micros, Network, Partition, Weather};
use crate::node::{Ctx, Durable, Gone, Local, Node, Out, Packet, To, Vote};
use crate::oracle::{Invariant, Oracle, Violation};
use crate::plan::{HandOvers, Plan, Scripted};
use crate::signatures;
use crate::trace::Trace;
use ledger_types::coin::CoinStatus;
use ledger_types::{Height, ParticipantNumber};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// After the heal. Rounds have grown long, and a node that starts asks for two seconds; where liars propose in the next rounds, and
/// whoever is honest proposes what others saw too long ago (B-5), each costs a round more.
const PROGRESS_DEADLINE: Micros = 30_000_000;
/// Of an enumerated schedule, whose network is never whole in its rounds, from the start.
const SCHEDULE_DEADLINE: Micros = 120_000_000;
/// What is meant to be enough. The report counts those that took longer.
const PROGRESS_BAR: Micros = 10_000_000;
const HEIGHTS_AFTER_HEAL: u64 = 2;
/// Of an enumerated schedule, in each round: what is said again later gets through, or no round would end.
const PARTITION_LASTS: Micros = 1_500_000;
const EVENTS_MAX: u64 = 400_000;

enum Event {
    Deliver { from: usize, to: usize, packet: Arc<Packet> },
    Local { node: usize, boot: u64, session: u64, local: Local },
    Boot(usize),
    Fault,
    Scripted(Scripted),
    Pay,
    Register,
    HandOver,
    Forget(usize),
    Heal,
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Event::Deliver { packet, .. } => packet.name(),
            Event::Local { local, .. } => local.name(),
            Event::Boot(_) => "boot",
            Event::Fault => "fault",
            Event::Scripted(_) => "scripted fault",
            Event::Pay => "pay",
            Event::Register => "register",
            Event::HandOver => "hand over",
            Event::Forget(_) => "forget",
            Event::Heal => "heal",
        }
    }

    fn node(&self) -> usize {
        match self {
            Event::Deliver { to, .. } => *to,
            Event::Local { node, .. } | Event::Boot(node) | Event::Forget(node) => *node,
            _ => usize::MAX,
        }
    }
}

struct Scheduled {
    at: Micros,
    sequence: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    /// The earliest is the greatest.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

#[expect(clippy::large_enum_variant, reason = "seven at most")]
enum Place {
    Up(Node),
    Down(Durable),
    /// Between two states, inside of one event.
    Moving,
}

pub struct Outcome {
    pub violation: Option<Violation>,
    pub trace: [u8; 32],
    pub text: Option<String>,
    pub counts: BTreeMap<&'static str, u64>,
}

pub struct World {
    plan: Plan,
    numbers: Arc<Vec<ParticipantNumber>>,
    now: Micros,
    sequence: u64,
    queue: BinaryHeap<Scheduled>,
    places: Vec<Place>,
    network: Network,
    oracle: Oracle,
    trace: Trace,
    clients: Clients,
    rng: StdRng,
    healed: Option<Height>,
    /// Honest nodes whose disks may tear writes and whose clocks may be off: as many as may fail beside the liars.
    rough: Vec<usize>,
    /// Of what an instance last spoke; and when somebody first spoke of a round.
    latest_round: Vec<(u64, u32)>,
    spoken_of_since: BTreeMap<(u64, u32), Micros>,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        signatures::forget();
        let chain0 = chain_of(plan.validators);
        let mut rng = StdRng::seed_from_u64(plan.seed);
        let participants = plan.validators as u16 + u16::from(plan.hand_overs != HandOvers::None);
        let mut numbers: Vec<ParticipantNumber> = (1..=participants).map(ParticipantNumber).collect();
        let mut liars = plan.liars.clone();
        if let Some((twinned, _)) = plan.liars.iter().find(|(_, liar)| **liar == Liar::Twin) {
            liars.insert(numbers.len(), Liar::Twin);
            numbers.push(numbers[*twinned]);
        }
        let honest: Vec<bool> = (0..numbers.len()).map(|index| !liars.contains_key(&index)).collect();
        let spare = (plan.validators - 1) / 3 - plan.liars.len().min((plan.validators - 1) / 3);
        let rough: Vec<usize> = (0..plan.validators).filter(|index| honest[*index]).take(spare).collect();
        let numbers = Arc::new(numbers);
        let places = (0..numbers.len())
            .map(|index| {
                // B-5 puts up with f clocks that are off.
                let skew_ms = match rng.gen_range(0..3) {
                    0 if rough.contains(&index) => rng.gen_range(-4_000..4_000),
                    _ => rng.gen_range(-200..200),
                };
                let skew_ms = if plan.schedule.is_some() { index as i64 } else { skew_ms };
                let mut durable = Durable::new(index, &numbers, chain0, plan.bug, skew_ms);
                durable.writes_in_order = !rough.contains(&index);
                durable.forgetful = liars.get(&index) == Some(&Liar::Amnesiac);
                match plan.bug {
                    Some(Bug::GuardSyncSkipped) => durable.disk.forget_syncs_of("guard"),
                    Some(Bug::LogSyncSkipped) => durable.disk.forget_syncs_of("wal"),
                    _ => {}
                }
                Place::Down(durable)
            })
            .collect();
        let mut world = World {
            network: Network::new(numbers.len(), plan.weather.clone()),
            oracle: Oracle::new(chain0, honest, numbers.to_vec()),
            trace: Trace::new(plan.readable),
            clients: Clients::new(chain0, plan.seed),
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            places,
            rng,
            healed: None,
            rough,
            latest_round: vec![(0, 0); numbers.len()],
            spoken_of_since: BTreeMap::new(),
            numbers,
            plan: Plan { liars, ..plan },
        };
        let said = format!("{:?}", world.plan);
        world.trace.say(0, || said);
        for index in 0..world.numbers.len() {
            let at = world.rng.gen_range(0..50_000);
            world.at(at, Event::Boot(index));
            if world.plan.liars.get(&index) == Some(&Liar::Amnesiac) {
                world.at(200_000, Event::Forget(index));
            }
        }
        if world.plan.fault_every > 0 {
            world.at(world.plan.fault_every, Event::Fault);
        }
        if world.plan.pays {
            world.at(60_000, Event::Pay);
            world.at(200_000, Event::Register);
        }
        if world.plan.hand_overs == HandOvers::AtRandom {
            world.at(100_000, Event::HandOver);
        }
        for (at, what) in world.plan.script.clone() {
            world.at(at, Event::Scripted(what));
        }
        world.at(world.plan.chaos_until, Event::Heal);
        world
    }

    fn at(&mut self, at: Micros, event: Event) {
        self.sequence += 1;
        self.queue.push(Scheduled { at, sequence: self.sequence, event });
    }

    pub fn run(mut self) -> Outcome {
        let mut events = 0;
        while let Some(Scheduled { at, event, .. }) = self.queue.pop() {
            self.now = self.now.max(at);
            events += 1;
            let (name, node) = (event.name(), event.node());
            let what = [name.as_bytes(), &(node as u32).to_le_bytes()].concat();
            self.trace.event(self.now, &what, || describe(&event));
            if let Event::Deliver { from, packet, .. } = &event {
                self.trace.cover(&(*from as u32).to_le_bytes());
                packet.cover(&mut self.trace);
            }
            RUNNING.set(true);
            let stepped = catch_unwind(AssertUnwindSafe(|| self.step(event)));
            RUNNING.set(false);
            if let Err(panic) = stepped {
                let said = panic.downcast_ref::<String>().cloned();
                let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
                let text = format!("node {node}, {name}: {}", said.unwrap_or_default());
                self.oracle.violated(Invariant::NoPanic, text);
            }
            if self.oracle.violation.is_some() {
                break;
            }
            if self.has_progressed() {
                if self.plan.schedule.is_none() {
                    let in_time = self.now <= self.plan.chaos_until + PROGRESS_BAR;
                    self.trace.count(if in_time { "progress: within 10 s" } else { "progress: later" });
                }
                break;
            }
            let deadline = if self.plan.schedule.is_some() { SCHEDULE_DEADLINE } else { PROGRESS_DEADLINE };
            let overdue = self.plan.chaos_until + deadline;
            if self.now > overdue || events > EVENTS_MAX {
                self.judge_progress();
                break;
            }
        }
        self.end(events)
    }

    fn end(mut self, events: u64) -> Outcome {
        if self.oracle.violation.is_none() {
            self.oracle.check_acknowledged();
        }
        self.trace.add("events", events);
        self.trace.add("virtual ms", self.now / 1_000);
        self.trace.add("heights: decided", self.oracle.height().0);
        self.trace.add("envelopes: accepted", self.oracle.accepted_count() as u64);
        self.trace.add("envelopes: acknowledged", self.oracle.acknowledged_count() as u64);
        self.trace.add("envelopes: rejected", self.oracle.rejected);
        self.trace.add("hand over: bound", self.oracle.hand_overs);
        for liar in self.plan.liars.values() {
            self.trace.count(match liar {
                Liar::Equivocator => "liar: equivocator",
                Liar::Withholder => "liar: withholder",
                Liar::LiarInSync => "liar: in sync",
                Liar::Amnesiac => "liar: amnesiac",
                Liar::Twin => "liar: twin",
            });
        }
        let violation = self.oracle.violation.take();
        if let Some(violation) = &violation {
            self.trace.event(self.now, b"violation", || format!("VIOLATION {violation}"));
        }
        let (trace, counts) = (self.trace.hash(), std::mem::take(&mut self.trace.counts));
        Outcome { violation, trace, text: self.trace.into_text(), counts }
    }

    fn is_honest(&self, index: usize) -> bool {
        !self.plan.liars.contains_key(&index)
    }

    fn has_progressed(&self) -> bool {
        let Some(from) = self.healed else { return false };
        self.places.iter().enumerate().filter(|(index, _)| self.is_honest(*index)).all(|(_, place)| match place {
            Place::Up(node) => node.tip().height.0 >= from.0 + HEIGHTS_AFTER_HEAL,
            _ => false,
        })
    }

    /// As long as no more than f are liars, refuse to start, or wait for the others to decide.
    fn judge_progress(&mut self) {
        let set = self.oracle.set_of_next();
        let faulty = (set.len() - 1) / 3;
        let mute = |place: &Place| match place {
            Place::Up(node) => matches!(node.vote, Vote::NotThrough(_)),
            _ => true,
        };
        let in_set = |index: &usize| set.get(self.numbers[*index]).is_some();
        let honest = self.places.iter().enumerate().filter(|(index, _)| in_set(index) && self.is_honest(*index));
        let silent = honest.filter(|(_, place)| mute(place)).count();
        let liars: BTreeSet<_> =
            self.plan.liars.keys().filter(|index| in_set(index)).map(|index| self.numbers[*index]).collect();
        let liars = liars.len();
        if silent > 0 && silent + liars > faulty {
            self.trace.count("progress: not demanded, too many wait");
            return;
        }
        let tips: Vec<String> = self
            .places
            .iter()
            .map(|place| match place {
                Place::Up(node) => format!("{} {:?}", node.tip().height, node.vote),
                _ => "down".into(),
            })
            .collect();
        let text = format!("healed at {:?}, now {}", self.healed, tips.join(", "));
        self.oracle.violated(Invariant::Progress, text);
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, packet } => self.with_node(to, |node, ctx| node.on_packet(ctx, from, &packet)),
            Event::Local { node, boot, session, local } => {
                if matches!(&self.places[node], Place::Up(up) if up.durable.boots == boot) {
                    self.with_node(node, |node, ctx| node.on_local(ctx, session, local));
                }
            }
            Event::Boot(index) => self.boot(index),
            Event::Fault => self.fault(),
            Event::Scripted(Scripted::Part(partition)) => self.network.part(partition, &mut self.rng),
            Event::Scripted(Scripted::Mend) => self.network.mend(),
            Event::Scripted(Scripted::Die(index)) => self.burn_fuse(index),
            Event::Scripted(Scripted::Stop(index)) => self.crash(index, true),
            Event::Scripted(Scripted::Restart(index)) => {
                self.crash(index, true);
                self.at(self.now + 10_000, Event::Boot(index));
            }
            Event::Scripted(Scripted::Copy(index)) => self.disk(index).keep_copy(&["guard", "wal"]),
            Event::Scripted(Scripted::PutBack(index)) => {
                self.crash(index, true);
                self.disk(index).put_copy_back();
                self.at(self.now + 10_000, Event::Boot(index));
            }
            Event::Scripted(Scripted::HandOver) => self.order_hand_over(),
            Event::Scripted(Scripted::CrashAll) => {
                for index in 0..self.numbers.len() {
                    self.crash(index, true);
                    self.at(self.now + 10_000, Event::Boot(index));
                }
            }
            Event::Pay => self.pay(),
            Event::Register => self.register(),
            Event::HandOver => self.hand_over(),
            Event::Forget(index) => {
                if self.healed.is_none() {
                    self.crash(index, true);
                    if let Place::Down(durable) = &self.places[index] {
                        amnesiac::forget(durable);
                        self.trace.count("liar: forgot");
                    }
                    let again = self.now + self.rng.gen_range(100_000..500_000);
                    self.at(self.now + 1_000, Event::Boot(index));
                    self.at(again, Event::Forget(index));
                }
            }
            Event::Heal => self.heal(),
        }
    }

    /// Lets a node do something, and then does what it asked for.
    fn with_node(&mut self, index: usize, act: impl FnOnce(&mut Node, &mut Ctx<'_>)) {
        let Place::Up(node) = &mut self.places[index] else { return };
        let mut ctx = Ctx {
            now: self.now,
            rng: &mut self.rng,
            oracle: &mut self.oracle,
            trace: &mut self.trace,
            outs: Vec::new(),
        };
        act(node, &mut ctx);
        let outs = std::mem::take(&mut ctx.outs);
        self.after(index, outs);
    }

    fn after(&mut self, index: usize, outs: Vec<Out>) {
        let Place::Up(node) = &mut self.places[index] else { return };
        if node.durable.disk.is_dead() {
            // Nothing that it would have said after its last operation was said.
            self.trace.count("crash: in the middle of an event");
            self.go_down(index);
            return;
        }
        let (tip, block, boot) = (node.tip().height, node.tip().block, node.durable.boots);
        self.oracle.sweep(index, tip, block, node.validators_of_next());
        self.trace.cover(&block.0);
        let outs = match self.plan.liars.get(&index) {
            Some(liar) => byzantine::alter(*liar, node, outs, &mut self.rng),
            None => outs,
        };
        let gone = node.gone.clone();
        for out in outs {
            match out {
                Out::After(after, session, local) => {
                    self.at(self.now + after, Event::Local { node: index, boot, session, local });
                }
                Out::Send(To::One(to), packet) => self.send(index, to, &Arc::new(packet)),
                Out::Send(To::All, packet) => {
                    let packet = Arc::new(packet);
                    (0..self.numbers.len()).filter(|to| *to != index).for_each(|to| self.send(index, to, &packet));
                }
                Out::Some(packet, choice) => {
                    let packet = Arc::new(packet);
                    let chosen = |to: &usize| *to != index && (choice >> to) & 1 == 0;
                    (0..self.numbers.len()).filter(chosen).for_each(|to| self.send(index, to, &packet));
                }
            }
        }
        match gone {
            None => {}
            Some(Gone::Died) => self.go_down(index),
            Some(Gone::EngineFailed(_) | Gone::Stopped(_)) => {
                // Whoever runs it starts it again.
                self.crash(index, true);
                self.at(self.now + 500_000, Event::Boot(index));
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, packet: &Arc<Packet>) {
        if let Some(schedule) = &self.plan.schedule {
            let place = twin::place_of(packet);
            if let Some(place) = place {
                self.latest_round[from] = self.latest_round[from].max(place);
            }
            let (height, round) = place.unwrap_or(self.latest_round[from]);
            let since = *self.spoken_of_since.entry((height, round)).or_insert(self.now);
            let always = matches!(**packet, Packet::AskVote | Packet::AnswerVote(_));
            if !always && self.now < since + PARTITION_LASTS && !schedule.hears(height, round, from, to) {
                self.trace.count("network: cut");
                return;
            }
        }
        let (arrivals, fate) = self.network.arrivals(from, to, self.now, &mut self.rng);
        match fate {
            Fate::Sent => {}
            Fate::Cut => self.trace.count("network: cut"),
            Fate::Lost => self.trace.count("network: lost"),
            Fate::Straggles => self.trace.count("network: straggled"),
            Fate::Clogged => self.trace.count("network: clogged"),
            Fate::Replayed => self.trace.count("network: replayed"),
        }
        for at in arrivals {
            self.at(at, Event::Deliver { from, to, packet: Arc::clone(packet) });
        }
    }

    fn boot(&mut self, index: usize) {
        if !matches!(self.places[index], Place::Down(_)) {
            return;
        }
        let Place::Down(durable) = std::mem::replace(&mut self.places[index], Place::Moving) else { unreachable!() };
        let mut ctx = Ctx {
            now: self.now,
            rng: &mut self.rng,
            oracle: &mut self.oracle,
            trace: &mut self.trace,
            outs: Vec::new(),
        };
        match Node::boot(durable, &mut ctx) {
            Ok(node) => {
                let outs = std::mem::take(&mut ctx.outs);
                self.places[index] = Place::Up(node);
                self.after(index, outs);
            }
            Err(refused) => {
                let (durable, why) = *refused;
                self.trace.count("start: refused");
                self.trace.say(self.now, || format!("node {index} refuses to start: {why}"));
                self.places[index] = Place::Down(durable);
            }
        }
    }

    /// `ordered`: what was written is there in the order of writing, up to some point.
    fn crash(&mut self, index: usize, ordered: bool) {
        match std::mem::replace(&mut self.places[index], Place::Moving) {
            Place::Up(node) => {
                let durable = node.into_durable();
                let damage = durable.disk.crash(&mut self.rng, ordered);
                self.trace.count("crash");
                self.trace.add("disk: unsynced write kept", damage.kept);
                self.trace.add("disk: unsynced write lost", damage.lost);
                self.trace.add("disk: unsynced write torn", damage.torn);
                self.trace.add("disk: unsynced write misdirected", damage.misdirected);
                self.trace.say(self.now, || format!("node {index} crashes: {damage:?}"));
                self.places[index] = Place::Down(durable);
            }
            other => self.places[index] = other,
        }
    }

    fn go_down(&mut self, index: usize) {
        let ordered = !self.rough.contains(&index);
        self.crash(index, ordered);
        let after = if self.healed.is_some() { 10_000 } else { self.rng.gen_range(5_000..800_000) };
        self.at(self.now + after, Event::Boot(index));
    }

    fn fault(&mut self) {
        if self.healed.is_some() {
            return;
        }
        match self.rng.gen_range(0..11) {
            0 | 1 => {
                let partition = Partition::ALL[self.rng.gen_range(0..Partition::ALL.len())];
                self.network.part(partition, &mut self.rng);
                self.trace.count(match partition {
                    Partition::Symmetric => "partition: symmetric",
                    Partition::OneWay => "partition: one way",
                    Partition::Minority => "partition: minority",
                    Partition::Bridge => "partition: bridge",
                    Partition::Ring => "partition: ring",
                });
                self.trace.say(self.now, || format!("partition {partition:?}"));
            }
            2 | 3 => {
                self.network.mend();
                self.trace.say(self.now, || "partitions end".into());
            }
            4 => {
                self.network.clog(self.now, &mut self.rng);
                self.trace.count("network: swizzled");
            }
            5 | 6 => {
                let index = self.rng.gen_range(0..self.numbers.len());
                if matches!(self.places[index], Place::Up(_)) {
                    self.go_down(index);
                }
            }
            7 | 8 => {
                let index = self.rng.gen_range(0..self.numbers.len());
                self.burn_fuse(index);
            }
            9 => {
                // One of its next syncs fails. It has to stop by itself.
                let (index, syncs) = (self.rng.gen_range(0..self.numbers.len()), self.rng.gen_range(0..6));
                if let Place::Up(node) = &self.places[index] {
                    node.durable.disk.fail_sync_after(syncs);
                }
            }
            _ => {
                self.trace.count("crash: all at once");
                for index in 0..self.numbers.len() {
                    if matches!(self.places[index], Place::Up(_)) {
                        self.go_down(index);
                    }
                }
            }
        }
        let next = self.now + self.plan.fault_every / 2 + self.rng.gen_range(0..self.plan.fault_every);
        self.at(next, Event::Fault);
    }

    fn disk(&self, index: usize) -> &Disk {
        match &self.places[index] {
            Place::Up(node) => &node.durable.disk,
            Place::Down(durable) => &durable.disk,
            Place::Moving => unreachable!("no event is under way"),
        }
    }

    /// Dies at one of its next writes or syncs.
    fn burn_fuse(&mut self, index: usize) {
        let (operations, last_happens) = (self.rng.gen_range(0..12), self.rng.r#gen());
        if let Place::Up(node) = &self.places[index] {
            node.durable.disk.burn_fuse_after(operations, last_happens);
        }
    }

    fn heal(&mut self) {
        self.network.mend();
        self.network.unclog();
        self.network.weather = Weather::CALM;
        for index in 0..self.numbers.len() {
            self.at(self.now + 1_000, Event::Boot(index));
        }
        let tips = self.places.iter().enumerate().filter(|(index, _)| self.is_honest(*index));
        let highest = tips.map(|(_, place)| match place {
            Place::Up(node) => node.tip().height,
            _ => Height(0),
        });
        let floor = if self.plan.schedule.is_some() { Height(0) } else { self.oracle.height() };
        self.healed = Some(highest.max().unwrap_or_default().max(floor));
    }

    fn pay(&mut self) {
        let live = std::mem::take(&mut self.oracle.live);
        if !live.is_empty() {
            let coin = live[self.rng.gen_range(0..live.len())].clone();
            // The same coin, to different payees, in different bundles.
            let times = if self.rng.gen_ratio(1, 4) { 2 } else { 1 };
            self.trace.add("envelopes: double spends tried", times - 1);
            for _ in 0..times {
                let (envelope, id, sent) = self.clients.transfer(&coin, &mut self.rng);
                self.oracle.sent.insert(id, sent);
                let index = usize::from(coin.bank.0) - 1;
                let again = self.rng.gen_ratio(1, 6);
                self.with_node(index, |node, ctx| {
                    if again {
                        node.submit(ctx, vec![envelope.clone()]);
                    }
                    node.submit(ctx, vec![envelope]);
                });
            }
        }
        self.oracle.live = live;
        if self.healed.is_none() {
            let next = self.now + self.rng.gen_range(40_000..160_000);
            self.at(next, Event::Pay);
        }
    }

    fn hand_over(&mut self) {
        if self.healed.is_some() {
            return;
        }
        let next = self.now + self.rng.gen_range(100_000..500_000);
        self.at(next, Event::HandOver);
        self.order_hand_over();
    }

    /// As the ledger of the central bank's node has it.
    fn order_hand_over(&mut self) {
        let Place::Up(node) = &self.places[0] else { return };
        let validators = node.durable.application.state().ledger.validators.clone();
        // Now and then one that is refused: another is under way.
        if validators.pending.is_some() && !self.rng.gen_ratio(1, 4) {
            return;
        }
        let number = validators.hand_overs + 1;
        let (envelope, id, sent) = self.clients.hand_over(number, &validators.set, &mut self.rng);
        self.oracle.sent.insert(id, sent);
        self.with_node(0, |node, ctx| node.submit(ctx, vec![envelope]));
    }

    fn register(&mut self) {
        if self.healed.is_none() {
            self.at(self.now + 150_000, Event::Register);
        }
        let Place::Up(node) = &self.places[0] else {
            if self.plan.bug == Some(Bug::BatchNumberReused) {
                self.clients.in_flight = None;
            }
            return;
        };
        let lane = node.tip().lanes.get(&ParticipantNumber::REGISTRATION).copied().unwrap_or_default();
        let is_over = |slot: ledger_types::bundle::Slot| {
            (slot.incarnation, slot.sequence) < (lane.incarnation, lane.next_sequence)
        };
        if self.clients.in_flight.as_ref().is_some_and(|bundle| is_over(bundle.slot())) {
            self.clients.in_flight = None;
        }
        if self.clients.in_flight.is_none() {
            let state = node.durable.application.state();
            // As registration's own node has it: that one may be ahead of the honest ones.
            let known = |coin: &&crate::chain::KnownCoin| {
                state.memory.coins.get(&coin.id).is_some_and(|coin| coin.status == CoinStatus::Unconfirmed)
            };
            let has_events = !state.ledger.events_to_log.is_empty();
            let coins: Vec<_> = self.oracle.unconfirmed.iter().filter(known).cloned().collect();
            let (number, previous) = (state.ledger.batch, state.ledger.batch_hash);
            drop(state);
            if coins.is_empty() && !has_events {
                return;
            }
            let slot = node.next_slot_of(ParticipantNumber::REGISTRATION);
            let next = ledger_types::BatchNumber(number.0 + 1);
            let (bundle, hash) = self.clients.batch(slot, next, previous, &coins);
            self.oracle.signs_batch(&mut self.clients.signed, next.0, hash);
            self.clients.in_flight = Some(bundle);
        }
        let bundle = self.clients.in_flight.clone().expect("there is one now");
        self.with_node(0, |node, ctx| node.give(ctx, &bundle));
    }
}

fn describe(event: &Event) -> String {
    match event {
        Event::Deliver { from, to, packet } => match twin::place_of(packet) {
            Some((height, round)) => format!("{from} -> {to}  {} {height}/{round}", packet.name()),
            None => format!("{from} -> {to}  {}", packet.name()),
        },
        Event::Local { node, local, .. } => format!("{node}        {local:?}").chars().take(160).collect(),
        Event::Boot(node) => format!("{node}        starts"),
        other => other.name().to_owned(),
    }
}

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside of a node.
pub fn is_running() -> bool {
    RUNNING.get()
}

pub fn run(plan: Plan) -> Outcome {
    World::new(plan).run()
}
