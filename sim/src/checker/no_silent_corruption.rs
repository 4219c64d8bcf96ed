//! NO-SILENT-CORRUPTION: bytes returned to any reader equal bytes that were produced, or an error is returned.

use super::{Case, Checker, Violation};
use crate::history::{Event, Written};
use std::collections::BTreeMap;
use taffrail_record::Offset;

/// Remembers the digest of every record that was ever handed to a producer.
#[derive(Default)]
pub struct NoSilentCorruption {
    produced: BTreeMap<u64, u64>,
}

impl NoSilentCorruption {
    fn check(&self, records: &[(Offset, Written)]) -> Result<(), Violation> {
        for (offset, record) in records {
            let witness = match self.produced.get(&record.id) {
                Some(digest) if *digest == record.digest => continue,
                Some(_) => format!(
                    "offset {offset} holds record {} with other contents than were produced",
                    record.id
                ),
                None => format!(
                    "offset {offset} holds bytes that nobody produced (id {})",
                    record.id
                ),
            };
            return Err(Violation::new("NO-SILENT-CORRUPTION", witness));
        }
        Ok(())
    }
}

impl Checker for NoSilentCorruption {
    fn invariants(&self) -> &'static [&'static str] {
        &["NO-SILENT-CORRUPTION"]
    }

    fn holds_without_law(&self) -> bool {
        true
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Event::SendStarted { record, .. } = case.event {
            let before = self.produced.insert(record.id, record.digest);
            assert!(
                before.is_none(),
                "the workload used record id {} twice",
                record.id
            );
        }
        match case.read() {
            Some((_, records)) => self.check(records),
            None => Ok(()),
        }
    }
}
