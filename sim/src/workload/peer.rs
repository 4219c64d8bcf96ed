//! A client without manners or memory: frames on one connection, and nothing that the product's own client would do for it.

use crate::env::SimEnv;
use crate::net::SimConnection;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use taffrail_env::{Clock, Connection, Net};
use taffrail_wire::header::ResponseHeader;
use taffrail_wire::{Decoder, Message, Request, frame};

/// The longest answer that is taken, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Read at once.
const READ_BYTES: usize = 64 << 10;

/// One connection to the broker.
pub struct Peer {
    env: SimEnv,
    connection: SimConnection,
    buffer: BytesMut,
    correlation_id: i32,
    client_id: String,
    /// How long anything may take.
    patience: Duration,
}

/// An answer's frame, without its length.
pub struct Answer {
    frame: Bytes,
    pub correlation_id: i32,
}

impl Answer {
    /// The response to a request of type `R`; `None` if it is none.
    pub fn read<'f, R: Request<'f>>(&'f self, version: i16) -> Option<R::Response<'f>> {
        let mut decoder = Decoder::new(&self.frame);
        ResponseHeader::decode(&mut decoder, R::KEY, version).ok()?;
        R::Response::<'f>::decode(&mut decoder, version).ok()
    }
}

impl Peer {
    /// `None` if nobody answers in time.
    pub async fn connect(
        env: &SimEnv,
        address: &str,
        client_id: &str,
        patience: Duration,
    ) -> Option<Peer> {
        let connection = in_time(env, patience, env.connect(address)).await?.ok()?;
        Some(Peer {
            env: env.clone(),
            connection,
            buffer: BytesMut::new(),
            correlation_id: 0,
            client_id: client_id.to_owned(),
            patience,
        })
    }

    /// Sends bytes as they are; whether they left.
    pub async fn send_bytes(&self, bytes: impl Into<Bytes>) -> bool {
        let write = self.connection.write(vec![bytes.into()]);
        let written = in_time(&self.env, self.patience, write).await;
        matches!(written, Some(Ok(())))
    }

    /// Sends a request, and answers its correlation id; `None` if it did not leave whole.
    pub async fn send<'a, R: Request<'a>>(&mut self, version: i16, request: &R) -> Option<i32> {
        self.correlation_id += 1;
        let id = self.correlation_id;
        let frame = frame::request(request, version, id, Some(&self.client_id))
            .unwrap_or_else(|error| panic!("{:?} version {version}: {error}", R::KEY));
        let write = self.connection.write(frame);
        let written = in_time(&self.env, self.patience, write).await;
        matches!(written, Some(Ok(()))).then_some(id)
    }

    /// The next answer; `None` if the connection ends, or there is none in time.
    pub async fn receive(&mut self) -> Option<Answer> {
        let (env, patience) = (self.env.clone(), self.patience);
        in_time(&env, patience, self.read_frame()).await.flatten()
    }

    async fn read_frame(&mut self) -> Option<Answer> {
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<4>() {
                let length = u32::from_be_bytes(*prefix) as usize;
                if !(4..=ANSWER_BYTES_MAX).contains(&length) {
                    return None;
                }
                if self.buffer.len() >= 4 + length {
                    self.buffer.advance(4);
                    let frame = self.buffer.split_to(length).freeze();
                    let correlation_id = i32::from_be_bytes(*frame.first_chunk()?);
                    return Some(Answer {
                        frame,
                        correlation_id,
                    });
                }
            }
            match self.connection.read(&mut self.buffer, READ_BYTES).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Sends a request and takes its answer.
    pub async fn call<'a, R: Request<'a>>(&mut self, version: i16, request: &R) -> Option<Answer> {
        let sent = self.send(version, request).await?;
        let answer = self.receive().await?;
        (answer.correlation_id == sent).then_some(answer)
    }

    /// Hangs up.
    pub fn leave(self) {
        self.connection.close();
    }
}

/// What `work` answers, unless it takes too long.
async fn in_time<T>(env: &SimEnv, patience: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), pin!(env.sleep(patience))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
