//! Links over real sockets on the loopback.

use super::*;
use crate::config::Peer;
use futures::FutureExt;
use ledger_types::participant::{CentralBankKeys, Participant, ParticipantKeys, Roles};
use ledger_types::{Octets, Text};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

const DEADLINE: Duration = Duration::from_secs(20);

fn key(label: &str) -> SigningKey {
    SigningKey::from_seed(blake3::hash(label.as_bytes()).as_bytes())
}

fn link_key(number: u16) -> SigningKey {
    key(&format!("{number} link"))
}

fn participant(number: u16) -> Participant {
    let public = |purpose: &str| key(&format!("{number} {purpose}")).public_key();
    let central = number == 1;
    Participant {
        number: ParticipantNumber(number),
        name: Text::new(&format!("participant {number}")).unwrap(),
        roles: Roles::VALIDATOR.and(if central { Roles::CENTRAL_BANK } else { Roles::COMMERCIAL_BANK }),
        power: 1,
        keys: ParticipantKeys {
            consensus: public("consensus"),
            bundle: public("bundle"),
            cosign: public("cosign"),
            desk: public("desk"),
            offer: public("offer"),
            link: public("link"),
            engine_peer: public("engine peer"),
            data_peer: public("data peer"),
            kem: Octets::new(public("kem").0.to_vec()).unwrap(),
        },
        central_bank: central.then(|| CentralBankKeys {
            log: public("log"),
            registration: public("registration"),
            registration_link: public("registration link"),
            issue: public("issue"),
        }),
    }
}

fn directory() -> Directory {
    Directory::new([1, 2, 3].map(participant).to_vec()).unwrap()
}

/// An address of this test alone: every test has its own loopback address, so that none meets another's listener.
fn address(test: u8) -> String {
    let process = std::process::id();
    format!("/ip4/127.{}.{}.{}/tcp/4731", 100 + process % 100, process / 100 % 250, test)
}

/// Answers with what it was asked; a request for the opening of a coin waits until it is let go.
#[derive(Default)]
struct Echo {
    let_go: Notify,
    callers: std::sync::Mutex<Vec<Caller>>,
    asked: AtomicUsize,
}

struct EchoService(Arc<Echo>);

impl LinkService for EchoService {
    fn answer(&self, caller: Caller, request: Request) -> BoxFuture<'static, Response> {
        let echo = self.0.clone();
        async move {
            echo.asked.fetch_add(1, Ordering::SeqCst);
            echo.callers.lock().unwrap().push(caller);
            match request {
                Request::OpeningFor { .. } => {
                    echo.let_go.notified().await;
                    Response::Done
                }
                Request::Bundle { digest } => Response::Bundle(digest.to_vec()),
                Request::TakeReleases { max, .. } => Response::Bundle(vec![7; max as usize]),
                _ => Response::Refused(LinkRefusal::new("not_served", "")),
            }
        }
        .boxed()
    }
}

async fn serving(address: &str, echo: &Arc<Echo>) -> Arc<Links> {
    let config = Network { listen: address.into(), peers: vec![] };
    Links::start(&config, &link_key(3), &directory(), Arc::new(EchoService(echo.clone()))).await.unwrap()
}

async fn calling(address: &str, key: &SigningKey) -> Arc<Links> {
    let config =
        Network { listen: String::new(), peers: vec![Peer { participant: 3, address: address.into(), key: None }] };
    Links::start(&config, key, &directory(), Arc::new(NoService)).await.unwrap()
}

fn bundle(number: u64) -> Request {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    Request::Bundle { digest }
}

const THREE: ParticipantNumber = ParticipantNumber(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_pipelined_and_a_slow_answer_delays_no_other() {
    let (address, echo) = (address(1), Arc::new(Echo::default()));
    let _server = serving(&address, &echo).await;
    let client = calling(&address, &link_key(2)).await;
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.call(THREE, Request::OpeningFor { coin: [0; 32] }, DEADLINE).await }
    });
    let calls = (0..200u64).map(|number| client.call(THREE, bundle(number), DEADLINE));
    for (number, answer) in futures::future::join_all(calls).await.into_iter().enumerate() {
        let Request::Bundle { digest } = bundle(number as u64) else { unreachable!() };
        assert_eq!(answer.unwrap(), Response::Bundle(digest.to_vec()), "every caller gets its own answer");
    }
    assert!(!slow.is_finished());
    echo.let_go.notify_one();
    assert_eq!(slow.await.unwrap().unwrap(), Response::Done);
    assert!(echo.callers.lock().unwrap().iter().all(|caller| *caller == Caller::Participant(ParticipantNumber(2))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_no_stream_and_registration_is_known_by_its_own_key() {
    let (address, echo) = (address(2), Arc::new(Echo::default()));
    let _server = serving(&address, &echo).await;
    let stranger = calling(&address, &key("a stranger")).await;
    let refused = stranger.call(THREE, bundle(1), Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(LinkError::Deadline { .. })));
    // Keys of the directory for other purposes are strangers too.
    let other_purpose = calling(&address, &key("2 bundle")).await;
    assert!(other_purpose.call(THREE, bundle(1), Duration::from_secs(1)).await.is_err());
    assert_eq!(echo.asked.load(Ordering::SeqCst), 0);
    let registration = calling(&address, &key("1 registration link")).await;
    registration.call(THREE, bundle(1), DEADLINE).await.unwrap();
    assert_eq!(*echo.callers.lock().unwrap(), [Caller::Registration]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_link_is_told_to_its_callers_and_comes_back() {
    let (address, echo) = (address(3), Arc::new(Echo::default()));
    let server = serving(&address, &echo).await;
    let client = calling(&address, &link_key(2)).await;
    client.call(THREE, bundle(1), DEADLINE).await.unwrap();
    let hanging = tokio::spawn({
        let client = client.clone();
        async move { client.call(THREE, Request::OpeningFor { coin: [0; 32] }, DEADLINE).await }
    });
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while echo.asked.load(Ordering::SeqCst) < 2 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    drop(server);
    assert!(matches!(hanging.await.unwrap(), Err(LinkError::Broken(THREE))));
    let again = Arc::new(Echo::default());
    let _server = loop {
        // The old listener's socket is closed by its task, a moment later.
        let config = Network { listen: address.clone(), peers: vec![] };
        match Links::start(&config, &link_key(3), &directory(), Arc::new(EchoService(again.clone()))).await {
            Ok(server) => break server,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
    };
    while client.call(THREE, bundle(2), Duration::from_secs(2)).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the link does not come back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_and_many_requests_at_once_do_not_block_each_other() {
    let (address, echo) = (address(4), Arc::new(Echo::default()));
    let _server = serving(&address, &echo).await;
    let client = calling(&address, &link_key(2)).await;
    // More than every window and queue between the two: 40 answers of 1 MiB and 2,000 small ones.
    let large =
        (0..40).map(|_| client.call(THREE, Request::TakeReleases { after: 0, max: 1 << 20, wait_ms: 0 }, DEADLINE));
    let small = (0..2_000u64).map(|number| client.call(THREE, bundle(number), DEADLINE));
    let (large, small) = tokio::join!(futures::future::join_all(large), futures::future::join_all(small));
    for answer in large {
        assert!(matches!(answer.unwrap(), Response::Bundle(bytes) if bytes.len() == 1 << 20));
    }
    assert!(small.into_iter().all(|answer| answer.is_ok()));
}

#[tokio::test]
async fn a_peer_that_is_not_configured_cannot_be_called() {
    let client = calling(&address(5), &link_key(2)).await;
    let unknown = client.call(ParticipantNumber(9), bundle(1), DEADLINE).await;
    assert!(matches!(unknown, Err(LinkError::UnknownPeer(ParticipantNumber(9)))));
}

const SHORT: Patience = Patience { write: Duration::from_millis(200), silence: Duration::from_millis(200) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_stream_takes_the_place_of_its_peers_older_one() {
    let (address, echo) = (address(6), Arc::new(Echo::default()));
    let _server = serving(&address, &echo).await;
    let older = calling(&address, &link_key(2)).await;
    let hanging = tokio::spawn({
        let older = older.clone();
        async move { older.call(THREE, Request::OpeningFor { coin: [0; 32] }, DEADLINE).await }
    });
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while echo.asked.load(Ordering::SeqCst) < 1 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    let others = calling(&address, &key("1 registration link")).await;
    others.call(THREE, bundle(1), DEADLINE).await.unwrap();
    assert!(!hanging.is_finished(), "another peer's stream takes nobody's place");
    let newer = calling(&address, &link_key(2)).await;
    newer.call(THREE, bundle(1), DEADLINE).await.unwrap();
    assert!(matches!(hanging.await.unwrap(), Err(LinkError::Broken(THREE))));
    newer.call(THREE, bundle(2), DEADLINE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_takes_no_answers_loses_its_stream() {
    let (address, echo) = (address(7), Arc::new(Echo::default()));
    let config = Network { listen: address.clone(), peers: vec![] };
    let service = Arc::new(EchoService(echo.clone()));
    let _server = Links::start_with(SHORT, &config, &link_key(3), &directory(), service).await.unwrap();
    let (commands, received) = tokio::sync::mpsc::channel(1);
    let three = peer_id(&link_key(3).public_key()).unwrap();
    let callers = watch::Sender::new(Arc::new(Callers::from([(three, Caller::Participant(THREE))])));
    let network = network::LinkNetwork::start(&link_key(2), None, callers.subscribe(), received).await.unwrap();
    let mut control = network.control();
    let _network = tokio::spawn(network.run());
    commands.send(network::Dial(three, address.parse().unwrap())).await.unwrap();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let mut stream = loop {
        match control.open_stream(three, PROTOCOL).await {
            Ok(stream) => break stream,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    };
    // Asks for megabytes and reads none, until it is told that the stream is gone.
    let ask = async {
        for id in 0.. {
            let call = wire::Call { id, request: Request::TakeReleases { after: 0, max: 1 << 20, wait_ms: 0 } };
            if wire::write_frame(&mut stream, &call).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, ask).await.expect("the stream is closed");
    let client = calling(&address, &key("1 registration link")).await;
    client.call(THREE, bundle(1), DEADLINE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_nothing_is_given_up_and_called_anew() {
    let (address, echo) = (address(8), Arc::new(Echo::default()));
    let _server = serving(&address, &echo).await;
    let config =
        Network { listen: String::new(), peers: vec![Peer { participant: 3, address: address.clone(), key: None }] };
    let client = Links::start_with(SHORT, &config, &link_key(2), &directory(), Arc::new(NoService)).await.unwrap();
    let silent = client.call(THREE, Request::OpeningFor { coin: [0; 32] }, DEADLINE).await;
    assert!(matches!(silent, Err(LinkError::Broken(THREE))), "{silent:?}");
    client.call(THREE, bundle(1), DEADLINE).await.unwrap();
}

/// Participant 3 changes its key: the caller follows it, and whoever has the old key is a stranger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_key_loses_its_link_and_the_new_key_gets_it() {
    let (address, echo) = (address(9), Arc::new(Echo::default()));
    let before = serving(&address, &echo).await;
    let client = calling(&address, &link_key(2)).await;
    client.call(THREE, bundle(1), DEADLINE).await.unwrap();

    let (two, three) = (key("2 link, the next"), key("3 link, the next"));
    let lines = [1, 2, 3].map(|number| {
        let mut line = participant(number);
        match number {
            2 => line.keys.link = two.public_key(),
            3 => line.keys.link = three.public_key(),
            _ => {}
        }
        line
    });
    let next = Directory::new(lines.to_vec()).unwrap();
    client.know_by(&next);
    let refused = client.call(THREE, bundle(2), Duration::from_secs(2)).await;
    assert!(refused.is_err(), "the one at the address has the old key: {refused:?}");
    drop(before);
    let config = Network { listen: address.clone(), peers: vec![] };
    let deadline = tokio::time::Instant::now() + DEADLINE;
    // The address is free again when the old links' tasks have gone.
    let after = loop {
        match Links::start(&config, &three, &directory(), Arc::new(EchoService(echo.clone()))).await {
            Ok(links) => break links,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    };
    client.call(THREE, bundle(3), DEADLINE).await.unwrap();

    // The serving side learns of it, too: participant 2 is known by its new key only.
    after.know_by(&next);
    let refused = client.call(THREE, bundle(4), Duration::from_secs(2)).await;
    assert!(refused.is_err(), "the caller has the old key: {refused:?}");
    let config =
        Network { listen: String::new(), peers: vec![Peer { participant: 3, address: address.clone(), key: None }] };
    let renewed = Links::start(&config, &two, &next, Arc::new(NoService)).await.unwrap();
    renewed.call(THREE, bundle(5), DEADLINE).await.unwrap();
    assert_eq!(echo.callers.lock().unwrap().last(), Some(&Caller::Participant(ParticipantNumber(2))));
}

/// A process that was away while participant 3 changed its key reaches it by the key that its operator names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_key_reaches_a_peer_whose_update_is_not_here_yet() {
    let (address, echo) = (address(10), Arc::new(Echo::default()));
    let three = key("3 link, the next");
    let config = Network { listen: address.clone(), peers: vec![] };
    let _server = Links::start(&config, &three, &directory(), Arc::new(EchoService(echo))).await.unwrap();
    let peer = |key: Option<String>| Peer { participant: 3, address: address.clone(), key };
    let unpinned = Network { listen: String::new(), peers: vec![peer(None)] };
    let client = Links::start(&unpinned, &link_key(2), &directory(), Arc::new(NoService)).await.unwrap();
    assert!(client.call(THREE, bundle(1), Duration::from_secs(2)).await.is_err());
    drop(client);
    let pinned = Network { listen: String::new(), peers: vec![peer(Some(three.public_key().to_string()))] };
    let client = Links::start(&pinned, &link_key(2), &directory(), Arc::new(NoService)).await.unwrap();
    client.call(THREE, bundle(2), DEADLINE).await.unwrap();
}

/// Answers when the asker's key is replaced: it does that itself, so that no connection has been closed yet.
struct ReplacesItsCaller(Arc<std::sync::OnceLock<(std::sync::Weak<Links>, Directory)>>);

impl LinkService for ReplacesItsCaller {
    fn answer(&self, _: Caller, request: Request) -> BoxFuture<'static, Response> {
        let replaced = self.0.clone();
        async move {
            if matches!(request, Request::OpeningFor { .. }) {
                let (links, next) = replaced.get().unwrap();
                links.upgrade().unwrap().know_by(next);
            }
            Response::Done
        }
        .boxed()
    }
}

/// A long poll outlives the key that began it.
#[tokio::test]
async fn what_was_asked_under_a_key_that_is_replaced_before_the_answer_is_not_answered() {
    let address = address(11);
    let replaced = Arc::new(std::sync::OnceLock::new());
    let config = Network { listen: address.clone(), peers: vec![] };
    let service = Arc::new(ReplacesItsCaller(replaced.clone()));
    let server = Links::start(&config, &link_key(3), &directory(), service).await.unwrap();
    let lines = [1, 2, 3].map(|number| {
        let mut line = participant(number);
        if number == 2 {
            line.keys.link = key("2 link, the next").public_key();
        }
        line
    });
    replaced.set((Arc::downgrade(&server), Directory::new(lines.to_vec()).unwrap())).unwrap();
    let client = calling(&address, &link_key(2)).await;
    assert_eq!(client.call(THREE, bundle(1), DEADLINE).await.unwrap(), Response::Done);
    let unanswered = client.call(THREE, Request::OpeningFor { coin: [0; 32] }, DEADLINE).await;
    assert!(matches!(unanswered, Err(LinkError::Broken(THREE))), "{unanswered:?}");
}
