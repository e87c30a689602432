//! The game's leaves are the ledger's own: the world's envelopes and batches go through the transition.

use crate::common::Bed;
use crate::world::{Sent, World, world};
use ledger_types::coin::coin_link;
use ledger_types::confirmation::Record;
use ledger_types::encoding::{Decode, List};
use ledger_types::envelope::*;
use ledger_types::ids::*;
use ledger_types::log_leaf::LogLeaf;
use std::collections::BTreeMap;

fn envelope(bed: &mut Bed, world: &World, sent: &Sent) -> Envelope {
    let (chain, series) = (world.rules.chain, world.series());
    let spend = |coin: &u32| {
        let opening = world.opening(*coin, series);
        let (origin, place) = match world.coins[*coin as usize].made_by() {
            None => (world.preissued[*coin as usize].origin, 0),
            Some(by) => {
                let by = &world.envelopes[by as usize];
                (world.origin(by), by.outputs.iter().position(|output| output == coin).unwrap() as u8)
            }
        };
        Spend { link: coin_link(&chain, &origin, place, &opening.note(&chain)), kappa: opening.kappa(&chain) }
    };
    let output = |coin: &u32| {
        let opening = world.opening(*coin, series);
        let custody = opening.custody(&chain, world.coins[*coin as usize].bank);
        Output { note: opening.note(&chain), custody, terms_flag: TermsFlag::Plain }
    };
    let core = Core {
        submitter: sent.submitter,
        inputs: Inputs::Spends(List::new(sent.inputs.iter().map(spend).collect()).unwrap()),
        outputs: List::new(sent.outputs.iter().map(output).collect()).unwrap(),
        contract: ContractNumber(0),
        expiry_ms: bed.next_time_ms() + 1_000,
        bucket: Bucket::B512,
        hint: EnvelopeHint(bed.fresh()[..16].try_into().unwrap()),
        salt: Salt(bed.fresh()),
        context: ClearContext::Transfer,
    };
    let commitment = KeyCommitment(core.salt.0);
    Envelope { header: EnvelopeHeader { core, commitment }, ciphertext: vec![7; Bucket::B512.ciphertext_bytes()] }
}

/// Heights and times are those of the test's own blocks.
fn without_time(leaf: &LogLeaf) -> LogLeaf {
    match leaf {
        LogLeaf::Record { coin, record } => {
            LogLeaf::Record { coin: *coin, record: Record { height: Height(0), time_ms: 0, ..*record } }
        }
        other => other.clone(),
    }
}

#[test]
fn the_game_is_about_the_leaves_that_the_ledger_appends() {
    let world = world(7, 600, 60.0);
    assert!(world.sizes.iter().any(|size| *size >= 100), "batches of some size: {:?}", world.sizes);
    let mut bed = Bed::with_genesis(world.rules.genesis.as_ref().clone());
    for (number, batch) in (0u32..).zip(&world.batches) {
        let mut lanes: BTreeMap<ParticipantNumber, Vec<Envelope>> = BTreeMap::new();
        for sent in world.envelopes.iter().filter(|sent| sent.batch == Some(number)) {
            let envelope = envelope(&mut bed, &world, sent);
            lanes.entry(sent.submitter).or_default().push(envelope);
        }
        let bundles: Vec<_> = lanes.into_iter().map(|(bank, envelopes)| bed.bundle(bank, envelopes)).collect();
        assert!(bed.block(&bundles).results.iter().all(|result| result.code == 0), "batch {number}");
        assert_eq!(bed.confirm(batch.records.to_vec()), 0);
    }
    let of_ledger = bed.state.log_leaves.values().map(|bytes| LogLeaf::from_bytes(bytes).unwrap());
    let records: Vec<LogLeaf> =
        of_ledger.filter(|leaf| matches!(leaf, LogLeaf::Record { .. })).map(|leaf| without_time(&leaf)).collect();
    let of_game: Vec<LogLeaf> =
        world.leaves.iter().map(|bytes| without_time(&LogLeaf::from_bytes(bytes).unwrap())).collect();
    assert!(records == of_game, "{} records of {}", records.len(), of_game.len());
}
