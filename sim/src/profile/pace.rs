//! Measuring sticks: the profiles `idle` and `busy`, a broker and three clients that do next to nothing, or send 1,000 requests in a
//! simulated second through every fault. How much of their time passes in a second of a core is the speed of the simulator.

use super::broker::STORAGE_MENU;
use crate::fault::Rates;
use crate::history::Owed;
use crate::run::{Outcome, Simulation};
use crate::testbed::{ClientNode, Cluster, ClusterOptions};
use crate::workload::pace;
use crate::world::World;
use std::time::Duration;
use taffrail_client::{ConsumerOptions, OffsetReset, StartAt, TopicPartitionName};

const TOPIC: &str = "measured";
const PARTITIONS: i32 = 8;
const CLIENTS: u32 = 3;
/// How long the clients of `idle` wait for records that do not come.
const IDLENESS: Duration = Duration::from_secs(600);
/// How long a topic may take to be made, while nothing is broken.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long those of `busy` send.
const BUSTLE: Duration = Duration::from_secs(60);
/// Of the highest rates of the profile `storage`: so much of everything that the broker is up for most of the time.
const RATE_DIVISOR: u32 = 20;
/// Between two requests of one client: three of them send 1,000 in a second.
const GAP: Duration = Duration::from_millis(3);

/// Three consumers wait, each with one fetch at a time.
pub(super) fn idle(simulation: Simulation) -> Outcome<()> {
    simulation.run(|world| async move {
        let options = ClusterOptions {
            draws_sizes: false,
            ..ClusterOptions::default()
        };
        let cluster = begin(&world, options).await;
        world.phase("idle");
        for number in 0..CLIENTS {
            cluster.client(&format!("waiter-{number}"), wait_for_records);
        }
        world.sleep(IDLENESS).await;
    })
}

/// Three clients keep their pace whatever is broken. Every kind of fault may strike in every run.
pub(super) fn busy(simulation: Simulation) -> Outcome<()> {
    let mut rates = Rates::none();
    for (kind, most) in STORAGE_MENU {
        rates.set(*kind, (most / RATE_DIVISOR).max(1));
    }
    simulation.with_rates(rates).run(|world| async move {
        let options = ClusterOptions {
            damages_synced_data: true,
            ..ClusterOptions::default()
        };
        let cluster = begin(&world, options).await;
        world.phase("busy");
        let stage = cluster.stage();
        for number in 0..CLIENTS {
            let (stage, id) = (stage.clone(), cluster.next_client());
            cluster.client(&format!("walker-{number}"), move |node| {
                pace::run(node.env, stage, id, GAP)
            });
        }
        cluster.rage(BUSTLE).await;
        stage.conclude();
    })
}

/// A cluster with its topic, not yet broken.
async fn begin(world: &World, options: ClusterOptions) -> Cluster {
    let rates = world.faults().rates();
    world.faults().set_rates(Rates::none());
    let cluster = Cluster::start(world, options).await;
    let begun = world.elapsed();
    let made = cluster.create_topic(TOPIC, PARTITIONS, &[]).await;
    let made = made.map(|()| world.elapsed() - begun);
    let made = made.map_err(|why| why.to_string());
    cluster
        .stage()
        .tell_wait(Owed::Topic, TOPIC, made, PATIENCE);
    world.faults().set_rates(rates);
    cluster
}

async fn wait_for_records(node: ClientNode) {
    let consumer = node.consumer(ConsumerOptions {
        offset_reset: OffsetReset::Earliest,
        ..ConsumerOptions::default()
    });
    let partitions: Vec<_> = (0..PARTITIONS)
        .map(|partition| TopicPartitionName::new(TOPIC, partition))
        .map(|name| (name, StartAt::Earliest))
        .collect();
    consumer.assign(&partitions);
    // Until the run ends: nothing comes.
    while consumer.poll(Duration::from_secs(5)).await.is_ok() {}
}
