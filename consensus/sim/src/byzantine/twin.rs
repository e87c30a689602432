//! Two machines with one key, each honest by itself: what a restored backup makes of a validator. The enumerated schedules are those
//! of "Twins: BFT Systems Made Robust": which instances hear each other in each of the first rounds.

use crate::node::Packet;
use arc_malachitebft_app_channel::app::types::codec::Codec;
use arc_malachitebft_core_consensus::{LivenessMsg, SignedConsensusMsg};
use consensus::engine::codec::EngineCodec;
use consensus::engine::context::Assay;
use consensus::engine::parts::BlockPart;

pub const ROUNDS: u32 = 7;
/// Of five instances into at most two groups.
const PARTITIONS: u64 = 16;
const VALIDATORS: u64 = 4;
/// All schedules that there are: 16^7 sequences of partitions by 4 validators that have the twin, and so 4 places of the proposers.
pub const SCHEDULES: u64 = PARTITIONS.pow(ROUNDS) * VALIDATORS;
/// Odd, and [`SCHEDULES`] is a power of two: counting by it meets each schedule once.
const STRIDE: u64 = (0x2545_f491_4f6c_dd1d % SCHEDULES) | 1;
const _: () = assert!(SCHEDULES.is_power_of_two());

#[derive(Clone, Debug)]
pub struct Schedule {
    /// Index of the validator that has the twin; the twin is instance 4.
    pub twinned: usize,
    /// Bit i: which group instance i is in.
    groups: Vec<u8>,
}

impl Schedule {
    pub fn of(index: u64) -> Self {
        let mut rest = ((u128::from(index) * u128::from(STRIDE)) % u128::from(SCHEDULES)) as u64;
        let twinned = (rest % VALIDATORS) as usize;
        rest /= VALIDATORS;
        let groups = (0..ROUNDS)
            .map(|_| {
                let group = (rest % PARTITIONS) as u8;
                rest /= PARTITIONS;
                group
            })
            .collect();
        Schedule { twinned, groups }
    }

    /// In this round of height 1; afterwards all hear all.
    pub fn hears(&self, height: u64, round: u32, from: usize, to: usize) -> bool {
        match self.groups.get(round as usize) {
            Some(groups) if height <= 1 => (groups >> from) & 1 == (groups >> to) & 1,
            _ => true,
        }
    }
}

/// Of what round a message is.
pub fn place_of(packet: &Packet) -> Option<(u64, u32)> {
    match packet {
        Packet::Consensus(bytes) => {
            let message = Codec::<SignedConsensusMsg<Assay>>::decode(&EngineCodec, bytes.clone()).ok()?;
            Some((message.height().0.0, message.round().as_u32()?))
        }
        Packet::Liveness(bytes) => match Codec::<LivenessMsg<Assay>>::decode(&EngineCodec, bytes.clone()).ok()? {
            LivenessMsg::Vote(vote) => Some((vote.message.height.0.0, vote.message.round.as_u32()?)),
            LivenessMsg::PolkaCertificate(c) => Some((c.height.0.0, c.round.as_u32()?)),
            LivenessMsg::SkipRoundCertificate(c) => Some((c.height.0.0, c.round.as_u32()?)),
        },
        Packet::Part(bytes) => {
            let part = Codec::<BlockPart>::decode(&EngineCodec, bytes.clone()).ok()?;
            Some((part.height.0, part.round))
        }
        _ => None,
    }
}
