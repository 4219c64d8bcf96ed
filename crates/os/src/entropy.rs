//! Randomness from the kernel's generator. The labels have no meaning here.

use crate::Os;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use taffrail_env::{Entropy, FaultPoints};

impl Entropy for Os {
    fn fill(&self, _label: &'static str, mut buffer: &mut [u8]) {
        while !buffer.is_empty() {
            match getrandom(&mut *buffer, GetRandomFlags::empty()) {
                Ok(filled) => buffer = &mut buffer[filled..],
                Err(Errno::INTR) => {}
                Err(error) => panic!("the kernel gives no random bytes: {error}"),
            }
        }
    }
}

/// Where it is in earnest, nothing is awkward on purpose.
impl FaultPoints for Os {}
