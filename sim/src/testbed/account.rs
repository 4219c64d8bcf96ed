//! What a healed cluster owes: progress, and everything that it acknowledged, after every way of starting again.

use super::{Cluster, PATIENCE};
use crate::cluster::Broker;
use crate::history::Owed;
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
                    let begun = world.elapsed();
                    let refused = read_back::run(node.env, stage.clone(), round, PATIENCE).await;
                    stage.tell_waits(Owed::ReadBack { round }, refused, begun, PATIENCE)
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
            let back = place
                .broker
                .comes_back(stage, "after the healing", PATIENCE);
            if !back.await {
                return false;
            }
        }
        let (told, id) = (stage.clone(), self.next_client());
        let begun = world.elapsed();
        let probed = self.client_on(self.idle_operator(), move |node| {
            producer::probe(node.env, told, id, PATIENCE)
        });
        let left = probed.join().await.unwrap_or_default();
        if !stage.tell_waits(Owed::Intake, left, begun, PATIENCE) {
            return false;
        }
        let begun = world.elapsed();
        while stage.unsettled.get() > 0 && world.elapsed() < begun + PATIENCE {
            world.sleep(Duration::from_millis(20)).await;
        }
        let fates = match stage.unsettled.get() {
            0 => Ok(world.elapsed() - begun),
            left => Err(format!("{left} records have no fate")),
        };
        stage.tell_wait(Owed::Fates, "the producers", fates, PATIENCE)
    }

    /// Where nobody asks anything, all reservations of memory must have returned, and no read may wait.
    async fn look_at_reservations(&self, broker: &Broker) {
        let world = &self.0.world;
        world.sleep(Duration::from_secs(2)).await;
        let brokers = self.brokers();
        let mut others = world.nodes();
        others.retain(|node| !brokers.contains(node));
        if others.iter().any(|node| world.is_running(*node)) {
            return;
        }
        broker.tell_idle(&self.0.stage).await;
    }

    async fn start_again(&self, broker: &Rc<Broker>, round: u32) -> bool {
        match round {
            0 => broker.kill(),
            1 => broker.power_cut(),
            _ => {
                if !broker.stop_and_verify(&self.0.stage, PATIENCE).await {
                    return false;
                }
            }
        }
        let after = format!("after round {round}");
        broker.comes_back(&self.0.stage, &after, PATIENCE).await
    }
}
