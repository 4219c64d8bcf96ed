//! CTRL-CONSISTENT, as far as clients see it: what the cluster gives out as new, it gives out once. What a node says of its own metadata is
//! looked at from inside, with every audit.

use super::{Case, Checker, Violation};
use crate::history::{ClientId, Event};
use std::collections::BTreeMap;
use taffrail_record::ProducerId;

/// Remembers to whom each producer id was given.
#[derive(Default)]
pub struct CtrlConsistent {
    given: BTreeMap<ProducerId, ClientId>,
}

impl Checker for CtrlConsistent {
    fn invariants(&self) -> &'static [&'static str] {
        &["CTRL-CONSISTENT"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        let Event::ProducerGiven { client, id } = case.event else {
            return Ok(());
        };
        match self.given.insert(*id, *client) {
            None => Ok(()),
            Some(before) => Err(Violation::new(
                "CTRL-CONSISTENT",
                format!(
                    "producer id {id} was given to client {before}, and again to client {client}"
                ),
            )),
        }
    }
}
