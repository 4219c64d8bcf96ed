//! Who waits for a log's high watermark, by offset: advancing it looks at nobody but those it wakes.

use std::collections::BTreeMap;
use std::task::Waker;
use taffrail_record::Offset;

/// A place in line.
pub type Ticket = (Offset, u64);

#[derive(Default)]
pub struct Waiters {
    next: u64,
    waiting: BTreeMap<Ticket, Waker>,
}

impl Waiters {
    /// Waits until the high watermark is at or above `offset`.
    pub fn wait(&mut self, offset: Offset, waker: &Waker) -> Ticket {
        self.next += 1;
        let ticket = (offset, self.next);
        self.waiting.insert(ticket, waker.clone());
        ticket
    }

    pub fn renew(&mut self, ticket: Ticket, waker: &Waker) {
        self.waiting.insert(ticket, waker.clone());
    }

    pub fn leave(&mut self, ticket: Ticket) {
        self.waiting.remove(&ticket);
    }

    pub fn wake_up_to(&mut self, high_watermark: Offset) {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= high_watermark
        {
            first.remove().wake();
        }
    }

    pub fn wake_all(&mut self) {
        while let Some((_, waker)) = self.waiting.pop_first() {
            waker.wake();
        }
    }
}
