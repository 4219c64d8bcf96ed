//! One connection: frames in, answers out, in order, within limits.
//!
//! Two loops in one task. The first reads a frame, whose size it has judged and reserved memory for, and starts it; the second
//! waits for answers in the order of their requests and writes them. Produce requests may overtake the durability of
//! the Produce requests before them, which is what makes pipelining fast; every other request waits until all before it are
//! answered, as it would on Kafka's broker, so that each sees what the client did before.
//!
//! What must hold: at most [`IN_FLIGHT_MAX`] requests are under way, and then the socket is not read; a peer that
//! sends too slowly (much sooner if others wait for the memory that its frame holds), takes its answers too slowly or sends what is no Kafka frame is closed with one log line that says why; a
//! connection that ends gives back its memory and its place, whatever it was doing.

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_channel::mpsc;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::{FutureExt, SinkExt, StreamExt};
use taffrail_env::{Connection, Env, Instant, NetError};
use taffrail_wire::api::ApiKey;

use crate::api::{self, Answer, Call, Peer, RequestMemory};
use crate::broker::Broker;
use crate::budget::Reservation;
use crate::deadline::until;
use crate::signal::UnderWay;

/// Requests of one connection under way.
pub const IN_FLIGHT_MAX: usize = 5;
/// Room in the channel between the two loops. Beside those, one request is being put into it, and one is waited for or
/// answered.
const CHANNEL: usize = IN_FLIGHT_MAX - 2;
/// The largest frame that is no Produce request.
const SMALL_FRAME_MAX: usize = 1 << 20;
/// How many bytes of memory a byte of a request other than Produce may become once it is decoded and answered.
const DECODED_FACTOR: usize = 8;
/// The length, the API's key and its version: enough to judge a frame.
const PREAMBLE: usize = 8;
/// Read at once while waiting for a frame. Ordinary small requests fit.
const READ_AHEAD: usize = 512;
/// The slowest that a frame may come in, over each window.
const INGRESS_BYTES_PER_WINDOW: usize = 80 << 10;
const INGRESS_WINDOW: Duration = Duration::from_secs(10);
/// The slowest that a frame may come in while others wait for the memory it holds, over each shorter window.
const INGRESS_BYTES_PER_WANTED_WINDOW: usize = 512 << 10;
const INGRESS_WANTED_WINDOW: Duration = Duration::from_secs(2);
/// The longest that a frame may take to come in.
const FRAME_TIME_MAX: Duration = Duration::from_secs(300);
/// Written at once, and to be taken by the peer within [`EGRESS_WINDOW`].
const EGRESS_PIECE: usize = 256 << 10;
const EGRESS_WINDOW: Duration = Duration::from_secs(30);

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer closed it.
    Closed,
    /// It broke.
    Broken(NetError),
    /// Nothing came for a long time.
    Idle,
    /// The node is stopping.
    Stopping,
    /// The peer did what it must not.
    Fault(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Closed => f.write_str("closed by the peer"),
            End::Broken(error) => error.fmt(f),
            End::Idle => f.write_str("idle"),
            End::Stopping => f.write_str("the node is stopping"),
            End::Fault(what) => f.write_str(what),
        }
    }
}

/// A frame that was read, without its length.
struct Frame {
    bytes: BytesMut,
    reservation: Reservation,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<E: Env>(broker: Rc<Broker<E>>, connection: E::Connection) -> End {
    let peer = Peer {
        address: connection.peer_address(),
        local: connection.local_address(),
    };
    let (answers, waiting) = mpsc::channel(CHANNEL);
    let requests = Requests {
        broker: broker.clone(),
        connection: connection.clone(),
        peer,
        ahead: BytesMut::new(),
        under_way: UnderWay::default(),
        answers,
    };
    let reading = pin!(requests.run());
    let writing = pin!(write_answers(&broker, &connection, waiting));
    let stopping = pin!(broker.stopping.wait());
    let end = match select(select(reading, writing), stopping).await {
        Either::Left((Either::Left((end, _)) | Either::Right((end, _)), _)) => end,
        Either::Right(_) => End::Stopping,
    };
    connection.close();
    end
}

/// The loop that reads.
struct Requests<E: Env> {
    broker: Rc<Broker<E>>,
    connection: E::Connection,
    peer: Peer,
    /// Read already, and not yet part of a frame.
    ahead: BytesMut,
    under_way: UnderWay,
    answers: mpsc::Sender<LocalBoxFuture<'static, Answer>>,
}

impl<E: Env> Requests<E> {
    async fn run(mut self) -> End {
        // Whether every request under way is one that a Produce may overtake.
        let mut only_produce = true;
        loop {
            let frame = match self.read_frame().await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            let header = match api::read_header(&frame.bytes) {
                Ok(header) => header,
                Err(fault) => return End::Fault(fault),
            };
            let is_produce = header.key == ApiKey::Produce;
            let mut end = None;
            if !(is_produce && only_produce) {
                end = self.wait_for_earlier().await.err();
            }
            if let Some(end) = end.take_if(|_| !is_produce) {
                return end;
            }
            only_produce = is_produce;
            self.broker.counters.request(header.key.info().name);
            let memory = RequestMemory::new(frame.reservation);
            let call = Call {
                memory: memory.clone(),
                broker: self.broker.clone(),
                version: header.version,
                correlation_id: header.correlation_id,
                client_id: header.client_id,
                peer: self.peer,
            };
            let step = self.under_way.begin();
            let peak = &self.broker.in_flight_peak;
            peak.set(peak.get().max(self.under_way.count()));
            let started = api::start(call, header.key, frame.bytes, header.body_at).await;
            if let Some(end) = end {
                // What a producer sent before it went is appended, though nobody is left to be told.
                return end;
            }
            let answer = started.map(move |mut answer| {
                drop(step);
                if let Answer::Frame { held, .. } = &mut answer {
                    held.extend(memory.take());
                }
                answer
            });
            if self.answers.send(answer.boxed_local()).await.is_err() {
                return End::Closed;
            }
        }
    }

    /// Waits until everything before is answered, and notices meanwhile if the peer goes away: nobody would take the answers,
    /// and some of them take long.
    async fn wait_for_earlier(&mut self) -> Result<(), End> {
        loop {
            let room = READ_AHEAD.saturating_sub(self.ahead.len());
            let answered = self.under_way.none();
            if room == 0 {
                answered.await;
                return Ok(());
            }
            let read = pin!(self.connection.read(&mut self.ahead, room));
            match select(answered, read).await {
                Either::Left(_) => return Ok(()),
                Either::Right((Ok(0), _)) => return Err(End::Closed),
                Either::Right((Ok(_), _)) => {}
                Either::Right((Err(error), _)) => return Err(End::Broken(error)),
            }
        }
    }

    /// Reads the next frame, with memory reserved for all of it before more than its first bytes are read.
    async fn read_frame(&mut self) -> Result<Frame, End> {
        self.wait_for_frame().await?;
        while self.ahead.len() < PREAMBLE {
            let missing = PREAMBLE - self.ahead.len();
            self.read_ahead_in_time(missing).await?;
        }
        let length = self.judge_preamble()?;
        let is_produce = self.ahead[4..6] == (ApiKey::Produce as i16).to_be_bytes();
        let cost = if is_produce {
            length
        } else {
            length.saturating_mul(DECODED_FACTOR)
        };
        let budget = &self.broker.budget;
        if length > budget.large_requests.total() {
            return Err(End::Fault(format!(
                "a frame of {length} bytes does not fit into the memory budget"
            )));
        }
        let reservation = budget.reserve_request(cost).await;
        self.ahead.advance(4);
        let mut bytes = BytesMut::with_capacity(length);
        let had = self.ahead.len().min(length);
        bytes.extend_from_slice(&self.ahead[..had]);
        self.ahead.advance(had);
        if self.ahead.is_empty() {
            // An idle connection keeps no buffer.
            self.ahead = BytesMut::new();
        }
        self.read_rest(&mut bytes, length, &reservation).await?;
        self.broker.counters.bytes_in.add(length as u64 + 4);
        Ok(Frame { bytes, reservation })
    }

    /// Waits for the first byte. Requests under way keep the connection from being idle.
    async fn wait_for_frame(&mut self) -> Result<(), End> {
        let idle =
            Duration::from_millis(self.broker.settings.broker().connections_max_idle_ms as u64);
        while self.ahead.is_empty() {
            let env = &self.broker.env;
            let read = self.connection.read(&mut self.ahead, READ_AHEAD);
            match until(env, env.now() + idle, read).await {
                Some(Ok(0)) => return Err(End::Closed),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(End::Broken(error)),
                None if self.under_way.count() > 0 => {}
                None => return Err(End::Idle),
            }
        }
        Ok(())
    }

    async fn read_ahead_in_time(&mut self, max: usize) -> Result<(), End> {
        let env = &self.broker.env;
        let read = self.connection.read(&mut self.ahead, max);
        match until(env, env.now() + INGRESS_WINDOW, read).await {
            Some(Ok(0)) => Err(End::Fault("cut off within a frame".to_string())),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(End::Broken(error)),
            None => Err(too_slow()),
        }
    }

    /// Whether what is coming may be a request; answers its length.
    fn judge_preamble(&self) -> Result<usize, End> {
        let mut preamble = &self.ahead[..PREAMBLE];
        if let Some(what) = foreign_protocol(preamble) {
            return Err(End::Fault(format!(
                "this is {what}, not the Kafka protocol"
            )));
        }
        let length = preamble.get_i32();
        let (key, version) = (preamble.get_i16(), preamble.get_i16());
        let max = self.broker.settings.broker().socket_request_max_bytes;
        let max = if key == ApiKey::Produce as i16 {
            max as usize
        } else {
            SMALL_FRAME_MAX.min(max as usize)
        };
        match usize::try_from(length) {
            Ok(length) if length < PREAMBLE => Err(End::Fault(format!(
                "a frame of {length} bytes is too short for a request"
            ))),
            Ok(length) if length <= max => Ok(length),
            Ok(length) => Err(End::Fault(format!(
                "a frame of {length} bytes, API {key} version {version}, where {max} are allowed"
            ))),
            Err(_) => Err(End::Fault(format!("a frame of negative length {length}"))),
        }
    }

    /// Fills `bytes` to `length`, if it comes fast enough.
    async fn read_rest(
        &mut self,
        bytes: &mut BytesMut,
        length: usize,
        reservation: &Reservation,
    ) -> Result<(), End> {
        let env = &self.broker.env;
        let now = env.now();
        let deadline = now + FRAME_TIME_MAX;
        let mut window = Window::new(now, INGRESS_WINDOW, INGRESS_BYTES_PER_WINDOW, bytes.len());
        let mut wanted = Window::new(
            now,
            INGRESS_WANTED_WINDOW,
            INGRESS_BYTES_PER_WANTED_WINDOW,
            bytes.len(),
        );
        while bytes.len() < length {
            let missing = length - bytes.len();
            let read = self.connection.read(bytes, missing);
            let next = deadline.min(window.end).min(wanted.end);
            match until(env, next, read).await {
                Some(Ok(0)) => return Err(End::Fault("cut off within a frame".to_string())),
                Some(Ok(_)) | None => {}
                Some(Err(error)) => return Err(End::Broken(error)),
            }
            let now = env.now();
            if bytes.len() == length {
                break;
            }
            let is_slow = window.is_missed(now, bytes.len());
            let is_slow_for_others = wanted.is_missed(now, bytes.len()) && reservation.is_wanted();
            if is_slow || is_slow_for_others || now >= deadline {
                return Err(too_slow());
            }
        }
        Ok(())
    }
}

/// A stretch of time in which so many bytes have to come, again and again.
struct Window {
    end: Instant,
    length: Duration,
    bytes: usize,
    /// How many bytes were there when it began.
    had: usize,
}

impl Window {
    fn new(now: Instant, length: Duration, bytes: usize, had: usize) -> Window {
        Window {
            end: now + length,
            length,
            bytes,
            had,
        }
    }

    /// Whether the window has ended with too little; if it has ended, the next one begins.
    fn is_missed(&mut self, now: Instant, has: usize) -> bool {
        if now < self.end {
            return false;
        }
        let is_missed = has - self.had < self.bytes;
        (self.end, self.had) = (now + self.length, has);
        is_missed
    }
}

fn too_slow() -> End {
    End::Fault("a request comes in too slowly".to_string())
}

/// What other protocol these first bytes belong to, if they look like one that people send here by mistake.
fn foreign_protocol(first: &[u8]) -> Option<&'static str> {
    match first {
        [0x14..=0x17, 3, 0..=4, ..] => Some("TLS"),
        [b'G', b'E', b'T', b' ', ..]
        | [b'P', b'O', b'S', b'T', ..]
        | [b'P', b'U', b'T', b' ', ..]
        | [b'H', b'E', b'A', b'D', ..]
        | [b'O', b'P', b'T', b'I', ..] => Some("HTTP"),
        [b'S', b'S', b'H', b'-', ..] => Some("SSH"),
        _ => None,
    }
}

/// The loop that writes.
async fn write_answers<E: Env>(
    broker: &Broker<E>,
    connection: &E::Connection,
    mut answers: mpsc::Receiver<LocalBoxFuture<'static, Answer>>,
) -> End {
    while let Some(answer) = answers.next().await {
        match answer.await {
            // It breaks at the worst of moments.
            Answer::Frame { .. } if broker.env.strikes_at("answer/lost") => return End::Closed,
            Answer::Frame { chunks, held } => {
                let bytes: usize = chunks.iter().map(Bytes::len).sum();
                if let Err(end) = write(broker, connection, chunks).await {
                    return end;
                }
                broker.counters.bytes_out.add(bytes as u64);
                drop(held);
            }
            Answer::Nothing => {}
            Answer::Close(why) => return End::Fault(why),
        }
    }
    End::Closed
}

/// Writes, piece by piece, each of which the peer has to take in time.
async fn write<E: Env>(
    broker: &Broker<E>,
    connection: &E::Connection,
    chunks: Vec<Bytes>,
) -> Result<(), End> {
    let mut chunks = chunks.into_iter().peekable();
    let mut rest: Option<Bytes> = None;
    loop {
        let mut piece = Vec::new();
        let mut room = EGRESS_PIECE;
        while room > 0
            && let Some(mut chunk) = rest.take().or_else(|| chunks.next())
        {
            if chunk.len() > room {
                rest = Some(chunk.split_off(room));
            }
            room -= chunk.len();
            piece.push(chunk);
        }
        if piece.is_empty() {
            return Ok(());
        }
        let deadline = broker.env.now() + EGRESS_WINDOW;
        match until(&broker.env, deadline, connection.write(piece)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(End::Broken(error)),
            None => return Err(End::Fault("answers are taken too slowly".to_string())),
        }
    }
}

/// Says why a connection ended, unless that is nobody's concern.
pub(crate) fn log_end<E: Env>(broker: &Broker<E>, peer: SocketAddr, end: &End) {
    match end {
        End::Fault(what) => {
            broker.counters.connections_failed.add(1);
            tracing::warn!("connection from {peer} closed: {what}");
        }
        other => tracing::debug!("connection from {peer} ended: {other}"),
    }
}
