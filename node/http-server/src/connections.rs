//! Who is connected: a bound for all, a bound for each remote network, and room for whoever comes.
//!
//! - A connection that serves a request is never closed for another. One that only waits for a request's head may be: when there
//!   is no room, the network with most of those loses the one that has waited longest. So silent sockets, however many, keep
//!   nobody out, and a crowd from one network makes room by itself: who has one connection keeps it.
//! - An address at its own bound loses its own connections, never another's.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// Whom bounds and rates are counted for: an IPv4 address, or the /64 that one IPv6 subscriber has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteNetwork(IpAddr);

impl RemoteNetwork {
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                RemoteNetwork(IpAddr::V6(Ipv6Addr::from(network)))
            }
            address => RemoteNetwork(address),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ConnectionBounds {
    pub all: usize,
    pub per_network: usize,
}

pub(crate) struct Connections {
    bounds: ConnectionBounds,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Counts admissions and requests: an order of time without a clock.
    now: u64,
    by_number: BTreeMap<u64, Connection>,
}

struct Connection {
    from: RemoteNetwork,
    /// Since when it waits for a request's head; none while it serves one.
    waiting_since: Option<u64>,
    closed: Arc<Notify>,
}

impl Connections {
    pub fn new(bounds: ConnectionBounds) -> Arc<Self> {
        Arc::new(Connections { bounds, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("no holder of the connections panics")
    }

    /// Room for one more, if need be that of a connection that waits; none when all of them serve.
    pub fn admit(self: &Arc<Self>, from: RemoteNetwork) -> Option<Admitted> {
        let mut open = self.open();
        let of_network = open.by_number.values().filter(|connection| connection.from == from).count();
        if of_network >= self.bounds.per_network {
            open.close_one_of_the_largest_crowd(|connection| connection.from == from)?;
        } else if open.by_number.len() >= self.bounds.all {
            open.close_one_of_the_largest_crowd(|_| true)?;
        }
        let number = open.tick();
        let closed = Arc::new(Notify::new());
        let connection = Connection { from, waiting_since: Some(number), closed: closed.clone() };
        open.by_number.insert(number, connection);
        Some(Admitted { connections: self.clone(), number, closed })
    }

    fn set_serving(&self, number: u64, serving: bool) {
        let mut open = self.open();
        let now = open.tick();
        if let Some(connection) = open.by_number.get_mut(&number) {
            connection.waiting_since = (!serving).then_some(now);
        }
    }
}

impl Open {
    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// The one that waits longest, of the network with most that wait; among equal networks of all of these.
    fn close_one_of_the_largest_crowd(&mut self, may_go: impl Fn(&Connection) -> bool) -> Option<()> {
        let mut crowds: HashMap<RemoteNetwork, (usize, Reverse<(u64, u64)>)> = HashMap::new();
        for (number, connection) in self.by_number.iter().filter(|(_, connection)| may_go(connection)) {
            let Some(since) = connection.waiting_since else { continue };
            let waits = Reverse((since, *number));
            let (count, longest) = crowds.entry(connection.from).or_insert((0, waits));
            *count += 1;
            *longest = waits.max(*longest);
        }
        let (_, Reverse((_, number))) = crowds.into_values().max()?;
        let connection = self.by_number.remove(&number)?;
        connection.closed.notify_one();
        Some(())
    }
}

/// A connection's place; dropping it gives the place back.
pub(crate) struct Admitted {
    connections: Arc<Connections>,
    number: u64,
    closed: Arc<Notify>,
}

impl Admitted {
    /// Resolves when the place was given to another.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }

    /// Until the result is dropped the connection serves a request.
    pub fn serve(&self) -> Serving {
        self.connections.set_serving(self.number, true);
        Serving { connections: self.connections.clone(), number: self.number }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.open().by_number.remove(&self.number);
    }
}

pub(crate) struct Serving {
    connections: Arc<Connections>,
    number: u64,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.connections.set_serving(self.number, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn network(text: &str) -> RemoteNetwork {
        RemoteNetwork::of(text.parse().unwrap())
    }

    fn is_closed(admitted: &Admitted) -> bool {
        admitted.closed().now_or_never().is_some()
    }

    #[test]
    fn the_longest_waiting_connection_makes_room_and_a_serving_one_never_does() {
        let connections = Connections::new(ConnectionBounds { all: 3, per_network: 3 });
        let admit = |text| connections.admit(network(text));
        let first = admit("10.0.0.1").unwrap();
        let second = admit("10.0.0.2").unwrap();
        let third = admit("10.0.0.3").unwrap();
        let serving = first.serve();
        let fourth = admit("10.0.0.4").unwrap();
        assert!(is_closed(&second) && !is_closed(&first) && !is_closed(&third));
        // It has answered, and waits from now on: the third waits longer.
        drop(serving);
        let fifth = admit("10.0.0.5").unwrap();
        assert!(is_closed(&third) && !is_closed(&first));
        let _all_serve = [first.serve(), fourth.serve(), fifth.serve()];
        assert!(admit("10.0.0.6").is_none());
        drop(second);
        drop(fifth);
        assert!(admit("10.0.0.6").is_some(), "whoever leaves makes room");
    }

    #[test]
    fn a_crowd_from_one_network_makes_room_by_itself_and_a_lone_client_stays() {
        let connections = Connections::new(ConnectionBounds { all: 8, per_network: 6 });
        let admit = |text| connections.admit(network(text)).unwrap();
        let lone = admit("10.0.0.1");
        let [quiet, talking] = [admit("10.0.0.2"), admit("10.0.0.2")];
        let crowd: Vec<Admitted> = (0..5).map(|_| admit("10.0.0.9")).collect();
        // Who serves is not waiting: of the second network one waits.
        let _serving = talking.serve();
        // Newcomers, of the crowd or not: its oldest go, down to as few as others have.
        let newcomers = ["10.0.0.3", "10.0.0.9", "10.0.0.4", "10.0.0.5"].map(admit);
        assert_eq!(crowd.iter().map(is_closed).collect::<Vec<_>>(), [true, true, true, true, false]);
        assert!(![&lone, &quiet, &talking].into_iter().chain(&newcomers).any(is_closed));
        // Two of the crowd are left, and then one: now whoever waits longest of all goes.
        let _sixth = admit("10.0.0.6");
        assert!(is_closed(&crowd[4]) && !is_closed(&lone));
        let _seventh = admit("10.0.0.7");
        assert!(is_closed(&lone) && !is_closed(&newcomers[1]));
    }

    #[test]
    fn an_address_at_its_own_bound_loses_its_own_connections() {
        let connections = Connections::new(ConnectionBounds { all: 8, per_network: 2 });
        let others = connections.admit(network("10.0.0.1")).unwrap();
        let first = connections.admit(network("10.0.0.2")).unwrap();
        let second = connections.admit(network("10.0.0.2")).unwrap();
        let third = connections.admit(network("10.0.0.2")).unwrap();
        assert!(is_closed(&first) && !is_closed(&others));
        let _both_serve = [second.serve(), third.serve()];
        assert!(connections.admit(network("10.0.0.2")).is_none());
        assert!(connections.admit(network("10.0.0.3")).is_some());
    }

    #[test]
    fn an_ipv6_subscriber_is_one_network() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1:2:3"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
    }
}
