//! Only the parties read: what lies on disks and in memory of those that are no party (invariant 3).

use crate::canaries::Canaries;
use crate::cluster::*;
use ledger_types::Decode;
use ledger_types::coin::Opening;
use node_api::{desk, ledger};

const MEMO: &str = "canary-7f3Kq9ZbW2-for-no-eyes-but-the-parties";
const AMOUNT: u64 = 0x0003_1415_9265_3589;

/// A confirmed payment from bank 2 to bank 3 and what nobody else may hold of it. Public: the ciphertext and the coin's id.
struct Paid {
    secret: Canaries,
    public: Canaries,
}

async fn pay_with_canaries(cluster: &Cluster) -> Paid {
    let (bank2, bank3) = (cluster.client("bank2"), cluster.client("bank3"));
    // Other coins than of the payment's amount, so that there is change.
    issued(cluster, 2, 8 * AMOUNT).await;
    wallet(&bank3, "bob").await;
    let paid = bank2.pay(&payment("vault", "bob@bank3", AMOUNT, MEMO)).await.unwrap();
    let paid = reached(&bank2, &paid.id, "confirmed", 30).await;
    let envelope = paid.envelope_id.unwrap();
    let mut held: Vec<desk::WalletCoin> = bank3.get("/v1/wallets/bob/coins").await.unwrap();
    let vault: Vec<desk::WalletCoin> = bank2.get("/v1/wallets/vault/coins").await.unwrap();
    held.extend(vault);

    let mut content = None;
    wait_until(15, "bank 4 has the envelope", async || {
        let path = format!("/v1/envelopes/{envelope}/content");
        content = cluster.client("bank4").get::<ledger::EnvelopeContent>(&path).await.ok();
        content.is_some()
    })
    .await;
    let content = content.unwrap();
    assert_eq!(content.opened, None, "bank 4 is no party");
    let mut secret = Canaries::default();
    secret.add("memo", MEMO.as_bytes());
    secret.add("amount", &AMOUNT.to_le_bytes());
    // What the issue made is the central bank's own knowledge; what the payment made is not.
    held.retain(|held| content.outputs.iter().any(|output| output.coin == held.coin));
    assert!(held.iter().any(|held| held.amount == AMOUNT));
    for held in &held {
        let opening = Opening::from_bytes(&hex::decode(&held.opening).unwrap()).unwrap();
        secret.add("owner key", &opening.owner.0);
        secret.add("rho", &opening.rho);
    }
    let mut public = Canaries::default();
    public.add("ciphertext", &hex::decode(&content.ciphertext).unwrap()[..64]);
    Paid { secret, public }
}

#[tokio::test]
async fn a_disk_of_no_party_holds_no_plaintext_and_a_partys_disk_holds_it_encrypted() {
    let cluster = Cluster::up(105, 0).await;
    let paid = pay_with_canaries(&cluster).await;
    for node in ["bank4", "observer"] {
        // What a validator must hold is found, so the scan would find the rest.
        let folder = cluster.folder(node);
        wait_until(10, "the ciphertext is on disk", async || !paid.public.found_below(&folder).is_empty()).await;
        assert_eq!(paid.secret.found_below(&folder), [], "{node} is no party");
    }
    for party in ["bank2", "bank3"] {
        assert_eq!(paid.secret.found_below(&cluster.folder(party)), [], "{party} keeps it encrypted");
    }
}

#[tokio::test]
async fn registration_listens_on_nothing_and_the_validator_holds_nothing_that_registration_read() {
    let cluster = Cluster::up(106, 0).await;
    let paid = pay_with_canaries(&cluster).await;
    assert_eq!(listening_sockets(cluster.pid("registration")), 0);
    assert!(listening_sockets(cluster.pid("central-bank")) > 0, "the count would see a listening socket");

    let validator = cluster.folder("central-bank");
    assert!(!paid.public.found_below(&validator).is_empty());
    assert_eq!(paid.secret.found_below(&validator), []);
    // Registration has read it: at rest it is encrypted, and what it hands on is desensitised.
    for folder in [cluster.folder("registration"), cluster.folder("confirmation-issuance"), cluster.outbox()] {
        assert_eq!(paid.secret.found_below(&folder), [], "{}", folder.display());
    }
    // The payee's bank has the openings in its memory, the central bank's validator has not.
    assert!(!found_in_memory(&paid.secret, cluster.pid("bank3")).is_empty(), "the scan of a memory would find them");
    assert_eq!(found_in_memory(&paid.secret, cluster.pid("central-bank")), [] as [String; 0]);
}

/// Sockets of a process in the state LISTEN.
fn listening_sockets(pid: u32) -> usize {
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|item| std::fs::read_link(item.unwrap().path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    let mut listening = 0;
    for table in ["tcp", "tcp6"] {
        let Ok(table) = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")) else { continue };
        let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        listening += rows.filter(|fields| fields[3] == "0A" && inodes.iter().any(|inode| inode == fields[9])).count();
    }
    listening
}

/// Which canaries stand in the writable memory of a process.
fn found_in_memory(canaries: &Canaries, pid: u32) -> Vec<String> {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        // In pieces that overlap by more than a canary; a page that went away meanwhile ends its piece.
        const PIECE: u64 = 4 << 20;
        let mut at = from;
        while at < to {
            let mut piece = vec![0; (to - at).min(PIECE + 256) as usize];
            if memory.read_exact_at(&mut piece, at).is_ok() {
                found.extend(canaries.found_in(&piece).into_iter().map(str::to_owned));
            }
            at += PIECE;
        }
    }
    found.sort();
    found.dedup();
    found
}
