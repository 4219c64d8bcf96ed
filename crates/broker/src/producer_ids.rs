//! Producer ids that nobody had before, handed out from blocks that are logged in the metadata.
//!
//! What must hold: no id is handed out before its block has committed; a block that was begun is not continued after a restart.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_channel::oneshot;
use taffrail_env::Env;
use taffrail_record::ProducerId;
use taffrail_wire::ErrorCode;

use crate::controller::Controller;
use crate::metadata::{Command, Done};
use crate::node::NodeConfig;

/// Ids in a block, as in Kafka.
pub(crate) const IDS_PER_BLOCK: u32 = 1000;

/// The block in use.
pub(crate) struct ProducerIds<E: Env> {
    node_id: i32,
    block: u32,
    controller: Rc<Controller<E>>,
    next: Cell<ProducerId>,
    end: Cell<ProducerId>,
    /// Those who wait for the block that somebody has asked for; `None` while nobody has.
    waiting: RefCell<Option<Vec<oneshot::Sender<()>>>>,
}

impl<E: Env> ProducerIds<E> {
    pub fn new(config: &NodeConfig, controller: Rc<Controller<E>>) -> ProducerIds<E> {
        ProducerIds {
            node_id: config.node_id,
            block: config.producer_ids_per_block,
            controller,
            next: Cell::new(0),
            end: Cell::new(0),
            waiting: RefCell::new(None),
        }
    }

    fn take(&self) -> Option<ProducerId> {
        let id = self.next.get();
        (id < self.end.get()).then(|| {
            self.next.set(id + 1);
            id
        })
    }

    /// The next id.
    pub async fn next(&self) -> Result<ProducerId, ErrorCode> {
        loop {
            if let Some(id) = self.take() {
                return Ok(id);
            }
            let turn = match &mut *self.waiting.borrow_mut() {
                Some(waiting) => {
                    let (sender, turn) = oneshot::channel();
                    waiting.push(sender);
                    Some(turn)
                }
                none => {
                    *none = Some(Vec::new());
                    None
                }
            };
            match turn {
                // Ready, one way or the other, when whoever asked is done or has given up.
                Some(turn) => {
                    let _ = turn.await;
                }
                None => {
                    let _asking = Asking(&self.waiting);
                    self.ask().await?;
                }
            }
        }
    }

    async fn ask(&self) -> Result<(), ErrorCode> {
        let command = Command::AllocateProducerIds {
            broker: self.node_id,
            count: self.block,
        };
        match self.controller.submit(command).await {
            Ok(Ok(Done::ProducerIds { first, count })) => {
                self.next.set(first);
                self.end.set(first + ProducerId::from(count));
                Ok(())
            }
            Ok(other) => {
                tracing::error!("no producer ids: {other:?}");
                Err(ErrorCode::UnknownServerError)
            }
            Err(error) => {
                tracing::warn!("no producer ids: {error}");
                Err(ErrorCode::CoordinatorNotAvailable)
            }
        }
    }
}

/// Somebody asks for a block. When it is dropped, those who wait look again.
struct Asking<'a>(&'a RefCell<Option<Vec<oneshot::Sender<()>>>>);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().take();
    }
}
