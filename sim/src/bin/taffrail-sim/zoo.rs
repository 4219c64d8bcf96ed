//! `zoo`: plants historic bugs in a scratch copy of the tree, one at a time, each of which must be found by the invariant that
//! its patch names, within the seeds that it names.
//!
//! The scratch copy and its build lie below the target directory and are kept, and a file is written only if its
//! contents change, so that cargo builds again only what a patch touches. A seed counts only if it passes
//! without the patch, which is tried in this very process.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "copies files, runs builds, and measures how long they take"
)]

use crate::failure::{Failure, say};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use taffrail_sim::profile::Profile;
use taffrail_sim::zoo::Patch;

/// Where the patches lie, from the root.
const PATCHES: &str = "fixtures/zoo";
/// What of the root no build needs.
const LEFT_OUT: &[&str] = &[".git", ".ci", "target", "taffrail-data", "fixtures"];

/// What became of a planted bug.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
enum Verdict {
    Caught { invariant: String },
    Missed,
    CaughtByAnother { invariant: String, witness: String },
    SeedFailsAnyway { witness: String },
    DoesNotApply { why: String },
    DoesNotBuild { why: String },
}

#[derive(Serialize)]
struct Outcome {
    id: String,
    #[serde(flatten)]
    verdict: Verdict,
    caught_by: Vec<String>,
    /// Seeds run until one failed, or all.
    seeds: u64,
    seeds_max: u64,
    build_seconds: f64,
    search_seconds: f64,
}

impl Outcome {
    fn row(&self) -> String {
        let (word, detail) = match &self.verdict {
            Verdict::Caught { invariant } => ("caught", invariant.clone()),
            Verdict::Missed => ("MISSED", format!("not by {}", self.caught_by.join(", "))),
            Verdict::CaughtByAnother { invariant, witness } => {
                ("WRONG", format!("{invariant}: {witness}"))
            }
            Verdict::SeedFailsAnyway { witness } => ("NO PROOF", witness.clone()),
            Verdict::DoesNotApply { why } => ("BROKEN", why.clone()),
            Verdict::DoesNotBuild { why } => ("BROKEN", why.clone()),
        };
        format!(
            "{:<5} {word:<8} {:>4} of {:>4} seeds, build {:>5.1} s, search {:>6.1} s  {detail}",
            self.id, self.seeds, self.seeds_max, self.build_seconds, self.search_seconds
        )
    }
}

/// Runs the rows named, or all; true if each was caught as it should be.
pub fn run(ids: &[String], json: bool) -> Result<bool, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("sim/ has a parent");
    let patches = select(&root.join(PATCHES), ids)?;
    let scratch = Scratch::new(root)?;
    let mut outcomes = Vec::new();
    for (name, patch) in &patches {
        let outcome = scratch.judge(name, patch)?;
        match json {
            true => say!("{}", serde_json::json!(outcome)),
            false => say!("{}", outcome.row()),
        }
        outcomes.push(outcome);
    }
    let caught = |outcome: &&Outcome| matches!(outcome.verdict, Verdict::Caught { .. });
    let (all, caught) = (outcomes.len(), outcomes.iter().filter(caught).count());
    let median = median(&outcomes);
    match json {
        true => say!(
            "{}",
            serde_json::json!({ "planted": all, "caught": caught, "median_seeds": median })
        ),
        false => say!("{caught} of {all} caught, median of seeds {median}"),
    }
    Ok(caught == all)
}

fn median(outcomes: &[Outcome]) -> u64 {
    let mut seeds: Vec<u64> = outcomes.iter().map(|outcome| outcome.seeds).collect();
    seeds.sort_unstable();
    seeds.get(seeds.len() / 2).copied().unwrap_or(0)
}

/// The patches wanted by their ids, in order: file name, and the patch as far as it can be read.
fn select(directory: &Path, ids: &[String]) -> Result<Vec<(String, Patch)>, Failure> {
    let entries = fs::read_dir(directory).map_err(|why| Failure::of_file(directory, why))?;
    let mut patches = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|why| Failure::of_file(directory, why))?
            .path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|it| it == "patch") {
            let text = fs::read_to_string(&path).map_err(|why| Failure::of_file(&path, why))?;
            let patch = Patch::parse(&text).map_err(|why| format!("{}: {why}", path.display()))?;
            patches.push((name.into_owned(), patch));
        }
    }
    patches.sort_by(|(a, _), (b, _)| a.cmp(b));
    let known: Vec<&str> = patches.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(id) = ids.iter().find(|id| !known.contains(&id.as_str())) {
        let known = known.join(" ");
        return Err(format!("the zoo has no `{id}`; it has {known}").into());
    }
    patches.retain(|(name, _)| ids.is_empty() || ids.contains(name));
    Ok(patches)
}

/// The tree to plant bugs in, and where it is built.
struct Scratch {
    root: PathBuf,
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// Below the target directory that this binary lies in.
    fn new(root: &Path) -> Result<Scratch, Failure> {
        let binary = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("where this binary lies: {error}")))?;
        // Cargo marks the directories that it builds in.
        let target = binary
            .ancestors()
            .nth(2)
            .filter(|target| target.join("CACHEDIR.TAG").is_file())
            .ok_or_else(|| "this binary does not lie in a target directory of Cargo's, below which bugs could be planted and built; `cargo sim zoo` does".to_owned())?;
        let zoo = target.join("zoo");
        Ok(Scratch {
            root: root.to_path_buf(),
            tree: zoo.join("tree"),
            target: zoo.join("target"),
        })
    }

    fn judge(&self, name: &str, patch: &Patch) -> Result<Outcome, Failure> {
        let mut outcome = Outcome {
            id: name.to_owned(),
            verdict: Verdict::Missed,
            caught_by: patch.caught_by.clone(),
            seeds: 0,
            seeds_max: patch.seeds,
            build_seconds: 0.0,
            search_seconds: 0.0,
        };
        let files = match self.patched(patch) {
            Ok(files) => files,
            Err(why) => {
                outcome.verdict = Verdict::DoesNotApply { why };
                return Ok(outcome);
            }
        };
        mirror(&self.root, &self.tree, &files, Path::new(""))?;
        let begun = Instant::now();
        let built = self.build()?;
        outcome.build_seconds = begun.elapsed().as_secs_f64();
        if let Err(why) = built {
            outcome.verdict = Verdict::DoesNotBuild { why };
            return Ok(outcome);
        }
        let begun = Instant::now();
        (outcome.seeds, outcome.verdict) = self.search(patch)?;
        outcome.search_seconds = begun.elapsed().as_secs_f64();
        Ok(outcome)
    }

    /// The files that the patch changes, as it leaves them; by their paths from the root.
    fn patched(&self, patch: &Patch) -> Result<BTreeMap<PathBuf, String>, String> {
        let mut files = BTreeMap::new();
        for change in &patch.changes {
            let path = self.root.join(&change.path);
            let original = fs::read_to_string(&path);
            let original = original.map_err(|why| format!("{}: {why}", path.display()))?;
            files.insert(PathBuf::from(&change.path), change.apply(&original)?);
        }
        Ok(files)
    }

    /// Builds the mutant; the inner error is what the compiler says.
    fn build(&self) -> Result<Result<(), String>, Failure> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(&cargo)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .args(["build", "--locked", "--quiet", "--profile", "sim"])
            .args(["--package", "taffrail-sim", "--bin", "taffrail-sim"])
            .output()
            .map_err(|why| Failure::of_file(Path::new(&cargo), why))?;
        if output.status.success() {
            return Ok(Ok(()));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let error = said.lines().find(|line| line.starts_with("error"));
        Ok(Err(error.unwrap_or("cargo does not say why").to_owned()))
    }

    /// Runs the mutant's seeds until one fails: how many, and what that means.
    fn search(&self, patch: &Patch) -> Result<(u64, Verdict), Failure> {
        let range = patch.range();
        let mutant = self.target.join("sim/taffrail-sim");
        let output = Command::new(&mutant)
            .args(["run", "--json", "--profile", &patch.profile])
            .args(["--seeds", &format!("{}..{}", range.start, range.end)])
            .output()
            .map_err(|why| Failure::of_file(&mutant, why))?;
        let mut seeds = 0;
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let ran: serde_json::Value = serde_json::from_str(line).map_err(|why| {
                Failure::failed(format!("the mutant's `run --json` printed {line}: {why}"))
            })?;
            if ran.get("name").is_none() {
                break;
            }
            seeds += 1;
            if let Some(invariant) = ran["invariant"].as_str() {
                let witness = ran["verdict"].as_str().unwrap_or_default();
                let seed = range.start + seeds - 1;
                return Ok((seeds, weigh(patch, seed, invariant, witness)?));
            }
        }
        if output.status.success() && seeds == range.end - range.start {
            return Ok((seeds, Verdict::Missed));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        Err(Failure::failed(format!(
            "{}: the mutant ended with {} after {seeds} seeds: {last}",
            patch.id, output.status
        )))
    }
}

/// A seed of the mutant fails. Does the right judge object, and to the bug?
fn weigh(patch: &Patch, seed: u64, invariant: &str, witness: &str) -> Result<Verdict, Failure> {
    let profile = Profile::named(&patch.profile)?;
    let control = (profile.run)(profile.simulation(seed));
    if let Some(failure) = control.failure {
        let witness = format!("{} fails without the patch: {failure}", control.name);
        return Ok(Verdict::SeedFailsAnyway { witness });
    }
    let invariant = invariant.to_owned();
    Ok(match patch.caught_by.contains(&invariant) {
        true => Verdict::Caught { invariant },
        false => Verdict::CaughtByAnother {
            invariant,
            witness: witness.to_owned(),
        },
    })
}

/// Makes `to` equal to `from` with `patched` files in the place of theirs. What is equal already is not touched.
fn mirror(
    from: &Path,
    to: &Path,
    patched: &BTreeMap<PathBuf, String>,
    relative: &Path,
) -> Result<(), Failure> {
    let (source, copy) = (from.join(relative), to.join(relative));
    fs::create_dir_all(&copy).map_err(|why| Failure::of_file(&copy, why))?;
    let top = relative.as_os_str().is_empty();
    let names = |directory: &Path| -> Result<Vec<PathBuf>, Failure> {
        let entries = fs::read_dir(directory).map_err(|why| Failure::of_file(directory, why))?;
        let names = entries.map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())));
        names
            .collect::<Result<Vec<PathBuf>, _>>()
            .map_err(|why| Failure::of_file(directory, why))
    };
    let mut wanted = names(&source)?;
    wanted.retain(|name| !top || !LEFT_OUT.iter().any(|out| name == Path::new(out)));
    for name in names(&copy)? {
        if !wanted.contains(&name) {
            let path = copy.join(name);
            let removed = match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.map_err(|why| Failure::of_file(&path, why))?;
        }
    }
    for name in wanted {
        let relative = relative.join(name);
        let (source, copy) = (from.join(&relative), to.join(&relative));
        if source.is_dir() {
            mirror(from, to, patched, &relative)?;
            continue;
        }
        let contents = match patched.get(&relative) {
            Some(text) => text.clone().into_bytes(),
            None => fs::read(&source).map_err(|why| Failure::of_file(&source, why))?,
        };
        if !fs::read(&copy).is_ok_and(|there| there == contents) {
            fs::write(&copy, contents).map_err(|why| Failure::of_file(&copy, why))?;
        }
    }
    Ok(())
}
