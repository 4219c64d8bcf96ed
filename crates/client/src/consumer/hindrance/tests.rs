//! Since when, and why.

use super::*;

fn fetching(partition: i32) -> Work {
    Work::Fetching(TopicPartitionName::new("t", partition))
}

#[test]
fn a_row_of_failures_counts_from_its_first_and_tells_its_last() {
    let mut hindrances = Hindrances::default();
    assert_eq!(hindrances.longest(), None);
    assert!(hindrances.failed(Instant(5), fetching(0), "first".into()));
    hindrances.failed(Instant(7), Work::Committing, "another".into());
    assert!(!hindrances.failed(Instant(9), fetching(0), "last".into()));
    assert_eq!(hindrances.longest(), Some((Instant(5), "last")));
    hindrances.went_well(&fetching(0));
    assert_eq!(hindrances.longest(), Some((Instant(7), "another")));
    hindrances.went_well(&Work::Committing);
    assert!(hindrances.failed(Instant(11), fetching(0), "again".into()));
    assert_eq!(hindrances.longest(), Some((Instant(11), "again")));
}

#[test]
fn partitions_that_are_not_read_any_more_hinder_nobody() {
    let mut hindrances = Hindrances::default();
    hindrances.failed(Instant(1), fetching(0), "gone".into());
    hindrances.failed(Instant(2), fetching(1), "there".into());
    hindrances.keep_partitions(|name| name.partition == 1);
    assert_eq!(hindrances.longest(), Some((Instant(2), "there")));
}
