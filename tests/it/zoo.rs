//! The zoo of planted bugs, as far as no build is needed: each patch says what it must, and still applies. That each bug
//! is found is shown by `cargo sim zoo`.

use std::path::Path;
use taffrail_sim::zoo::Patch;

/// Where more invariants than these may speak of a bug, its head says why.
const UNEXPLAINED_MAX: usize = 2;
/// More than so many lines are no planted bug but another program.
const LINES_MAX: usize = 60;

#[test]
fn every_planted_bug_still_has_its_place_in_the_tree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ has a parent");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(root.join("fixtures/zoo")).expect("fixtures/zoo is readable") {
        let path = entry.expect("entry is readable").path();
        let name = path.file_name().expect("an entry has a name");
        let name = name.to_string_lossy().into_owned();
        count += 1;
        if let Err(why) = check(root, &path, &name) {
            wrong.push(format!("{name}: {why}"));
        }
    }
    assert!(count > 0, "the zoo is empty");
    assert!(
        wrong.is_empty(),
        "patches to be mended together with what moved under them:\n  {}",
        wrong.join("\n  ")
    );
}

fn check(root: &Path, path: &Path, name: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let patch = Patch::parse(&text)?;
    if name != format!("{}.patch", patch.id) {
        return Err(format!("it calls itself {}", patch.id));
    }
    let is_explained = text.lines().any(|line| line.starts_with("# beside: "));
    if patch.caught_by.len() > UNEXPLAINED_MAX && !is_explained {
        return Err(
            "its head has no line `# beside: …` that says why so many invariants may speak".into(),
        );
    }
    let changed = text.lines().filter(|line| line.starts_with(['+', '-']));
    let changed = changed.count();
    if changed > LINES_MAX {
        return Err(format!("it changes {changed} lines, at most {LINES_MAX}"));
    }
    for change in &patch.changes {
        let original = std::fs::read_to_string(root.join(&change.path))
            .map_err(|error| format!("{}: {error}", change.path))?;
        let planted = change.apply(&original)?;
        if planted == original {
            return Err(format!("{} stays as it is", change.path));
        }
    }
    Ok(())
}
