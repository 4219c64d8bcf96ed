//! The admin listener, asked over real sockets of the real environment.

use super::*;
use bytes::BytesMut;
use taffrail_broker::MetricKind;
use taffrail_env::{Connection, Net, Spawn};
use taffrail_os::Os;

struct Node {
    serves: bool,
}

impl Shown for Node {
    fn health(&self) -> (bool, String) {
        (self.serves, "so it is".to_owned())
    }

    async fn metrics(&self) -> Option<MetricsSnapshot> {
        let mut snapshot = MetricsSnapshot::default();
        snapshot.push(
            MetricKind::Gauge,
            "taffrail_things",
            "Things.",
            Vec::new(),
            5,
        );
        self.serves.then_some(snapshot)
    }
}

/// What a listener answers to these bytes, up to the end of the connection.
fn ask(serves: bool, request: &'static str) -> String {
    taffrail_os::run(async move |os: Os| {
        let listener = os.listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_address().to_string();
        os.spawn(serve(os.clone(), listener, Rc::new(Node { serves })));
        let connection = os.connect(&address).await.expect("it listens");
        let bytes = Bytes::from_static(request.as_bytes());
        connection.write(vec![bytes]).await.expect("it reads");
        let mut answer = BytesMut::new();
        while connection.read(&mut answer, 4096).await.unwrap_or(0) > 0 {}
        String::from_utf8(answer.to_vec()).expect("HTTP is text")
    })
}

#[test]
fn a_serving_node_is_healthy_and_shows_its_figures() {
    let answer = ask(true, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nso it is\n"), "{answer}");
    let answer = ask(true, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4")
            && answer.ends_with("taffrail_things 5\n"),
        "{answer}"
    );
    let answer = ask(
        true,
        "GET /metrics HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\n\r\n",
    );
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0")
            && answer.ends_with("taffrail_things 5.0\n# EOF\n"),
        "{answer}"
    );
}

#[test]
fn a_node_that_does_not_serve_says_so() {
    for path in ["/healthz", "/metrics"] {
        let request = match path {
            "/healthz" => "GET /healthz HTTP/1.0\r\n\r\n",
            _ => "GET /metrics HTTP/1.0\r\n\r\n",
        };
        let answer = ask(false, request);
        assert!(answer.starts_with("HTTP/1.0 503 "), "{answer}");
    }
}

#[test]
fn whatever_else_is_asked_is_refused() {
    let answer = ask(true, "GET /secrets HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    let answer = ask(
        true,
        "POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    );
    assert!(
        answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"),
        "{answer}"
    );
    let answer = ask(true, "\x16\x03\x01 this is not HTTP\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn connections_that_ask_nothing_do_not_keep_a_probe_out() {
    taffrail_os::run(async move |os: Os| {
        let listener = os.listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_address().to_string();
        let node = Rc::new(Node { serves: true });
        os.spawn(serve(os.clone(), listener, node));
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX + 5 {
            silent.push(os.connect(&address).await.expect("it listens"));
        }
        let probe = os.connect(&address).await.expect("it listens");
        let request = Bytes::from_static(b"GET /healthz HTTP/1.0\r\n\r\n");
        probe.write(vec![request]).await.expect("it reads");
        let mut answer = BytesMut::new();
        while probe.read(&mut answer, 4096).await.expect("not cut off") > 0 {}
        assert!(answer.starts_with(b"HTTP/1.0 200 OK\r\n"), "{answer:?}");
        // The first has made room for it.
        let mut nothing = BytesMut::new();
        let read = silent[0].read(&mut nothing, 1).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    });
}

#[test]
fn who_has_asked_stays_while_somebody_is_silent() {
    let mut guests = Guests::default();
    let mut open: Vec<_> = (0..CONNECTIONS_MAX).map(|_| guests.enter()).collect();
    open[0].1.set(true);
    open[1].1.set(true);
    open.push(guests.enter());
    let numbers: Vec<u64> = guests.open.iter().map(|guest| guest.number).collect();
    assert_eq!(numbers[..3], [0, 1, 3]);
    assert!(open[2].2.try_recv().is_err(), "it is told to go");
    guests
        .open
        .iter()
        .for_each(|guest| guest.answering.set(true));
    open.push(guests.enter());
    assert_eq!(guests.open.len(), CONNECTIONS_MAX);
    assert_eq!(guests.open[0].number, 1, "the oldest, if all have asked");
    guests.leave(1);
    assert_eq!(guests.open.len(), CONNECTIONS_MAX - 1);
}
