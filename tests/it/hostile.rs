//! Hostile bytes on the listener: the connection is closed or refused, the node stays up, and nobody else notices.

use crate::node::{Node, Scratch, run};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends the bytes on a connection of their own, which stays open: the frame that comes back, or `None` if
/// the node closes instead.
fn send(node: &Node, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(&node.kafka).expect("the node accepts");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    let mut answer = vec![0; 4];
    let exchanged = stream.write_all(bytes).and_then(|()| {
        stream.read_exact(&mut answer)?;
        let length = u32::from_be_bytes(answer[..].try_into().expect("four bytes"));
        answer.resize(4 + length as usize, 0);
        stream.read_exact(&mut answer[4..])
    });
    match exchanged {
        Ok(()) => Some(answer),
        Err(error) => match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => None,
            _ => panic!("the node neither answers nor closes: {error}"),
        },
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

/// A request header of version 1 and a body.
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(key.to_be_bytes());
    bytes.extend(version.to_be_bytes());
    bytes.extend(77_i32.to_be_bytes());
    bytes.extend((-1_i16).to_be_bytes());
    bytes.extend(body);
    frame(&bytes)
}

fn resident_kib(node: &Node) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", node.id())).expect("the process lives");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("its size is known");
    line.split_whitespace()
        .nth(1)
        .expect("a figure")
        .parse()
        .expect("a number")
}

fn assert_serves(node: &Node) {
    let output = run(&["topic", "list", "--brokers", &node.kafka]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn what_is_no_kafka_frame_is_closed_at_once() {
    let scratch = Scratch::new("no-frame");
    let node = Node::start(scratch.path());
    let tls_hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc];
    assert_eq!(send(&node, &tls_hello), None);
    assert_eq!(send(&node, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), None);
    assert_eq!(send(&node, &(-1_i32).to_be_bytes()), None);
    assert_eq!(send(&node, &i32::MAX.to_be_bytes()), None);
    assert_eq!(send(&node, &frame(b"")), None);
    assert_eq!(send(&node, &frame(b"abc")), None);
    assert_serves(&node);
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_with_what_there_is() {
    let scratch = Scratch::new("versions");
    let node = Node::start(scratch.path());
    // From version 3 on its header ends with tagged fields, here none.
    let answer = send(&node, &request(18, 99, b"\0")).expect("an answer");
    assert!(answer.len() > 10, "{answer:?}");
    assert_eq!(&answer[4..8], &77_i32.to_be_bytes());
    assert_eq!(&answer[8..10], &35_i16.to_be_bytes(), "UNSUPPORTED_VERSION");
    assert_eq!(
        send(&node, &request(0, 2, b"")),
        None,
        "Produce v2 closes the connection"
    );
    assert_eq!(send(&node, &request(999, 0, b"")), None);
    assert_serves(&node);
}

#[test]
fn lengths_that_promise_more_than_there_is_cost_no_memory() {
    let scratch = Scratch::new("lengths");
    let node = Node::start(scratch.path());
    let before = resident_kib(&node);
    for key in 0..70_i16 {
        for version in 0..19_i16 {
            // An array or string of two billion elements in the first place where one may stand.
            let mut body = vec![0x7f, 0xff, 0xff, 0xff];
            body.extend([0xff; 12]);
            send(&node, &request(key, version, &body));
        }
    }
    let grown = resident_kib(&node).saturating_sub(before);
    assert!(grown < 64 * 1024, "the node grew by {grown} KiB");
    assert_serves(&node);
}

#[test]
fn random_frames_close_connections_and_nothing_else() {
    let scratch = Scratch::new("random");
    let node = Node::start(scratch.path());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..3000 {
        let length = (random() % 200) as usize;
        let body: Vec<u8> = (0..length).map(|_| random() as u8).collect();
        send(
            &node,
            &request((random() % 50) as i16, (random() % 14) as i16, &body),
        );
    }
    assert_serves(&node);
    assert!(node.stop().success());
}
