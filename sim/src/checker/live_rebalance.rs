//! LIVE-REBALANCE: the members of a group that nothing hinders any more are of one generation and read all that there is, whoever of them was
//! fenced, died or left before; they stay what they are while nobody comes, goes or is silent; and whoever is left in the end is given everything.

use super::waiting::{Missed, missed};
use super::{Case, Checker, Violation};
use crate::history::{ClientId, Event, Owed};
use std::time::Duration;
use taffrail_record::{Offset, TopicPartition};

/// Nothing to remember.
pub struct LiveRebalance;

fn broken(witness: String) -> Result<(), Violation> {
    Err(Violation::new("LIVE-REBALANCE", witness))
}

impl LiveRebalance {
    fn on_settled(
        generations: &[(ClientId, i32)],
        reach: &[(TopicPartition, Offset, Offset)],
        waited: Duration,
    ) -> Result<(), Violation> {
        let is_one = generations.windows(2).all(|pair| pair[0].1 == pair[1].1);
        if !is_one {
            return broken(format!(
                "the members' generations are {generations:?} {waited:?} after the healing"
            ));
        }
        let lagging = reach.iter().find(|(_, reached, end)| reached < end);
        match lagging {
            None => Ok(()),
            Some((partition, reached, end)) => broken(format!(
                "{partition:?} reached {end}; its group has committed {reached} {waited:?} after the healing"
            )),
        }
    }
}

impl Checker for LiveRebalance {
    fn invariants(&self) -> &'static [&'static str] {
        &["LIVE-REBALANCE"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        if let Event::GroupSettled {
            generations,
            reach,
            waited,
        } = case.event
        {
            return LiveRebalance::on_settled(generations, reach, *waited);
        }
        if let Event::GroupIdle {
            before,
            after,
            lasted,
        } = case.event
            && before != after
        {
            return broken(format!(
                "in {lasted:?} nobody joined, left or was silent, and the members' generations were {before:?} and are {after:?}"
            ));
        }
        match missed(case) {
            Some(Missed {
                owed: Owed::Inheritance,
                of,
                patience,
                instead,
                ..
            }) => broken(format!(
                "the last member of {of} does not begin to read, and had {patience:?} from the healing on: {instead}"
            )),
            _ => Ok(()),
        }
    }
}
