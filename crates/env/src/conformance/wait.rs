//! Waiting for several things at once, and not for ever.

use super::PATIENCE;
use crate::Env;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// How long nothing has to happen for us to believe that nothing happens.
const QUIET: Duration = Duration::from_millis(100);

/// Waits for both.
pub(super) async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut from_a, mut from_b) = (None, None);
    poll_fn(|context| {
        if from_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            from_a = Some(output);
        }
        if from_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            from_b = Some(output);
        }
        match (&from_a, &from_b) {
            (Some(_), Some(_)) => Poll::Ready(()),
            _ => Poll::Pending,
        }
    })
    .await;
    from_a.zip(from_b).expect("both are there")
}

/// What `future` gives within `limit`.
async fn for_at_most<E: Env, F: Future>(
    env: &E,
    limit: Duration,
    future: Pin<&mut F>,
) -> Option<F::Output> {
    let mut future = future;
    let mut sleep = pin!(env.sleep(limit));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        sleep.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// Waits with patience.
pub(super) async fn soon<E: Env, F: Future>(env: &E, what: &str, future: F) -> F::Output {
    match for_at_most(env, PATIENCE, pin!(future)).await {
        Some(output) => output,
        None => panic!("never happened: {what}"),
    }
}

/// Sees that `future` goes on waiting.
pub(super) async fn still_waits<E: Env, F: Future>(env: &E, future: Pin<&mut F>) {
    let output = for_at_most(env, QUIET, future).await;
    assert!(output.is_none(), "it should have waited");
}

/// Polls `future` once, and sees that it waits.
pub(super) async fn starts_to_wait<F: Future>(future: Pin<&mut F>) {
    let mut future = future;
    let waits = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await;
    assert!(waits, "it should have waited");
}

/// Lets the shard's other tasks run.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Looks again and again until `look` finds something.
pub(super) async fn eventually<E: Env, T, F: Future<Output = Option<T>>>(
    env: &E,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            env.sleep(Duration::from_millis(1)).await;
        }
    };
    soon(env, what, search).await
}
