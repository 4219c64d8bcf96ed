//! Tasks and shards.

use super::Ground;
use super::wait::{soon, yield_now};
use crate::Env;
use crate::mailbox::{ReplySender, Sender, TrySendError, bounded, oneshot};
use std::cell::Cell;
use std::rc::Rc;

pub(super) async fn tasks_of_a_shard_interleave<E: Env>(env: E, _: Ground) {
    const ROUNDS: u32 = 100;
    assert_eq!(env.shard(), 0);
    // Each of the two can only go on when the other did.
    let turn = Rc::new(Cell::new(0));
    for me in 0..2 {
        let turn = turn.clone();
        env.spawn(async move {
            for round in 0..ROUNDS {
                while turn.get() != 2 * round + me {
                    yield_now().await;
                }
                turn.set(turn.get() + 1);
            }
        });
    }
    let both_done = async {
        while turn.get() < 2 * ROUNDS {
            yield_now().await;
        }
    };
    soon(&env, "both tasks end", both_done).await;
}

struct Question {
    number: u64,
    reply: ReplySender<(usize, u64)>,
}

pub(super) async fn a_shard_answers_through_a_small_mailbox<E: Env>(env: E, _: Ground) {
    const CAPACITY: usize = 2;
    const QUESTIONS: u64 = 2_000;
    let (questions, mut asked) = bounded::<Question>(CAPACITY);
    let (start, started) = oneshot::<()>();
    env.start_shard(3, |shard| async move {
        let _ = started.await;
        while let Some(question) = asked.recv().await {
            // An asker that is gone has no use for the answer.
            let _ = question.reply.send((shard.shard(), question.number * 2));
        }
    });
    // Nobody takes anything out yet: what does not fit comes back.
    let mut replies = Vec::new();
    for number in 0..CAPACITY as u64 {
        let (reply, answer) = oneshot();
        let question = Question { number, reply };
        assert!(questions.try_send(question).is_ok());
        replies.push(answer);
    }
    let (reply, _) = oneshot();
    let one_more = questions.try_send(Question { number: 0, reply });
    assert!(matches!(one_more, Err(TrySendError::Full(_))));
    assert_eq!(start.send(()), Ok(()));
    let ask = async {
        for number in CAPACITY as u64..QUESTIONS {
            let (reply, answer) = oneshot();
            let question = Question { number, reply };
            assert!(questions.send(question).await.is_ok());
            replies.push(answer);
        }
        for (number, reply) in replies.into_iter().enumerate() {
            assert_eq!(reply.await, Ok((3, 2 * number as u64)));
        }
    };
    soon(&env, "all answers", ask).await;
}

pub(super) async fn a_shard_ends_with_its_main<E: Env>(env: E, _: Ground) {
    async fn never(_held: Sender<()>) {
        std::future::pending().await
    }
    let (held, mut from_task) = bounded::<()>(1);
    let (finish, finished) = oneshot::<()>();
    env.start_shard(1, |shard| async move {
        shard.spawn(never(held));
        yield_now().await;
        let _ = finished.await;
    });
    drop(finish);
    // Once the shard's main is done, its tasks are dropped with all they hold.
    let ended = soon(&env, "the task is dropped", from_task.recv()).await;
    assert_eq!(ended, None);
}
