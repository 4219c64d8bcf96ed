//! Waiting for something, but not for ever.

use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use taffrail_env::{Clock, Instant};

/// What `future` gives, or `None` if the deadline comes first. The future has the first word, so an answer that is there at the
/// deadline counts.
pub(crate) async fn before<C: Clock, F: Future>(
    clock: &C,
    deadline: Instant,
    future: F,
) -> Option<F::Output> {
    let sleep = pin!(clock.sleep_until(deadline));
    match select(pin!(future), sleep).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// Ready when one of both is.
pub(crate) async fn either(one: impl Future, other: impl Future) {
    select(pin!(one), pin!(other)).await;
}
