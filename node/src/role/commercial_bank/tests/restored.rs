//! A desk that was put back from a backup (decision 089). What of its epochs: `epochs`.

use super::world::*;
use crate::clock::now_ms;
use crate::role::commercial_bank::epochs::EpochLimits;
use crate::role::commercial_bank::job::State;
use ledger_types::ParticipantNumber;
use std::path::{Path, PathBuf};

fn backup(world: &Held, bank: ParticipantNumber) -> PathBuf {
    let backup = world.desk_folder(bank).with_file_name("backup");
    world.desk(bank).rows.store.copy_to(&backup).unwrap();
    backup
}

async fn restore(world: &Held, bank: ParticipantNumber, backup: &Path) {
    world.kill(bank).await;
    std::fs::remove_dir_all(world.desk_folder(bank)).unwrap();
    std::fs::rename(backup, world.desk_folder(bank)).unwrap();
    world.limit_epochs(EpochLimits { forgotten_up_to: now_ms(), ..EpochLimits::default() });
    world.open(bank, settings(), None).await;
}

async fn pay(world: &Held, bank: ParticipantNumber, to: &str) {
    let job = create(&world.desk(BANK2), payment("vault", bank, to, 5)).await.unwrap();
    assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed);
}

/// Its releases go on behind what registration has taken, or they would be taken for what it has. Of a payment within the bank nobody
/// else has the key.
#[tokio::test]
async fn a_desk_put_back_from_a_backup_releases_its_keys_under_numbers_that_registration_does_not_have() {
    let world = World::with_desks().await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    pay(&world, BANK3, "bob").await;
    let backup = backup(&world, BANK2);
    // Under an epoch that the backup does not hold.
    world.kill(BANK2).await;
    world.limit_epochs(EpochLimits { envelopes_max: 1, ..EpochLimits::default() });
    world.open(BANK2, settings(), None).await;
    for _ in 0..4 {
        pay(&world, BANK3, "bob").await;
    }
    restore(&world, BANK2, &backup).await;
    let taken = world.taken(BANK2);
    world.desk(BANK2).create_wallet("carl").await.unwrap();
    for _ in 0..2 {
        pay(&world, BANK2, "carl").await;
    }
    assert!(world.taken(BANK2) >= taken + 2);
    // And over a further start.
    world.kill(BANK2).await;
    world.open(BANK2, settings(), None).await;
    pay(&world, BANK2, "carl").await;
}

/// A payment that waits when the backup is made is carried out after it. The desk that comes back knows nothing of that.
#[tokio::test]
async fn a_payment_that_a_backup_held_unfinished_is_not_made_again() {
    let world = World::with_desks().await;
    world.desk(BANK3).create_wallet("bob").await.unwrap();
    pay(&world, BANK3, "bob").await;
    world.kill(BANK3).await;
    let waits = create(&world.desk(BANK2), payment("vault", BANK3, "bob", 40)).await.unwrap();
    until("the payment waits", || world.desk(BANK2).job(&waits.id).unwrap().reason.is_some()).await;
    let backup = backup(&world, BANK2);
    world.open(BANK3, settings(), None).await;
    assert_eq!(world.finish(BANK2, &waits.id).await.state, State::Confirmed);
    let has = || world.desk(BANK3).shared().book.sums("bob").unwrap().available;
    assert_eq!(has(), 45);

    restore(&world, BANK2, &backup).await;
    let ended = world.finish(BANK2, &waits.id).await;
    assert_eq!((ended.state, ended.rejection), (State::Refused, 0));
    assert!(ended.reason.as_deref().unwrap_or_default().contains("put back from a backup"), "{:?}", ended.reason);
    // What is asked for from now on is paid, with coins that are there.
    pay(&world, BANK3, "bob").await;
    assert_eq!(has(), 50, "the forty came once");
}
