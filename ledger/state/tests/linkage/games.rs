//! The three games, the adversaries that play them, and what they learn beforehand in a world of their own.
//!
//! | game     | asked                                                                                        | blind guess         |
//! |----------|----------------------------------------------------------------------------------------------|---------------------|
//! | payment  | a coin made in a batch: name a coin whose spending paid for it                                | k inputs of S spent |
//! | change   | a coin spent in a batch and two coins made in it, one of its owner's, one of a stranger's     | ½                   |
//! | owner    | any two coins of the registry, of one owner or of two, as likely: which?                      | ½                   |
//!
//! In *change* the two are made by different envelopes of one batch, so the batch itself says nothing. *owner* is about everything
//! that was ever registered, so when coins were made and spent speaks too.

use crate::chance::{Dice, Score};
use crate::registry::{LIVES, Registry, Seen, steps};
use crate::world::World;
use std::collections::HashMap;

/// Lower ends of the classes of m, envelopes in a batch.
pub const CLASSES: [usize; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

pub fn class_of(envelopes: usize) -> usize {
    CLASSES.iter().rposition(|least| envelopes >= *least).unwrap_or(0)
}

pub struct Town {
    pub world: World,
    pub registry: Registry,
    /// The world's coin for each of the registry's.
    truth: Vec<u32>,
}

impl Town {
    pub fn new(world: World) -> Self {
        let registry = Registry::read(&world.leaves);
        let places: HashMap<_, _> = (0u32..).zip(&world.coins).map(|(place, coin)| (coin.id, place)).collect();
        let truth = registry.coins.iter().map(|seen| places[&seen.id]).collect();
        Town { world, registry, truth }
    }

    fn owner(&self, coin: u32) -> u32 {
        self.world.coins[self.truth[coin as usize] as usize].owner
    }

    fn is_of(&self, coin: u32, whose: Whose) -> bool {
        whose == Whose::Everybodys || self.owner(coin) >= self.world.first_person
    }

    fn made_by(&self, coin: u32) -> Option<u32> {
        self.world.coins[self.truth[coin as usize] as usize].made_by()
    }

    fn spent_by(&self, coin: u32) -> Option<u32> {
        self.world.coins[self.truth[coin as usize] as usize].spent_by()
    }

    fn batch_of(&self, envelope: u32) -> Option<u32> {
        self.world.envelopes[envelope as usize].batch
    }
}

/// Whose coins are asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Everybodys,
    /// No bank's vault's and no merchant's: they are few, and pay in their own way.
    Peoples,
}

/// How well a coin that was spent and one that was made in the same batch go together, in a strategy's eyes.
pub type Fit = fn(&Registry, &Learned, u32, u32) -> f64;

pub const PUBLIC_FITS: [(&str, Fit); 7] = [
    ("blind", |_, _, _, _| 0.0),
    ("order in the batch", |registry, _, spent, made| {
        let (spent, made) = (&registry.coins[spent as usize], &registry.coins[made as usize]);
        -f64::from(spent.spent.unwrap().place.abs_diff(made.live.unwrap().place))
    }),
    ("bits of the coin ids", |registry, _, spent, made| {
        alike(&registry.coins[spent as usize].id.0, &registry.coins[made as usize].id.0)
    }),
    ("bits of the tags", |registry, _, spent, made| {
        alike(&registry.coins[spent as usize].tag.0, &registry.coins[made as usize].tag.0)
    }),
    ("equal lives", |registry, _, spent, made| -(registry.life(spent) as f64 - registry.life(made) as f64).abs()),
    ("the quickest spender", |registry, _, spent, made| -((registry.life(spent) + registry.life(made)) as f64)),
    ("lives, learnt", |registry, learned, spent, made| learned.lives(registry.life(spent), registry.life(made))),
];

fn alike(a: &[u8; 32], b: &[u8; 32]) -> f64 {
    f64::from(a.iter().zip(b).map(|(a, b)| (!(a ^ b)).count_ones()).sum::<u32>())
}

/// How often each feature stood with "together" and with "apart" in a world that the adversary knows the truth of.
#[derive(Default)]
pub struct Learned {
    lives: HashMap<usize, (f64, f64)>,
    pairs: HashMap<u64, (f64, f64)>,
    graph_pairs: HashMap<u64, (f64, f64)>,
}

fn likelihood<K: std::hash::Hash + Eq>(table: &HashMap<K, (f64, f64)>, key: &K) -> f64 {
    let (together, apart) = table.get(key).copied().unwrap_or_default();
    ((together + 0.5) / (apart + 0.5)).ln()
}

impl Learned {
    pub fn lives(&self, spent: usize, made: usize) -> f64 {
        likelihood(&self.lives, &(spent * LIVES + made))
    }

    pub fn learn(town: &Town, whose: Whose, dice: &mut Dice, asked: usize) -> Self {
        let mut learned = Learned::default();
        for sent in each_once(town.world.envelopes.len(), asked) {
            if let Some(asked) = change_challenge(town, whose, sent, dice) {
                let lives = |made| town.registry.life(asked.spent) * LIVES + town.registry.life(made);
                learned.lives.entry(lives(asked.own)).or_default().0 += 1.0;
                learned.lives.entry(lives(asked.strangers)).or_default().1 += 1.0;
            }
        }
        for a in each_once(town.registry.coins.len(), asked) {
            if let Some((a, b, same)) = pair(town, whose, a as u32, dice) {
                for (table, key) in [
                    (&mut learned.pairs, public_features(&town.registry, a, b)),
                    (&mut learned.graph_pairs, graph_features(town, a, b)),
                ] {
                    let counts = table.entry(key).or_default();
                    *if same { &mut counts.0 } else { &mut counts.1 } += 1.0;
                }
            }
        }
        learned
    }
}

/// Takes the best; among equals, any.
fn best(candidates: &[u32], dice: &mut Dice, fit: impl Fn(u32) -> f64) -> u32 {
    let (mut best, mut equals, mut chosen) = (f64::NEG_INFINITY, 0, candidates[0]);
    for candidate in candidates {
        let fits = fit(*candidate);
        if fits > best {
            (best, equals, chosen) = (fits, 1, *candidate);
        } else if fits == best {
            equals += 1;
            if dice.below(equals) == 0 {
                chosen = *candidate;
            }
        }
    }
    chosen
}

/// A strategy's score in each class of m.
pub type Line = (&'static str, [Score; CLASSES.len()]);

/// The payment game: every public strategy, then the validators' one.
pub fn play_payments(town: &Town, whose: Whose, learned: &Learned, dice: &mut Dice, asked: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = PUBLIC_FITS.iter().map(|(name, _)| (*name, Default::default())).collect();
    lines.push(("coin graph", Default::default()));
    for envelope in each_once(town.world.envelopes.len(), asked) {
        let sent = &town.world.envelopes[envelope];
        let Some(batch) = sent.batch else { continue };
        if !sent.inputs.iter().all(|coin| town.is_of(town.registry.of_id[&town.world.coins[*coin as usize].id], whose))
        {
            continue;
        }
        let made = town.world.coins[sent.outputs[dice.below(sent.outputs.len())] as usize].id;
        let made = town.registry.of_id[&made];
        let spent = &town.registry.batches[batch as usize + 1].spent;
        let class = class_of(town.world.sizes[batch as usize]);
        let blind = sent.inputs.len() as f64 / spent.len() as f64;
        let right = |guess: u32| town.spent_by(guess) == Some(envelope as u32);
        for ((_, fit), (_, scores)) in PUBLIC_FITS.iter().zip(&mut lines) {
            let guess = best(spent, dice, |spent| fit(&town.registry, learned, spent, made));
            scores[class].add(right(guess), blind);
        }
        // The header of the envelope gives its inputs' and outputs' ids (C-2).
        let by = town.made_by(made).unwrap();
        let guess = town.registry.of_id[&town.world.coins[town.world.envelopes[by as usize].inputs[0] as usize].id];
        lines.last_mut().unwrap().1[class].add(right(guess), blind);
    }
    lines
}

struct Change {
    spent: u32,
    own: u32,
    strangers: u32,
    envelopes: usize,
}

fn change_challenge(town: &Town, whose: Whose, sent: usize, dice: &mut Dice) -> Option<Change> {
    let batches = &town.registry.batches;
    let sent = &town.world.envelopes[sent];
    let batch = sent.batch?;
    let of = |coin: u32| town.registry.of_id[&town.world.coins[coin as usize].id];
    let spent = of(sent.inputs[dice.below(sent.inputs.len())]);
    let owner = town.owner(spent);
    let own: Vec<u32> = sent.outputs.iter().map(|coin| of(*coin)).filter(|coin| town.owner(*coin) == owner).collect();
    if own.is_empty() || !town.is_of(spent, whose) {
        return None;
    }
    let own = own[dice.below(own.len())];
    let made = &batches[batch as usize + 1].made;
    let others =
        |coin: u32| town.is_of(coin, whose) && town.owner(coin) != owner && town.made_by(coin) != town.made_by(own);
    let strangers = (0..20).map(|_| made[dice.below(made.len())]).find(|coin| others(*coin))?;
    Some(Change { spent, own, strangers, envelopes: town.world.sizes[batch as usize] })
}

/// The game of change: every public strategy, then the validators' one.
pub fn play_change(town: &Town, whose: Whose, learned: &Learned, dice: &mut Dice, asked: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = PUBLIC_FITS.iter().map(|(name, _)| (*name, Default::default())).collect();
    lines.push(("coin graph", Default::default()));
    for sent in each_once(town.world.envelopes.len(), asked) {
        let Some(asked) = change_challenge(town, whose, sent, dice) else { continue };
        let class = class_of(asked.envelopes);
        let candidates = [asked.own, asked.strangers];
        for ((_, fit), (_, scores)) in PUBLIC_FITS.iter().zip(&mut lines) {
            let guess = best(&candidates, dice, |made| fit(&town.registry, learned, asked.spent, made));
            scores[class].add(guess == asked.own, 0.5);
        }
        let graph = |made: u32| f64::from(u8::from(town.made_by(made) == town.spent_by(asked.spent)));
        let guess = best(&candidates, dice, graph);
        lines.last_mut().unwrap().1[class].add(guess == asked.own, 0.5);
    }
    lines
}

/// Each of `count` things once, in no order of theirs, `asked` at most: what is asked twice is no second observation.
fn each_once(count: usize, asked: usize) -> impl Iterator<Item = usize> {
    // A prime: it meets each of a count that it does not divide.
    const STRIDE: usize = 1_000_003;
    assert!(!count.is_multiple_of(STRIDE));
    (0..count.min(asked)).map(move |nth| nth * STRIDE % count)
}

/// This coin and another one, and whether they have one owner; as likely as not, whatever the coin. Owners of a single coin are
/// left out: nobody can ask about their coins.
fn pair(town: &Town, whose: Whose, a: u32, dice: &mut Dice) -> Option<(u32, u32, bool)> {
    let of_owner = town.coins_of_owner();
    let owner = town.owner(a);
    let asked = |coin: u32| {
        town.is_registered(coin) && town.is_of(coin, whose) && of_owner[town.owner(coin) as usize].len() > 1
    };
    if !asked(a) {
        return None;
    }
    let same = dice.happens(0.5);
    loop {
        let from = &of_owner[owner as usize];
        let b = if same { from[dice.below(from.len())] } else { dice.below(town.registry.coins.len()) as u32 };
        if b != a && asked(b) && (town.owner(b) == owner) == same {
            return Some((a, b, same));
        }
    }
}

impl Town {
    /// By a batch, not in the genesis.
    fn is_registered(&self, coin: u32) -> bool {
        self.registry.coins[coin as usize].live.is_some_and(|live| live.batch > 0)
    }

    /// Those that a batch registered.
    fn coins_of_owner(&self) -> &Vec<Vec<u32>> {
        self.world.by_owner.get_or_init(|| {
            let mut of_owner: Vec<Vec<u32>> = Vec::new();
            for coin in (0..self.registry.coins.len() as u32).filter(|coin| self.is_registered(*coin)) {
                let owner = self.owner(coin) as usize;
                of_owner.resize_with(of_owner.len().max(owner + 1), Vec::new);
                of_owner[owner].push(coin);
            }
            of_owner
        })
    }
}

/// One is made in the batch in which the other is spent: paid and change of the same wallet.
fn relayed(a: &Seen, b: &Seen) -> bool {
    let follows =
        |a: &Seen, b: &Seen| a.spent.is_some_and(|spent| b.live.is_some_and(|live| live.batch == spent.batch));
    follows(a, b) || follows(b, a)
}

fn made_together(a: &Seen, b: &Seen) -> bool {
    a.live.zip(b.live).is_some_and(|(a, b)| a.batch == b.batch)
}

fn spent_together(a: &Seen, b: &Seen) -> bool {
    a.spent.zip(b.spent).is_some_and(|(a, b)| a.batch == b.batch)
}

fn public_features(registry: &Registry, a: u32, b: u32) -> u64 {
    let (lives_a, lives_b) = (registry.life(a), registry.life(b));
    let (a, b) = (&registry.coins[a as usize], &registry.coins[b as usize]);
    let apart = a.live.zip(b.live).map_or(0, |(a, b)| steps(u64::from(a.batch.abs_diff(b.batch)))) / 4;
    let flags = [relayed(a, b), made_together(a, b), spent_together(a, b)];
    let flags = flags.iter().fold(0, |all, flag| 2 * all + u64::from(*flag));
    // Coarse, so that each case is met often enough to be learnt.
    let (short, long) = (lives_a.min(lives_b).div_ceil(4) as u64, lives_a.max(lives_b).div_ceil(4) as u64);
    ((flags * 32 + apart as u64) * 32 + short) * 32 + long
}

/// What the envelopes add for a validator: who made and spent both, and in whose custody they were when spent.
fn graph_features(town: &Town, a: u32, b: u32) -> u64 {
    let together = |a: Option<u32>, b: Option<u32>| a.is_some() && a == b;
    let bank = |coin: u32| town.spent_by(coin).map(|by| town.world.envelopes[by as usize].submitter);
    let custody = match (bank(a), bank(b)) {
        (Some(a), Some(b)) if a == b => 0,
        (Some(_), Some(_)) => 1,
        _ => 2,
    };
    let spent = together(town.spent_by(a), town.spent_by(b));
    let made = together(town.made_by(a), town.made_by(b));
    let descends = together(town.spent_by(a), town.made_by(b)) || together(town.spent_by(b), town.made_by(a));
    let outputs = |coin: u32| town.made_by(coin).map_or(0, |by| town.world.envelopes[by as usize].outputs.len().min(3));
    let arity = if made || descends { outputs(a).max(outputs(b)) as u64 } else { 0 };
    let flags = [spent, made, descends].iter().fold(0, |all, flag| 2 * all + u64::from(*flag));
    // A wallet is at one bank: by it, and by time.
    let apart = town.registry.coins[a as usize].live.zip(town.registry.coins[b as usize].live);
    let apart = apart.map_or(0, |(a, b)| steps(u64::from(a.batch.abs_diff(b.batch)))) as u64 / 4;
    ((flags * 4 + custody) * 4 + arity) * 32 + apart
}

type Says = fn(&Town, &Learned, u32, u32) -> bool;

const PAIRS: [(&str, Says); 6] = [
    ("bits of the tags", |town, _, a, b| {
        alike(&town.registry.coins[a as usize].tag.0, &town.registry.coins[b as usize].tag.0) > 128.0
    }),
    ("made where the other is spent", |town, _, a, b| {
        relayed(&town.registry.coins[a as usize], &town.registry.coins[b as usize])
    }),
    ("made in one batch", |town, _, a, b| {
        made_together(&town.registry.coins[a as usize], &town.registry.coins[b as usize])
    }),
    ("spent in one batch", |town, _, a, b| {
        spent_together(&town.registry.coins[a as usize], &town.registry.coins[b as usize])
    }),
    ("batches and lives, learnt", |town, learned, a, b| {
        likelihood(&learned.pairs, &public_features(&town.registry, a, b)) > 0.0
    }),
    ("coin graph, learnt", |town, learned, a, b| likelihood(&learned.graph_pairs, &graph_features(town, a, b)) > 0.0),
];

/// The game of owners: the public strategies, then the validators' one. The class is that of the smaller of the two batches in
/// which the coins were made.
pub fn play_owners(town: &Town, whose: Whose, learned: &Learned, dice: &mut Dice, asked: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = PAIRS.iter().map(|(name, _)| (*name, Default::default())).collect();
    for a in each_once(town.registry.coins.len(), asked) {
        let Some((a, b, same)) = pair(town, whose, a as u32, dice) else { continue };
        let size = |coin: u32| town.batch_of(town.made_by(coin).unwrap()).map_or(0, |at| town.world.sizes[at as usize]);
        let class = class_of(size(a).min(size(b)));
        for ((_, says), (_, scores)) in PAIRS.iter().zip(&mut lines) {
            scores[class].add(says(town, learned, a, b) == same, 0.5);
        }
    }
    lines
}
