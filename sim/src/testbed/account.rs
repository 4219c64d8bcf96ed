//! What a healed cluster owes: progress, and everything that it acknowledged, after every way of starting again.

use super::{Cluster, PATIENCE};
use crate::cluster::Broker;
use crate::history::Event;
use crate::workload::{producer, read_back};
use std::rc::Rc;
use std::time::Duration;

/// Everything is read so often, each time after another way of starting.
const ROUNDS: u32 = 4;

impl Cluster {
    /// Ends all faults and judges for the last time: every broker serves, every partition takes one more record, every
    /// send comes to an end, and all that was acknowledged is read back; at once, after a kill, after a power cut, and after a
    /// clean stop whose directory an offline verification finds whole. What is not so is the run's failure.
    pub async fn account(&self) {
        self.heal();
        for place in &self.0.places {
            place.broker.atlas().close();
        }
        if !self.makes_progress().await {
            return;
        }
        let reader = self.idle_operator();
        for round in 0..ROUNDS {
            let errand = {
                let (world, stage) = (self.0.world.clone(), self.0.stage.clone());
                self.client_on(reader, move |node| async move {
                    let refused = read_back::run(node.env, stage, round, PATIENCE).await;
                    if let Some((partition, why)) = refused.first() {
                        let witness =
                            format!("{partition} cannot be read back in round {round}: {why}");
                        world.fail("LIVE-CONSUME", witness);
                    }
                    refused.is_empty()
                })
            };
            if errand.join().await != Some(true) {
                return;
            }
            for place in &self.0.places {
                self.look_at_reservations(&place.broker).await;
                if round + 1 < ROUNDS && !self.start_again(&place.broker, round).await {
                    return;
                }
            }
        }
        self.0.stage.conclude();
    }

    async fn makes_progress(&self) -> bool {
        let (world, stage) = (&self.0.world, &self.0.stage);
        for place in &self.0.places {
            if !serves(self, &place.broker, "the healed broker does not come back").await {
                return false;
            }
        }
        let (told, id) = (stage.clone(), self.next_client());
        let probed = self.client_on(self.idle_operator(), move |node| {
            producer::probe(node.env, told, id, PATIENCE)
        });
        let left = probed.join().await.unwrap_or_default();
        if let Some((partition, why)) = left.first() {
            world.fail(
                "LIVE-PRODUCE",
                format!("{partition} takes no record {PATIENCE:?} after the healing: {why}"),
            );
            return false;
        }
        let until = world.elapsed() + PATIENCE;
        while stage.unsettled.get() > 0 {
            if world.elapsed() >= until {
                let unsettled = stage.unsettled.get();
                world.fail(
                    "LIVE-ACK",
                    format!("{unsettled} records have no fate {PATIENCE:?} after the healing"),
                );
                return false;
            }
            world.sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Where nobody asks anything, all reservations of memory must have returned.
    async fn look_at_reservations(&self, broker: &Broker) {
        let world = &self.0.world;
        world.sleep(Duration::from_secs(2)).await;
        let brokers = self.brokers();
        let mut others = world.nodes();
        others.retain(|node| !brokers.contains(node));
        if others.iter().any(|node| world.is_running(*node)) {
            return;
        }
        if let Some(bytes) = broker.reserved_bytes() {
            self.0.stage.tell(Event::IdleReservations {
                node: broker.node.number(),
                what: "bytes of memory",
                held: bytes,
            });
        }
    }

    async fn start_again(&self, broker: &Rc<Broker>, round: u32) -> bool {
        match round {
            0 => broker.kill(),
            1 => broker.power_cut(),
            _ => {
                if let Err(found) = broker.stop_and_verify(PATIENCE).await {
                    self.0.world.fail(found.invariant, found.witness);
                    return false;
                }
            }
        }
        let what = format!("the broker does not come back after round {round}");
        serves(self, broker, &what).await
    }
}

/// Whether it serves in time; if not, the run has failed.
async fn serves(cluster: &Cluster, broker: &Broker, what: &str) -> bool {
    let serves = broker.until_serving(PATIENCE).await;
    if !serves {
        let (invariant, why) = broker.absence();
        cluster.0.world.fail(invariant, format!("{what}: {why}"));
    }
    serves
}
