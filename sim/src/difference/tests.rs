//! Two runs part where they part, also if one of them is known from a file only.

use super::*;
use crate::run::Simulation;
use crate::trace::Recording;

/// A run of `events` notes, of which the one numbered `odd` is another.
fn run(events: u64, odd: Option<u64>, recording: Recording) -> Log {
    let simulation = Simulation::new("notes", 1).with_recording(recording);
    let outcome = simulation.run(move |world| async move {
        for number in world.events()..events {
            let other = odd == Some(number);
            world.note(number, other.into(), 0, || format!("note {number}"));
        }
    });
    Log::of(&outcome)
}

#[test]
fn equal_runs_have_no_window() {
    let log = |recording| run(5_000, None, recording);
    assert_eq!(
        window(&log(Recording::Off), &log(Recording::Window(100, 200))),
        None
    );
}

#[test]
fn the_first_differing_event_is_found_between_two_checkpoints() {
    let (one, other) = (
        run(9_000, None, Recording::Off),
        run(9_000, Some(3_333), Recording::Off),
    );
    let window = window(&one, &other).expect("they differ");
    assert_eq!(window, (3_072, 4_096));
    let recording = Recording::Window(window.0, window.1);
    let (one, other) = (
        run(9_000, None, recording),
        run(9_000, Some(3_333), recording),
    );
    assert!(one.covers(window) && other.covers(window));
    assert_eq!(one.recorded.len(), 1_024);
    let found = first_difference(&one, &other, window).expect("they differ here");
    assert_eq!(found.number, 3_333);
    assert_eq!(found.shared.len(), 5);
    assert_ne!(found.sides[0], found.sides[1]);
}

#[test]
fn a_run_that_goes_on_differs_where_the_other_ends() {
    let logs = |recording| (run(3_000, None, recording), run(3_010, None, recording));
    let (one, other) = logs(Recording::Off);
    let window = window(&one, &other).expect("they differ");
    let (one, other) = logs(Recording::Window(window.0, window.1));
    let found = first_difference(&one, &other, window).expect("they differ here");
    assert!(found.number >= 2_999, "{found:?}");
}

#[test]
fn a_file_of_checkpoints_says_all_that_is_known() {
    let log = run(2_500, None, Recording::Window(10, 13));
    assert_eq!(Log::parse(&log.to_string()), Ok(log.clone()));
    assert!(Log::is_log(&log.to_string()));
    assert!(Log::parse("run notes@1\nevents x").is_err());
}
