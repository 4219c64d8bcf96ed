//! The shape of the tree, held by tests: who may import whom, how long a file or a function may be,
//! what every file begins with, and which words and names do not belong here.
//!
//! The limits come from how the code should read; where today's code is worse, a ratchet holds it at
//! today's figure, and the figure may only go down.

mod edges;
mod layout;
mod size;
mod words;

use std::path::{Path, PathBuf};

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ has a parent")
        .to_path_buf()
}

/// A Rust source file of ours.
struct Source {
    /// Relative to the root, with forward slashes.
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("tests.rs")
            || self.path.contains("/benches/")
            || self.path.contains("/examples/")
    }

    /// In the crate's own tests or examples rather than in the crate.
    fn is_outside(&self, package: &str) -> bool {
        match package {
            "tests" => self.path.starts_with("tests/it/"),
            _ => self.is_test(),
        }
    }
}

/// Every Rust file in the tree, in order of path.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for top in ["crates", "sim", "tests"] {
        walk(&root().join(top), &mut |path| {
            if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(path).expect("source is readable UTF-8");
                found.push(Source {
                    path: relative(path),
                    text,
                });
            }
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        found.len() > 50,
        "the walk found only {} files: it looks in the wrong place",
        found.len()
    );
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .expect("under the root")
        .to_string_lossy()
        .replace('\\', "/")
}

fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(directory).expect("directory is readable") {
        let path = entry.expect("entry is readable").path();
        if path.is_dir() {
            if path
                .file_name()
                .is_some_and(|n| n != "target" && n != "node_modules")
            {
                walk(&path, visit);
            }
        } else {
            visit(&path);
        }
    }
}

/// Fails with every complaint at once, so that one run shows all there is to mend.
fn assert_none(what: &str, complaints: Vec<String>) {
    assert!(
        complaints.is_empty(),
        "{what}:\n  {}",
        complaints.join("\n  ")
    );
}
