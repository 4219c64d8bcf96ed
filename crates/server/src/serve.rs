//! `taffrail serve`: one node on the real environment, from its options to its end.
//!
//! The admin listener opens first, so that a start in trouble can be seen; then the node recovers and serves; then one line on stdout says
//! where. SIGTERM, SIGINT or SIGHUP ends it cleanly. While it stops a further SIGTERM changes nothing, as with Kafka; a SIGINT, from somebody at a terminal, ends it at once.

use crate::arguments::ServeOptions;
use crate::command::listen;
use crate::command::log::damage;
use crate::config::{self, Plan};
use crate::failure::Failure;
use crate::http::{self, Shown};
use crate::output;
use futures_util::future::{Either, select};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use taffrail_broker::{MetricsSnapshot, Node, NodeConfig, RestoreFailure, StartError};
use taffrail_env::{DiskError, DiskErrorKind, Env, Listener, Net, NetError, NetErrorKind, Spawn};
use taffrail_os::signal::{Termination, Terminations};
use taffrail_os::{Os, process};
use taffrail_storage::{Health, OpenError, Options, ReadError, StorageError};

pub fn run(options: ServeOptions) -> Result<(), Failure> {
    let plan = config::resolve(options)?;
    for warning in &plan.warnings {
        tracing::warn!("{warning}");
    }
    if plan.open_to_anybody {
        tracing::warn!(
            "--insecure: anybody who reaches {} or {} may read, write and delete everything",
            plan.listen,
            plan.admin
        );
    }
    process::raise_descriptor_limit();
    taffrail_os::run(async |os: Os| serve(&os, &plan).await)
}

async fn serve(os: &Os, plan: &Plan) -> Result<(), Failure> {
    let mut signals = listen(os)?;
    let admin = os
        .listen(&plan.admin)
        .await
        .map_err(|error| explain_listen(plan, "admin", &plan.admin, &error))?;
    let admin_address = admin.local_address();
    let view = Rc::new(View {
        node: RefCell::new(None),
        open_to_anybody: plan.open_to_anybody,
    });
    os.spawn(http::serve(os.clone(), admin, view.clone()));
    let node = {
        let starting = pin!(taffrail_broker::start(os.clone(), node_config(plan)));
        match select(starting, pin!(signals.next())).await {
            Either::Left((started, _)) => started.map_err(|error| explain_start(plan, &error))?,
            Either::Right((signal, _)) => {
                tracing::info!("{} during the start: ending", signal.name());
                return Ok(());
            }
        }
    };
    let node = Rc::new(node);
    view.node.replace(Some(node.clone()));
    let ready = ready_line(plan, node.kafka_address(), admin_address);
    // A start script that does not read it is no reason to stop.
    drop(output::text(os, ready).await);
    let signal = signals.next().await;
    tracing::info!("{}: stopping", signal.name());
    stop(&node, &mut signals).await
}

fn node_config(plan: &Plan) -> NodeConfig {
    NodeConfig {
        node_id: plan.node_id,
        listen: plan.listen.clone(),
        advertise: plan.advertise.clone(),
        memory_bytes: plan.memory_bytes,
        // The I/O threads have the last core.
        shards: process::cores().saturating_sub(1).max(1),
        settings: plan.settings.clone(),
        storage: Options::default(),
        ..NodeConfig::new(plan.data.clone())
    }
}

fn ready_line(plan: &Plan, kafka: SocketAddr, admin: SocketAddr) -> String {
    format!(
        "taffrail ready kafka={kafka} admin={admin} node={} data={}\n",
        plan.node_id,
        plan.data.display()
    )
}

async fn stop(node: &Node<Os>, signals: &mut Terminations) -> Result<(), Failure> {
    match unless_interrupted(node.shutdown(), async || signals.next().await).await {
        Some(stopped) => {
            stopped.map_err(|error| Failure::operation(format!("not stopped cleanly: {error}")))?;
            tracing::info!("stopped");
            Ok(())
        }
        // Nothing that was acknowledged is lost; the next start has a little more to do.
        None => Err(Failure::operation(
            "SIGINT again: ended before the clean stop was done",
        )),
    }
}

/// What becomes of a stop; `None` if a SIGINT comes before it is done.
async fn unless_interrupted<T>(
    stopping: impl Future<Output = T>,
    mut next_signal: impl AsyncFnMut() -> Termination,
) -> Option<T> {
    let mut stopping = pin!(stopping);
    loop {
        match select(stopping.as_mut(), pin!(next_signal())).await {
            Either::Left((stopped, _)) => return Some(stopped),
            Either::Right((Termination::Interrupt, _)) => return None,
            Either::Right((again, _)) => {
                tracing::info!("{} while stopping: still stopping", again.name());
            }
        }
    }
}

/// What the admin listener shows of the node.
struct View<E: Env> {
    node: RefCell<Option<Rc<Node<E>>>>,
    open_to_anybody: bool,
}

impl<E: Env> Shown for View<E> {
    fn health(&self) -> (bool, String) {
        let health = self.node.borrow().as_ref().map(|node| node.health());
        let (serves, mut text) = match health {
            None => (false, "starting".to_owned()),
            Some(Health::Serving) => (true, "serving".to_owned()),
            Some(Health::DiskFull) => (
                true,
                "serving reads; the disk is full, writing resumes when there is room".to_owned(),
            ),
            Some(Health::Failed(error)) => (
                false,
                format!("serving reads until the next start: {error}"),
            ),
        };
        if self.open_to_anybody {
            text.push_str("; insecure: open to anybody who reaches the port");
        }
        (serves, text)
    }

    async fn metrics(&self) -> Option<MetricsSnapshot> {
        let node = self.node.borrow().clone()?;
        Some(node.metrics().await)
    }
}

/// A listener that did not open: the key, the value, what would be right.
fn explain_listen(plan: &Plan, option: &'static str, address: &str, error: &NetError) -> Failure {
    let place = plan.place(option);
    match error.kind {
        NetErrorKind::AddressInUse => Failure::usage(format!(
            "{place}: {address} is in use by another program: stop that one, or give another address with --{option} HOST:PORT"
        )),
        NetErrorKind::AddressInvalid => Failure::usage(format!(
            "{place}: {address} is no address of this machine ({}): give one that is, such as 127.0.0.1:9092",
            error.system
        )),
        NetErrorKind::NotPermitted => Failure::usage(format!(
            "{place}: {address}: {}: ports below 1024 are for privileged users; give another with --{option} HOST:PORT",
            error.system
        )),
        _ => Failure::operation(format!("{place}: {address}: {}", error.system)),
    }
}

/// The path is wrong, rather than the disk.
fn names_no_directory(error: &DiskError) -> bool {
    matches!(
        error.kind,
        DiskErrorKind::NotFound | DiskErrorKind::WrongKind | DiskErrorKind::PermissionDenied
    )
}

fn explain_start(plan: &Plan, error: &StartError) -> Failure {
    let damaged = |file: &Path, offset, what: &str| {
        Failure::damaged(format!(
            "{}: {}",
            plan.place("data"),
            damage(file, offset, what)
        ))
    };
    match error {
        StartError::Listen(error) => explain_listen(plan, "listen", &plan.listen, error),
        StartError::Open(OpenError::Damaged { file, offset, what }) => damaged(file, *offset, what),
        StartError::Open(OpenError::Disk(error))
            if error.kind == DiskErrorKind::NotFound
                && error.path != plan.data
                && error.path.starts_with(&plan.data) =>
        {
            let what = format!(
                "{}; a file that belongs to the data directory is gone: put it back, or start with another directory",
                error.system
            );
            damaged(&error.path, 0, &what)
        }
        StartError::Open(open) => explain_open(plan, open),
        StartError::Restore(RestoreFailure::Read(ReadError::Corrupt {
            file,
            position,
            what,
        })) => damaged(file, *position, what),
        StartError::Restore(RestoreFailure::Storage(StorageError::Corrupt { file, what })) => {
            damaged(file, 0, what)
        }
        StartError::Restore(_) => damaged(&plan.data, 0, &error.to_string()),
        StartError::Config(_) | StartError::Option(_) | StartError::OtherNode { .. } => {
            Failure::usage(error)
        }
        StartError::Refused(_) | StartError::Register(_) => Failure::operation(error),
    }
}

/// A data directory that was not opened, and is not damaged.
fn explain_open(plan: &Plan, error: &OpenError) -> Failure {
    let text = format!("{}: {error}", plan.place("data"));
    match error {
        OpenError::OtherProgram { .. }
        | OpenError::NoDataDirectory { .. }
        | OpenError::NotOurs { .. }
        | OpenError::OtherVersion { .. }
        | OpenError::Locked { .. } => Failure::usage(text),
        OpenError::Damaged { .. } => Failure::damaged(text),
        // It could not be opened since it is not there, nor made since its name is: a link whose end is not there.
        OpenError::Disk(error)
            if error.kind == DiskErrorKind::AlreadyExists && error.path == plan.data =>
        {
            Failure::usage(format!(
                "{}: {} is a symbolic link to what is not there; expected one to a directory, or a path for a new one",
                plan.place("data"),
                plan.data.display()
            ))
        }
        OpenError::Disk(error) if names_no_directory(error) => Failure::usage(format!(
            "{text}; expected a directory that this program may write, or a path for a new one"
        )),
        OpenError::NoSpace { .. } | OpenError::Disk(_) => Failure::operation(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::{pending, ready};

    /// What becomes of a stop that ends after so many signals.
    fn stopped(signals: &[Termination]) -> Option<Option<()>> {
        let mut left = signals.iter();
        let mut polls = 0;
        let ends_after_them = std::future::poll_fn(|context| {
            polls += 1;
            if polls > signals.len() {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        });
        let next = async || match left.next() {
            Some(signal) => ready(*signal).await,
            None => pending().await,
        };
        unless_interrupted(ends_after_them, next).now_or_never()
    }

    #[test]
    fn a_stop_goes_on_through_further_terms_and_ends_at_an_interrupt() {
        use Termination::{Interrupt, Terminate};
        assert_eq!(stopped(&[]), Some(Some(())));
        assert_eq!(stopped(&[Terminate, Terminate]), Some(Some(())));
        assert_eq!(stopped(&[Terminate, Interrupt]), Some(None));
    }
}
