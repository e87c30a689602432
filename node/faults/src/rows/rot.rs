//! P4: while a validator is down, bits flip in a file that it keeps, or the file loses its end. It then refuses to start, or says that
//! it is damaged, or runs; and what it answers is right. An operator gives a refused key or guard back from a copy, and throws a
//! damaged state away: `state` holds what the others have (its bank has no payments of its own in this row).

use super::{Bed, Faults, Order, READY_WITHIN_S, Row, on_a_runtime};
use crate::cluster::{Cluster, NODES, verify_status, wait_until};
use crate::healed::rejoined;
use crate::load::Load;
use crate::record::Counts;
use ledger_verify::Verdict;
use node_api::ClientError;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub const ROW: Row = Row {
    name: "P4",
    promise: "a validator over rotten files refuses, says so or is right: never a wrong answer, never a second signature",
    brief: Some("3 damaged files"),
    whole: "15 damaged files",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const DAMAGES: Faults = Faults { brief: 3, ci: 15 };
const VICTIM: &str = "bank4";
/// Kinds of files by where they lie, so that the many of a database do not crowd out the few that matter most.
const KINDS: [&str; 6] =
    ["state/ledger/state", "state/ledger", "state/engine", "state/desk", "keys/guards", "keys/secrets"];
/// Envelopes that the damaged node is asked about.
const ASKED: usize = 60;

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|file| file.metadata().unwrap().len() > 0);
    // The order of a folder is not the seed's.
    files.sort_unstable();
    files
}

fn of_kind(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let is_guard = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "guard");
    match kind {
        "keys/guards" => files(&folder.join("keys")).into_iter().filter(is_guard).collect(),
        "keys/secrets" => files(&folder.join("keys")).into_iter().filter(|path| !is_guard(path)).collect(),
        // Everything of the ledger's but the database, which is a kind of its own: the bundles.
        "state/ledger" => {
            let database = folder.join("state/ledger/state");
            files(&folder.join(kind)).into_iter().filter(|path| !path.starts_with(&database)).collect()
        }
        _ => files(&folder.join(kind)),
    }
}

/// Says what was done.
fn damage(file: &Path, choices: &mut StdRng) -> String {
    let mut bytes = std::fs::read(file).unwrap();
    let what = if choices.gen_range(0..3) == 0 {
        let torn = choices.gen_range(1..=bytes.len().min(4096));
        bytes.truncate(bytes.len() - torn);
        format!("its last {torn} bytes torn off")
    } else {
        let bits = choices.gen_range(1..=3);
        let at = choices.gen_range(0..bytes.len());
        for _ in 0..bits {
            let at = (at + choices.gen_range(0..64)).min(bytes.len() - 1);
            bytes[at] ^= 1 << choices.gen_range(0..8);
        }
        format!("{bits} bits flipped about byte {at}")
    };
    // In place: its mode and its links stay.
    std::fs::write(file, bytes).unwrap();
    what
}

enum Met {
    Refused,
    /// It runs and says why it is not whole.
    Says(String),
    Runs,
}

async fn start(cluster: &mut Cluster, target: u64) -> Met {
    let mut met = None;
    wait_until(READY_WITHIN_S, "the damaged node refuses, says so or runs", async || {
        if cluster.ended(VICTIM).is_some() {
            met = Some(Met::Refused);
            return true;
        }
        let Ok(status) = cluster.client(VICTIM).status().await else { return false };
        if status.height < target {
            return false;
        }
        let health = cluster.client(VICTIM).get::<node_api::ledger::Health>("/health").await;
        met = match (status.votes, health) {
            (true, Ok(_)) => Some(Met::Runs),
            // An unhealthy node's document comes with a status of its own.
            (true, Err(unhealthy)) => Some(Met::Says(unhealthy.to_string())),
            (false, _) if status.vote == "guard_missing" => Some(Met::Says(status.vote_reason.unwrap_or(status.vote))),
            (false, _) => None,
        };
        met.is_some()
    })
    .await;
    met.expect("the wait ends with one of them")
}

/// Whatever the node answers about what was acknowledged up to its height is right; that it cannot answer is no wrong answer.
async fn answers_rightly(bed: &Bed, choices: &mut StdRng, counts: &mut Counts) {
    let Ok(tip) = bed.cluster.client(VICTIM).status().await else { return counts.add("no_answers", 1) };
    let known: Vec<_> = bed.load.so_far().into_iter().filter(|(_, height)| *height <= tip.height).collect();
    for (envelope, height) in known.choose_multiple(choices, ASKED) {
        match bed.cluster.client(VICTIM).envelope(envelope).await {
            Ok(status) => match verify_status(bed.cluster.trust(), &status) {
                Verdict::Verified(accepted) => {
                    assert_eq!(accepted.height().0, *height, "{envelope}");
                    counts.add("right_answers", 1);
                }
                wrong => panic!("a damaged node answers wrongly about {envelope}: {wrong:?}"),
            },
            Err(ClientError::Refused(problem)) if problem.status < 500 => {
                panic!("a damaged node denies {envelope} of height {height}: {problem:?}")
            }
            Err(_) => counts.add("no_answers", 1),
        }
    }
}

async fn run(order: &Order, counts: &mut Counts) {
    let mut choices = order.choices();
    let cluster = Cluster::init(67, super::COINS_PER_BANK);
    let mut bed = Bed::up_with(order, cluster, Load::without_bank_4).await;
    let folder = bed.cluster.folder(VICTIM);
    let (mut back, started) = (Vec::new(), Instant::now());
    let mut damaged = 0;
    while order.goes_on(damaged, DAMAGES, started) {
        tokio::time::sleep(Duration::from_millis(choices.gen_range(0..500))).await;
        bed.cluster.kill(VICTIM);
        // A state that was just fetched anew may have no file of a kind yet: then it is the next kind's turn.
        let kinds = KINDS.iter().cycle().skip(damaged as usize).take(KINDS.len());
        let (kind, there) = kinds
            .map(|kind| (*kind, of_kind(&folder, kind)))
            .find(|(_, there)| !there.is_empty())
            .expect("a validator keeps files");
        let file = there.choose(&mut choices).expect("there is one").clone();
        let whole = std::fs::read(&file).unwrap();
        let what = damage(&file, &mut choices);
        damaged += 1;
        counts.set("faults", damaged);
        let target = bed.cluster.client(NODES[4]).status().await.expect("the observer answers").height;
        bed.cluster.start(VICTIM);
        let met = start(&mut bed.cluster, target).await;
        let (count, text) = match &met {
            Met::Refused => ("refused", "refused".to_owned()),
            Met::Says(why) => ("says_so", format!("says {why}")),
            Met::Runs => ("runs", "runs".to_owned()),
        };
        counts.add(count, 1);
        let name = file.strip_prefix(&folder).unwrap_or(&file).display();
        bed.say(&format!("{name}: {what}: {text}"));
        if !matches!(met, Met::Refused) {
            answers_rightly(&bed, &mut choices, counts).await;
            // It may have found the damage by itself meanwhile.
            if bed.cluster.ended(VICTIM).is_some() {
                counts.add("ended_later", 1);
            } else {
                bed.cluster.kill(VICTIM);
            }
        }
        match kind {
            "keys/secrets" => std::fs::write(&file, whole).unwrap(),
            // A guard that was used over its damage has gone on; an old copy of it must not come back (B-9).
            "keys/guards" if matches!(met, Met::Refused) => std::fs::write(&file, whole).unwrap(),
            "keys/guards" => {}
            _ => std::fs::remove_dir_all(folder.join("state")).unwrap(),
        }
        let restarted = Instant::now();
        bed.cluster.start(VICTIM);
        back.push(rejoined(&mut bed.cluster, VICTIM, restarted).await);
        bed.acknowledged_more_than(bed.load.acknowledged()).await;
    }
    counts.times("rejoin", &back);
    drop(bed.heal(counts).await);
}
