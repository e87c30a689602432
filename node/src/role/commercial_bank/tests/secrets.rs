use super::world::*;
use crate::role::commercial_bank::job::State;
use ledger_types::Encode;

/// Reads every byte that the desks left on disk.
#[tokio::test]
async fn no_secret_stands_in_the_clear_in_the_database_files() {
    let world = World::with_desks().await;
    world.desk(BANK3).create_wallet("bob-the-customer").await.unwrap();
    let mut secrets: Vec<(String, Vec<u8>)> = vec![
        ("the vault's seed".into(), vault_seed(BANK2).to_vec()),
        ("the storage secret".into(), storage_secret(BANK2).to_vec()),
        ("a wallet's name".into(), b"bob-the-customer".to_vec()),
        ("a memo".into(), b"thank you".to_vec()),
        ("an idempotency key".into(), b"invoice of bob".to_vec()),
    ];
    for number in 0..3 {
        let new =
            with_key(payment("vault", BANK3, "bob-the-customer", 100 + number), &format!("invoice of bob {number}"));
        let job = create(&world.desk(BANK2), new).await.unwrap();
        assert_eq!(world.finish(BANK2, &job.id).await.state, State::Confirmed);
    }
    for bank in [BANK2, BANK3] {
        let desk = world.desk(bank);
        let shared = desk.shared();
        for (name, wallet) in &shared.book.wallets {
            secrets.push((format!("the seed of {name}"), wallet.seed.to_vec()));
        }
        for coin in shared.book.coins.values() {
            secrets.push((format!("the opening of {}", coin.id), coin.opening.to_bytes()));
            secrets.push((format!("the randomness of {}", coin.id), coin.opening.rho.to_vec()));
            secrets.push((format!("the owner of {}", coin.id), coin.opening.owner.0.to_vec()));
        }
    }
    assert!(secrets.len() > 12);
    for bank in [BANK2, BANK3] {
        world.kill(bank).await;
        let files = files(&world.desk_folder(bank));
        assert!(files.iter().map(Vec::len).sum::<usize>() > 4_096, "something was written");
        for (what, secret) in &secrets {
            let shown = files.iter().any(|file| file.windows(secret.len()).any(|window| window == secret));
            assert!(!shown, "{what} lies open on the disk of bank {bank}");
        }
    }
}
