//! Only the parties read: what lies on disks and in memory of those that are no party (invariant 3).

use crate::canaries::Canaries;
use crate::cluster::*;
use ledger_types::coin::Opening;
use ledger_types::{Decode, ParticipantNumber};
use node::config::Config;
use node::keys::{KeyFolder, passphrase};
use node::link::{Links, NoService, Request, Response};
use node_api::{desk, ledger};
use std::sync::Arc;
use std::time::Duration;

const MEMO: &str = "canary-7f3Kq9ZbW2-for-no-eyes-but-the-parties";
const AMOUNT: u64 = 0x0003_1415_9265_3589;

/// Who is no party of a payment from bank 2 to bank 3.
const NO_PARTY: [&str; 3] = ["central-bank", "bank4", "observer"];

/// A confirmed payment from bank 2 to bank 3 and what nobody else may hold of it. Public: the ciphertext and the coin's id.
struct Paid {
    secret: Canaries,
    public: Canaries,
}

/// Registration is away while the payment is made, and meanwhile the test takes the released roots in its name, as anybody with
/// its link key could; then it comes back and finds them still there, since they were not acknowledged.
async fn pay_with_canaries(cluster: &mut Cluster) -> Paid {
    let (bank2, bank3) = (cluster.client("bank2"), cluster.client("bank3"));
    // Other coins than of the payment's amount, so that there is change.
    issued(cluster, 2, 8 * AMOUNT).await;
    wallet(&bank3, "bob").await;
    cluster.kill("registration");
    let paid = bank2.pay(&payment("vault", "bob@bank3", AMOUNT, MEMO)).await.unwrap();
    let settled = reached(&bank2, &paid.id, "settled", 30).await;
    assert_eq!(settled.state, "settled", "nobody confirms without registration");
    let root = released_root(cluster, settled.envelope_id.as_deref().unwrap()).await;
    cluster.start("registration");
    let paid = reached(&bank2, &paid.id, "confirmed", 30).await;
    let envelope = paid.envelope_id.unwrap();
    for party in ["bank2", "bank3"] {
        let path = format!("/v1/envelopes/{envelope}/content");
        let content: ledger::EnvelopeContent = cluster.client(party).get(&path).await.unwrap();
        let opened = content.opened.unwrap_or_else(|| panic!("{party} is a party and reads it")).to_string();
        assert!(opened.contains(MEMO) && opened.contains(&AMOUNT.to_string()), "{opened}");
    }
    let mut held: Vec<desk::WalletCoin> = bank3.get("/v1/wallets/bob/coins").await.unwrap();
    let vault: Vec<desk::WalletCoin> = bank2.get("/v1/wallets/vault/coins").await.unwrap();
    held.extend(vault);

    let mut content = None;
    for node in NO_PARTY {
        wait_until(60, "who is no party has the envelope", async || {
            let path = format!("/v1/envelopes/{envelope}/content");
            content = cluster.client(node).get::<ledger::EnvelopeContent>(&path).await.ok();
            content.is_some()
        })
        .await;
        assert_eq!(content.as_ref().unwrap().opened, None, "{node} is no party");
    }
    let content = content.unwrap();
    let mut secret = Canaries::default();
    secret.add("memo", MEMO.as_bytes());
    secret.add("released root", &root);
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

/// What both parties have released for this envelope, asked for over the banks' links with registration's key, and not
/// acknowledged.
async fn released_root(cluster: &Cluster, envelope: &str) -> [u8; 32] {
    let folder = cluster.folder("registration");
    let keys = KeyFolder::new(&folder.join("keys"), passphrase(Some(&folder.join("passphrase"))).unwrap());
    let network = Config::read(&folder.join("node.toml")).unwrap().link.expect("registration has links");
    let key = keys.signing_key("registration-link").unwrap();
    let directory = &cluster.trust().genesis().directory;
    let links = Links::start(&network, &key, directory, Arc::new(NoService)).await.unwrap();
    let mut roots = Vec::new();
    for bank in [2, 3].map(ParticipantNumber) {
        let mut root = None;
        wait_until(30, "the bank releases the envelope's root", async || {
            let request = Request::TakeReleases { after: 0, max: 4096, wait_ms: 100 };
            let Ok(Response::Releases(releases)) = links.call(bank, request, Duration::from_secs(5)).await else {
                return false;
            };
            let of_envelope = releases.iter().find(|release| hex::encode(release.envelope) == envelope);
            root = of_envelope.map(|release| release.root);
            root.is_some()
        })
        .await;
        roots.push(root.unwrap());
    }
    assert_eq!(roots[0], roots[1], "both parties know the one root of the envelope");
    roots[0]
}

#[tokio::test]
async fn a_disk_of_no_party_holds_no_plaintext_and_a_partys_disk_holds_it_encrypted() {
    let mut cluster = Cluster::up(105, 0).await;
    let paid = pay_with_canaries(&mut cluster).await;
    for node in NO_PARTY {
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
    let mut cluster = Cluster::up(106, 0).await;
    let paid = pay_with_canaries(&mut cluster).await;
    assert_eq!(listening_sockets(cluster.pid("registration")), 0);
    assert!(listening_sockets(cluster.pid("central-bank")) > 0, "the count would see a listening socket");

    let validator = cluster.folder("central-bank");
    assert!(!paid.public.found_below(&validator).is_empty());
    assert_eq!(paid.secret.found_below(&validator), []);
    // Registration has read it: at rest it is encrypted, and what it hands on is desensitised.
    for folder in [cluster.folder("registration"), cluster.folder("confirmation-issuance"), cluster.outbox()] {
        assert_eq!(paid.secret.found_below(&folder), [], "{}", folder.display());
    }
    // The payee's bank has the openings in its memory, and this process has the root; who is no party has neither.
    assert!(!scan_memory(&paid.secret, cluster.pid("bank3")).found.is_empty(), "the scan of a memory would find them");
    let here = scan_memory(&paid.secret, std::process::id()).found;
    assert!(here.iter().any(|name| name.starts_with("released root")), "the scan would find a root: {here:?}");
    for node in NO_PARTY {
        let scan = scan_memory(&paid.secret, cluster.pid(node));
        assert_eq!(scan.found, [] as [String; 0], "{node} is no party");
        // All that the process had in memory was looked at, but for what it gave back meanwhile.
        assert!(scan.read_bytes >= scan.anonymous_bytes, "{node}: {scan:?}");
        assert!(scan.skipped_bytes * 100 <= scan.read_bytes, "{node}: {scan:?}");
    }
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

#[derive(Debug)]
struct MemoryScan {
    /// Which canaries stand in the writable memory.
    found: Vec<String>,
    read_bytes: u64,
    /// In the map of the memory and not readable, since it was given back in between.
    skipped_bytes: u64,
    /// What was resident and no file's before the scan.
    anonymous_bytes: u64,
}

/// Looks through the writable memory of a process.
fn scan_memory(canaries: &Canaries, pid: u32) -> MemoryScan {
    use std::os::unix::fs::FileExt;
    const PIECE: u64 = 4 << 20;
    const PAGE: usize = 4096;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    let anonymous_bytes = 1024 * anonymous.expect("Linux tells it").trim().parse::<u64>().unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut scan = MemoryScan { found: Vec::new(), read_bytes: 0, skipped_bytes: 0, anonymous_bytes };
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16)) else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        // In pieces that overlap by more than a canary, counted without the overlap.
        let mut at = from;
        while at < to {
            let own = (to - at).min(PIECE);
            let mut piece = vec![0; (to - at).min(PIECE + 256) as usize];
            let mut skipped = 0;
            if memory.read_exact_at(&mut piece, at).is_err() {
                // Page by page: what is gone hides nothing of what is there.
                for (index, page) in piece.chunks_mut(PAGE).enumerate() {
                    if memory.read_exact_at(page, at + (index * PAGE) as u64).is_err() {
                        page.fill(0);
                        skipped += page.len() as u64;
                    }
                }
            }
            scan.found.extend(canaries.found_in(&piece).into_iter().map(str::to_owned));
            scan.skipped_bytes += skipped.min(own);
            scan.read_bytes += own - skipped.min(own);
            at += PIECE;
        }
    }
    scan.found.sort();
    scan.found.dedup();
    scan
}
