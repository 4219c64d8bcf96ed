//! Who holds how many bytes: an allocator that charges each allocation to the node being polled.
//!
//! Install [`CountingAllocator`] as the global allocator of a binary that runs simulations; without it every
//! node is charged nothing. The owner is written in front of the block, so that it is the one who is credited
//! whoever frees it. What belongs to the simulated kernel (page cache, platters, network buffers) is charged
//! to the world, owner 0. Counters are per thread, and so per simulation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Nodes beyond this share the last counter.
pub const OWNERS_MAX: usize = 256;

/// The owner of what belongs to nobody: harness, kernel, other threads.
pub const WORLD: u32 = 0;

thread_local! {
    static OWNER: Cell<u32> = const { Cell::new(WORLD) };
    static HELD: [Cell<i64>; OWNERS_MAX] = const { [const { Cell::new(0) }; OWNERS_MAX] };
    static PEAK: [Cell<i64>; OWNERS_MAX] = const { [const { Cell::new(0) }; OWNERS_MAX] };
}

/// Charges allocations to an owner until dropped.
pub struct Charge {
    before: u32,
}

/// From now until the guard is dropped, this thread's allocations belong to `owner`.
pub fn charge_to(owner: u32) -> Charge {
    Charge {
        before: OWNER.replace(owner),
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        OWNER.set(self.before);
    }
}

/// Bytes that `owner` holds, as far as they were allocated and freed on this thread.
pub fn held(owner: u32) -> i64 {
    HELD.with(|held| held[(owner as usize).min(OWNERS_MAX - 1)].get())
}

/// The most bytes that `owner` held at any instant since this was last asked.
pub fn take_peak(owner: u32) -> i64 {
    let now = held(owner);
    PEAK.with(|peak| peak[(owner as usize).min(OWNERS_MAX - 1)].replace(now))
        .max(now)
}

fn add(owner: u32, bytes: i64) {
    let owner = (owner as usize).min(OWNERS_MAX - 1);
    // Fails only while the thread is going away, when nobody reads the counters any more.
    let _ = HELD.try_with(|held| {
        let now = held[owner].get().wrapping_add(bytes);
        held[owner].set(now);
        if bytes > 0 {
            let _ = PEAK.try_with(|peak| peak[owner].set(peak[owner].get().max(now)));
        }
    });
}

/// The system's allocator, with the owner's number in front of each block.
pub struct CountingAllocator;

/// Room in front of a block; a multiple of the alignment, so that the block stays aligned.
fn head(layout: Layout) -> usize {
    layout.align().max(16)
}

fn whole(layout: Layout) -> Option<Layout> {
    let size = layout.size().checked_add(head(layout))?;
    Layout::from_size_align(size, head(layout)).ok()
}

// SAFETY: every block is a block of `System`, longer by `head(layout)` and aligned at least as strictly; the
// address given out lies `head(layout)` behind its start, which keeps the alignment because the head is a
// multiple of it. The same layout finds the way back.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(outer) = whole(layout) else {
            return std::ptr::null_mut();
        };
        // SAFETY: `outer` has a size above zero.
        unsafe { brand(System.alloc(outer), layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(outer) = whole(layout) else {
            return std::ptr::null_mut();
        };
        // SAFETY: as above.
        unsafe { brand(System.alloc_zeroed(outer), layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(outer) = whole(layout) else {
            return;
        };
        // SAFETY: the block was given out by `brand` for this layout.
        unsafe {
            let start = block.sub(head(layout));
            add(start.cast::<u32>().read(), -(layout.size() as i64));
            System.dealloc(start, outer);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let (Some(outer), Some(new_outer)) = (whole(layout), new_size.checked_add(head(layout)))
        else {
            return std::ptr::null_mut();
        };
        // SAFETY: the block was given out by `brand` for this layout, and its head moves along with it.
        unsafe {
            let start = block.sub(head(layout));
            let owner = start.cast::<u32>().read();
            let moved = System.realloc(start, outer, new_outer);
            if moved.is_null() {
                return moved;
            }
            add(owner, new_size as i64 - layout.size() as i64);
            moved.add(head(layout))
        }
    }
}

/// Writes the present owner in front of a fresh block, and charges it.
///
/// # Safety
/// `start` is null, or a block of at least `head(layout)` bytes more than the layout's size.
unsafe fn brand(start: *mut u8, layout: Layout) -> *mut u8 {
    if start.is_null() {
        return start;
    }
    let owner = OWNER.try_with(Cell::get).unwrap_or(WORLD);
    // SAFETY: by the function's contract there is room, aligned to at least 16.
    unsafe {
        start.cast::<u32>().write(owner);
        add(owner, layout.size() as i64);
        start.add(head(layout))
    }
}
