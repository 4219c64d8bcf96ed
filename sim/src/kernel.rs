//! The sandbox and the loop: one simulation is one madsim run on a thread of its own.
//!
//! madsim's interception makes what the product must not do harmless or loud: a stray clock shows simulated
//! time, stray randomness and map seeds come from the seed, a stray thread is a panic. Inside runs exactly
//! one madsim task: our kernel. It polls every task itself, one at a time, chosen by a keyed decision; when
//! nobody is ready it fires the next event of the timeline and mirrors the time into madsim. Only this file
//! names madsim, and everything of a world is dropped before madsim's runtime is.

#[cfg(not(madsim))]
compile_error!("without `--cfg madsim` nothing is sandboxed; the build script says what to do");

use crate::memory::charge_to;
use crate::scheduler::{Taken, waker};
use crate::trace::EventKind;
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::task::{Context, Poll};
use std::time::Duration;

/// The stack of a simulation's thread: futures of a debug build are large, and polled inside one another.
const STACK_BYTES: usize = 32 << 20;

thread_local! {
    static SIMULATING: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f` on a fresh thread inside the sandbox, and returns what it returned. A panic of `f` goes on here.
pub fn run_isolated<T: Send>(seed: u64, f: impl FnOnce() -> T + Send) -> T {
    catch_panics_quietly();
    #[allow(
        clippy::disallowed_methods,
        reason = "the one thread that holds a simulation"
    )]
    let joined = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name(format!("sim-{seed}"))
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || sandboxed(seed, f))
            .expect("the system can start a thread")
            .join()
    });
    match joined {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(madsim)]
fn sandboxed<T>(seed: u64, f: impl FnOnce() -> T) -> T {
    let runtime = madsim::runtime::Runtime::with_seed_and_config(seed, madsim::Config::default());
    runtime.block_on(async move { f() })
}

#[cfg(not(madsim))]
fn sandboxed<T>(_seed: u64, f: impl FnOnce() -> T) -> T {
    f()
}

/// The sandbox's clock, which follows ours.
pub(crate) struct Sandbox {
    #[cfg(madsim)]
    time: madsim::time::TimeHandle,
}

impl Sandbox {
    /// The sandbox that this thread runs in.
    pub fn current() -> Self {
        Self {
            #[cfg(madsim)]
            time: madsim::time::TimeHandle::current(),
        }
    }

    fn advance(&self, nanos: u64) {
        #[cfg(madsim)]
        self.time.advance(Duration::from_nanos(nanos));
        #[cfg(not(madsim))]
        let _ = Duration::from_nanos(nanos);
    }
}

/// Panics of simulated tasks become verdicts; nothing is printed for them. Other threads keep their hook.
fn catch_panics_quietly() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if SIMULATING.get() {
                LAST_PANIC.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
}

/// Runs `f`; a panic comes back as its text, with the place in the code.
pub(crate) fn catching<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    let outer = SIMULATING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    SIMULATING.set(outer);
    result.map_err(|_| {
        LAST_PANIC
            .take()
            .unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

/// Polls and fires until the world is finished or has failed.
pub(crate) fn drive(world: &World) {
    let mut polls_in_instant = 0;
    while !world.is_over() {
        let taken = {
            let mut scheduler = world.scheduler.borrow_mut();
            scheduler.take_next(&world.decisions, world.schedule)
        };
        match taken {
            Some(taken) => {
                polls_in_instant += 1;
                if polls_in_instant > world.limits.polls_in_instant_max {
                    world.fail("LIVELOCK", "tasks poll on and on while time stands still");
                    return;
                }
                poll(world, taken);
            }
            None => {
                if !fire_next(world) {
                    let live = world.scheduler.borrow().live();
                    world.fail(
                        "STUCK",
                        format!("nothing will ever happen again, and {live} tasks wait for it"),
                    );
                    return;
                }
                polls_in_instant = 0;
            }
        }
        world.settle();
    }
}

fn poll(world: &World, taken: Taken) {
    let Taken {
        id,
        mut future,
        owner,
    } = taken;
    let number = owner.life.as_ref().map_or(0, |life| life.number());
    world.event(EventKind::Poll, number, (id.0, 0, 0));
    world.polls.set(world.polls.get() + 1);
    let waker = waker(id);
    world.enter(owner.life.clone());
    let charge = charge_to(number);
    let result = catching(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
    match result {
        Ok(Poll::Pending) => {
            let orphan = world.scheduler.borrow_mut().put_back(id, future);
            drop(orphan);
        }
        Ok(Poll::Ready(())) => {
            world.scheduler.borrow_mut().end(id);
            if let Err(panic) = catching(|| drop(future)) {
                world.fail_on(number, "PANIC", panic);
            }
            drop(charge);
            world.event(EventKind::TaskEnd, number, (id.0, 0, 0));
        }
        Err(panic) => {
            // What a panic left behind must not be touched again, not even by its destructor.
            std::mem::forget(future);
            world.scheduler.borrow_mut().end(id);
            world.fail_on(number, "PANIC", panic);
        }
    }
    world.leave();
    if let Some(life) = &owner.life {
        world.count_poll(life);
    }
}

/// Moves time to the next event and fires everything that is due then.
fn fire_next(world: &World) -> bool {
    let Some(at) = world.timeline.borrow_mut().next_at() else {
        return false;
    };
    let now = world.now.get();
    if at > now {
        world.sandbox.advance(at - now);
        world.now.set(at);
        if at > world.limits.time_max {
            world.fail("TIME-LIMIT", "the run takes longer than its profile allows");
            return true;
        }
    }
    loop {
        let next = world.timeline.borrow_mut().pop();
        let Some((_, event)) = next else { break };
        if let Err(panic) = catching(|| world.fire(event)) {
            world.fail_on(0, "PANIC", panic);
        }
        if world.timeline.borrow_mut().next_at() != Some(world.now.get()) || world.is_over() {
            break;
        }
    }
    true
}
