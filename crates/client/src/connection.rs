//! One connection to a broker: requests go out one behind the other, answers come back in the same order.
//!
//! Two tasks serve it, one that writes and one that reads; both end when the connection breaks or its last user is gone. What must
//! hold: an answer goes to the request whose correlation id it carries or the connection is given up; a request that had no answer
//! in time takes the connection with it, since nothing behind it could be told apart; whoever asked learns whether the request can
//! have reached the broker.

use crate::deadline;
use crate::errors::ClientError;
use crate::signal::Signal;
use crate::versions::Versions;
use bytes::{Bytes, BytesMut};
use futures_channel::oneshot;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use taffrail_env::{Connection, Env, Instant, NetError, NetErrorKind};
use taffrail_wire::api::ApiKey;
use taffrail_wire::frame::{self, Splitter};
use taffrail_wire::header::ResponseHeader;
use taffrail_wire::{Decoder, Message, Request};

/// Bytes asked of the network at once while the length of the next frame is unknown.
const READ_BYTES: usize = 64 << 10;
/// And at most, once it is known.
const READ_BYTES_MAX: usize = 1 << 20;

/// An answer as it came. It is read where it is used, since it borrows from the frame.
pub(crate) struct Reply {
    body: Bytes,
    version: i16,
}

impl Reply {
    /// The answer to a request of type `R`.
    pub fn read<'b, R: Request<'b>>(&'b self) -> Result<R::Response<'b>, ClientError> {
        let mut decoder = Decoder::new(&self.body);
        <R::Response<'b> as Message<'b>>::decode(&mut decoder, self.version).map_err(|error| {
            ClientError::Protocol(format!("{} response: {error}", R::KEY.info().name))
        })
    }

    /// The two bytes at the front, where a response that the broker could not version says so.
    pub fn leading_code(&self) -> Option<i16> {
        self.body
            .first_chunk()
            .map(|code| i16::from_be_bytes(*code))
    }

    /// The same bytes, as those of another version.
    pub fn in_version(self, version: i16) -> Reply {
        Reply { version, ..self }
    }
}

/// A call without an answer.
#[derive(Clone, Debug)]
pub(crate) struct CallFailure {
    pub error: ClientError,
    /// The request may have reached the broker.
    pub sent: bool,
}

impl CallFailure {
    pub fn unsent(error: ClientError) -> CallFailure {
        CallFailure { error, sent: false }
    }
}

impl From<CallFailure> for ClientError {
    fn from(failure: CallFailure) -> ClientError {
        failure.error
    }
}

type Answer = Result<Reply, CallFailure>;

/// Who waits for an answer.
struct Pending {
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    answer: oneshot::Sender<Answer>,
}

/// A frame on its way out.
struct Outgoing {
    frame: Vec<Bytes>,
    waits: Waits,
}

enum Waits {
    ForAnswer(Pending),
    /// A request without an answer: done once it is written.
    ForWrite(i32, oneshot::Sender<Answer>),
}

impl Waits {
    fn correlation_id(&self) -> i32 {
        match self {
            Waits::ForAnswer(pending) => pending.correlation_id,
            Waits::ForWrite(correlation_id, _) => *correlation_id,
        }
    }

    fn fail(self, failure: CallFailure) {
        let answer = match self {
            Waits::ForAnswer(pending) => pending.answer,
            Waits::ForWrite(_, answer) => answer,
        };
        // Nobody listens any more if the caller went away; that is the caller's choice.
        drop(answer.send(Err(failure)));
    }
}

#[derive(Default)]
struct Queues {
    next_correlation_id: i32,
    outgoing: VecDeque<Outgoing>,
    pending: VecDeque<Pending>,
    broken: Option<ClientError>,
}

struct Shared<E: Env> {
    connection: E::Connection,
    peer: String,
    client_id: String,
    in_flight_max: usize,
    splitter: Splitter,
    queues: RefCell<Queues>,
    /// There is something to write, or nothing more to come.
    work: Signal,
    /// A place became free, or the connection broke.
    room: Signal,
}

/// A live connection. Closed when dropped.
pub(crate) struct Link<E: Env> {
    env: E,
    shared: Rc<Shared<E>>,
    versions: RefCell<Versions>,
}

/// A request that was begun.
pub(crate) struct Begun {
    correlation_id: i32,
    api: &'static str,
    coming: oneshot::Receiver<Answer>,
}

/// What [`Link::open`] needs beside the environment.
pub(crate) struct LinkOptions {
    pub client_id: String,
    pub in_flight_max: usize,
    pub response_bytes_max: usize,
}

impl<E: Env> Link<E> {
    /// Connects, and learns which versions the broker speaks.
    pub async fn open(
        env: &E,
        address: &str,
        options: LinkOptions,
        until: Instant,
    ) -> Result<Link<E>, ClientError> {
        let timed_out = || ClientError::TimedOut {
            what: format!("connecting to {address}"),
            last: None,
        };
        let connection = deadline::before(env, until, env.connect(address))
            .await
            .ok_or_else(timed_out)?
            .map_err(ClientError::Network)?;
        let shared = Rc::new(Shared::<E> {
            connection,
            peer: address.to_owned(),
            client_id: options.client_id,
            in_flight_max: options.in_flight_max.max(1),
            splitter: Splitter {
                frame_bytes_max: options.response_bytes_max,
            },
            queues: RefCell::default(),
            work: Signal::default(),
            room: Signal::default(),
        });
        env.spawn(write_frames(shared.clone()));
        env.spawn(read_frames(shared.clone()));
        let link = Link {
            env: env.clone(),
            shared,
            versions: RefCell::new(Versions::before_handshake()),
        };
        let versions = Versions::ask(&link, until).await?;
        link.versions.replace(versions);
        Ok(link)
    }

    pub fn peer(&self) -> &str {
        &self.shared.peer
    }

    pub fn is_broken(&self) -> bool {
        self.shared.queues.borrow().broken.is_some()
    }

    /// Why nothing more comes of this connection, if that is so.
    pub fn fault(&self) -> Option<ClientError> {
        self.shared.queues.borrow().broken.clone()
    }

    /// The version that both sides know best, not above `at_most`.
    pub fn version(&self, key: ApiKey, at_most: i16) -> Result<i16, ClientError> {
        let versions = self.versions.borrow();
        versions
            .choose(key, at_most)
            .ok_or_else(|| ClientError::Unsupported {
                api: key.info().name,
                broker: self.shared.peer.clone(),
            })
    }

    /// Sends a request in `version` and waits for the answer.
    pub async fn call<'a, R: Request<'a>>(
        &self,
        request: &R,
        version: i16,
        until: Instant,
    ) -> Result<Reply, CallFailure> {
        self.wait_for_room(until).await?;
        let begun = self.begin(request, version, true)?;
        self.finish(begun, until).await
    }

    /// Puts a request behind those that were begun before, without waiting. Its answer, or if it has none the moment when it
    /// is written, is waited for with [`Link::finish`].
    pub fn begin<'a, R: Request<'a>>(
        &self,
        request: &R,
        version: i16,
        answered: bool,
    ) -> Result<Begun, CallFailure> {
        let mut queues = self.shared.queues.borrow_mut();
        if let Some(error) = &queues.broken {
            return Err(CallFailure::unsent(error.clone()));
        }
        let api = R::KEY.info().name;
        let correlation_id = queues.next_correlation_id;
        let client_id = Some(self.shared.client_id.as_str());
        let frame =
            frame::request(request, version, correlation_id, client_id).map_err(|error| {
                CallFailure::unsent(ClientError::Protocol(format!("{api} request: {error}")))
            })?;
        queues.next_correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        let (answer, coming) = oneshot::channel();
        let waits = if answered {
            Waits::ForAnswer(Pending {
                correlation_id,
                key: R::KEY,
                version,
                answer,
            })
        } else {
            Waits::ForWrite(correlation_id, answer)
        };
        queues.outgoing.push_back(Outgoing { frame, waits });
        drop(queues);
        self.shared.work.notify();
        Ok(Begun {
            correlation_id,
            api,
            coming,
        })
    }

    /// Waits for the answer to a request.
    pub async fn finish(&self, begun: Begun, until: Instant) -> Result<Reply, CallFailure> {
        match deadline::before(&self.env, until, begun.coming).await {
            Some(Ok(answer)) => answer,
            Some(Err(oneshot::Canceled)) => Err(CallFailure {
                error: ClientError::Closed,
                sent: true,
            }),
            None => Err(self.give_up(begun.correlation_id, begun.api)),
        }
    }

    async fn wait_for_room(&self, until: Instant) -> Result<(), CallFailure> {
        loop {
            let mark = self.shared.room.mark();
            {
                let queues = self.shared.queues.borrow();
                if let Some(error) = &queues.broken {
                    return Err(CallFailure::unsent(error.clone()));
                }
                if queues.outgoing.len() + queues.pending.len() < self.shared.in_flight_max {
                    return Ok(());
                }
            }
            let changed = self.shared.room.changed(mark);
            if deadline::before(&self.env, until, changed).await.is_none() {
                return Err(CallFailure::unsent(ClientError::TimedOut {
                    what: format!("{} does not answer", self.shared.peer),
                    last: None,
                }));
            }
        }
    }

    /// The time of a request is up: it is taken back if it was not begun, and the connection given up if it was.
    fn give_up(&self, correlation_id: i32, api: &str) -> CallFailure {
        let error = ClientError::TimedOut {
            what: format!("{} to {}", api, self.shared.peer),
            last: None,
        };
        let mut queues = self.shared.queues.borrow_mut();
        let before = queues.outgoing.len();
        queues
            .outgoing
            .retain(|outgoing| outgoing.waits.correlation_id() != correlation_id);
        if queues.outgoing.len() < before {
            drop(queues);
            self.shared.room.notify();
            return CallFailure::unsent(error);
        }
        drop(queues);
        self.shared.shatter(&error);
        CallFailure { error, sent: true }
    }
}

impl<E: Env> Drop for Link<E> {
    fn drop(&mut self) {
        self.shared.shatter(&ClientError::Closed);
    }
}

impl<E: Env> Shared<E> {
    /// Nothing more comes of this connection; the first reason counts.
    fn shatter(&self, error: &ClientError) {
        let (outgoing, pending) = {
            let mut queues = self.queues.borrow_mut();
            if queues.broken.is_none() {
                queues.broken = Some(error.clone());
            }
            (
                std::mem::take(&mut queues.outgoing),
                std::mem::take(&mut queues.pending),
            )
        };
        self.connection.close();
        for waiting in pending {
            Waits::ForAnswer(waiting).fail(CallFailure {
                error: error.clone(),
                sent: true,
            });
        }
        for unsent in outgoing {
            unsent.waits.fail(CallFailure::unsent(error.clone()));
        }
        self.work.notify();
        self.room.notify();
    }

    fn is_broken(&self) -> bool {
        self.queues.borrow().broken.is_some()
    }

    /// Gives an answer to the request that waits longest.
    fn deliver(&self, frame: &Bytes) -> Result<(), ClientError> {
        let Some(pending) = self.queues.borrow_mut().pending.pop_front() else {
            return Err(ClientError::Protocol("an answer to no request".to_owned()));
        };
        let mut decoder = Decoder::new(frame);
        let read = ResponseHeader::decode(&mut decoder, pending.key, pending.version);
        let fault = match read {
            Ok(header) if header.correlation_id == pending.correlation_id => None,
            Ok(header) => Some(format!(
                "an answer to request {} where {} was due",
                header.correlation_id, pending.correlation_id
            )),
            Err(error) => Some(format!("response header: {error}")),
        };
        if let Some(fault) = fault {
            let error = ClientError::Protocol(fault);
            Waits::ForAnswer(pending).fail(CallFailure {
                error: error.clone(),
                sent: true,
            });
            return Err(error);
        }
        let reply = Reply {
            body: frame.slice(decoder.position()..),
            version: pending.version,
        };
        drop(pending.answer.send(Ok(reply)));
        self.room.notify();
        Ok(())
    }
}

/// The writing task. A frame is moved to those that wait for an answer before its first byte is handed over.
async fn write_frames<E: Env>(shared: Rc<Shared<E>>) {
    loop {
        let mark = shared.work.mark();
        let next = {
            let mut queues = shared.queues.borrow_mut();
            if queues.broken.is_some() {
                return;
            }
            queues.outgoing.pop_front().map(|outgoing| {
                let written = match outgoing.waits {
                    Waits::ForAnswer(pending) => {
                        queues.pending.push_back(pending);
                        None
                    }
                    Waits::ForWrite(_, answer) => Some(answer),
                };
                (outgoing.frame, written)
            })
        };
        let Some((frame, written)) = next else {
            shared.work.changed(mark).await;
            continue;
        };
        let result = shared.connection.write(frame).await;
        if let Some(answer) = written {
            let done = match &result {
                Ok(()) => Ok(Reply {
                    body: Bytes::new(),
                    version: 0,
                }),
                Err(error) => Err(CallFailure {
                    error: ClientError::Network(error.clone()),
                    sent: true,
                }),
            };
            drop(answer.send(done));
            shared.room.notify();
        }
        if let Err(error) = result {
            shared.shatter(&ClientError::Network(error));
        }
    }
}

/// The reading task.
async fn read_frames<E: Env>(shared: Rc<Shared<E>>) {
    let mut buffer = BytesMut::new();
    let why = loop {
        match take_frame(&shared, &mut buffer) {
            Err(error) => break error,
            Ok(true) => continue,
            Ok(false) => {}
        }
        let max = bytes_to_read(&shared, &buffer);
        let read = shared.connection.read(&mut buffer, max).await;
        if shared.is_broken() {
            return;
        }
        match read {
            Ok(0) => {
                break ClientError::Network(NetError {
                    kind: NetErrorKind::Reset,
                    address: shared.peer.clone(),
                    system: "the broker closed the connection".to_owned(),
                });
            }
            Ok(_) => {}
            Err(error) => break ClientError::Network(error),
        }
    };
    shared.shatter(&why);
}

/// Delivers the first frame, if all of it is there.
fn take_frame<E: Env>(shared: &Shared<E>, buffer: &mut BytesMut) -> Result<bool, ClientError> {
    let frame = shared
        .splitter
        .take(buffer)
        .map_err(|error| ClientError::Protocol(error.to_string()))?;
    match frame {
        Some(frame) => shared.deliver(&frame).map(|()| true),
        None => Ok(false),
    }
}

fn bytes_to_read<E: Env>(shared: &Shared<E>, buffer: &BytesMut) -> usize {
    match shared.splitter.length(buffer) {
        Ok(Some(length)) => {
            let missing = (length + frame::PREFIX_BYTES).saturating_sub(buffer.len());
            missing.clamp(1, READ_BYTES_MAX)
        }
        _ => READ_BYTES,
    }
}
