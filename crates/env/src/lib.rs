//! The ground: time, disk, network, entropy and tasks, as one trait.
//!
//! Everything in Taffrail that touches reality does so through [`Env`]. There are two: `taffrail-os`, on
//! real files and sockets, and `taffrail-sim`, a deterministic world that breaks them on purpose. The
//! documentation of each trait is a contract that both keep; [`conformance`] is that contract as code.
//!
//! What must hold for every implementation:
//! - A disk operation starts when its method is *called*, not when the future is first polled, runs after
//!   the operations that were called before it on the same file, and finishes even if the future is dropped.
//! - Network operations and sleeps happen only while they are polled, and may be dropped at any time.
//! - Nothing here blocks the thread. Futures are `!Send`: a shard is one thread.
//! - Every wait, buffer and queue is bounded by its caller or by a named maximum.

pub mod clock;
pub mod conformance;
pub mod disk;
pub mod entropy;
pub mod fault_point;
pub mod mailbox;
pub mod net;
pub mod spawn;

pub use clock::{Clock, Instant};
pub use disk::{Directory, Disk, DiskError, DiskErrorKind, DiskOperation, File, OpenMode};
pub use entropy::Entropy;
pub use fault_point::{FaultPoints, dawdle};
pub use net::{Connection, Listener, Net, NetError, NetErrorKind};
pub use spawn::Spawn;

/// All of the ground at once. A handle: cloning is cheap, and every clone is the same node and shard.
pub trait Env: Clock + Disk + Net + Entropy + FaultPoints + Spawn + Clone + 'static {}

impl<T: Clock + Disk + Net + Entropy + FaultPoints + Spawn + Clone + 'static> Env for T {}
