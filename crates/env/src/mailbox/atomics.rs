//! What the mailboxes need of a processor, as a trait, so that a model checker can stand in for it.
//!
//! The shapes are those of `std::sync`; [`RealAtomics`] passes every call on, at no cost.

use std::cell::UnsafeCell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// A family of atomics, cells and shared ownership that belong together.
pub trait Atomics: 'static {
    type Word: Word;
    type Pointer<T>: Pointer<T>;
    type Cell<T>: Cell<T>;
    /// Shared ownership: an `Arc`.
    type Shared<T>: Clone + Deref<Target = T>;

    fn share<T>(value: T) -> Self::Shared<T>;

    /// As `Arc::into_raw`.
    fn into_raw<T>(shared: Self::Shared<T>) -> *const T;

    /// As `Arc::from_raw`.
    ///
    /// # Safety
    /// `raw` came from [`Atomics::into_raw`], and is given back once.
    unsafe fn from_raw<T>(raw: *const T) -> Self::Shared<T>;

    /// Another thread is about to finish something.
    fn spin();
}

/// An atomic `usize`; the methods are those of `AtomicUsize`.
pub trait Word {
    fn new(value: usize) -> Self;
    fn load(&self, order: Ordering) -> usize;
    fn store(&self, value: usize, order: Ordering);
    fn swap(&self, value: usize, order: Ordering) -> usize;
    fn fetch_add(&self, value: usize, order: Ordering) -> usize;
    fn fetch_sub(&self, value: usize, order: Ordering) -> usize;
    fn fetch_or(&self, value: usize, order: Ordering) -> usize;
    fn fetch_and(&self, value: usize, order: Ordering) -> usize;
    fn compare_exchange(
        &self,
        current: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize>;
}

/// An atomic pointer; the methods are those of `AtomicPtr`.
pub trait Pointer<T> {
    fn new(value: *mut T) -> Self;
    fn load(&self, order: Ordering) -> *mut T;
    fn swap(&self, value: *mut T, order: Ordering) -> *mut T;
    fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T>;
}

/// An `UnsafeCell` whose accesses a model checker can watch.
pub trait Cell<T> {
    fn new(value: T) -> Self;

    /// Calls `access` with the cell's address. Whoever dereferences it answers for there being no other
    /// access to the contents at that time.
    fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R;
}

/// The processor's own.
pub struct RealAtomics;

impl Atomics for RealAtomics {
    type Word = AtomicUsize;
    type Pointer<T> = AtomicPtr<T>;
    type Cell<T> = UnsafeCell<T>;
    type Shared<T> = Arc<T>;

    // What is shared may hold cells; the types that own it say for which contents they are `Send`.
    #[allow(clippy::arc_with_non_send_sync)]
    fn share<T>(value: T) -> Arc<T> {
        Arc::new(value)
    }

    fn into_raw<T>(shared: Arc<T>) -> *const T {
        Arc::into_raw(shared)
    }

    unsafe fn from_raw<T>(raw: *const T) -> Arc<T> {
        // SAFETY: the caller's promise is that of `Arc::from_raw`.
        unsafe { Arc::from_raw(raw) }
    }

    fn spin() {
        std::hint::spin_loop();
    }
}

impl Word for AtomicUsize {
    fn new(value: usize) -> Self {
        AtomicUsize::new(value)
    }

    fn load(&self, order: Ordering) -> usize {
        self.load(order)
    }

    fn store(&self, value: usize, order: Ordering) {
        self.store(value, order);
    }

    fn swap(&self, value: usize, order: Ordering) -> usize {
        self.swap(value, order)
    }

    fn fetch_add(&self, value: usize, order: Ordering) -> usize {
        self.fetch_add(value, order)
    }

    fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
        self.fetch_sub(value, order)
    }

    fn fetch_or(&self, value: usize, order: Ordering) -> usize {
        self.fetch_or(value, order)
    }

    fn fetch_and(&self, value: usize, order: Ordering) -> usize {
        self.fetch_and(value, order)
    }

    fn compare_exchange(
        &self,
        current: usize,
        new: usize,
        success: Ordering,
        failure: Ordering,
    ) -> Result<usize, usize> {
        self.compare_exchange(current, new, success, failure)
    }
}

impl<T> Pointer<T> for AtomicPtr<T> {
    fn new(value: *mut T) -> Self {
        AtomicPtr::new(value)
    }

    fn load(&self, order: Ordering) -> *mut T {
        self.load(order)
    }

    fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        self.swap(value, order)
    }

    fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        self.compare_exchange(current, new, success, failure)
    }
}

impl<T> Cell<T> for UnsafeCell<T> {
    fn new(value: T) -> Self {
        UnsafeCell::new(value)
    }

    fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.get())
    }
}
