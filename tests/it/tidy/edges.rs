//! Which crate may import which. A crate imports only from lower levels, and of those only what it needs.

use super::{assert_none, root, sources};
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
    names_in(manifest, "dependencies")
}

/// The names in one table of the manifest, for every target.
fn names_in(manifest: &toml::Table, table: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut add = |table: Option<&toml::Value>| {
        if let Some(table) = table.and_then(toml::Value::as_table) {
            names.extend(table.keys().cloned());
        }
    };
    add(manifest.get(table));
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        for target in targets.values() {
            add(target.get(table));
        }
    }
    names
}

/// Whether the text names a crate outside of whole-line comments, as `name::` or in a `use`.
fn names_crate(text: &str, dependency: &str) -> bool {
    let name = dependency.replace('-', "_");
    let (path, import) = (format!("{name}::"), format!("use {name}"));
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with("//"))
        .any(|line| {
            let begins_there = |at: usize| {
                !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
            };
            line.match_indices(&path).any(|(at, _)| begins_there(at))
                || [";", " as "]
                    .iter()
                    .any(|end| line.contains(&format!("{import}{end}")))
        })
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

#[test]
fn a_crate_is_named_by_its_paths_and_imports_alone() {
    assert!(names_crate(
        "let x = serde_json::to_string(&x);",
        "serde-json"
    ));
    assert!(names_crate("    use rand as random;", "rand"));
    assert!(!names_crate("// rand::random() would not do", "rand"));
    assert!(!names_crate("operand::new(rand)", "rand"));
    assert!(!names_crate("use randomness;", "rand"));
}

#[test]
fn every_dependency_is_named_in_the_sources() {
    let sources = sources();
    let mut complaints = Vec::new();
    let mut used = BTreeSet::new();
    for (package, _) in EDGES {
        let manifest = manifest(package);
        for table in ["dependencies", "dev-dependencies"] {
            let names = names_in(&manifest, table);
            for name in &names {
                let of_package = sources
                    .iter()
                    .filter(|source| source.path.starts_with(&format!("{package}/")))
                    // What ships must be used by what ships.
                    .filter(|source| table != "dependencies" || !source.is_outside(package));
                if !of_package.into_iter().any(|s| names_crate(&s.text, name)) {
                    complaints.push(format!("{package}: {name} of [{table}]"));
                }
            }
            used.extend(names);
        }
    }
    let workspace = manifest(".");
    let shared = workspace["workspace"]["dependencies"].as_table();
    for name in shared.expect("dependencies of the workspace").keys() {
        // Our own are there for whoever comes next.
        if !used.contains(name) && !name.starts_with("taffrail-") {
            complaints.push(format!("{name} of [workspace.dependencies]"));
        }
    }
    assert_none("dependencies that nothing names", complaints);
}
