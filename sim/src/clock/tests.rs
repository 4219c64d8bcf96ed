//! A drifting clock never goes back, and a deadline is met at the first instant that shows it.

use super::*;

#[test]
fn monotonic_time_never_goes_back_whatever_the_drift() {
    for ppm in [-99_999, -500, -1, 0, 1, 500, 99_999] {
        let clock = NodeClock::default();
        clock.begin(1_000, 77, ppm);
        let mut last = 0;
        for world in (1_000..3_005_000).step_by(7) {
            let shown = clock.monotonic(world);
            assert!(shown >= last, "{ppm} ppm at {world}");
            last = shown;
        }
    }
}

#[test]
fn a_deadline_is_met_at_the_first_instant_that_shows_it() {
    for ppm in [-500, -3, 0, 3, 500] {
        let clock = NodeClock::default();
        clock.begin(5_000, 123_456, ppm);
        for deadline in [0, 123_456, 123_457, 1_123_455, 9_999_999, 1 << 50] {
            let at = clock.world_time_of(deadline);
            assert!(clock.monotonic(at) >= deadline);
            if at > 5_000 {
                assert!(clock.monotonic(at - 1) < deadline, "{ppm} ppm, {deadline}");
            }
        }
        assert_eq!(clock.world_time_of(u64::MAX), u64::MAX);
    }
}

#[test]
fn wall_time_steps_freezes_and_goes_on() {
    let clock = NodeClock::default();
    clock.begin(0, 0, 0);
    let at = |seconds: u64| clock.unix_ms(seconds * 1_000_000_000);
    let start = at(0);
    assert_eq!(at(10) - start, 10_000);
    clock.step(-5_000_000_000);
    assert_eq!(at(10) - start, 5_000);
    clock.freeze(10_000_000_000, true);
    assert_eq!(at(60) - start, 5_000);
    clock.freeze(60_000_000_000, false);
    assert_eq!(at(60) - start, 55_000);
}
