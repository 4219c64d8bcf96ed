//! The smallest replicated service: one number, to add to and to multiply.
//!
//! `+1` and `*2` do not commute, so a replica that applies them in another order, or one of them twice, ends
//! up elsewhere. Sums and products wrap around at 64 bits in two's complement, on every machine and in every
//! build, as [`i64::wrapping_add`] and [`i64::wrapping_mul`] do.

use serde::{Deserialize, Serialize};

use crate::encoding;
use crate::machine::{Machine, RestoreError};

/// The number. Starts at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arithmetic {
    value: i64,
}

/// What can be asked of the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Adds, wrapping around.
    Add(i64),
    /// Multiplies, wrapping around.
    Multiply(i64),
}

/// The number is now this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value(pub i64);

/// There is nothing to do beside answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDuty {}

impl Arithmetic {
    /// The number.
    pub fn value(&self) -> i64 {
        self.value
    }
}

impl Machine for Arithmetic {
    type Request = Operation;
    type Change = Value;
    type Reply = Value;
    type Duty = NoDuty;

    fn process(&self, request: &Operation, changes: &mut Vec<Value>) -> Value {
        let result = Value(match *request {
            Operation::Add(operand) => self.value.wrapping_add(operand),
            Operation::Multiply(operand) => self.value.wrapping_mul(operand),
        });
        if result.0 != self.value {
            changes.push(result);
        }
        result
    }

    fn apply(&mut self, change: &Value) {
        self.value = change.0;
    }

    fn duties(&self, _now_ms: i64, _due: &mut Vec<NoDuty>) {}

    fn next_deadline(&self) -> Option<i64> {
        None
    }

    fn snapshot(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.value.to_le_bytes());
    }

    fn restore(snapshot: &[u8]) -> Result<Arithmetic, RestoreError> {
        let value = encoding::decode(snapshot).map_err(|error| RestoreError(error.to_string()))?;
        Ok(Arithmetic { value })
    }
}

#[cfg(test)]
mod tests;
