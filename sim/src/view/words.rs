//! Times in words: simulated nanoseconds as somebody reads them.

const MILLISECOND: u64 = 1_000_000;

/// In milliseconds, exactly.
pub(super) fn milliseconds(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, rest) = (
        nanos.unsigned_abs() / MILLISECOND,
        nanos.unsigned_abs() % MILLISECOND,
    );
    match rest {
        0 => format!("{sign}{whole} ms"),
        rest => {
            let digits = format!("{rest:06}");
            format!("{sign}{whole}.{} ms", digits.trim_end_matches('0'))
        }
    }
}

/// In the unit that suits it, roughly.
pub(super) fn roughly(nanos: i64) -> String {
    const UNITS: [(f64, &str); 5] = [
        (86_400e9, "days"),
        (3_600e9, "h"),
        (60e9, "min"),
        (1e9, "s"),
        (1e6, "ms"),
    ];
    let size = nanos.unsigned_abs() as f64;
    let unit = UNITS.iter().find(|(unit, _)| size >= *unit);
    match unit {
        Some((unit, name)) => format!("{:.1} {name}", nanos as f64 / unit),
        None => milliseconds(nanos),
    }
}
