//! `cargo sim zoo`: historic bugs put back into a scratch copy of the tree, one at a time, each of which must be caught
//! by the invariant that its patch names, within the seeds that it names.
//!
//! A patch under `fixtures/zoo` begins with lines `# key: value`: `id`, `source`, `broke`, `caught-by` (one or
//! more invariants, separated by commas), `profile`, `seeds`. The scratch copy and its build live below the target
//! directory and are kept, so that each mutant is an incremental build.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

/// What went wrong with the zoo itself, in one line.
type Failure = String;

/// One planted bug.
struct Patch {
    path: PathBuf,
    id: String,
    caught_by: Vec<String>,
    profile: String,
    seeds: u64,
}

/// What became of it.
#[derive(Serialize)]
struct Outcome {
    id: String,
    caught: bool,
    /// The invariant that spoke, if any did.
    invariant: Option<String>,
    caught_by: Vec<String>,
    /// Seeds run until it was caught, or all of them.
    seeds: u64,
    build_seconds: f64,
    search_seconds: f64,
}

impl Patch {
    fn read(path: PathBuf) -> Result<Patch, Failure> {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let head: BTreeMap<&str, &str> = text
            .lines()
            .map_while(|line| line.strip_prefix("# "))
            .filter_map(|line| line.split_once(": "))
            .collect();
        let field = |name: &str| {
            let value = head.get(name).map(|value| value.trim().to_string());
            value.ok_or_else(|| format!("{}: its head has no line `# {name}: …`", path.display()))
        };
        let seeds = field("seeds")?;
        Ok(Patch {
            id: field("id")?,
            caught_by: field("caught-by")?.split(',').map(|name| name.trim().to_string()).collect(),
            profile: field("profile")?,
            seeds: seeds.parse().map_err(|_| format!("{}: seeds is a number, not '{seeds}'", path.display()))?,
            path,
        })
    }
}

/// Runs the zoo, or the rows named. Exit status 0 if all were caught as they should.
pub fn run(ids: &[String], json: bool) -> Result<bool, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("sim/ has a parent").to_path_buf();
    let patches = select(&root.join("fixtures/zoo"), ids)?;
    let scratch = Scratch::prepare(&root)?;
    let mut outcomes = Vec::new();
    for patch in &patches {
        let outcome = scratch.judge(patch)?;
        if !json {
            println!("{}", row(&outcome));
        }
        outcomes.push(outcome);
    }
    let caught = outcomes.iter().filter(|outcome| outcome.caught).count();
    if json {
        println!("{}", serde_json::to_string_pretty(&outcomes).map_err(|e| e.to_string())?);
    } else {
        println!("{caught} of {} caught; median seeds {}", outcomes.len(), median(&outcomes));
    }
    Ok(caught == outcomes.len())
}

fn row(outcome: &Outcome) -> String {
    format!(
        "{:<6} {:<7} {:<26} seeds {:>5}  build {:>5.1} s  search {:>6.1} s",
        outcome.id,
        if outcome.caught { "caught" } else { "MISSED" },
        outcome.invariant.as_deref().unwrap_or("-"),
        outcome.seeds,
        outcome.build_seconds,
        outcome.search_seconds
    )
}

fn median(outcomes: &[Outcome]) -> u64 {
    let mut seeds: Vec<u64> = outcomes.iter().map(|outcome| outcome.seeds).collect();
    seeds.sort_unstable();
    seeds.get(seeds.len() / 2).copied().unwrap_or(0)
}

fn select(directory: &Path, ids: &[String]) -> Result<Vec<Patch>, Failure> {
    let entries = fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    paths.sort();
    let mut patches = paths.into_iter().map(Patch::read).collect::<Result<Vec<Patch>, Failure>>()?;
    for id in ids {
        if !patches.iter().any(|patch| patch.id == *id) {
            let known: Vec<&str> = patches.iter().map(|patch| patch.id.as_str()).collect();
            return Err(format!("no row '{id}' in the zoo; there are {}", known.join(" ")));
        }
    }
    patches.retain(|patch| ids.is_empty() || ids.contains(&patch.id));
    Ok(patches)
}

/// A copy of the tree to plant bugs in, and where it is built.
struct Scratch {
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    fn prepare(root: &Path) -> Result<Scratch, Failure> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let scratch = Scratch { tree: target.join("zoo/tree"), target: target.join("zoo/target") };
        copy(root, &scratch.tree, true)?;
        Ok(scratch)
    }

    fn judge(&self, patch: &Patch) -> Result<Outcome, Failure> {
        self.patch(patch, false)?;
        let judged = self.build_and_search(patch);
        self.patch(patch, true)?;
        judged
    }

    fn patch(&self, patch: &Patch, reverse: bool) -> Result<(), Failure> {
        let mut command = Command::new("git");
        command.current_dir(&self.tree).args(["apply", "--unidiff-zero", "--whitespace=nowarn"]);
        if reverse {
            command.arg("--reverse");
        }
        // Outside of any repository's view: the scratch copy lies below an ignored directory of one.
        command.env("GIT_CEILING_DIRECTORIES", self.tree.parent().expect("below the target directory"));
        let output = run_to_end(command.arg(&patch.path))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{} no longer applies: {}", patch.id, said.lines().next().unwrap_or("")))
    }

    fn build_and_search(&self, patch: &Patch) -> Result<Outcome, Failure> {
        let start = Instant::now();
        let built = run_to_end(
            Command::new("cargo")
                .current_dir(&self.tree)
                .env("CARGO_TARGET_DIR", &self.target)
                .args(["build", "--profile", "sim", "--package", "taffrail-sim", "--locked", "--quiet"]),
        )?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr);
            let line = said.lines().find(|line| line.starts_with("error")).unwrap_or("");
            return Err(format!("{} does not build: {line}", patch.id));
        }
        let build_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let seeds = format!("0..{}", patch.seeds);
        let searched = run_to_end(
            Command::new(self.target.join("sim/taffrail-sim")).current_dir(&self.tree).args(["run", "--json"]).args([
                "--profile",
                patch.profile.as_str(),
                "--seeds",
                seeds.as_str(),
            ]),
        )?;
        let (invariant, seeds) = verdict(&searched, patch.seeds)?;
        Ok(Outcome {
            id: patch.id.clone(),
            caught: invariant.as_ref().is_some_and(|name| patch.caught_by.contains(name)),
            invariant,
            caught_by: patch.caught_by.clone(),
            seeds,
            build_seconds,
            search_seconds: start.elapsed().as_secs_f64(),
        })
    }
}

/// The invariant that spoke, and the seeds it took. `run --json` prints a line a seed, the failing one last but for totals.
fn verdict(output: &Output, budget: u64) -> Result<(Option<String>, u64), Failure> {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut seeds = 0;
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).map_err(|e| format!("`run --json` printed no JSON: {e}"))?;
        if value.get("name").is_none() {
            continue;
        }
        seeds += 1;
        if let Some(invariant) = value.get("invariant").and_then(serde_json::Value::as_str) {
            return Ok((Some(invariant.to_string()), seeds));
        }
    }
    if output.status.success() && seeds == budget {
        return Ok((None, seeds));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("the simulator ended with {} after {seeds} seeds: {}", output.status, said.lines().last().unwrap_or("")))
}

fn run_to_end(command: &mut Command) -> Result<Output, Failure> {
    command.output().map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))
}

/// Copies what is source and changed, keeping times, so that cargo builds only what a patch touches; removes what is gone.
fn copy(from: &Path, to: &Path, top: bool) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |e: std::io::Error| format!("{path}: {e}")
    };
    fs::create_dir_all(to).map_err(failed(to))?;
    let mut present = Vec::new();
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let entry = entry.map_err(failed(from))?;
        let (name, path) = (entry.file_name(), entry.path());
        if top && ["target", "taffrail-data", ".git"].iter().any(|left_out| name == *left_out) {
            continue;
        }
        let copied = to.join(&name);
        if path.is_dir() {
            copy(&path, &copied, false)?;
        } else {
            let new = fs::read(&path).map_err(failed(&path))?;
            if fs::read(&copied).ok().as_ref() != Some(&new) {
                fs::write(&copied, &new).map_err(failed(&copied))?;
            }
        }
        present.push(name);
    }
    for entry in fs::read_dir(to).map_err(failed(to))? {
        let entry = entry.map_err(failed(to))?;
        if !present.contains(&entry.file_name()) {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.map_err(failed(&path))?;
        }
    }
    Ok(())
}
