//! What a connection does.

use super::Ground;
use super::wait::{both, soon, still_waits};
use crate::Env;
use crate::mailbox::oneshot;
use crate::net::{Connection, Listener, Net, NetErrorKind};
use bytes::{Bytes, BytesMut};
use std::pin::pin;

const PIECE: usize = 1 << 16;

/// Two ends: the one that connected, and the one that accepted.
pub(super) async fn pair<E: Env>(env: &E, ground: &Ground) -> (Connected<E>, Connected<E>) {
    let listener = listen(env, ground).await;
    let address = listener.local_address().to_string();
    let (connected, accepted) = soon(
        env,
        "a connection",
        both(env.connect(&address), listener.accept()),
    )
    .await;
    (connected.expect("connected"), accepted.expect("accepted"))
}

pub(super) type Connected<E> = <E as Net>::Connection;

pub(super) async fn listen<E: Env>(env: &E, ground: &Ground) -> E::Listener {
    env.listen(&format!("{}:0", ground.host))
        .await
        .expect("a free port")
}

/// Everything up to the end of the stream.
async fn read_all<C: Connection>(connection: &C) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    while connection.read(&mut buffer, 4096).await.expect("a read") > 0 {}
    buffer.to_vec()
}

/// Reads exactly `len` bytes.
pub(super) async fn read_exactly<C: Connection>(connection: &C, len: usize) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    while buffer.len() < len {
        let max = len - buffer.len();
        let read = connection.read(&mut buffer, max).await.expect("a read");
        assert!(read > 0, "the stream ended after {} bytes", buffer.len());
    }
    buffer.to_vec()
}

fn pieces_that_do_not_fit(ground: &Ground) -> usize {
    ground.more_than_fits.div_ceil(PIECE)
}

/// Numbers as text, so that anything lost, doubled or moved shows.
fn numbers(from: usize, to: usize) -> Vec<Bytes> {
    (from..to)
        .map(|number| Bytes::from(format!("{number} ").repeat(number % 4)))
        .collect()
}

pub(super) async fn what_is_written_arrives_in_order_both_ways_at_once<E: Env>(
    env: E,
    ground: Ground,
) {
    let (a, b) = pair(&env, &ground).await;
    let (clone_of_a, clone_of_b) = (a.clone(), b.clone());
    let send = async |connection: &Connected<E>, salt: usize| {
        for round in 0..50 {
            let from = salt + 1000 * round;
            let pieces = numbers(from, from + 1000);
            connection.write(pieces).await.expect("a write");
        }
        connection.write(Vec::new()).await.expect("no pieces");
    };
    let expected = |salt: usize| numbers(salt, salt + 50_000).concat();
    let receive = async |connection: &Connected<E>, salt: usize| {
        let expected = expected(salt);
        assert!(read_exactly(connection, expected.len()).await == expected);
    };
    let one_way = both(send(&a, 0), receive(&b, 0));
    let other_way = both(send(&clone_of_b, 7), receive(&clone_of_a, 7));
    soon(&env, "all arrives", both(one_way, other_way)).await;
}

pub(super) async fn a_close_ends_the_stream_after_what_was_written<E: Env>(env: E, ground: Ground) {
    let (a, b) = pair(&env, &ground).await;
    a.write(vec![Bytes::from("last "), Bytes::from("words")])
        .await
        .expect("a write");
    a.close();
    a.close();
    assert_eq!(soon(&env, "the end", read_all(&b)).await, b"last words");
    // The end stays the end; the other direction ends on its own.
    assert_eq!(soon(&env, "the end again", read_all(&b)).await, b"");
    b.close();
    let closed = b.write(vec![Bytes::from("more")]).await;
    assert_eq!(closed.expect_err("closed").kind, NetErrorKind::Closed);
}

pub(super) async fn a_dropped_connection_is_closed<E: Env>(env: E, ground: Ground) {
    let (a, b) = pair(&env, &ground).await;
    let clone = a.clone();
    drop(a);
    clone.write(vec![Bytes::from("x")]).await.expect("a write");
    assert_eq!(soon(&env, "a byte", read_exactly(&b, 1)).await, b"x");
    let mut buffer = BytesMut::new();
    {
        let mut read = pin!(b.read(&mut buffer, 1));
        still_waits(&env, read.as_mut()).await;
        drop(clone);
        let end = soon(&env, "the end", read).await;
        assert_eq!(end, Ok(0));
    }
    assert!(buffer.is_empty());
}

pub(super) async fn an_own_close_ends_pending_reads_and_writes<E: Env>(env: E, ground: Ground) {
    let (a, b) = pair(&env, &ground).await;
    let piece = Bytes::from(vec![b'x'; PIECE]);
    // Each in a task of its own, so that what wakes one does not help the other.
    let (reader, read) = oneshot();
    let clone = a.clone();
    env.spawn(async move {
        let mut buffer = BytesMut::new();
        let answer = clone.read(&mut buffer, 1).await;
        assert!(buffer.is_empty());
        let _ = reader.send(answer);
    });
    let (writer, write) = oneshot();
    let clone = a.clone();
    let pieces = vec![piece; pieces_that_do_not_fit(&ground)];
    env.spawn(async move {
        let _ = writer.send(clone.write(pieces).await);
    });
    let (mut read, mut write) = (pin!(read), pin!(write));
    still_waits(&env, read.as_mut()).await;
    still_waits(&env, write.as_mut()).await;
    a.close();
    let read = soon(&env, "the read ends", read).await.expect("an answer");
    assert_eq!(read.expect_err("closed").kind, NetErrorKind::Closed);
    let write = soon(&env, "the write ends", write)
        .await
        .expect("an answer");
    assert_eq!(write.expect_err("closed").kind, NetErrorKind::Closed);
    let read = a.read(&mut BytesMut::new(), 1).await;
    assert_eq!(read.expect_err("closed").kind, NetErrorKind::Closed);
    let write = a.write(vec![Bytes::from("x")]).await;
    assert_eq!(write.expect_err("closed").kind, NetErrorKind::Closed);
    drop(b);
}

pub(super) async fn writes_to_a_peer_that_is_gone_fail_in_the_end<E: Env>(env: E, ground: Ground) {
    let (a, b) = pair(&env, &ground).await;
    a.write(vec![Bytes::from("unread")]).await.expect("a write");
    drop(b);
    let broken = async {
        loop {
            if let Err(error) = a.write(vec![Bytes::from("more")]).await {
                return error;
            }
            env.sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let broken = soon(&env, "a write fails", broken).await;
    assert_eq!(broken.kind, NetErrorKind::Reset, "{broken}");
    assert_eq!(broken.address, a.peer_address().to_string());
    assert!(!broken.system.is_empty());
    // The error may have been all that there is to tell.
    let mut buffer = BytesMut::new();
    match soon(&env, "a read ends", a.read(&mut buffer, 1)).await {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind, NetErrorKind::Reset, "{error}"),
    }
}

pub(super) async fn a_writer_stalls_while_the_peer_does_not_read<E: Env>(env: E, ground: Ground) {
    let (a, b) = pair(&env, &ground).await;
    let pieces: Vec<Bytes> = (0..pieces_that_do_not_fit(&ground))
        .map(|number| Bytes::from(vec![(number % 251) as u8; PIECE]))
        .collect();
    let mut write = pin!(a.write(pieces));
    still_waits(&env, write.as_mut()).await;
    let read = async {
        for number in 0..pieces_that_do_not_fit(&ground) {
            let piece = read_exactly(&b, PIECE).await;
            assert!(piece.iter().all(|byte| usize::from(*byte) == number % 251));
        }
    };
    let (written, ()) = soon(&env, "all arrives", both(write, read)).await;
    written.expect("the write ends when all was taken");
}

pub(super) async fn a_read_takes_no_more_than_it_may<E: Env>(env: E, ground: Ground) {
    let (a, b) = pair(&env, &ground).await;
    a.write(vec![Bytes::from("0123456789")])
        .await
        .expect("a write");
    let mut buffer = BytesMut::from("kept");
    while buffer.len() < 14 {
        let before = buffer.len();
        let read = soon(&env, "a read", b.read(&mut buffer, 3)).await;
        let read = read.expect("some bytes");
        assert!((1..=3).contains(&read), "{read}");
        assert_eq!(buffer.len(), before + read);
    }
    assert_eq!(&buffer[..], b"kept0123456789");
}

pub(super) async fn a_dropped_read_has_read_nothing<E: Env>(env: E, ground: Ground) {
    let (a, b) = pair(&env, &ground).await;
    for _ in 0..3 {
        let mut buffer = BytesMut::new();
        still_waits(&env, pin!(b.read(&mut buffer, 10))).await;
        assert!(buffer.is_empty());
    }
    a.write(vec![Bytes::from("all of it")])
        .await
        .expect("a write");
    assert_eq!(
        soon(&env, "the bytes", read_exactly(&b, 9)).await,
        b"all of it"
    );
}
