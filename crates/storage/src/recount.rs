//! What is counted as it goes, counted again: bounds are only as good as these counts. For whoever watches a node that is under test,
//! or in doubt; it looks at every log.

use crate::log::Running;
use crate::logs::Logs;
use taffrail_env::Env;

impl<E: Env> Logs<E> {
    /// Whether this shard's counts are what there is; the error says which one is not.
    pub fn recount(&self) -> Result<(), String> {
        let shard = &self.shard;
        if shard.failed.borrow().is_some() {
            // Nothing goes on from here, and nothing relies on them.
            return Ok(());
        }
        let logs = shard.logs.borrow();
        let producers = logs.values().map(|log| log.state.borrow().producers.len());
        agree("producers", shard.producers.get(), producers.sum())?;
        let kept = logs
            .values()
            .map(|log| log.running.borrow().tail.clean_bytes());
        agree(
            "bytes kept for readers",
            shard.cached_bytes.get(),
            kept.sum(),
        )?;
        for log in logs.values() {
            let running = log.running.borrow();
            if !running.deleted {
                let what = format!("bytes on their way into log {}", log.id);
                agree(&what, running.uncommitted, on_their_way(&running))?;
            }
        }
        Ok(())
    }
}

fn on_their_way(running: &Running) -> usize {
    let pending = running.pending.iter().map(|pending| pending.batch.len());
    let in_journal = running.tail.iter().filter(|batch| batch.place.is_none());
    pending.sum::<usize>() + in_journal.map(|batch| batch.bytes.len()).sum::<usize>()
}

fn agree(what: &str, counted: usize, found: usize) -> Result<(), String> {
    match counted == found {
        true => Ok(()),
        false => Err(format!(
            "{counted} {what} are counted, and there are {found}"
        )),
    }
}
