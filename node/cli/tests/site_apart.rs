//! The query site in a network namespace of its own, with one cable: to the observer.
//!
//! It has no route to a validator, to registration or to confirmation issuance, and no file and no variable that holds a key, a
//! passphrase or a token. It answers all the same, and goes on as of the last confirmed state when everybody else is gone.
//!
//! Namespaces take root: `scripts/test` sets this test aside, and says so, where there is none.

use crate::shared;

use serde_json::Value;
use shared::{Cluster, programs, text};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Of the three networks for documentation (RFC 5737) the first of which this machine has no address: some sandboxes give out one.
static CABLE: LazyLock<Cable> = LazyLock::new(|| {
    let taken = done("ip", &["-oneline", "address"]);
    let free = ["192.0.2.", "198.51.100.", "203.0.113."].into_iter().find(|network| !taken.contains(network));
    let network = free.expect("this machine has an address in each network for documentation");
    let end = |number: u8| format!("{network}{number}");
    Cable { network: end(0), ours: end(1), site: end(2) }
});
const SITE_PORT: u16 = 8190;

/// The addresses of a cable's two ends.
struct Cable {
    network: String,
    ours: String,
    site: String,
}

/// Waits twice for a line: for the cable, and for the cluster. The cluster's folder, with everybody's keys, is covered by an
/// empty one.
const INSIDE: &str = r#"
set -e
mount -t tmpfs tmpfs "$CLUSTER"
echo here
read -r _
ip link set lo up
ip address add "$SITE_END/30" dev "$CABLE"
ip link set "$CABLE" up
echo up
read -r _
exec env -i "$PROGRAM" --config "$CONFIG"
"#;

fn done(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output().unwrap();
    assert!(output.status.success(), "{command} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A shell in namespaces of its own that becomes the site.
struct Apart {
    process: Child,
    says: BufReader<std::process::ChildStdout>,
    hears: ChildStdin,
    folder: PathBuf,
}

impl Drop for Apart {
    fn drop(&mut self) {
        // The cable goes with the namespace.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Apart {
    fn lay_a_cable(cluster: &Cluster) -> Apart {
        let folder = PathBuf::from(cluster.scratch("site"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(cluster.path().join("genesis.bin"), folder.join("genesis.bin")).unwrap();
        let cable = format!("site{}", std::process::id() % 100_000);
        let mut process = Command::new("unshare")
            .args(["--net", "--mount", "bash", "-c", INSIDE])
            .env("CLUSTER", cluster.path())
            .env("CABLE", &cable)
            .env("SITE_END", &CABLE.site)
            .env("PROGRAM", programs().join("assay-site"))
            .env("CONFIG", folder.join("site.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let (says, hears) = (BufReader::new(process.stdout.take().unwrap()), process.stdin.take().unwrap());
        let mut apart = Apart { process, says, hears, folder };
        apart.hear("here");
        let ours = format!("ours{}", std::process::id() % 100_000);
        done("ip", &["link", "add", &ours, "type", "veth", "peer", "name", &cable]);
        done("ip", &["link", "set", &cable, "netns", &apart.process.id().to_string()]);
        done("ip", &["address", "add", &format!("{}/30", CABLE.ours), "dev", &ours]);
        done("ip", &["link", "set", &ours, "up"]);
        apart.go_on();
        apart.hear("up");
        apart
    }

    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert_eq!(line.trim(), word, "the namespaces take root, and iproute2: {log}");
    }

    fn go_on(&mut self) {
        self.hears.write_all(b"\n").unwrap();
    }

    fn become_the_site(&mut self, upstream: &str) {
        let config = format!(
            "listen = \"{}:{SITE_PORT}\"\nupstream = [\"{upstream}\"]\ngenesis = \"genesis.bin\"\n",
            CABLE.site
        );
        std::fs::write(self.folder.join("site.toml"), config).unwrap();
        self.go_on();
    }

    async fn ask(&self, path: &str) -> Option<(u16, String)> {
        get(&format!("http://{}:{SITE_PORT}{path}", CABLE.site)).await
    }

    /// Must be answered with 200.
    async fn document(&self, path: &str) -> Value {
        let (status, body) = self.ask(path).await.unwrap_or_else(|| panic!("the site does not answer {path}"));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// Whether a connection to this `HOST:PORT` comes about from the network namespace of this process.
fn reaches(pid: u32, address: &str) -> bool {
    let (host, port) = address.rsplit_once(':').unwrap();
    let connect = format!("exec 3<>/dev/tcp/{host}/{port}");
    let pid = pid.to_string();
    let words = ["--net", "--target", &pid, "timeout", "5", "bash", "-c", &connect];
    Command::new("nsenter").args(words).stderr(Stdio::null()).status().unwrap().success()
}

async fn get(url: &str) -> Option<(u16, String)> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
    let answer = client.get(url).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

/// Every address that a process of the cluster listens on, but the observer's HTTP: `HOST:PORT`.
fn addresses_of_others(cluster: &Cluster, names: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        let config = std::fs::read_to_string(cluster.path().join(name).join("node.toml")).unwrap();
        for line in config.lines().filter_map(|line| line.strip_prefix("listen = ")) {
            let address = line.trim_matches('"').replace("/ip4/", "").replace("/tcp/", ":");
            if !address.is_empty() && !address.starts_with(&CABLE.ours) {
                found.push(address);
            }
        }
    }
    found
}

/// Every `HOST:PORT` on which a node of this machine listens and which a packet that came over the cable meets: all but loopback
/// addresses.
fn where_nodes_listen_for_the_cable() -> Vec<String> {
    let shown = done("ss", &["-Hltnp"]);
    let of_nodes = shown.lines().filter(|line| line.contains("\"assay-node\""));
    let addresses = of_nodes.map(|line| line.split_whitespace().nth(3).unwrap());
    addresses.filter(|address| !address.starts_with("127.")).map(str::to_owned).collect()
}

/// The observer is asked at our end of the cable.
fn move_the_observer(cluster: &Cluster) -> String {
    let manifest = cluster.path().join("cluster.json");
    let document: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let processes = document["processes"].as_array().unwrap();
    let was = text(processes.iter().find(|process| process["role"] == "observer").unwrap(), "http");
    let host = was.trim_start_matches("http://").rsplit_once(':').unwrap().0.to_owned();
    let now = was.replace(&host, &CABLE.ours);
    let replace = |path: &Path, from: &str, to: &str| {
        let before = std::fs::read_to_string(path).unwrap();
        let after = before.replace(from, to);
        assert_ne!(before, after, "{}", path.display());
        std::fs::write(path, after).unwrap();
    };
    replace(&manifest, &was, &now);
    let bare = |url: &str| format!("listen = \"{}\"", url.trim_start_matches("http://"));
    replace(&cluster.path().join("observer/node.toml"), &bare(&was), &bare(&now));
    now
}

/// What the process can read that might be a secret: its variables, and its open files.
fn holds_no_secret(site: &Apart, cluster: &Cluster) {
    let of = |what: &str| PathBuf::from(format!("/proc/{}/{what}", site.process.id()));
    assert_eq!(std::fs::read(of("environ")).unwrap(), b"", "no variable, so no passphrase and no token");
    let cluster_seen = of("root").join(cluster.path().strip_prefix("/").unwrap());
    assert_eq!(std::fs::read_dir(cluster_seen).unwrap().count(), 0, "nobody's keys are there for the site");
    for file in std::fs::read_dir(of("fd")).unwrap() {
        let Ok(target) = std::fs::read_link(file.unwrap().path()) else { continue };
        let shown = target.display().to_string();
        let is_own = target.starts_with(&site.folder) || target == Path::new("/dev/null") || !shown.starts_with('/');
        assert!(is_own || shown.starts_with("/sys/") || shown.starts_with("/proc/"), "the site has {shown} open");
    }
    // And there is no place for one in its configuration.
    for field in ["token_file", "passphrase_file", "keys", "token", "passphrase"] {
        let config = site.folder.join("with_a_secret.toml");
        let plain = std::fs::read_to_string(site.folder.join("site.toml")).unwrap();
        std::fs::write(&config, format!("{field} = \"genesis.bin\"\n{plain}")).unwrap();
        let refused = Command::new(programs().join("assay-site")).arg("--config").arg(&config).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{field}: {refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("unknown field"), "{field}: {refused:?}");
    }
}

#[tokio::test]
async fn the_site_has_no_way_to_the_core_and_no_secret_and_answers_on_when_all_others_are_gone() {
    let mut cluster = Cluster::init(99, 100);
    let mut site = Apart::lay_a_cable(&cluster);
    let observer = move_the_observer(&cluster);
    cluster.start_all().await;
    site.become_the_site(&observer);
    let pay = |amount: &str| {
        let words = ["pay", amount, "--from", "vault@bank2", "--to", "vault@bank3", "--wait", "confirmed"];
        text(&cluster.done(&words), "coin")
    };
    let (asked, never_asked) = (pay("2.50"), pay("7.00"));
    let until = Instant::now() + Duration::from_secs(60);
    for coin in [&asked, &never_asked] {
        // Of the second, the observer is asked: the site hears of it when nobody else is left.
        loop {
            let (is_live, answer) = match coin == &asked {
                true => {
                    let answer = site.ask(&format!("/v1/coins/{coin}")).await;
                    (answer.as_ref().is_some_and(|(_, body)| body.contains("\"live\"")), format!("{answer:?}"))
                }
                false => {
                    let said = cluster.assay(&["coin", "show", coin, "--as", "observer"]);
                    (said.code == 0, format!("{said:?}"))
                }
            };
            if is_live {
                break;
            }
            let log = || std::fs::read_to_string(site.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "{coin} is registered within 60 s: {answer}; the site: {}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    let others =
        ["central-bank", "bank2", "bank3", "bank4", "registration", "confirmation-issuance"].map(str::to_owned);
    let addresses = addresses_of_others(&cluster, &others);
    assert!(addresses.len() >= 12, "HTTP, engine, bundles and links of four validators: {addresses:?}");
    // What they listen on are loopback addresses, and the site has a loopback of its own: that it finds nobody there says nothing.
    // A way to them would lead over the cable, to whoever listens on more than his loopback address. The one port that our end
    // may answer on is the observer's.
    let the_way = observer.trim_start_matches("http://");
    let (ours, theirs) = (std::process::id(), site.process.id());
    for address in &addresses {
        assert!(reaches(ours, address), "{address} is open to its own machine");
        let port = address.rsplit_once(':').unwrap().1;
        let over_the_cable = format!("{}:{port}", CABLE.ours);
        assert!(over_the_cable == the_way || !reaches(theirs, &over_the_cable), "the site reaches {over_the_cable}");
    }
    assert!(reaches(theirs, the_way), "this is how a way would be seen");
    assert_eq!(where_nodes_listen_for_the_cable(), [the_way.to_owned()], "nobody else listens where the cable ends");
    let routes = done("nsenter", &["--net", "--target", &site.process.id().to_string(), "ip", "route"]);
    assert!(routes.lines().count() == 1 && routes.starts_with(&format!("{}/30 ", CABLE.network)), "{routes}");
    holds_no_secret(&site, &cluster);

    // Everybody but the observer.
    for name in &others {
        cluster.kill(name);
    }
    // The site may be a look behind the observer's last checkpoint.
    let size = get(&format!("{observer}/v1/checkpoint")).await.map(|(_, body)| body).unwrap();
    let size = serde_json::from_str::<Value>(&size).unwrap()["size"].clone();
    let until = Instant::now() + Duration::from_secs(30);
    while site.document("/v1/status").await["as_of"]["log_size"] != size {
        assert!(Instant::now() < until, "the site has the last state within 30 s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let first = site.document(&format!("/v1/coins/{never_asked}")).await;
    assert_eq!((&first["status"], &first["as_of"]["log_size"]), (&"live".into(), &size), "{first}");

    // And the observer.
    cluster.kill("observer");
    wait_until_silent(&site).await;
    for coin in [&asked, &never_asked] {
        let kept = site.document(&format!("/v1/coins/{coin}")).await;
        assert_eq!(kept["status"], "live", "{kept}");
        assert!(kept["as_of"]["age_ms"].as_u64() > Some(0), "it says how old it is: {kept}");
    }
    let (status, page) = site.ask(&format!("/en/coin/{asked}")).await.unwrap();
    assert!(status == 200 && page.contains("Genuine and unspent") && page.contains("As of"), "{status}: {page}");
}

async fn wait_until_silent(site: &Apart) {
    let until = Instant::now() + Duration::from_secs(60);
    while site.document("/v1/status").await["observers"][0]["standing"] != "silent" {
        assert!(Instant::now() < until, "the site sees within 60 s that the observer is gone");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
