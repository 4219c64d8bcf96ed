//! A connection of the environment as hyper wants it: polled, one read and one write at a time.
//!
//! Operations of the environment are futures; each is kept until it is done, since a write that is dropped half-way spoils the
//! connection. Writes are handed over as copies and reported when they are done.

use bytes::{Bytes, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use taffrail_env::net::NetResult;
use taffrail_env::{Connection, NetError};

/// Bytes of one read or write.
const CHUNK_BYTES_MAX: usize = 16 << 10;

type Pending<T> = Option<Pin<Box<dyn Future<Output = T>>>>;

/// See the module's head.
pub struct Stream<C: Connection> {
    /// Counted, so that the stream may be moved whatever the connection is.
    connection: Rc<C>,
    reading: Pending<(BytesMut, NetResult<usize>)>,
    /// Read, and not yet taken.
    buffer: BytesMut,
    writing: Pending<NetResult<usize>>,
}

impl<C: Connection> Stream<C> {
    pub fn new(connection: C) -> Stream<C> {
        Stream {
            connection: Rc::new(connection),
            reading: None,
            buffer: BytesMut::new(),
            writing: None,
        }
    }
}

fn failed(error: &NetError) -> io::Error {
    io::Error::other(error.to_string())
}

impl<C: Connection> Read for Stream<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut target: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            let connection = self.connection.clone();
            let mut buffer = std::mem::take(&mut self.buffer);
            let reading = self.reading.get_or_insert_with(|| {
                Box::pin(async move {
                    let read = connection.read(&mut buffer, CHUNK_BYTES_MAX).await;
                    (buffer, read)
                })
            });
            let (buffer, read) = ready!(reading.as_mut().poll(context));
            self.reading = None;
            self.buffer = buffer;
            read.map_err(|error| failed(&error))?;
        }
        let len = self.buffer.len().min(target.remaining());
        target.put_slice(&self.buffer.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl<C: Connection> Write for Stream<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let connection = self.connection.clone();
        let writing = self.writing.get_or_insert_with(|| {
            let len = bytes.len().min(CHUNK_BYTES_MAX);
            let chunk = Bytes::copy_from_slice(&bytes[..len]);
            Box::pin(async move { connection.write(vec![chunk]).await.map(|()| len) })
        });
        let written = ready!(writing.as_mut().poll(context));
        self.writing = None;
        Poll::Ready(written.map_err(|error| failed(&error)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A write is done only once all of it was handed over.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.close();
        Poll::Ready(Ok(()))
    }
}
