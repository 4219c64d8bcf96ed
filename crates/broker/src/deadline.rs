//! Work that may take only so long.

use std::future::Future;
use std::pin::pin;

use futures_util::future::{Either, select};
use taffrail_env::{Env, Instant};

/// What comes of `work`, unless the deadline passes first; then it is dropped.
pub(crate) async fn until<E: Env, T>(
    env: &E,
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Option<T> {
    let late = pin!(env.sleep_until(deadline));
    match select(pin!(work), late).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}
