//! Officers rotate a participant's network keys: a node that starts afterwards knows its peers, and itself, by the new ones.

use crate::cluster::*;
use ledger_types::envelope::*;
use ledger_types::participant::Participant;
use ledger_types::*;
use node::keys::{KeyFolder, passphrase};
use std::fs;

fn keys(cluster: &Cluster, folder: &str, of: &str) -> KeyFolder {
    let passphrase = passphrase(Some(&cluster.folder(of).join("passphrase"))).unwrap();
    KeyFolder::new(&cluster.folder(of).join(folder), passphrase)
}

/// The central bank carries it; two of three officers sign it.
fn update(cluster: &Cluster, participant: Participant) -> Envelope {
    let (chain, officers) = (cluster.trust().chain(), keys(cluster, "../officers", "central-bank"));
    let context = ParticipantUpdateContext { participant, authorizations: List::empty() };
    let mut core = Core {
        submitter: ParticipantNumber(1),
        inputs: Inputs::Spends(List::empty()),
        outputs: List::empty(),
        contract: ContractNumber(0),
        expiry_ms: node::clock::now_ms() + 60_000,
        bucket: Bucket::None,
        hint: EnvelopeHint([0; 16]),
        salt: Salt([7; 32]),
        context: ClearContext::ParticipantUpdate(Box::new(context.clone())),
    };
    let message = core.authorization_message(chain);
    let sign = |officer: u8| {
        let key = officers.signing_key(&format!("officer-{}", officer + 1)).unwrap();
        OfficerSignature { officer, signature: key.sign(&message) }
    };
    let authorizations = List::new((0..2).map(sign).collect()).unwrap();
    core.context = ClearContext::ParticipantUpdate(Box::new(ParticipantUpdateContext { authorizations, ..context }));
    Envelope { header: EnvelopeHeader { core, commitment: KeyCommitment::ZERO }, ciphertext: Vec::new() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_on_the_keys_that_the_directory_names_by_now() {
    let mut cluster = Cluster::up(112, 0).await;
    let observer = ParticipantNumber(5);
    let folder = cluster.folder("observer").join("keys");
    let mut line = cluster.trust().genesis().directory.get(observer).unwrap().clone();
    for (file, key) in [("data-peer", &mut line.keys.data_peer), ("engine-peer", &mut line.keys.engine_peer)] {
        fs::rename(folder.join(format!("{file}.pem")), folder.join(format!("{file}.old"))).unwrap();
        *key = keys(&cluster, "keys", "observer").create_signing_key(file).unwrap().public_key();
    }
    let update = update(&cluster, line);
    let id = update.id(cluster.trust().chain()).to_string();
    cluster.client("central-bank").submit_envelopes(vec![hex::encode(update.to_bytes())]).await.unwrap();
    wait_until(30, "the update is accepted", async || cluster.acknowledged("bank2", &id).await.is_some()).await;
    cluster.ready().await;

    // Every process, one after the other. The observer still runs by its old keys, and would be left behind.
    cluster.kill("observer");
    for name in ["central-bank", "bank2", "bank3", "bank4", "registration", "confirmation-issuance"] {
        cluster.kill(name);
        cluster.start(name);
        if NODES.contains(&name) {
            cluster.ready().await;
        }
    }
    // By its new keys: no peer knows it by others now.
    issued(&cluster, 2, 1_000).await;
    cluster.start("observer");
    cluster.ready().await;

    // Its disk is emptied: the directory that it begins with names its old keys, and it joins by the new ones.
    cluster.kill("observer");
    fs::remove_dir_all(cluster.folder("observer").join("state")).unwrap();
    cluster.start("observer");
    cluster.ready().await;
}
