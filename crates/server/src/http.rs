//! The admin listener: `/metrics` and `/healthz` over HTTP/1, on the environment's own connections.
//!
//! It shares the node's shard, so it is kept small: a bounded number of connections, one request each, a deadline for all of it, and no
//! request body is read. Whoever comes is let in: while all places are taken, the one that has been silent for longest makes room, so that
//! connections that ask nothing cannot keep a probe out.

mod stream;

use crate::metrics;
use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use stream::Stream;
use taffrail_broker::MetricsSnapshot;
use taffrail_env::{Env, Listener, NetErrorKind};

const CONNECTIONS_MAX: usize = 64;
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What the listener shows.
pub trait Shown: 'static {
    /// Whether the node serves, and a line about it.
    fn health(&self) -> (bool, String);

    /// `None` while there is nothing to show yet.
    fn metrics(&self) -> impl Future<Output = Option<MetricsSnapshot>>;
}

/// A connection that has a place.
struct Guest {
    number: u64,
    /// Its request is there, and its answer on the way.
    answering: Rc<Cell<bool>>,
    /// Dropped to close it.
    _stay: oneshot::Sender<()>,
}

/// Who is connected, the oldest first.
#[derive(Default)]
struct Guests {
    open: VecDeque<Guest>,
    next: u64,
}

impl Guests {
    /// Gives a connection a place: the number to leave by, whether it is answered, and what resolves when it has to go.
    fn enter(&mut self) -> (u64, Rc<Cell<bool>>, oneshot::Receiver<()>) {
        if self.open.len() >= CONNECTIONS_MAX {
            let silent = self.open.iter().position(|guest| !guest.answering.get());
            self.open.remove(silent.unwrap_or(0));
        }
        let (stay, leave) = oneshot::channel();
        let answering = Rc::new(Cell::new(false));
        let number = self.next;
        self.next += 1;
        self.open.push_back(Guest {
            number,
            answering: answering.clone(),
            _stay: stay,
        });
        (number, answering, leave)
    }

    fn leave(&mut self, number: u64) {
        self.open.retain(|guest| guest.number != number);
    }
}

/// Serves until the task ends.
pub async fn serve<E: Env, S: Shown>(env: E, listener: E::Listener, shown: Rc<S>) {
    let guests = Rc::new(RefCell::new(Guests::default()));
    loop {
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) if error.kind == NetErrorKind::Closed => return,
            Err(error) => {
                tracing::warn!(%error, "the admin listener did not accept");
                env.sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let answer = answer(env.clone(), connection, shown.clone(), guests.clone());
        env.spawn(answer);
    }
}

async fn answer<E: Env, S: Shown>(
    env: E,
    connection: E::Connection,
    shown: Rc<S>,
    guests: Rc<RefCell<Guests>>,
) {
    let (number, answering, leave) = guests.borrow_mut().enter();
    let service = service_fn(|request: Request<Incoming>| {
        let shown = shown.clone();
        answering.set(true);
        async move { Ok::<_, Infallible>(respond(&request, &*shown).await) }
    });
    let serving = http1::Builder::new()
        .keep_alive(false)
        // Hyper would ask the system for the time.
        .auto_date_header(false)
        .max_buf_size(16 << 10)
        .serve_connection(Stream::new(connection), service);
    let late = pin!(env.sleep(CONNECTION_TIME_MAX));
    let until = select(late, leave);
    if let Either::Left((Err(error), _)) = select(pin!(serving), until).await {
        tracing::debug!(%error, "an admin connection ended early");
    }
    guests.borrow_mut().leave(number);
}

async fn respond<S: Shown>(request: &Request<Incoming>, shown: &S) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n".to_owned());
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/healthz" => {
            let (serves, text) = shown.health();
            let status = match serves {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            plain(status, text + "\n")
        }
        "/metrics" => match shown.metrics().await {
            Some(snapshot) => {
                let accepted = request.headers().get_all(ACCEPT).iter();
                let accepted = accepted.filter_map(|value| value.to_str().ok());
                let format = metrics::Format::wanted(accepted);
                let mut response = plain(StatusCode::OK, format.render(snapshot));
                let kind = HeaderValue::from_static(format.content_type());
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
        },
        _ => plain(StatusCode::NOT_FOUND, "/metrics or /healthz\n".to_owned()),
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests;
