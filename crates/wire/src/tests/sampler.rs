//! Makes up values for the fields of a message, from a seed.

use crate::field::{Field, Shape};
use bytes::Bytes;

/// How much of a message is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Nothing is null, nothing is empty, nothing is its default.
    Full,
    /// Whatever may be null is null, arrays are empty, the rest is not its default.
    Sparse,
    /// Anything.
    Mixed,
}

/// A source of values.
pub struct Sampler {
    state: u64,
    fill: Fill,
}

impl Sampler {
    pub(crate) fn new(seed: u64, fill: Fill) -> Self {
        Self {
            state: seed ^ 0x9e37_79b9_7f4a_7c15,
            fill,
        }
    }

    /// A value for a field with this default.
    pub(crate) fn field<'a, T: Field<'a> + PartialEq>(&mut self, shape: Shape, default: T) -> T {
        if self.fill == Fill::Mixed && self.below(4) == 0 {
            return default;
        }
        for _ in 0..64 {
            let value = T::sample(self, shape);
            if value != default || self.fill == Fill::Sparse {
                return value;
            }
        }
        panic!("a kind of field whose samples are all its default");
    }

    /// Splitmix64.
    pub(crate) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn null(&mut self) -> bool {
        match self.fill {
            Fill::Full => false,
            Fill::Sparse => true,
            Fill::Mixed => self.below(2) == 0,
        }
    }

    pub(crate) fn count(&mut self) -> usize {
        match self.fill {
            Fill::Full => 2,
            Fill::Sparse => 0,
            Fill::Mixed => self.below(4),
        }
    }

    /// A string that nobody else gets; sometimes one whose length takes two bytes.
    pub(crate) fn string(&mut self) -> &'static str {
        let width = if self.below(16) == 0 { 200 } else { 0 };
        let string = format!("ä{:x}{:>width$}", self.number(), "");
        Box::leak(string.into_boxed_str())
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        let len = 1 + self.below(40);
        (0..len).map(|_| self.number() as u8).collect()
    }

    /// Enough bytes to be spliced.
    pub(crate) fn large_bytes(&mut self) -> Bytes {
        let len = crate::encode::SPLICE_BYTES_MIN + self.below(40);
        (0..len).map(|_| self.number() as u8).collect()
    }

    fn below(&mut self, bound: u64) -> usize {
        (self.number() % bound) as usize
    }
}
