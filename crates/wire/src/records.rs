//! Record batches on their way through: opaque, shared, and possibly in several chunks.
//!
//! A request that was read has them in one slice of its frame. A response may be put together from
//! many, one after another; they are written as they are.

use bytes::Bytes;

/// Concatenated record batches in one or more chunks. Equal if the bytes are.
#[derive(Clone, Debug)]
pub struct Records(Chunks);

/// One chunk is by far the most common, and needs no vector.
#[derive(Clone, Debug)]
enum Chunks {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Records {
    /// The chunks, in order.
    pub fn chunks(&self) -> &[Bytes] {
        match &self.0 {
            Chunks::One(bytes) => std::slice::from_ref(bytes),
            Chunks::Many(chunks) => chunks,
        }
    }

    /// Bytes in all chunks.
    pub fn len(&self) -> usize {
        self.chunks().iter().map(Bytes::len).sum()
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes in one piece; copies only if there are several chunks.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Chunks::One(bytes) => bytes,
            Chunks::Many(chunks) => Bytes::from(chunks.concat()),
        }
    }
}

impl Default for Records {
    fn default() -> Self {
        Self(Chunks::One(Bytes::new()))
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self(Chunks::One(bytes))
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(chunks: Vec<Bytes>) -> Self {
        Self(Chunks::Many(chunks))
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |records: &Self| records.clone().into_bytes();
        self.len() == other.len() && bytes(self) == bytes(other)
    }
}

impl Eq for Records {}
