//! What lies where: the names at the root, fixtures that nobody uses, and files that say what they are.

use super::{assert_none, relative, root, sources, walk};

const AT_THE_ROOT: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "crates",
    "sim",
    "tests",
    "fixtures",
];

/// Made by building or by running, and ignored by git.
const MADE: &[&str] = &["target", "taffrail-data"];

#[test]
fn the_root_holds_only_what_belongs_there() {
    let mut complaints = Vec::new();
    for entry in std::fs::read_dir(root()).expect("the root is readable") {
        let name = entry
            .expect("entry is readable")
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with('.')
            && !AT_THE_ROOT.contains(&name.as_str())
            && !MADE.contains(&name.as_str())
        {
            complaints.push(name);
        }
    }
    assert_none("names that do not belong at the root", complaints);
}

#[test]
fn every_fixture_is_used() {
    let mut readers = String::new();
    for top in ["crates", "sim", "tests", ".ci"] {
        walk(&root().join(top), &mut |path| {
            if let Ok(text) = std::fs::read_to_string(path) {
                readers.push_str(&text);
            }
        });
    }
    let mut complaints = Vec::new();
    for entry in std::fs::read_dir(root().join("fixtures")).expect("fixtures/ is readable") {
        let name = entry
            .expect("entry is readable")
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !readers.contains(&format!("fixtures/{name}"))
            && !readers.contains(&format!("\"{name}\""))
        {
            complaints.push(format!("fixtures/{name}"));
        }
    }
    assert_none("fixtures that nothing reads", complaints);
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let complaints = sources()
        .into_iter()
        // A `tests.rs` belongs to the file beside it, which says what both are about.
        .filter(|source| !source.path.ends_with("/tests.rs"))
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert_none("files without a head comment", complaints);
}

#[test]
fn file_names_are_nouns_of_the_field() {
    let banned = [
        "utils", "util", "common", "helper", "helpers", "manager", "misc",
    ];
    let mut complaints = Vec::new();
    for top in ["crates", "sim", "tests"] {
        walk(&root().join(top), &mut |path| {
            let path = relative(path);
            if path
                .split(['/', '.', '_', '-'])
                .any(|part| banned.contains(&part))
            {
                complaints.push(path);
            }
        });
    }
    assert_none("names that say nothing", complaints);
}
