//! Words that must not stand in the product: unfinished work, reality outside its crate, and the
//! simulator outside its own.

use super::{Source, assert_none, sources};

/// Lines of `source` that contain any of `words`, as complaints.
fn lines_with(source: &Source, words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
            found.push(format!("{}:{}: {word}", source.path, index + 1));
        }
    }
    found
}

/// The words are put together here, so that this file does not contain them.
fn words(parts: &[(&str, &str)]) -> Vec<String> {
    parts.iter().map(|(a, b)| format!("{a}{b}")).collect()
}

#[test]
fn nothing_is_left_unfinished() {
    let banned = words(&[
        ("todo", "!("),
        ("unimplemented", "!("),
        ("#[ign", "ore"),
        ("TO", "DO"),
        ("FIX", "ME"),
        ("XX", "X"),
        ("for n", "ow"),
        ("simpl", "ified"),
        ("place", "holder"),
    ]);
    let complaints = sources()
        .iter()
        .flat_map(|source| lines_with(source, &banned))
        .collect();
    assert_none("unfinished work", complaints);
}

#[test]
fn the_product_does_not_know_the_simulator() {
    let banned = words(&[
        ("cfg(mad", "sim"),
        ("mad", "sim::"),
        ("taffrail_", "sim"),
        ("cfg(fea", "ture"),
    ]);
    let complaints = sources()
        .iter()
        .filter(|source| source.path.starts_with("crates/"))
        .filter(|source| !source.is_test())
        .flat_map(|source| lines_with(source, &banned))
        .collect();
    assert_none("traces of the simulator in the product", complaints);
}

#[test]
fn only_the_kernel_names_the_sandbox() {
    let banned = words(&[("mad", "sim::")]);
    let complaints = sources()
        .iter()
        .filter(|source| source.path.starts_with("sim/") && source.path != "sim/src/kernel.rs")
        .flat_map(|source| lines_with(source, &banned))
        .collect();
    assert_none("the sandbox is named outside the kernel", complaints);
}

#[test]
fn reality_is_met_only_where_it_may_be() {
    let banned = words(&[
        ("std::fs", "::"),
        ("std::thread", "::spawn"),
        ("SystemTime::", "now"),
        ("time::Instant::", "now"),
        ("net::Tcp", "Stream"),
        ("net::Tcp", "Listener"),
    ]);
    let complaints = sources()
        .iter()
        .filter(|source| !source.is_test() && !source.path.starts_with("crates/os/"))
        .filter(|source| !source.path.starts_with("sim/src/bin/"))
        .filter(|source| source.path != "sim/src/kernel.rs" && source.path != "sim/src/runner.rs")
        .flat_map(|source| lines_with(source, &banned))
        .collect();
    assert_none(
        "calls of the operating system outside its crate",
        complaints,
    );
}

#[test]
fn names_of_tests_are_sentences() {
    let banned = words(&[("fn te", "st_")]);
    let complaints = sources()
        .iter()
        .flat_map(|source| lines_with(source, &banned))
        .collect();
    assert_none("names that begin with a word they need not", complaints);
}
