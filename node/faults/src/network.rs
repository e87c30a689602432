//! A network of the run's own: a network namespace with an address for each node, on a bridge where the run's clients are too.
//!
//! Packets between nodes are dropped where they leave, by iptables of the sender's namespace. The clients reach every node always:
//! what a node says while it is cut off is part of what is judged.

use crate::cluster::{Cluster, NODES};
use crate::disk::run;
use std::process::Command;

const CLIENTS: u16 = 254;

pub struct Network {
    prefix: String,
}

/// Of the node's participant number, which is its place in [`NODES`] from 1.
fn namespace(number: u16) -> String {
    format!("assay-{number}")
}

fn ip(arguments: &str) {
    run("ip", &arguments.split_whitespace().collect::<Vec<_>>());
}

impl Network {
    /// For a cluster on 127.0.`subnet`.n that is made and not started.
    pub fn lay(cluster: &mut Cluster, subnet: u8) -> Self {
        let prefix = format!("10.77.{subnet}.");
        // Of an earlier run in the same namespaces.
        let _ = Command::new("ip").args(["link", "del", "faults"]).output();
        ip("link add faults type bridge");
        ip(&format!("addr add {prefix}{CLIENTS}/24 dev faults"));
        ip("link set faults up");
        for number in 1..=NODES.len() as u16 {
            let space = namespace(number);
            let _ = Command::new("ip").args(["netns", "del", &space]).output();
            // It goes with its namespace, but not at once.
            let _ = Command::new("ip").args(["link", "del", &format!("faults-{number}")]).output();
            ip(&format!("netns add {space}"));
            ip(&format!("link add faults-{number} type veth peer name eth0 netns {space}"));
            ip(&format!("link set faults-{number} master faults up"));
            ip(&format!("-n {space} addr add {prefix}{number}/24 dev eth0"));
            ip(&format!("-n {space} link set lo up"));
            ip(&format!("-n {space} link set eth0 up"));
        }
        cluster.live_elsewhere(subnet, &prefix, |process| {
            // Registration and confirmation issuance have the central bank's number, and its place in the network.
            vec!["nsenter".into(), format!("--net=/run/netns/{}", namespace(process.participant))]
        });
        Network { prefix }
    }

    fn inside(&self, number: u16, arguments: &[&str]) -> String {
        let net = format!("--net=/run/netns/{}", namespace(number));
        run("nsenter", &[&[net.as_str()], arguments].concat())
    }

    /// Nothing that `from` sends reaches `to` any more.
    pub fn cut(&self, from: u16, to: u16) {
        let to = format!("{}{to}", self.prefix);
        self.inside(from, &["iptables-legacy", "-w", "-A", "OUTPUT", "-d", &to, "-j", "DROP"]);
    }

    /// Of what nodes send each other, so many percent are lost, each packet by itself.
    pub fn lose(&self, percent: u32) {
        for number in 1..=NODES.len() as u16 {
            let clients = format!("{}{CLIENTS}", self.prefix);
            self.inside(number, &["iptables-legacy", "-w", "-A", "OUTPUT", "-d", &clients, "-j", "ACCEPT"]);
            let (others, probability) = (format!("{}0/24", self.prefix), format!("0.{percent:02}"));
            let rule = ["iptables-legacy", "-w", "-A", "OUTPUT", "-d", &others, "-m", "statistic"];
            let chance = ["--mode", "random", "--probability", &probability, "-j", "DROP"];
            self.inside(number, &[&rule[..], &chance[..]].concat());
        }
    }

    /// Everything passes again. Gives how many packets were dropped since the first cut.
    pub fn heal(&self) -> u64 {
        let mut dropped = 0;
        for number in 1..=NODES.len() as u16 {
            let list = self.inside(number, &["iptables-legacy", "-w", "-n", "-v", "-x", "-L", "OUTPUT"]);
            self.inside(number, &["iptables-legacy", "-w", "-F", "OUTPUT"]);
            let drops = list.lines().filter(|line| line.contains("DROP"));
            dropped += drops.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).sum::<u64>();
        }
        dropped
    }

    /// Whether `from` can open a connection to what `to` serves over HTTP.
    pub fn reaches(&self, from: u16, to: u16, port: u16) -> bool {
        let net = format!("--net=/run/netns/{}", namespace(from));
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
