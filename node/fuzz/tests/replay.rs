//! Every committed input and its neighbours: taken or refused, soon, and never with a panic.

use assay_fuzz::TARGETS;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Neighbours of each input. libFuzzer tries millions (`scripts/fuzz`).
const NEIGHBOURS: u64 = 2_000;
/// What one input may take (design: 100 ms), on a machine that does other things too.
const SLOWEST: Duration = Duration::from_millis(400);

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// One to four of: a bit, a byte, a number at its edge, a piece gone, a piece twice, an end cut off.
fn neighbour(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let (at, length) = (random.below(bytes.len()), bytes.len());
        let piece = at..length.min(at + 1 + random.below(40));
        match random.below(6) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => {
                let edge = [&[0xff; 8][..], &[0; 8], &[0xff, 0x7f], &[0, 0x80]][random.below(4)];
                let end = length.min(at + edge.len());
                bytes[at..end].copy_from_slice(&edge[..end - at]);
            }
            3 => drop(bytes.drain(piece)),
            4 => {
                let piece = bytes[piece].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// The time that this thread has had on a processor (proc(5), `schedstat`).
fn on_processor() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn every_input_of_the_corpus_and_its_neighbours_get_an_answer_soon() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut slowest = (Duration::ZERO, String::new());
    for (number, target) in TARGETS.iter().enumerate() {
        let mut random = Random(number as u64);
        let mut paths: Vec<_> = fs::read_dir(corpus.join(target.name)).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        let (mut taken, mut refused) = (0u64, 0u64);
        for path in paths {
            let bytes = fs::read(&path).unwrap();
            let mut answer = |bytes: &[u8]| {
                let began = Instant::now();
                let is_taken = (target.run)(bytes);
                let mut took = began.elapsed();
                if took >= SLOWEST {
                    // By the clock; another process may have had the processor meanwhile.
                    let began = on_processor();
                    (target.run)(bytes);
                    took = on_processor() - began;
                }
                slowest = slowest.clone().max((took, format!("{}: {}", target.name, path.display())));
                if is_taken { taken += 1 } else { refused += 1 }
            };
            answer(&bytes);
            (0..NEIGHBOURS).for_each(|_| answer(&neighbour(&mut random, &bytes)));
        }
        println!("{:16} {taken:8} taken {refused:8} refused", target.name);
        assert!(taken > 0 && refused > 0, "{} tells nothing apart", target.name);
    }
    assert!(slowest.0 < SLOWEST, "{slowest:?}");
}
