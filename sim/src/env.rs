//! What a simulated process sees: [`SimEnv`], the twin of the operating system.
//!
//! Each entry asks first whether the process is alive. A dead one's calls stay pending and change nothing.

use crate::node::{Life, Node, NodeId};
use crate::scheduler::Owner;
use crate::world::{Alarm, World};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use taffrail_env::{Clock, Entropy, FaultPoints, Instant, Spawn};

/// The ground as one shard of one process of one node sees it.
#[derive(Clone)]
pub struct SimEnv(Rc<Ground>);

struct Ground {
    world: World,
    node: Rc<Node>,
    life: Rc<Life>,
    shard: usize,
}

impl SimEnv {
    pub(crate) fn new(world: World, node: Rc<Node>, life: Rc<Life>, shard: usize) -> Self {
        Self(Rc::new(Ground {
            world,
            node,
            life,
            shard,
        }))
    }

    /// The node this process runs on.
    pub fn node_id(&self) -> NodeId {
        self.0.node.id
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn node(&self) -> &Rc<Node> {
        &self.0.node
    }

    pub(crate) fn life(&self) -> &Rc<Life> {
        &self.0.life
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.0.life.alive.get()
    }
}

impl Clock for SimEnv {
    fn now(&self) -> Instant {
        Instant(self.0.node.clock.monotonic(self.0.world.nanos()))
    }

    fn unix_ms(&self) -> i64 {
        self.0.node.clock.unix_ms(self.0.world.nanos())
    }

    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> + 'static {
        let env = self.clone();
        let at = self.0.node.clock.world_time_of(deadline.0);
        let mut alarm = Alarm::new(self.0.world.clone());
        poll_fn(move |context| {
            if !env.is_alive() {
                return Poll::Pending;
            }
            if at == u64::MAX {
                // Nothing happens after the end of time.
                return Poll::Pending;
            }
            alarm.poll_at(at, context)
        })
    }
}

impl Entropy for SimEnv {
    fn fill(&self, label: &'static str, buffer: &mut [u8]) {
        let decisions = self.0.world.decisions();
        let stream = self.0.node.entropy_stream(label, decisions);
        for chunk in buffer.chunks_mut(8) {
            let bits = decisions.bits(stream).to_le_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
    }
}

impl FaultPoints for SimEnv {
    fn strikes_at(&self, point: &'static str) -> bool {
        self.is_alive() && self.0.world.strikes_at(&self.0.node, point)
    }
}

impl Spawn for SimEnv {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if self.is_alive() {
            let owner = Owner {
                life: Some(self.0.life.clone()),
                shard: self.0.shard,
            };
            self.0.world.spawn_task(owner, task);
        }
    }

    fn shard(&self) -> usize {
        self.0.shard
    }

    fn start_shard<M, F>(&self, index: usize, main: M)
    where
        M: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        if !self.is_alive() {
            return;
        }
        let ground = &self.0;
        let env = SimEnv::new(
            ground.world.clone(),
            ground.node.clone(),
            ground.life.clone(),
            index,
        );
        let owner = Owner {
            life: Some(ground.life.clone()),
            shard: index,
        };
        let (world, life) = (ground.world.clone(), ground.life.clone());
        ground.world.spawn_task(owner, async move {
            main(env).await;
            world.retire(life, index);
        });
    }
}
