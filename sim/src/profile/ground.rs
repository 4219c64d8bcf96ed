//! The ground's own profile: a log server of a hundred lines, its clients, and the promise ACKED-DURABLE.
//!
//! The server appends values to one file, syncs, and answers with the place. After a restart it copies what
//! is whole into a new file, syncs that and renames it, because after a failed sync the cache shows bytes
//! that the platter never got. Every acknowledged value must be in the recovered log at its place, always.

use crate::chaos::Chaos;
use crate::checker::{Court, Violation};
use crate::env::SimEnv;
use crate::fault::FaultKind;
use crate::history::{Event, Owed};
use crate::node::{NodeId, NodeOptions};
use crate::run::{Outcome, Simulation};
use crate::trace::digest;
use crate::world::World;
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use taffrail_env::disk::{Directory, Disk, DiskResult, File, OpenMode, read_full};
use taffrail_env::{Clock, Connection, Entropy, Listener, Net, Spawn};

const CLIENTS: u64 = 3;
const RAGE: Duration = Duration::from_secs(20);
/// Longer than a dead process stays down and a lost packet is repeated.
const CALM: Duration = Duration::from_secs(15);
/// A value and its digest.
const ENTRY: usize = 16;

/// What this profile may break, and how often at most.
const MENU: &[(FaultKind, u32)] = &[
    (FaultKind::DiskSyncFailed, 10_000),
    (FaultKind::DiskReadError, 10_000),
    (FaultKind::DiskWriteError, 10_000),
    (FaultKind::DiskMetadataError, 50_000),
    (FaultKind::DiskNoSpace, 10_000),
    (FaultKind::DiskShortRead, 300_000),
    (FaultKind::DiskStall, 1_000),
    (FaultKind::DiskSlow, 300_000),
    (FaultKind::DiskTornSector, 800_000),
    (FaultKind::DiskCacheDropped, 500_000),
    (FaultKind::NetTail, 50_000),
    (FaultKind::NetReset, 50_000),
    (FaultKind::NetRefused, 200_000),
    (FaultKind::NetAcceptStall, 100_000),
    (FaultKind::NetSplit, 500_000),
    (FaultKind::NetShortRead, 500_000),
    (FaultKind::NetSmallWindow, 500_000),
    (FaultKind::NetHalfOpen, 500_000),
    (FaultKind::NetCut, 20_000),
    (FaultKind::NodeKill, 50_000),
    (FaultKind::NodeKillInRecovery, 300_000),
    (FaultKind::NodePowerCut, 50_000),
    (FaultKind::NodePause, 10_000),
    (FaultKind::NodeStarve, 500_000),
    (FaultKind::ClockOffset, 500_000),
    (FaultKind::ClockDrift, 500_000),
    (FaultKind::ClockStep, 20_000),
    (FaultKind::ClockFreeze, 20_000),
];

/// What the clients were promised: values by place.
#[derive(Default)]
pub(super) struct Promises {
    acknowledged: RefCell<BTreeMap<u64, u64>>,
    raging: Cell<bool>,
}

/// How careful the server's recovery is; the careless one is there to show that the ground finds it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Recovery {
    Copies,
    #[cfg(test)]
    TrustsTheCache,
}

pub(super) fn run(simulation: Simulation) -> Outcome<()> {
    run_with(simulation, Recovery::Copies)
}

pub(super) fn run_with(simulation: Simulation, recovery: Recovery) -> Outcome<()> {
    let simulation = simulation.with_menu(MENU);
    simulation.run(move |world| story(world, recovery))
}

async fn story(world: World, recovery: Recovery) {
    let promises = Rc::new(Promises::default());
    let server = world.add_node(NodeOptions::named("server"));
    let told = promises.clone();
    let chaos = Chaos::begin(&world, &[server], move |world, node| {
        let (judge, promises) = (world.clone(), told.clone());
        world.start(node, move |env| async move {
            // Any error ends the process; the next one recovers.
            let _ended = serve(env, judge, promises, recovery).await;
        });
    });
    promises.raging.set(true);
    let clients: Vec<NodeId> = (0..CLIENTS)
        .map(|index| world.add_node(NodeOptions::named(format!("client{index}"))))
        .collect();
    for client in &clients {
        let (judge, promises) = (world.clone(), promises.clone());
        world.start(*client, move |env| produce(env, judge, promises));
    }
    world.phase("chaos");
    chaos.rage(RAGE).await;
    chaos.heal();
    world.phase("healed");
    let before = promises.acknowledged.borrow().len();
    world.sleep(CALM).await;
    let waited = Event::Awaited {
        owed: Owed::Intake,
        of: "the log".to_owned(),
        came: match promises.acknowledged.borrow().len() > before {
            true => Ok(CALM),
            false => Err("nothing was acknowledged in the calm after the heal".to_owned()),
        },
        patience: CALM,
    };
    if let Err(Violation { invariant, witness }) = Court::default().on_event(&waited) {
        world.fail(invariant, witness);
    }
    world.power_cut(&[server]);
    world.sleep(Duration::from_secs(2)).await;
}

/// One process of the server, until something fails.
async fn serve(
    env: SimEnv,
    judge: World,
    promises: Rc<Promises>,
    recovery: Recovery,
) -> DiskResult<()> {
    let (file, values) = recover(&env, recovery).await?;
    check(&judge, &promises, &values);
    let Ok(listener) = env.listen("0.0.0.0:9092").await else {
        return Ok(());
    };
    let log = Rc::new(Log {
        file,
        end: Cell::new(values.len() as u64),
        broken: Cell::new(false),
    });
    while let Ok(connection) = listener.accept().await {
        if log.broken.get() {
            break;
        }
        let log = log.clone();
        env.spawn(async move {
            let mut request = BytesMut::new();
            while let Ok(1..) = connection.read(&mut request, 64).await {
                while request.len() >= 8 {
                    let value = request.split_to(8).freeze();
                    let Ok(place) = log.append(&value).await else {
                        log.broken.set(true);
                        return;
                    };
                    let answer = Bytes::copy_from_slice(&place.to_le_bytes());
                    if connection.write(vec![answer]).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
    Ok(())
}

struct Log<F> {
    file: F,
    end: Cell<u64>,
    broken: Cell<bool>,
}

impl<F: File> Log<F> {
    async fn append(&self, value: &Bytes) -> DiskResult<u64> {
        let place = self.end.replace(self.end.get() + 1);
        let check = Bytes::copy_from_slice(&digest(value).to_le_bytes());
        let written = self
            .file
            .write_at(place * ENTRY as u64, vec![value.clone(), check]);
        written.await?;
        self.file.sync().await?;
        Ok(place)
    }
}

/// The longest whole prefix of the log, in a file that holds nothing else and is durable with its name.
async fn recover(
    env: &SimEnv,
    recovery: Recovery,
) -> DiskResult<(<SimEnv as Disk>::File, Vec<u64>)> {
    let (name, beside) = (Path::new("/data/log"), Path::new("/data/log.new"));
    let old = env.open(name, OpenMode::CreateOrOpen).await?;
    let len = old.len().await?;
    let contents = read_full(&old, 0, len as usize).await?;
    let values: Vec<u64> = contents.chunks_exact(ENTRY).map_while(entry).collect();
    let whole = values.len() * ENTRY;
    let directory = env.open_directory(Path::new("/data")).await?;
    match recovery {
        Recovery::Copies => {
            let new = env.open(beside, OpenMode::CreateOrOpen).await?;
            new.truncate(0).await?;
            let copied = contents.freeze().slice(..whole);
            new.write_at(0, vec![copied]).await?;
            new.sync().await?;
            env.rename(beside, name).await?;
            directory.sync().await?;
            Ok((new, values))
        }
        #[cfg(test)]
        Recovery::TrustsTheCache => {
            old.truncate(whole as u64).await?;
            old.sync().await?;
            directory.sync().await?;
            Ok((old, values))
        }
    }
}

fn entry(bytes: &[u8]) -> Option<u64> {
    let (value, check) = bytes.split_at(8);
    let whole = digest(value).to_le_bytes() == check;
    let value = value.try_into().map(u64::from_le_bytes).ok()?;
    whole.then_some(value)
}

fn check(judge: &World, promises: &Promises, values: &[u64]) {
    for (place, value) in promises.acknowledged.borrow().iter() {
        match values.get(*place as usize) {
            Some(found) if found == value => {}
            found => judge.fail(
                "ACKED-DURABLE",
                format!("value {value} was acknowledged at {place}; recovered: {found:?}"),
            ),
        }
    }
}

/// Sends values for as long as the run lasts, each on the connection of the one before if that still works.
async fn produce(env: SimEnv, judge: World, promises: Rc<Promises>) {
    loop {
        let pause = env.random_u64("pause") % 50_000_000;
        env.sleep(Duration::from_nanos(pause)).await;
        let Ok(connection) = env.connect("server:9092").await else {
            continue;
        };
        while let Some((place, value)) = exchange(&env, &connection).await {
            let before = promises.acknowledged.borrow_mut().insert(place, value);
            if let Some(before) = before {
                let witness = format!("place {place} was given to {before} and to {value}");
                judge.fail("OFFSET-UNIQUE", witness);
            }
            judge.count_operation();
            env.sleep(Duration::from_millis(10)).await;
        }
    }
}

/// One value there and its place back; none if the connection broke or a second passed.
async fn exchange<C: Connection>(env: &SimEnv, connection: &C) -> Option<(u64, u64)> {
    let value = env.random_u64("value");
    let talk = async {
        let request = Bytes::copy_from_slice(&value.to_le_bytes());
        connection.write(vec![request]).await.ok()?;
        let mut answer = BytesMut::new();
        while answer.len() < 8 {
            if connection.read(&mut answer, 8).await.ok()? == 0 {
                return None;
            }
        }
        let place = answer[..8].try_into().ok()?;
        Some((u64::from_le_bytes(place), value))
    };
    let patience = env.sleep(Duration::from_secs(1));
    let (talk, patience) = (std::pin::pin!(talk), std::pin::pin!(patience));
    match futures_util::future::select(talk, patience).await {
        futures_util::future::Either::Left((result, _)) => result,
        futures_util::future::Either::Right(_) => None,
    }
}

#[cfg(test)]
mod tests;
