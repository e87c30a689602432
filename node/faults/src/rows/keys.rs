//! K: each secret file of each process in turn can be read by others, is a link, or is not encrypted. The process must not start, and
//! must name the file.

use super::{Faults, Order, Row, on_a_runtime, say};
use crate::cluster::{Cluster, wait_until};
use crate::disk::run as command;
use crate::record::Counts;
use rand::Rng;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub const ROW: Row = Row {
    name: "K",
    promise: "no process starts with a key that it uses, a passphrase or a token that others can read or that is a link, or with a \
              key in plain",
    brief: Some("every secret file of every process in every such way"),
    whole: "every secret file of every process in every such way",
    run: |order, counts| on_a_runtime(run(order, counts)),
};
const ONCE: Faults = Faults { brief: 1, ci: 1 };
const ENDS_WITHIN_S: u64 = 120;
/// It signs nothing, and most of the keys that the ceremony made for it are never opened: what is not opened is not refused.
const OPENS_FEW: &str = "observer";

#[derive(Clone, Copy, Debug)]
enum Wrong {
    Mode,
    Link,
    Plain,
}

impl Wrong {
    /// What the refusal says beside the file's path.
    fn said(self) -> &'static str {
        match self {
            Wrong::Mode => "can be read by others",
            Wrong::Link => "is a link or no regular file",
            Wrong::Plain => "is not encrypted",
        }
    }

    fn put(self, file: &Path, passphrase: &Path, mode: u32) {
        let aside = file.with_extension("aside");
        let text = |path: &Path| path.to_str().expect("a temporary folder's path is UTF-8").to_owned();
        match self {
            Wrong::Mode => std::fs::set_permissions(file, PermissionsExt::from_mode(mode)).unwrap(),
            Wrong::Link => {
                std::fs::rename(file, &aside).unwrap();
                std::os::unix::fs::symlink(&aside, file).unwrap();
            }
            Wrong::Plain => {
                std::fs::rename(file, &aside).unwrap();
                let pass = format!("file:{}", text(passphrase));
                command("openssl", &["pkey", "-in", &text(&aside), "-passin", &pass, "-out", &text(file)]);
                std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
            }
        }
    }

    fn undo(self, file: &Path) {
        match self {
            Wrong::Mode => std::fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap(),
            Wrong::Link | Wrong::Plain => std::fs::rename(file.with_extension("aside"), file).unwrap(),
        }
    }
}

fn secrets(folder: &Path) -> Vec<PathBuf> {
    let keys = std::fs::read_dir(folder.join("keys")).unwrap().map(|entry| entry.unwrap().path());
    let keys = keys.filter(|path| path.extension().is_some_and(|extension| extension == "pem"));
    let beside = ["passphrase", "token"].map(|name| folder.join(name)).into_iter().filter(|path| path.exists());
    let mut secrets: Vec<PathBuf> = keys.chain(beside).collect();
    secrets.sort_unstable();
    secrets
}

async fn run(order: &Order, counts: &mut Counts) {
    let (mut choices, started) = (order.choices(), Instant::now());
    let mut cluster = Cluster::init(66, 1);
    cluster.keep_logs_if_failed(order.folder.join("logs"));
    let mut round = 0;
    while order.goes_on(round, ONCE, started) {
        round += 1;
        for name in cluster.names() {
            let folder = cluster.folder(&name);
            for secret in secrets(&folder) {
                let is_key = secret.extension().is_some();
                for wrong in [Wrong::Mode, Wrong::Link, Wrong::Plain] {
                    if matches!(wrong, Wrong::Plain) && !is_key {
                        continue;
                    }
                    // At least one bit for the group or for all others.
                    let mode = 0o600 | choices.gen_range(1..0o100);
                    wrong.put(&secret, &folder.join("passphrase"), mode);
                    let log = folder.join("log");
                    let before = std::fs::read_to_string(&log).unwrap_or_default().len();
                    cluster.start(&name);
                    let what = format!("{name} refuses {}: {wrong:?}, {mode:o}", secret.display());
                    let (mut ended, mut runs) = (None, false);
                    wait_until(ENDS_WITHIN_S, &what, async || {
                        ended = cluster.ended(&name);
                        runs = name == OPENS_FEW && cluster.client(&name).status().await.is_ok();
                        ended.is_some() || runs
                    })
                    .await;
                    if runs {
                        cluster.kill(&name);
                        wrong.undo(&secret);
                        counts.add("never_opened", 1);
                        continue;
                    }
                    let said = std::fs::read_to_string(&log).unwrap().split_off(before);
                    assert!(!ended.expect("it has ended").success(), "{what}: it ends as if all were well");
                    let file = secret.file_name().expect("a file has a name").to_string_lossy();
                    assert!(said.contains(&*file) && said.contains(wrong.said()), "{what}: {said}");
                    wrong.undo(&secret);
                    counts.add("faults", 1);
                    counts.add("refused", 1);
                }
            }
            say(started, &format!("{name} has refused every file"));
        }
    }
}
