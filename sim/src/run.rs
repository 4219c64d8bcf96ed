//! One simulation from its seed to its verdict.

use crate::decision::{Decisions, Edits};
use crate::fault::{FaultCount, FaultKind, Faults, Rates};
use crate::kernel::{drive, run_isolated};
use crate::node::NodeId;
use crate::trace::{Checkpoint, Event, EventKind, Recording, RunName, Trace};
use crate::world::World;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// When a run is given up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Simulated nanoseconds.
    pub time_max: u64,
    /// Polls between two steps of time.
    pub polls_in_instant_max: u64,
}

impl Default for Limits {
    /// Thirty days, two million polls.
    fn default() -> Self {
        Self {
            time_max: 30 * 86_400 * 1_000_000_000,
            polls_in_instant_max: 2_000_000,
        }
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name in INVARIANTS.md, or PANIC, STUCK, LIVELOCK, TIME-LIMIT.
    pub invariant: String,
    /// What was seen.
    pub witness: String,
    /// Where, if it is about one node.
    pub node: Option<NodeId>,
    pub time: Duration,
    /// The number of events before it.
    pub event: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.witness)?;
        if let Some(node) = self.node {
            write!(f, ", on {node}")?;
        }
        write!(f, ", at event {} after {:?}", self.event, self.time)
    }
}

/// A simulation that is about to run.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub profile: String,
    pub seed: u64,
    pub rates: Rates,
    /// If not empty, the rates are drawn from it instead; see [`Rates::draw`].
    pub menu: &'static [(FaultKind, u32)],
    pub edits: Edits,
    pub limits: Limits,
    pub recording: Recording,
    /// Keep every decision for [`Outcome::decisions`].
    pub record_decisions: bool,
}

impl Simulation {
    /// Without faults; `profile` is the first part of the run's name.
    pub fn new(profile: impl Into<String>, seed: u64) -> Self {
        Self {
            profile: profile.into(),
            seed,
            rates: Rates::none(),
            menu: &[],
            edits: Edits::default(),
            limits: Limits::default(),
            recording: Recording::Off,
            record_decisions: false,
        }
    }

    pub fn with_rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// Draws the rates by the seed from a menu of (kind, highest rate).
    pub fn with_menu(mut self, menu: &'static [(FaultKind, u32)]) -> Self {
        self.menu = menu;
        self
    }

    pub fn with_recording(mut self, recording: Recording) -> Self {
        self.recording = recording;
        self
    }

    /// Runs `main` as the harness, on a thread of its own. The run ends when `main` does, or at the first failure.
    pub fn run<T, M, F>(self, main: M) -> Outcome<T>
    where
        T: Send + 'static,
        M: FnOnce(World) -> F + Send,
        F: Future<Output = T> + 'static,
    {
        run_isolated(self.seed, move || self.run_here(main))
    }

    fn run_here<T, M, F>(self, main: M) -> Outcome<T>
    where
        T: 'static,
        M: FnOnce(World) -> F,
        F: Future<Output = T> + 'static,
    {
        let decisions = Decisions::new(self.seed, self.edits, self.record_decisions);
        let (rates, menu) = match self.menu {
            [] => {
                let kinds = self.rates.kinds().collect();
                (self.rates, kinds)
            }
            menu => {
                let kinds = menu.iter().map(|(kind, _)| *kind);
                (Rates::draw(&decisions, menu), kinds.collect())
            }
        };
        let faults = Faults::new(rates);
        let world = World::new(decisions, faults, self.limits, self.recording);
        let result = Rc::new(RefCell::new(None));
        let slot = result.clone();
        let harness = main(world.clone());
        let ending = world.clone();
        world.spawn_harness(async move {
            let value = harness.await;
            *slot.borrow_mut() = Some(value);
            ending.finish();
        });
        drive(&world);
        let polls = world.polls.get();
        let simulated = world.elapsed();
        let name = RunName {
            profile: self.profile,
            seed: self.seed,
            hash: Some(world.trace.borrow().hash()),
        };
        let recorded = world.decisions().take_record();
        let faults = world.faults().table();
        let events = world.events();
        let decisions = world.decisions().as_edits(&recorded);
        let idle_edits = world.decisions().idle_edits();
        let free_draws = world.decisions().free_draws();
        let checkpoints = world.trace.borrow().checkpoints().to_vec();
        let nodes = world.nodes();
        let nodes = nodes.into_iter().map(|node| world.name(node)).collect();
        world.end();
        let silent = Trace::new(Recording::Off);
        Outcome {
            name,
            polls,
            operations: world.operations.get(),
            tally: world.tally.take(),
            simulated,
            events,
            faults,
            menu,
            checkpoints,
            decisions,
            idle_edits,
            free_draws,
            history: world.told.take(),
            partitions: world.partitions.take(),
            nodes,
            trace: world.trace.replace(silent).into_events(),
            failure: world.take_failure(),
            value: result.take(),
        }
    }
}

/// An event of the history, and when the judges heard of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// Simulated nanoseconds since the start.
    pub time: u64,
    /// Events of the trace before it.
    pub events: u64,
    /// The number of the node that told it; 0 is the harness.
    pub node: u32,
    pub event: crate::history::Event,
}

/// What came of a simulation.
#[derive(Debug)]
pub struct Outcome<T> {
    /// With the hash.
    pub name: RunName,
    /// `None` if the run kept all its promises.
    pub failure: Option<Failure>,
    /// What the harness returned, unless the run failed before.
    pub value: Option<T>,
    pub events: u64,
    pub polls: u64,
    /// What the workload counted.
    pub operations: u64,
    /// How often what the workload wanted counted happened.
    pub tally: BTreeMap<&'static str, u64>,
    pub simulated: Duration,
    pub faults: Vec<FaultCount>,
    /// The kinds of faults that seeds of its profile may be dealt.
    pub menu: Vec<FaultKind>,
    pub checkpoints: Vec<Checkpoint>,
    /// The recorded events, if recording was on.
    pub trace: Vec<Event>,
    /// What the judges were told, if recording was full.
    pub history: Vec<Told>,
    /// The names of partitions, if recording was full.
    pub partitions: BTreeMap<taffrail_record::TopicPartition, String>,
    /// The names of the nodes, in the order of their numbers.
    pub nodes: Vec<String>,
    /// Those of the run's edits that decided nothing, since nobody drew what they name.
    pub idle_edits: Edits,
    /// How many draws the edits left to the seed.
    pub free_draws: u64,
    /// The recorded decisions, if they were kept; they drive the same run without its seed.
    pub decisions: Edits,
}

/// A fault that struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    pub time: Duration,
    /// The node's name; `world`, if it was all of them.
    pub node: String,
    pub kind: FaultKind,
    /// At which fault point, if it was one.
    pub point: Option<String>,
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        write!(f, "{seconds:.6} s, {}: {}", self.node, self.kind.name())?;
        match &self.point {
            Some(point) => write!(f, " ({point})"),
            None => Ok(()),
        }
    }
}

impl<T> Outcome<T> {
    /// The faults that struck, as far as the trace was recorded.
    pub fn strikes(&self) -> Vec<Strike> {
        let faults = self.trace.iter().filter(|e| e.kind == EventKind::Fault);
        let strike = |event: &Event| {
            let node = (event.node as usize).checked_sub(1);
            let node = node.map_or(Some("world"), |node| Some(self.nodes.get(node)?.as_str()));
            Some(Strike {
                time: Duration::from_nanos(event.time),
                node: node?.to_owned(),
                kind: FaultKind::numbered(event.a)?,
                point: event.text.clone(),
            })
        };
        faults.filter_map(strike).collect()
    }

    /// The harness's value; panics with the run's name and the verdict if it failed.
    pub fn expect_ok(self) -> T {
        match (self.failure, self.value) {
            (None, Some(value)) => value,
            (Some(failure), _) => panic!("{}: {failure}", self.name),
            (None, None) => panic!("{}: the harness never returned", self.name),
        }
    }
}
