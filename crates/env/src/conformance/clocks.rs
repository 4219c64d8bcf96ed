//! What time does, and randomness.

use super::Ground;
use super::wait::{eventually, soon, starts_to_wait};
use crate::Env;
use crate::clock::Instant;
use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

pub(super) async fn a_sleep_is_never_early_and_time_never_goes_back<E: Env>(env: E, _: Ground) {
    let mut last = env.now();
    for micros in [0, 1, 10, 999, 1_000, 1_001, 2_500, 20_000] {
        let duration = Duration::from_micros(micros);
        let before = env.now();
        soon(&env, "the sleep ends", env.sleep(duration)).await;
        let after = env.now();
        assert!(after - before >= duration, "{micros} microseconds");
        assert!(before >= last && after >= before);
        last = after;
        let deadline = last + duration;
        soon(&env, "the deadline", env.sleep_until(deadline)).await;
        assert!(env.now() >= deadline);
    }
    for _ in 0..10_000 {
        let now = env.now();
        assert!(now >= last);
        last = now;
    }
}

pub(super) async fn sleepers_wake_in_the_order_of_their_deadlines<E: Env>(env: E, _: Ground) {
    const SLEEPERS: u64 = 40;
    let woken = Rc::new(RefCell::new(Vec::new()));
    // Late enough for all to be asleep by then; so close to each other that a clock of milliseconds would mix them.
    let start = env.now() + Duration::from_millis(50);
    for number in 0..SLEEPERS {
        // Every number once, in a scrambled order.
        let place = number * 17 % SLEEPERS;
        let sleep = env.sleep_until(start + Duration::from_micros(60) * place as u32);
        let woken = woken.clone();
        env.spawn(async move {
            sleep.await;
            woken.borrow_mut().push(place);
        });
    }
    eventually(&env, "all wake up", || {
        let all = woken.borrow().len() as u64 == SLEEPERS;
        async move { all.then_some(()) }
    })
    .await;
    assert_eq!(*woken.borrow(), Vec::from_iter(0..SLEEPERS));
}

pub(super) async fn a_deadline_that_has_passed_is_ready_at_once<E: Env>(env: E, _: Ground) {
    let before = env.now();
    for _ in 0..1000 {
        env.sleep_until(before).await;
        env.sleep_until(Instant::default()).await;
        env.sleep(Duration::ZERO).await;
    }
    // Three thousand waits of the shortest kind would show.
    assert!(env.now() - before < Duration::from_secs(2));
}

pub(super) async fn dropped_sleeps_disturb_nobody<E: Env>(env: E, _: Ground) {
    let start = env.now();
    let mut forever = pin!(env.sleep_until(Instant::MAX));
    starts_to_wait(forever.as_mut()).await;
    for millis in [1, 5, 5, 10_000] {
        let mut dropped = pin!(env.sleep(Duration::from_millis(millis)));
        starts_to_wait(dropped.as_mut()).await;
    }
    soon(&env, "a sleep", env.sleep(Duration::from_millis(10))).await;
    assert!(env.now() - start >= Duration::from_millis(10));
    starts_to_wait(forever.as_mut()).await;
    // The wall clock shows some time after this was written.
    assert!(env.unix_ms() > 0);
}

pub(super) async fn entropy_differs_between_labels_and_draws<E: Env>(env: E, _: Ground) {
    let mut draws = Vec::new();
    for label in ["one", "two"] {
        for _ in 0..4 {
            let mut bytes = [0; 1000];
            env.fill(label, &mut bytes);
            // A tail that was left as it was would be zeros.
            assert!(bytes[984..].iter().any(|byte| *byte != 0));
            draws.push(bytes.to_vec());
        }
    }
    let numbers: Vec<u64> = (0..8).map(|_| env.random_u64("three")).collect();
    env.fill("four", &mut []);
    for (index, draw) in draws.iter().enumerate() {
        assert!(!draws[..index].contains(draw), "draw {index} came before");
    }
    for (index, number) in numbers.iter().enumerate() {
        assert!(
            !numbers[..index].contains(number),
            "number {index} came before"
        );
    }
}
