//! The admin listener: `/metrics` and `/healthz` over HTTP/1, on the environment's own connections.
//!
//! It shares the node's shard, so it is kept small: a bounded number of connections, one request each, a deadline for all of it, and no
//! request body is read.

mod stream;

use crate::metrics;
use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use std::cell::Cell;
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

/// Serves until the task ends.
pub async fn serve<E: Env, S: Shown>(env: E, listener: E::Listener, shown: Rc<S>) {
    let open = Rc::new(Cell::new(0));
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
        if open.get() >= CONNECTIONS_MAX {
            continue;
        }
        open.set(open.get() + 1);
        env.spawn(answer(env.clone(), connection, shown.clone(), open.clone()));
    }
}

async fn answer<E: Env, S: Shown>(
    env: E,
    connection: E::Connection,
    shown: Rc<S>,
    open: Rc<Cell<usize>>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let shown = shown.clone();
        async move { Ok::<_, Infallible>(respond(&request, &*shown).await) }
    });
    let serving = http1::Builder::new()
        .keep_alive(false)
        // Hyper would ask the system for the time.
        .auto_date_header(false)
        .max_buf_size(16 << 10)
        .serve_connection(Stream::new(connection), service);
    let until = env.sleep(CONNECTION_TIME_MAX);
    if let Either::Left((Err(error), _)) = select(pin!(serving), pin!(until)).await {
        tracing::debug!(%error, "an admin connection ended early");
    }
    open.set(open.get() - 1);
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
                let mut response = plain(StatusCode::OK, metrics::render(snapshot));
                let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
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
