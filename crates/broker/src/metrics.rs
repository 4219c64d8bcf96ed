//! What a node counts, and how its figures leave it.
//!
//! Counters are plain numbers on the shard with the connections: no global, no clock, no lock. A [`MetricsSnapshot`] is a list of
//! figures under their Prometheus names, for whoever prints them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// How a figure behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, from 0 at the start.
    Counter,
    Gauge,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Begins with `taffrail_`; a counter's ends with `_total`.
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricKind,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

/// All figures of a node at one moment. Those of one name follow one another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricsSnapshot {
    pub metrics: Vec<Metric>,
}

impl MetricsSnapshot {
    /// Adds a figure.
    pub fn push(
        &mut self,
        kind: MetricKind,
        name: &'static str,
        help: &'static str,
        labels: Vec<(&'static str, String)>,
        value: u64,
    ) {
        self.metrics.push(Metric {
            name,
            help,
            kind,
            labels,
            value: value as f64,
        });
    }

    /// The sum of the figures of this name.
    pub fn value(&self, name: &str) -> f64 {
        self.metrics
            .iter()
            .filter(|metric| metric.name == name)
            .map(|metric| metric.value)
            .sum()
    }
}

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.set(self.0.get().wrapping_add(count));
    }

    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub connections_accepted: Counter,
    pub connections_refused: Counter,
    /// Connections closed because of what the peer sent or did.
    pub connections_failed: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub batches_appended: Counter,
    pub records_appended: Counter,
    pub bytes_appended: Counter,
    pub produce_errors: Counter,
    pub bytes_fetched: Counter,
    /// Partitions that fetches looked at, each time.
    pub fetch_looks: Counter,
    requests: RefCell<BTreeMap<&'static str, u64>>,
    pub reported: Reported,
}

impl Counters {
    pub fn request(&self, api: &'static str) {
        *self.requests.borrow_mut().entry(api).or_default() += 1;
    }

    pub fn write(&self, snapshot: &mut MetricsSnapshot) {
        let counters = [
            (
                "taffrail_connections_accepted_total",
                "Connections let in.",
                &self.connections_accepted,
            ),
            (
                "taffrail_connections_refused_total",
                "Connections closed at once because of a limit.",
                &self.connections_refused,
            ),
            (
                "taffrail_connections_failed_total",
                "Connections closed because of what the peer sent or did.",
                &self.connections_failed,
            ),
            (
                "taffrail_network_received_bytes_total",
                "Bytes of requests read.",
                &self.bytes_in,
            ),
            (
                "taffrail_network_sent_bytes_total",
                "Bytes of responses written.",
                &self.bytes_out,
            ),
            (
                "taffrail_appended_batches_total",
                "Record batches appended durably.",
                &self.batches_appended,
            ),
            (
                "taffrail_appended_records_total",
                "Records appended durably.",
                &self.records_appended,
            ),
            (
                "taffrail_appended_bytes_total",
                "Bytes of record batches appended durably.",
                &self.bytes_appended,
            ),
            (
                "taffrail_produce_errors_total",
                "Record batches refused or failed.",
                &self.produce_errors,
            ),
            (
                "taffrail_fetched_bytes_total",
                "Bytes of record batches sent to consumers.",
                &self.bytes_fetched,
            ),
            (
                "taffrail_fetch_partition_looks_total",
                "Partitions looked at for fetches, again each time that one moved.",
                &self.fetch_looks,
            ),
        ];
        for (name, help, counter) in counters {
            snapshot.push(MetricKind::Counter, name, help, Vec::new(), counter.get());
        }
        self.write_requests(snapshot);
    }

    fn write_requests(&self, snapshot: &mut MetricsSnapshot) {
        for (api, count) in self.requests.borrow().iter() {
            snapshot.push(
                MetricKind::Counter,
                "taffrail_requests_total",
                "Requests by API.",
                vec![("api", api.to_string())],
                *count,
            );
        }
    }
}

/// Faults that are in the log already, so that clients which ask again and again do not fill it.
#[derive(Debug, Default)]
pub(crate) struct Reported(RefCell<BTreeSet<String>>);

impl Reported {
    /// So many are told apart; of more, the log says nothing.
    const MAX: usize = 1000;

    /// Whether this is the first time.
    pub fn is_new(&self, fault: &str) -> bool {
        let mut known = self.0.borrow_mut();
        known.len() < Self::MAX && known.insert(fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_new_once_and_not_too_many_are_remembered() {
        let reported = Reported::default();
        assert!(reported.is_new("a.log"));
        assert!(!reported.is_new("a.log"));
        assert!(reported.is_new("b.log"));
        let new = (0..2000).filter(|n| reported.is_new(&n.to_string()));
        assert_eq!(new.count(), Reported::MAX - 2);
    }
}
