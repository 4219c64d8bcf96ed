//! Deaths: at every single disk operation, again while recovering, and over and over in one life.

use super::model::{Model, Node, Shared, check, work};
use super::{DIRECTORY, small};
use crate::offline::{self, Finding};
use crate::testing::{Dice, DiskWorld, Fault, TestEnv};
use crate::{Health, Options};
use std::path::Path;
use std::rc::Rc;

/// One start: recovers, checks, works. Then the power goes, or the process, or it is stopped.
struct Start {
    seed: u64,
    fault: Option<Fault>,
    steps: u64,
    stop: bool,
    shards: usize,
}

/// What a start left.
struct Left {
    disk: DiskWorld,
    operations: u64,
}

fn options(dice: &Dice) -> Options {
    Options {
        tail_cache_bytes: [0, 4 << 10][dice.below(2) as usize],
        group_bytes_max: [2 << 10, 16 << 10][dice.below(2) as usize],
        flush_bytes: [1, 8 << 10][dice.below(2) as usize],
        ..small()
    }
}

fn run(disk: DiskWorld, model: &Shared, start: &Start) -> Left {
    let env = TestEnv::new(start.seed, disk);
    env.0.disk.borrow_mut().fault = start.fault;
    let options = options(&env.0.dice);
    let (inner, shared) = (env.clone(), model.clone());
    let (steps, stop, shards) = (start.steps, start.stop, start.shards);
    let ended = env.run(async move {
        let node = Node::open(&inner, options, shards).await;
        inner.watch(node.all_failed());
        check(&node, &shared).await;
        work(&inner, &node, &shared, steps).await;
        if stop {
            let fine = node.shutdown().await;
            let failed = node
                .shards
                .iter()
                .any(|logs| matches!(logs.health(), Health::Failed(_)));
            assert!(fine || failed);
        }
        check_failure(&inner, &node, &shared).await;
    });
    let (dead, operations, late) = {
        let disk = env.0.disk.borrow();
        (
            disk.is_dead(),
            disk.operations,
            disk.writes_after_failure.clone(),
        )
    };
    assert!(ended.is_some() || dead, "seed {}: it hangs", start.seed);
    let allowed = |operation: &String| operation.starts_with("reserve");
    assert!(
        late.iter().all(allowed),
        "written after a failure: {late:?}"
    );
    let power = env.0.dice.below(3) > 0;
    let disk = if dead || power && !(stop && ended.is_some()) {
        env.cut_power()
    } else {
        env.kill()
    };
    Left { disk, operations }
}

/// After a failed write what is there can still be read.
async fn check_failure(env: &TestEnv, node: &Node, model: &Shared) {
    let failed = env.0.disk.borrow().failed;
    if failed && node.shards.iter().all(|logs| !logs.all().is_empty()) {
        check(node, model).await;
    }
}

/// After all that, a directory that is written to once more and stopped holds its logs and nothing else.
fn no_litter(disk: DiskWorld, seed: u64) {
    let env = TestEnv::new(seed, disk);
    let inner = env.clone();
    env.run(async move {
        let node = Node::open(&inner, small(), 1).await;
        let logs = &node.shards[0];
        for id in logs.all() {
            let log = logs.get(id).expect("there");
            log.set_config(super::model::config());
            log.append(super::batch(b"last"), 5)
                .await
                .expect("appended");
        }
        logs.housekeep().await;
        assert!(node.shutdown().await);
    })
    .expect("it ends");
    let env = TestEnv::new(seed, env.kill());
    let inner = env.clone();
    env.run(async move {
        let mut lines = Vec::new();
        let mut report = |finding: Finding| lines.push(finding.to_string());
        let verified = offline::verify(&inner, Path::new(DIRECTORY), &mut report)
            .await
            .expect("it can be looked at");
        assert_eq!(lines, [""; 0], "seed {seed}");
        let files = inner.0.disk.borrow().files();
        let ends = |suffix: &str| {
            let named = files.iter().filter(|path| {
                let path = path.to_string_lossy();
                path.contains("/partitions/") && path.ends_with(suffix)
            });
            named.count() as u64
        };
        assert_eq!(ends(".log"), verified.segments, "{files:?}");
        assert_eq!(ends(".deleted") + ends(".new"), 0, "{files:?}");
    })
    .expect("it ends");
}

fn shared() -> Shared {
    Rc::new(Model::default().into())
}

#[test]
fn nothing_acknowledged_is_lost_whichever_disk_operation_is_the_last() {
    let base = |fault| Start {
        seed: 42,
        fault,
        steps: 160,
        stop: true,
        shards: 1,
    };
    let operations = run(DiskWorld::new(), &shared(), &base(None)).operations;
    assert!(operations > 300, "only {operations} operations");
    for at in 1..=operations {
        let model = shared();
        let left = run(DiskWorld::new(), &model, &base(Some(Fault::PowerCut(at))));
        let after = Start {
            seed: at,
            fault: None,
            steps: 10,
            stop: true,
            shards: 1 + at as usize % 3,
        };
        let left = run(left.disk, &model, &after);
        let left = run(left.disk, &model, &after);
        no_litter(left.disk, at);
    }
}

#[test]
fn recovery_may_die_at_any_operation_too() {
    for round in 0..3 {
        let model = shared();
        let first = Start {
            seed: 900 + round,
            fault: None,
            steps: 150,
            stop: false,
            shards: 1,
        };
        let left = run(DiskWorld::new(), &model, &first).disk;
        let known = model.borrow().clone();
        let recovery = |at| Start {
            seed: 1000 + at,
            fault: Some(Fault::PowerCut(at)),
            steps: 0,
            stop: true,
            shards: 2,
        };
        let mut at = 1;
        loop {
            let model: Shared = Rc::new(known.clone().into());
            let died = run(left.clone(), &model, &recovery(at));
            let done = died.operations < at;
            let finish = Start {
                fault: None,
                steps: 0,
                ..recovery(at)
            };
            run(died.disk, &model, &finish);
            if done {
                break;
            }
            at += 1;
        }
    }
}

#[test]
fn lives_of_many_deaths_keep_their_promises() {
    for seed in 0..60 {
        let dice = Dice::new(seed);
        let model = shared();
        let mut disk = DiskWorld::new();
        for life in 0..6 {
            let fault = match dice.below(4) {
                0 => None,
                1 => Some(Fault::WriteError(1 + dice.below(600))),
                _ => Some(Fault::PowerCut(1 + dice.below(900))),
            };
            // A new directory that cannot be written is refused, which is another test's business.
            let fault = match fault {
                Some(Fault::WriteError(at)) => Some(Fault::WriteError(at + 60)),
                fault => fault,
            };
            let start = Start {
                seed: seed * 100 + life,
                fault,
                steps: 50 + dice.below(300),
                stop: dice.below(2) == 0,
                shards: 1 + dice.below(3) as usize,
            };
            disk = run(disk, &model, &start).disk;
        }
        let last = Start {
            seed: seed * 100 + 99,
            fault: None,
            steps: 20,
            stop: true,
            shards: 1,
        };
        let disk = run(disk, &model, &last).disk;
        let disk = run(disk, &model, &last).disk;
        no_litter(disk, seed);
        assert!(model.borrow().appends_acked > 20);
    }
}
