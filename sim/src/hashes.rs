//! Names of runs with their hashes, kept so that whoever moves a run notices it.
//!
//! A hash holds for one commit, lock file and compiler, in debug and optimised builds alike. So the compiler's version stands
//! in the file's first line, and under another compiler nothing can be said. This is the pure part: which runs are kept, and
//! how they are written; `cargo sim hashes` reads and writes the file.

use crate::profile::Profile;
use crate::trace::RunName;

/// The compiler that built this crate, as `rustc -V` has it.
pub const COMPILER: &str = env!("TAFFRAIL_SIM_COMPILER");

/// Where the hashes are kept, from the root of the tree.
pub const PATH: &str = "fixtures/hashes.txt";

/// The runs that are kept: seeds from 0 to before this, by profile. A debug build runs them all within a minute on one core.
pub const KEPT: &[(&str, u64)] = &[("smoke", 150), ("storage", 50)];

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    pub compiler: String,
    /// With their hashes, in the order of [`KEPT`].
    pub names: Vec<RunName>,
}

impl Hashes {
    /// Those of this build, from running all of them; or which run does not keep its promises.
    pub fn run() -> Result<Hashes, String> {
        let seeds = KEPT
            .iter()
            .flat_map(|(profile, end)| (0..*end).map(move |seed| (profile, seed)));
        let names = seeds.map(|(profile, seed)| run(profile, seed));
        Ok(Hashes {
            compiler: COMPILER.to_owned(),
            names: names.collect::<Result<_, _>>()?,
        })
    }

    /// Reads the file.
    pub fn parse(text: &str) -> Result<Hashes, String> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let compiler = lines.next().ok_or("it names no compiler")?.to_owned();
        let names = lines.map(RunName::parse).collect::<Result<_, _>>()?;
        Ok(Hashes { compiler, names })
    }

    /// Whether these hashes must be those of this build.
    pub fn is_of_this_compiler(&self) -> bool {
        self.compiler == COMPILER
    }

    /// Runs those of one profile again; what came out otherwise, in a line each.
    pub fn differences(&self, profile: &str) -> Vec<String> {
        let of_profile = self.names.iter().filter(|name| name.profile == profile);
        let kept = KEPT.iter().find(|(kept, _)| *kept == profile);
        let missing = kept.map_or(0, |(_, end)| *end) as usize;
        let mut found = Vec::new();
        if of_profile.clone().count() != missing {
            found.push(format!("{profile}: not {missing} seeds are kept"));
        }
        for kept in of_profile {
            match run(&kept.profile, kept.seed) {
                Ok(name) if name == *kept => {}
                Ok(name) => found.push(format!("{kept} is {name}")),
                Err(why) => found.push(why),
            }
        }
        found
    }
}

fn run(profile: &str, seed: u64) -> Result<RunName, String> {
    let profile = Profile::named(profile)?;
    let outcome = (profile.run)(profile.simulation(seed));
    match outcome.failure {
        None => Ok(outcome.name),
        Some(failure) => Err(format!("{}: {failure}", outcome.name)),
    }
}

impl std::fmt::Display for Hashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "# Written by `cargo sim hashes --write`.")?;
        writeln!(f, "{}", self.compiler)?;
        self.names.iter().try_for_each(|name| writeln!(f, "{name}"))
    }
}
