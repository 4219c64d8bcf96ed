//! Which crate may import which. A crate imports only from lower levels, and of those only what it needs.

use super::{assert_none, root};
use std::collections::BTreeSet;

/// The allowed edges between our crates, in production code.
const EDGES: &[(&str, &[&str])] = &[
    ("crates/env", &[]),
    ("crates/record", &[]),
    ("crates/wire", &[]),
    ("crates/storage", &["env", "record"]),
    ("crates/replication", &["record"]),
    (
        "crates/broker",
        &["env", "record", "wire", "storage", "replication"],
    ),
    ("crates/client", &["env", "record", "wire"]),
    ("crates/os", &["env"]),
    (
        "crates/server",
        &["env", "record", "wire", "storage", "broker", "client", "os"],
    ),
    (
        "sim",
        &[
            "env",
            "record",
            "wire",
            "storage",
            "replication",
            "broker",
            "client",
        ],
    ),
    (
        "tests",
        &[
            "env",
            "record",
            "wire",
            "storage",
            "replication",
            "broker",
            "client",
            "os",
            "server",
            "sim",
        ],
    ),
];

/// Foreign crates that only one of ours may name.
const ONLY: &[(&str, &str)] = &[
    ("tokio", "crates/os"),
    ("rustix", "crates/os"),
    ("hyper", "crates/server"),
    ("madsim", "sim"),
];

fn manifest(package: &str) -> toml::Table {
    let path = root().join(package).join("Cargo.toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The names in `[dependencies]`, for every target.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |table: Option<&toml::Value>| {
        if let Some(table) = table.and_then(toml::Value::as_table) {
            names.extend(table.keys().cloned());
        }
    };
    add(manifest.get("dependencies"));
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        for target in targets.values() {
            add(target.get("dependencies"));
        }
    }
    names
}

#[test]
fn every_crate_stands_in_the_table_of_edges() {
    let mut found: BTreeSet<String> = ["sim", "tests"].map(String::from).into();
    for entry in std::fs::read_dir(root().join("crates")).expect("crates/ is readable") {
        let name = entry.expect("entry is readable").file_name();
        found.insert(format!("crates/{}", name.to_string_lossy()));
    }
    let listed: BTreeSet<String> = EDGES.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(found, listed);
}

#[test]
fn crates_import_only_along_the_table_of_edges() {
    let mut complaints = Vec::new();
    for (package, allowed) in EDGES {
        for name in dependencies(&manifest(package)) {
            if let Some(ours) = name.strip_prefix("taffrail-")
                && !allowed.contains(&ours)
            {
                complaints.push(format!("{package} must not depend on {ours}"));
            }
        }
    }
    assert_none("imports against the direction of the house", complaints);
}

#[test]
fn what_calls_the_system_stays_in_its_crate() {
    let mut complaints = Vec::new();
    for (package, _) in EDGES.iter().filter(|(package, _)| *package != "tests") {
        let names = dependencies(&manifest(package));
        for (foreign, home) in ONLY {
            if names.contains(*foreign) && package != home {
                complaints.push(format!(
                    "{package} must not depend on {foreign}: only {home} may"
                ));
            }
        }
    }
    assert_none("foreign crates out of their place", complaints);
}
