//! A network of the run's own: a network namespace with an address for each node, on a bridge where the run's clients are too.
//!
//! Packets between nodes are dropped where they leave, by iptables of the sender's namespace. The clients reach every node always:
//! what a node says while it is cut off is part of what is judged.

use crate::cluster::{Cluster, NODES};
use crate::disk::run;
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const CLIENTS: u16 = 254;
/// Where the relays of [`Network::delay`] listen.
const RELAY: u16 = 7;
static LAID: AtomicU32 = AtomicU32::new(0);

/// Its parts have names of their own: those of an earlier network go with its namespaces, and the kernel takes its time.
pub struct Network {
    prefix: String,
    name: String,
    places: u16,
    relays: Vec<Child>,
}

fn ip(arguments: &str) {
    run("ip", &arguments.split_whitespace().collect::<Vec<_>>());
}

impl Network {
    /// For a cluster on 127.0.`subnet`.n that is made and not started.
    pub fn lay(cluster: &mut Cluster, subnet: u8) -> Self {
        let prefix = format!("10.77.{subnet}.");
        // An interface's name has at most 15 characters.
        let name = format!("f{}x{}", std::process::id(), LAID.fetch_add(1, Ordering::Relaxed));
        let mut network = Network { prefix: prefix.clone(), name, places: 0, relays: Vec::new() };
        let bridge = &network.name;
        ip(&format!("link add {bridge} type bridge"));
        ip(&format!("addr add {prefix}{CLIENTS}/24 dev {bridge}"));
        ip(&format!("link set {bridge} up"));
        for _ in NODES {
            network.join();
        }
        cluster.live_elsewhere(subnet, &prefix, |process| {
            // Registration and confirmation issuance have the central bank's number, and its place in the network.
            network.enter(process.participant)
        });
        network
    }

    /// Makes the next place of the network, and gives its number.
    pub fn join(&mut self) -> u16 {
        self.places += 1;
        let (number, bridge, space) = (self.places, &self.name, self.space(self.places));
        ip(&format!("netns add {space}"));
        // The interface of the bridge has the name of the namespace that its other end is in.
        ip(&format!("link add {space} type veth peer name eth0 netns {space}"));
        ip(&format!("link set {space} master {bridge} up"));
        ip(&format!("-n {space} addr add {}/24 dev eth0", self.address(number)));
        ip(&format!("-n {space} link set lo up"));
        ip(&format!("-n {space} link set eth0 up"));
        number
    }

    pub fn address(&self, number: u16) -> String {
        format!("{}{number}", self.prefix)
    }

    /// The command that starts a process in a place.
    pub fn enter(&self, number: u16) -> Vec<String> {
        vec!["nsenter".into(), self.entry(number)]
    }

    fn places(&self) -> RangeInclusive<u16> {
        1..=self.places
    }

    /// The namespace of a place. A node's is its participant number, which is its place in [`NODES`] from 1.
    fn space(&self, number: u16) -> String {
        format!("{}-{number}", self.name)
    }

    fn entry(&self, number: u16) -> String {
        format!("--net=/run/netns/{}", self.space(number))
    }

    fn inside(&self, number: u16, arguments: &[&str]) -> String {
        run("nsenter", &[&[self.entry(number).as_str()], arguments].concat())
    }

    /// Nothing that `from` sends reaches `to` any more.
    pub fn cut(&self, from: u16, to: u16) {
        let to = self.address(to);
        self.inside(from, &["iptables-legacy", "-w", "-A", "OUTPUT", "-d", &to, "-j", "DROP"]);
    }

    /// The same, and a connection over which `from` sends to `to` ends at once.
    pub fn refuse(&self, from: u16, to: u16) {
        let to = self.address(to);
        let rule = ["iptables-legacy", "-w", "-A", "OUTPUT", "-p", "tcp", "-d", &to];
        self.inside(from, &[&rule[..], &["-j", "REJECT", "--reject-with", "tcp-reset"]].concat());
    }

    /// Connections that `from` begins to `to` from now on reach `instead`.
    pub fn lead(&self, from: u16, to: u16, instead: u16) {
        let (to, instead) = (self.address(to), self.address(instead));
        let rule = ["iptables-legacy", "-w", "-t", "nat", "-A", "OUTPUT", "-d", &to];
        self.inside(from, &[&rule[..], &["-j", "DNAT", "--to-destination", &instead]].concat());
    }

    /// Of what nodes send each other, so many percent are lost, each packet by itself.
    pub fn lose(&self, percent: u32) {
        for number in self.places() {
            let clients = format!("{}{CLIENTS}", self.prefix);
            self.inside(number, &["iptables-legacy", "-w", "-A", "OUTPUT", "-d", &clients, "-j", "ACCEPT"]);
            let (others, probability) = (format!("{}0/24", self.prefix), format!("0.{percent:02}"));
            let rule = ["iptables-legacy", "-w", "-A", "OUTPUT", "-d", &others, "-m", "statistic"];
            let chance = ["--mode", "random", "--probability", &probability, "-j", "DROP"];
            self.inside(number, &[&rule[..], &chance[..]].concat());
        }
    }

    /// What each node sends, to the clients too, leaves it at this rate; up to 400 ms of it wait, the rest is lost.
    pub fn narrow(&self, rate: &str) {
        for number in self.places() {
            let queue = ["root", "tbf", "rate", rate, "burst", "16kb", "latency", "400ms"];
            self.inside(number, &[&["tc", "qdisc", "add", "dev", "eth0"][..], &queue[..]].concat());
        }
    }

    /// Gives how many packets had to wait or were lost for the rate.
    pub fn widen(&self) -> u64 {
        let mut held = 0;
        for number in self.places() {
            let said = self.inside(number, &["tc", "-s", "qdisc", "show", "dev", "eth0"]);
            let mut words = said.split_whitespace().skip_while(|word| *word != "overlimits").skip(1);
            held += words.next().and_then(|count| count.parse::<u64>().ok()).expect("tc counts what is over the limit");
            self.inside(number, &["tc", "qdisc", "del", "dev", "eth0", "root"]);
        }
        held
    }

    /// What nodes send each other on connections that begin from now on comes so much later: where `of` names a node, on the
    /// connections from and to it, and else on all. This kernel has no `netem`: a relay stands where each connection begins, and
    /// holds its bytes back both ways (assay-faults relay). Opening takes no longer.
    pub fn delay(&mut self, one_way: Duration, of: Option<u16>) {
        let program = std::env::current_exe().expect("this program has a path");
        let one_way = one_way.as_millis().to_string();
        for from in self.places() {
            let listen = format!("127.0.0.1:{RELAY}");
            let mut relay = Command::new("nsenter");
            relay.arg(self.entry(from)).arg(&program).args(["relay", "--listen", &listen, "--one-way-ms", &one_way]);
            relay.stdin(Stdio::null());
            self.relays.push(relay.spawn().expect("nsenter starts"));
            let (first, last) = (crate::relay::PORTS.start().to_string(), crate::relay::PORTS.end().to_string());
            let (own, port) = (format!("{first}:{last}"), RELAY.to_string());
            for to in self.places().filter(|to| *to != from && of.is_none_or(|of| of == from || of == *to)) {
                let to = self.address(to);
                let rule = ["iptables-legacy", "-w", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", &to];
                // What the relay itself begins goes through.
                let taken = ["!", "--sport", &own, "-j", "REDIRECT", "--to-ports", &port];
                self.inside(from, &[&rule[..], &taken[..]].concat());
            }
        }
    }

    /// Panics unless an answer over a connection of node `from` to its neighbour comes twice the delay later.
    pub fn probe_delay(&self, port: u16, one_way: Duration, from: u16) {
        let to = from % NODES.len() as u16 + 1;
        let ask = format!(
            "exec 3<>/dev/tcp/{}{to}/{port}; printf 'GET /v1/status HTTP/1.0\\r\\n\\r\\n' >&3; read -r -t 10 <&3",
            self.prefix
        );
        let began = Instant::now();
        self.inside(from, &["bash", "-c", &ask]);
        assert!(began.elapsed() >= 2 * one_way, "an answer came after {:?}: nothing is delayed", began.elapsed());
    }

    /// Connections that begin from now on go straight. Gives how many went through the relays.
    pub fn no_delay(&mut self) -> u64 {
        let relayed = self.straight();
        self.end_relays();
        relayed
    }

    /// Connections that begin from now on reach whom they are meant for. Gives how many were led elsewhere.
    pub fn straight(&self) -> u64 {
        let mut taken = 0;
        for number in self.places() {
            let list = self.inside(number, &["iptables-legacy", "-w", "-t", "nat", "-n", "-v", "-x", "-L", "OUTPUT"]);
            self.inside(number, &["iptables-legacy", "-w", "-t", "nat", "-F", "OUTPUT"]);
            taken += packets(&list, &["REDIRECT", "DNAT"]);
        }
        taken
    }

    fn end_relays(&mut self) {
        for mut relay in self.relays.drain(..) {
            // It may have ended by itself.
            let _ = relay.kill();
            let _ = relay.wait();
        }
    }

    /// Everything passes again. Gives how many packets were dropped since the first cut.
    pub fn heal(&self) -> u64 {
        let mut dropped = 0;
        for number in self.places() {
            let list = self.inside(number, &["iptables-legacy", "-w", "-n", "-v", "-x", "-L", "OUTPUT"]);
            self.inside(number, &["iptables-legacy", "-w", "-F", "OUTPUT"]);
            dropped += packets(&list, &["DROP", "REJECT"]);
        }
        dropped
    }

    /// Whether `from` can open a connection to what `to` serves over HTTP.
    pub fn reaches(&self, from: u16, to: u16, port: u16) -> bool {
        let net = self.entry(from);
        let open = format!("exec 3<>/dev/tcp/{}{to}/{port}", self.prefix);
        let tried = Command::new("nsenter").args([&net, "timeout", "2", "bash", "-c", &open]).output();
        tried.expect("nsenter starts").status.success()
    }

    /// Panics unless a cut has its effect one way, and healing undoes it.
    pub fn probe(&self, port: u16) {
        assert!(self.reaches(1, 2, port) && self.reaches(2, 1, port), "nodes reach each other before a cut");
        self.cut(1, 2);
        assert!(!self.reaches(1, 2, port), "what is cut off reaches nobody");
        assert!(self.heal() > 0, "a cut drops packets");
        assert!(self.reaches(1, 2, port), "nodes reach each other after a cut");
    }
}

/// Of the rules with one of these targets in what iptables lists.
fn packets(list: &str, targets: &[&str]) -> u64 {
    let rules = list.lines().filter(|line| targets.iter().any(|target| line.contains(target)));
    rules.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

impl Drop for Network {
    /// The namespaces go when the last process in them ends; their interfaces go with them.
    fn drop(&mut self) {
        self.end_relays();
        for number in self.places() {
            let _ = Command::new("ip").args(["netns", "del", &self.space(number)]).output();
        }
        let _ = Command::new("ip").args(["link", "del", &self.name]).output();
    }
}
