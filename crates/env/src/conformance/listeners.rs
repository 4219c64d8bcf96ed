//! How connections come about, and addresses.

use super::Ground;
use super::connections::{listen, pair, read_exactly};
use super::wait::{soon, starts_to_wait, yield_now};
use crate::Env;
use crate::net::{Connection, Listener, NetErrorKind};
use bytes::{Bytes, BytesMut};
use std::pin::pin;

pub(super) async fn both_ends_agree_on_the_addresses<E: Env>(env: E, ground: Ground) {
    let listener = listen(&env, &ground).await;
    let address = listener.local_address();
    assert_ne!(address.port(), 0);
    assert_eq!(address.ip().to_string(), ground.host);
    let connected = env.connect(&address.to_string()).await.expect("connected");
    let accepted = soon(&env, "an accept", listener.accept()).await;
    let accepted = accepted.expect("accepted");
    assert_eq!(connected.peer_address(), address);
    assert_eq!(accepted.local_address(), address);
    assert_eq!(accepted.peer_address(), connected.local_address());
    assert_ne!(connected.local_address(), address);
}

pub(super) async fn connections_queue_before_they_are_accepted<E: Env>(env: E, ground: Ground) {
    let listener = listen(&env, &ground).await;
    let address = listener.local_address().to_string();
    let mut connected = Vec::new();
    for number in 0..10_u8 {
        let connection = soon(&env, "a connection", env.connect(&address)).await;
        let connection = connection.expect("connected");
        let hello = vec![Bytes::from(vec![number])];
        connection.write(hello).await.expect("a write");
        connected.push(connection);
    }
    let mut heard = Vec::new();
    for _ in 0..10 {
        let accepted = soon(&env, "an accept", listener.accept()).await;
        let accepted = accepted.expect("accepted");
        heard.extend(soon(&env, "a byte", read_exactly(&accepted, 1)).await);
    }
    heard.sort_unstable();
    assert_eq!(heard, Vec::from_iter(0..10));
}

pub(super) async fn a_dropped_accept_loses_no_connection<E: Env>(env: E, ground: Ground) {
    let listener = listen(&env, &ground).await;
    let address = listener.local_address().to_string();
    let connected = {
        let mut accept = pin!(listener.accept());
        starts_to_wait(accept.as_mut()).await;
        let connected = soon(&env, "a connection", env.connect(&address)).await;
        // The accept was woken, or soon will be, but is not polled again.
        yield_now().await;
        connected.expect("connected")
    };
    let accepted = soon(&env, "an accept", listener.accept()).await;
    let accepted = accepted.expect("accepted");
    assert_eq!(accepted.peer_address(), connected.local_address());
}

pub(super) async fn nobody_listens_where_a_listener_was_dropped<E: Env>(env: E, ground: Ground) {
    let listener = listen(&env, &ground).await;
    let address = listener.local_address().to_string();
    drop(listener);
    let refused = soon(&env, "an answer", env.connect(&address)).await;
    let refused = refused.err().expect("nobody listens");
    assert_eq!(refused.kind, NetErrorKind::Refused, "{refused}");
    assert_eq!(refused.address, address);
    // And the port is free at once, even if a connection was accepted there.
    let (a, b) = pair(&env, &ground).await;
    let address = b.local_address().to_string();
    // The end that closes first is the one whose address a network remembers for a while.
    b.close();
    let mut nothing = BytesMut::new();
    let end = soon(&env, "the end", a.read(&mut nothing, 1)).await;
    assert_eq!(end, Ok(0));
    drop((a, b));
    env.listen(&address).await.expect("the same port again");
}

pub(super) async fn an_address_is_listened_on_once<E: Env>(env: E, ground: Ground) {
    let listener = listen(&env, &ground).await;
    let address = listener.local_address().to_string();
    let taken = env.listen(&address).await.err().expect("it is taken");
    assert_eq!(taken.kind, NetErrorKind::AddressInUse, "{taken}");
    assert_eq!(taken.address, address);
    assert!(taken.to_string().contains(&address), "{taken}");
}

pub(super) async fn an_address_that_makes_no_sense_is_refused<E: Env>(env: E, ground: Ground) {
    for address in [
        String::new(),
        ground.host.clone(),
        format!("{}:port", ground.host),
        format!("{}:65536", ground.host),
    ] {
        let listened = env.listen(&address).await.err().expect("no such address");
        assert_eq!(listened.kind, NetErrorKind::AddressInvalid, "{listened}");
        let connected = env.connect(&address).await.err().expect("no such address");
        assert_eq!(connected.kind, NetErrorKind::AddressInvalid, "{connected}");
    }
}
