//! Properties of the whole ground, shown by small programs that run in it.

mod conformance;
mod death;
mod determinism;
mod network;
mod power;

use crate::fault::{FaultKind, Rates};
use crate::memory::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Faults that a correct program must survive, all at once and often.
fn rough() -> Rates {
    let mut rates = Rates::none();
    for kind in [
        FaultKind::DiskShortRead,
        FaultKind::DiskTornSector,
        FaultKind::DiskCacheDropped,
        FaultKind::NetSplit,
        FaultKind::NetShortRead,
        FaultKind::NetTail,
        FaultKind::NetSmallWindow,
        FaultKind::NetAcceptStall,
        FaultKind::ClockDrift,
        FaultKind::ClockOffset,
        FaultKind::NodeStarve,
    ] {
        rates.set(kind, 100_000);
    }
    rates.with(FaultKind::DiskStall, 1_000)
}
