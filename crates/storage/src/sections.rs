//! A shard's part of a checkpoint, encoded a few logs at a time so that nobody else has to wait long.

use crate::checkpoint::Section;
use crate::journal::Place;
use crate::journal::messages::{Sections, ToKeeper};
use crate::log::LogInner;
use crate::shard::Shard;
use crate::state::LogState;
use std::future::poll_fn;
use std::ops::Bound;
use std::rc::Rc;
use std::task::Poll;
use taffrail_env::Env;

/// Logs encoded without a pause.
const LOGS_AT_ONCE: usize = 256;

/// Answers the keeper; also while the shard is closing, since what it waits for may be the room that the answer makes. After
/// the shard's last words the answer is not looked at any more. A shard that has failed says nothing: it no longer takes note of what
/// becomes durable, and the keeper, which will hear of the failure, must not believe that it does.
pub(crate) async fn answer<E: Env>(shard: Rc<Shard<E>>) {
    let sections = collect(&shard, false).await;
    if sections.failed.is_some() {
        return;
    }
    let _gone = shard.keeper.send(ToKeeper::Sections(sections)).await;
}

/// All logs of the shard. Each section stands as of the place that the shard has reached when it is encoded.
pub(crate) async fn collect<E: Env>(shard: &Rc<Shard<E>>, tidy: bool) -> Sections {
    let mut sections = Vec::new();
    let mut oldest_needed: Option<Place> = None;
    let mut after = None;
    loop {
        let logs: Vec<Rc<LogInner>> = {
            let all = shard.logs.borrow();
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            all.range((from, Bound::Unbounded))
                .take(LOGS_AT_ONCE)
                .map(|(_, log)| log.clone())
                .collect()
        };
        let Some(last) = logs.last() else {
            break;
        };
        after = Some(last.id);
        let states: Vec<_> = logs.iter().map(|log| log.state.borrow()).collect();
        sections.push(Section::of(
            shard.as_of.get(),
            states.iter().map(|state| &**state),
        ));
        drop(states);
        for log in &logs {
            let needed = log.running.borrow().tail.oldest_needed();
            oldest_needed = oldest_needed.into_iter().chain(needed).min();
        }
        breathe().await;
    }
    // Last, so that a log that was deleted while the others were encoded is either among them or here.
    let removed: Vec<LogState> = shard
        .removed
        .borrow()
        .iter()
        .map(|removed| LogState {
            deleted: true,
            ..LogState::new(removed.partition, removed.number, 0, 0)
        })
        .collect();
    sections.push(Section::of(shard.as_of.get(), removed.iter()));
    Sections {
        shard: shard.index,
        failed: shard.failed.borrow().clone(),
        tidy,
        sections,
        oldest_needed,
        next_log_number: shard.next_log_number.get(),
    }
}

/// Lets others run.
async fn breathe() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
