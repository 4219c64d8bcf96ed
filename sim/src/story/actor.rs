//! A client of a story: a process on a node of its own that does one errand after the other.

use crate::env::SimEnv;
use crate::node::{NodeId, NodeOptions};
use crate::world::{LocalFuture, World};
use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::{Client, ClientOptions, Consumer, Fetched, Producer, ProducerOptions};
use taffrail_env::Spawn;

/// What the client has at hand.
pub struct Hands {
    pub env: SimEnv,
    pub client: Client<SimEnv>,
    /// By how they were described.
    producers: RefCell<BTreeMap<String, Rc<Producer<SimEnv>>>>,
    /// Its membership in a group.
    pub member: RefCell<Option<Rc<Member>>>,
}

impl Hands {
    /// The producer that was described like this before, or a new one.
    pub fn producer(&self, options: &ProducerOptions) -> Rc<Producer<SimEnv>> {
        let mut producers = self.producers.borrow_mut();
        let producer = producers.entry(format!("{options:?}"));
        producer
            .or_insert_with(|| Rc::new(Producer::new(&self.client, options.clone())))
            .clone()
    }
}

/// A consumer in a group, and what it read since somebody last asked.
pub struct Member {
    pub consumer: RefCell<Option<Rc<Consumer<SimEnv>>>>,
    pub seen: RefCell<Vec<Fetched>>,
    pub said: RefCell<Vec<String>>,
}

type Errand = Box<dyn FnOnce(Rc<Hands>) -> LocalFuture<()>>;

/// The way to a client's process.
pub struct Actor {
    pub node: NodeId,
    errands: mpsc::UnboundedSender<Errand>,
}

impl Actor {
    /// Starts the client on `node`, or on a new one of its name.
    pub fn start(world: &World, name: &str, node: Option<NodeId>, broker: &str) -> Actor {
        let node = node.unwrap_or_else(|| world.add_node(NodeOptions::named(name)));
        let (errands, mut taken) = mpsc::unbounded::<Errand>();
        let (bootstrap, client_id) = (vec![broker.to_owned()], name.to_owned());
        world.start(node, move |env| async move {
            let options = ClientOptions {
                client_id,
                operation_timeout: Duration::from_secs(30),
                ..ClientOptions::default()
            };
            let hands = Rc::new(Hands {
                client: Client::new(&env, &bootstrap, options),
                env: env.clone(),
                producers: RefCell::default(),
                member: RefCell::default(),
            });
            while let Some(errand) = taken.next().await {
                env.spawn(errand(hands.clone()));
            }
        });
        Actor { node, errands }
    }

    /// Has something done; `None` if the client dies first, or is dead.
    pub fn ask<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        errand: impl FnOnce(Rc<Hands>) -> F + 'static,
    ) -> LocalFuture<Option<T>> {
        let (reply, answer) = oneshot::channel();
        let boxed: Errand = Box::new(move |hands| {
            Box::pin(async move {
                // Whoever asked may have gone on.
                let _ = reply.send(errand(hands).await);
            })
        });
        let sent = self.errands.unbounded_send(boxed);
        Box::pin(async move {
            match sent {
                Ok(()) => answer.await.ok(),
                Err(_) => None,
            }
        })
    }
}
