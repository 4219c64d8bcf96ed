//! APPLY-BEFORE-LEAD: a node acts only after it has applied its log. What a node was once seen to go by had committed, so whoever
//! serves after it must have applied at least as much, however often it died in between.

use super::{Case, Checker, Violation};
use crate::history::Event;
use crate::trace::label_of;
use std::collections::BTreeMap;
use taffrail_record::Offset;

/// Remembers how far each node's metadata was ever seen to be applied.
#[derive(Default)]
pub struct ApplyBeforeLead {
    applied: BTreeMap<u32, Offset>,
}

impl Checker for ApplyBeforeLead {
    fn invariants(&self) -> &'static [&'static str] {
        &["APPLY-BEFORE-LEAD"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Event::MetadataShown {
            node,
            incarnation,
            applied,
            ..
        } = case.event
        else {
            return Ok(());
        };
        let known = self.applied.entry(*node).or_default();
        if applied < known {
            return Err(Violation::new(
                "APPLY-BEFORE-LEAD",
                format!(
                    "{} serves for the {incarnation}th time by metadata up to offset {applied}, and was seen to go by {known}",
                    label_of(*node)
                ),
            ));
        }
        *known = *applied;
        Ok(())
    }
}
