//! Randomness, from labelled streams.

/// The node's source of random bytes.
pub trait Entropy {
    /// Fills `buffer`. `label` names what the bytes are for: in the simulator each label has a stream of its own,
    /// so that one more draw here does not change what is drawn there.
    fn fill(&self, label: &'static str, buffer: &mut [u8]);

    /// A random number.
    fn random_u64(&self, label: &'static str) -> u64 {
        let mut bytes = [0; 8];
        self.fill(label, &mut bytes);
        u64::from_le_bytes(bytes)
    }
}
