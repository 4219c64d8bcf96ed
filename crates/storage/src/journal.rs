//! The journal: what is synced to acknowledge. Formats ([`entry`], [`group`], [`file`]) are pure; [`scan`]
//! reads, [`writer`] is the one task that writes, [`keeper`] makes room behind it.

pub mod entry;
pub mod file;
pub mod group;
pub mod keeper;
pub mod messages;
pub mod scan;
pub mod writer;

/// Blocks of the journal; groups start at multiples of it.
pub const BLOCK: u64 = 4096;

/// A place in the journal: a file's life and an offset in it. Places grow with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    pub file: u64,
    pub offset: u64,
}

/// A place between two groups, and what the next group must connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Joint {
    pub place: Place,
    /// Sequence of the group before.
    pub sequence: u64,
    /// Checksum of the group before.
    pub checksum: u64,
}

#[cfg(test)]
mod tests;
