//! The accept loop against clients that keep their connections and send little.

use super::*;
use axum::http::StatusCode;
use axum::routing::post;
use futures::StreamExt;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::net::TcpSocket;

const DEADLINE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    _stop: watch::Sender<bool>,
}

async fn serving(limits: Limits) -> Server {
    serving_routes(Router::new().route("/", post(async |body: String| body)), limits).await
}

async fn serving_routes(router: Router, limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop_sender, stop) = watch::channel(false);
    tokio::spawn(serve(listener, router, limits, stop));
    Server { address, _stop: stop_sender }
}

fn limits(head_ms: u64) -> Limits {
    let connections = ConnectionBounds { all: 1024, per_network: 512 };
    Limits { connections, head: Duration::from_millis(head_ms) }
}

async fn connect_from(server: &Server, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    socket.connect(server.address).await.unwrap()
}

const ECHO: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
    read.expect("an answer or an end within the deadline").expect("an end without a reset");
    String::from_utf8(answer).unwrap()
}

async fn echoes(mut stream: TcpStream) {
    stream.write_all(ECHO).await.unwrap();
    let answer = answer(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hi"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eleven_hundred_silent_sockets_of_one_or_of_many_addresses_keep_nobody_out() {
    // A head may take longer than the test: only making room can help.
    for hosts in [1, 11] {
        let server = serving(limits(3_600_000)).await;
        let mut silent = Vec::new();
        for number in 0..1_100 {
            silent.push(connect_from(&server, 10 + (number % hosts) as u8).await);
        }
        echoes(connect_from(&server, 9).await).await;
        echoes(connect_from(&server, 10).await).await;
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_half_a_head_is_closed_after_the_heads_time() {
    let server = serving(limits(200)).await;
    let silent = connect_from(&server, 2).await;
    let mut slow = connect_from(&server, 2).await;
    slow.write_all(b"POST / HTTP/1.1\r\nhost:").await.unwrap();
    let mut answered = connect_from(&server, 2).await;
    answered.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
    let start = Instant::now();
    assert_eq!(answer(silent).await, "");
    assert!(!answer(slow).await.contains("200 OK"));
    assert!(answer(answered).await.ends_with("hi"), "and then it waits for a head like any other");
    assert!(start.elapsed() < DEADLINE / 2);
    echoes(connect_from(&server, 2).await).await;
}

#[tokio::test]
async fn bodies_that_never_end_keep_nobody_out() {
    let connections = ConnectionBounds { all: 8, per_network: 8 };
    let server = serving(Limits { connections, ..limits(3_600_000) }).await;
    let mut crowd = Vec::new();
    for _ in 0..8 {
        let mut stream = connect_from(&server, 2).await;
        stream
            .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
            .await
            .unwrap();
        // The server reads the body: the request is under way.
        let mut go_on = [0; 25];
        tokio::time::timeout(DEADLINE, stream.read_exact(&mut go_on)).await.expect("an answer").unwrap();
        assert!(go_on.starts_with(b"HTTP/1.1 100 Continue"));
        stream.write_all(b"h").await.unwrap();
        crowd.push(stream);
    }
    echoes(connect_from(&server, 9).await).await;
    // The one that waited longest made room; the last one's request is answered when it is whole.
    let mut last = crowd.pop().unwrap();
    last.write_all(b"i").await.unwrap();
    let mut head = [0; 15];
    tokio::time::timeout(DEADLINE, last.read_exact(&mut head)).await.expect("an answer").unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_request_that_is_refused_before_its_body_is_read_gets_its_refusal() {
    let router = Router::new().route("/", post(async || (StatusCode::SERVICE_UNAVAILABLE, "busy")));
    let server = serving_routes(router, limits(60_000)).await;
    let body = vec![1; 4 << 20];
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let client = reqwest::Client::new();
    let url = format!("http://{}", server.address);
    for _ in 0..20 {
        // One that looks for an answer once it has sent all, and ours, which looks meanwhile.
        let mut stream = connect_from(&server, 2).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.expect("the server takes what it does not want");
        let answer = answer(stream).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        let refused = client.post(&url).body(body.clone()).send().await.unwrap();
        assert_eq!(refused.status(), 503);
    }
}

/// A client that has the refusal and has sent its body would take the connection for good, and send its next request into its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_on_which_a_body_was_left_unread_is_used_by_nobody_again() {
    let refuses = async |body: Body| {
        let first = body.into_data_stream().next().await;
        assert!(first.is_some_and(|first| first.is_ok()));
        StatusCode::TOO_MANY_REQUESTS
    };
    let router = Router::new().route("/", post(async |body: String| body)).route("/busy", post(refuses));
    let server = serving_routes(router, limits(60_000)).await;

    let sent = "a".repeat(100_000);
    let mut stream = connect_from(&server, 2).await;
    let head = format!("POST /busy HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", sent.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&sent.as_bytes()[1..]).await.unwrap();
    let refusal = answer(stream).await;
    assert!(refusal.starts_with("HTTP/1.1 429") && refusal.contains("\r\nconnection: close\r\n"), "{refusal}");

    let url = format!("http://{}", server.address);
    let senders = (0..8).map(|_| async {
        let client = reqwest::Client::new();
        for _ in 0..100 {
            let refused = client.post(format!("{url}/busy")).body(sent.clone()).send().await.unwrap();
            assert_eq!(refused.status(), 429);
            let taken = client.post(&url).body("hi").send().await.unwrap();
            assert!(taken.headers().get("connection").is_none());
        }
    });
    futures::future::join_all(senders).await;
}

/// More than a socket takes at once, so that it is still being sent when the request has ended.
#[tokio::test]
async fn an_answer_that_leaves_the_body_unread_comes_whole() {
    const ANSWER: usize = 32 << 20;
    let router = Router::new().route("/", post(async || vec![b'a'; ANSWER]));
    let server = serving_routes(router, limits(60_000)).await;
    let mut stream = connect_from(&server, 2).await;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
    let answer = answer(stream).await;
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body.len(), ANSWER);
}
