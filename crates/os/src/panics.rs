//! Fail-stop: a panic where nobody could judge what it left behind ends the process, with one line that says where.
//!
//! The panic hook does it, before anything unwinds: no destructor of a broken state runs. It acts on threads
//! and in tasks that were marked as [`Fatal`]; elsewhere, as in a test's own thread, panics stay what they were.

use std::cell::Cell;
use std::io::IoSlice;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// What Rust's own runtime uses for a panic in `main`.
const EXIT_CODE: i32 = 101;

/// The longest message that is printed.
const MESSAGE_BYTES_MAX: usize = 4096;

static ANYWHERE: AtomicBool = AtomicBool::new(false);

thread_local! {
    static FATAL: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, a panic of this thread ends the process.
pub(crate) struct Fatal(());

impl Fatal {
    pub(crate) fn enter() -> Fatal {
        FATAL.set(FATAL.get() + 1);
        Fatal(())
    }
}

impl Drop for Fatal {
    fn drop(&mut self) {
        FATAL.set(FATAL.get() - 1);
    }
}

/// From now on every panic, on any thread, ends the process.
pub(crate) fn fatal_anywhere() {
    install();
    ANYWHERE.store(true, Ordering::Relaxed);
}

/// Puts the hook in place, once for the process.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if ANYWHERE.load(Ordering::Relaxed) || FATAL.get() > 0 {
                end_the_process(panic);
            }
            usual(panic);
        }));
    });
}

fn end_the_process(panic: &PanicHookInfo<'_>) -> ! {
    let payload = panic.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)");
    let message: String = message
        .chars()
        .take(MESSAGE_BYTES_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let thread = std::thread::current();
    let mut line = format!(
        "taffrail: panic in thread {}",
        thread.name().unwrap_or("(unnamed)")
    );
    if let Some(place) = panic.location() {
        line += &format!(" at {place}");
    }
    line += &format!(": {message}\n");
    // Straight to the descriptor: in one piece, and past whatever lock or capture the panic fell into.
    let _ = rustix::io::writev(rustix::stdio::stderr(), &[IoSlice::new(line.as_bytes())]);
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        eprintln!("{backtrace}");
    }
    std::process::exit(EXIT_CODE)
}
