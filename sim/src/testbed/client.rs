//! Clients of a cluster: closures that run as processes on nodes of their own.

use super::{Cluster, RecordedConsumer, RecordedProducer};
use crate::env::SimEnv;
use crate::node::{NodeId, NodeOptions};
use crate::world::World;
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use taffrail_client::{Admin, Client, ClientOptions, ConsumerOptions, ProducerOptions};

/// What a client has at hand.
pub struct ClientNode {
    /// The node's clock, disk, network and entropy.
    pub env: SimEnv,
    /// The product's own client, which begins with the cluster's addresses.
    pub client: Client<SimEnv>,
    cluster: Cluster,
}

impl ClientNode {
    /// A producer whose sends are judged.
    pub fn producer(&self, options: ProducerOptions) -> RecordedProducer {
        RecordedProducer::new(&self.cluster, &self.client, options)
    }

    /// A consumer whose reads are judged. All that it reads must have been sent by a [`RecordedProducer`].
    pub fn consumer(&self, options: ConsumerOptions) -> RecordedConsumer {
        RecordedConsumer::new(&self.cluster, &self.client, options)
    }

    /// Makes topics and asks about them. What it deletes, judges take for lost; see [`Cluster::delete_topic`].
    pub fn admin(&self) -> Admin<SimEnv> {
        Admin::new(&self.client)
    }
}

/// A client that was started.
pub struct Running<T> {
    /// Where it runs: to be killed, cut off, or used again after its end.
    pub node: NodeId,
    world: World,
    value: Rc<RefCell<Option<T>>>,
}

impl<T> Running<T> {
    /// Waits for its end, and answers what it returned; `None` if it was killed.
    pub async fn join(self) -> Option<T> {
        self.world.exited(self.node).await;
        self.value.take()
    }
}

impl Cluster {
    /// Runs a closure on a new node of this name. What it has spawned dies when it returns, and with it what is on its way.
    pub fn client<T, M, F>(&self, name: &str, main: M) -> Running<T>
    where
        T: 'static,
        M: FnOnce(ClientNode) -> F + 'static,
        F: Future<Output = T> + 'static,
    {
        let node = self.0.world.add_node(NodeOptions::named(name));
        self.client_on(node, main)
    }

    /// The same on a node that is there, and on which nothing runs.
    pub fn client_on<T, M, F>(&self, node: NodeId, main: M) -> Running<T>
    where
        T: 'static,
        M: FnOnce(ClientNode) -> F + 'static,
        F: Future<Output = T> + 'static,
    {
        let world = self.0.world.clone();
        let value = Rc::new(RefCell::new(None));
        let (slot, cluster) = (value.clone(), self.clone());
        let client_id = world.name(node);
        world.start(node, move |env| async move {
            let options = ClientOptions {
                client_id,
                ..ClientOptions::default()
            };
            let client = Client::new(&env, &cluster.addresses(), options);
            let returned = main(ClientNode {
                env,
                client,
                cluster,
            });
            let returned = returned.await;
            *slot.borrow_mut() = Some(returned);
        });
        Running { node, world, value }
    }
}
