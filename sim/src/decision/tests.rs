//! Decisions are a function of (seed, label, counter), and of nothing else.

use super::*;

#[test]
fn draws_of_one_stream_do_not_depend_on_other_streams() {
    let alone = Decisions::new(7, Edits::default(), false);
    let a = alone.stream("a");
    let drawn: Vec<u64> = (0..50).map(|_| alone.bits(a)).collect();

    let beside = Decisions::new(7, Edits::default(), false);
    let b = beside.stream("b");
    let a = beside.stream("a");
    let interleaved: Vec<u64> = (0..50)
        .map(|_| {
            beside.bits(b);
            beside.bits(a)
        })
        .collect();
    assert_eq!(drawn, interleaved);
}

#[test]
fn seeds_and_labels_change_what_is_drawn() {
    let one = Decisions::new(1, Edits::default(), false);
    let two = Decisions::new(2, Edits::default(), false);
    assert_ne!(one.bits(one.stream("a")), two.bits(two.stream("a")));
    assert_ne!(one.bits(one.stream("a")), one.bits(one.stream("b")));
}

#[test]
fn recorded_decisions_drive_a_run_of_another_seed() {
    let first = Decisions::new(3, Edits::default(), true);
    let draw = |decisions: &Decisions| {
        let stream = decisions.stream("delay");
        let coin = decisions.stream("coin");
        (0..100)
            .map(|_| {
                (
                    decisions.between(stream, 5, 500),
                    decisions.chance(coin, 300_000),
                )
            })
            .collect::<Vec<_>>()
    };
    let drawn = draw(&first);
    let edits = first.as_edits(&first.take_record());
    let edits = Edits::parse(&edits.to_string()).expect("what was written is read");
    let second = Decisions::new(99, edits, false);
    assert_eq!(drawn, draw(&second));
}

#[test]
fn an_edit_changes_one_draw_and_no_other() {
    let plain = Decisions::new(5, Edits::default(), false);
    let stream = plain.stream("x");
    let before: Vec<u64> = (0..10).map(|_| plain.below(stream, 1000)).collect();

    let mut edits = Edits::default();
    edits.values.insert(("x".to_owned(), 4), 5000);
    let edited = Decisions::new(5, edits, false);
    let stream = edited.stream("x");
    let after: Vec<u64> = (0..10).map(|_| edited.below(stream, 1000)).collect();
    assert_eq!(after[4], 999, "an edit is clamped to the range");
    for i in (0..10).filter(|i| *i != 4) {
        assert_eq!(before[i], after[i]);
    }
}

#[test]
fn a_quiet_stream_gives_the_least_of_every_range() {
    let mut edits = Edits::default();
    edits.quiet.insert("q".to_owned());
    let decisions = Decisions::new(5, edits, false);
    let stream = decisions.stream("q");
    assert!(!decisions.chance(stream, MILLION));
    assert_eq!(decisions.between(stream, 17, 99), 17);
    assert_eq!(
        decisions.tail(stream, Tail(&[(900_000, 3, 5), (100_000, 6, 9)])),
        3
    );
}

#[test]
fn chances_and_tables_come_close_to_what_they_say() {
    let decisions = Decisions::new(11, Edits::default(), false);
    let stream = decisions.stream("p");
    let yes = (0..100_000)
        .filter(|_| decisions.chance(stream, 250_000))
        .count();
    assert!((24_000..26_000).contains(&yes), "{yes}");
    let table = Tail(&[(990_000, 1, 10), (10_000, 1000, 2000)]);
    let tail = (0..100_000)
        .map(|_| decisions.tail(stream, table))
        .filter(|value| *value >= 1000)
        .count();
    assert!((800..1200).contains(&tail), "{tail}");
}

#[test]
fn a_line_that_is_no_edit_is_refused_with_its_text() {
    let error = Edits::parse("delay#x=1").expect_err("x is not a counter");
    assert!(error.contains("delay#x=1"), "{error}");
}

#[test]
fn edits_that_decide_nothing_are_told_and_draws_without_one_are_counted() {
    let text = "a#1=0\na#7=0\nb#0=1\nquiet c\nquiet a\n";
    let decisions = Decisions::new(1, Edits::parse(text).expect("edits"), false);
    let stream = decisions.stream("a");
    for _ in 0..3 {
        decisions.below(stream, 10);
    }
    let idle = decisions.idle_edits().to_string();
    assert_eq!(idle, "quiet c\na#7=0\nb#0=1\n");
    assert_eq!(decisions.free_draws(), 2);
}
