//! Makes room behind the journal's writer: prepares the next file, lets shards clear the old ones, writes
//! checkpoints, recycles what no replay needs any more, and closes the directory.
//!
//! A journal file is recycled only when a checkpoint that was synced and read back says that a replay starts behind it.

use super::file::{self, FileHeader, JournalFile};
use super::messages::{Sections, ToKeeper, ToShard};
use super::writer::{Journal, Live};
use super::{Joint, Place};
use crate::checkpoint::{self, Section, WriteError};
use crate::meta::{self, Meta};
use crate::{Options, layout};
use bytes::Bytes;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use taffrail_env::mailbox::{Receiver, Sender};
use taffrail_env::{Directory, Disk, DiskError, DiskErrorKind, DiskOperation, Env};

/// See the module's head.
pub struct Keeper<E: Env> {
    pub env: E,
    pub directory: PathBuf,
    /// Holds the lock.
    pub lock: <E as Disk>::Directory,
    pub meta: Meta,
    pub options: Options,
    pub journal: Rc<Journal<<E as Disk>::File>>,
    pub mail: Receiver<ToKeeper>,
    pub shards: Vec<Sender<ToShard>>,
    pub generation: u64,
    /// Last words of shards that have shut down.
    pub closed: Vec<Option<Sections>>,
    /// Numbers of journal files that are still to be made.
    pub missing: Vec<u32>,
}

/// A checkpoint to be written.
struct NextCheckpoint {
    generation: u64,
    pieces: Vec<Bytes>,
    /// No earlier journal file is needed once it is written.
    keep_from: u64,
}

enum Event {
    Bell,
    Mail(ToKeeper),
    Time,
}

impl<E: Env> Keeper<E> {
    /// Until every shard has shut down.
    pub async fn run(mut self) {
        loop {
            self.tend_files().await;
            if self.all_closed() {
                break;
            }
            if self.wants_round() && !self.failed() {
                self.round().await;
                continue;
            }
            let event = if self.missing.is_empty() || self.failed() {
                self.next_event(None).await
            } else {
                self.next_event(Some(self.options.space_probe)).await
            };
            if let Event::Mail(message) = event {
                self.unasked(message).await;
            }
        }
        self.close().await;
    }

    fn all_closed(&self) -> bool {
        self.closed.iter().all(Option::is_some)
    }

    fn failed(&self) -> bool {
        self.journal.files.borrow().failed.is_some()
    }

    /// To be asked before every change on disk.
    fn alive(&self) -> Result<(), DiskError> {
        match self.journal.files.borrow().failed.clone() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn wants_round(&self) -> bool {
        let files = self.journal.files.borrow();
        // Those that are not made yet give no room.
        let there = files.live.len() + files.spare();
        files.live.len() >= (there / 2).max(2)
    }

    /// Prepares the next file, and makes one that is missing.
    async fn tend_files(&mut self) {
        if self.failed() {
            return;
        }
        if let Err(error) = self.prepare_next().await {
            self.fail(error).await;
            return;
        }
        let Some(index) = self.missing.last().copied() else {
            return;
        };
        let made = self.make_file(index).await;
        match made {
            Ok(None) => {}
            Ok(Some(made)) => {
                self.missing.pop();
                self.journal.files.borrow_mut().free.push(made);
                self.journal.writer_bell.ring();
                self.journal.keeper_bell.ring();
            }
            Err(error) => self.fail(error).await,
        }
    }

    async fn prepare_next(&mut self) -> Result<(), DiskError> {
        let chosen = {
            let mut files = self.journal.files.borrow_mut();
            if files.next.is_some() || files.free.is_empty() {
                return Ok(());
            }
            let sequence = files
                .live
                .back()
                .expect("one file is always live")
                .file
                .sequence
                + 1;
            // A file that was prepared for this very sequence before a crash must not be there beside the new one.
            let at = files
                .free
                .iter()
                .position(|file| file.sequence == sequence)
                .unwrap_or(files.free.len() - 1);
            let chosen = files.free.swap_remove(at);
            JournalFile {
                sequence,
                nonce: self.env.random_u64("journal nonce"),
                ..chosen
            }
        };
        let header = self.header(chosen.sequence, chosen.nonce);
        file::write_header(&chosen.file, header, || self.alive()).await?;
        self.journal.files.borrow_mut().next = Some(chosen);
        self.journal.writer_bell.ring();
        Ok(())
    }

    fn header(&self, sequence: u64, nonce: u64) -> FileHeader {
        FileHeader {
            directory_id: self.meta.directory_id,
            sequence,
            nonce,
            len: self.journal.file_len,
        }
    }

    /// `None`: there is no room now. The journal is smaller until there is, and it is tried again.
    async fn make_file(
        &mut self,
        index: u32,
    ) -> Result<Option<JournalFile<<E as Disk>::File>>, DiskError> {
        let space = self.env.space(&self.directory).await?;
        if space.available < 4 * self.journal.file_len {
            return Ok(None);
        }
        let header = self.header(0, 0);
        let made =
            match file::create(&self.env, &self.directory, index, header, || self.alive()).await {
                Err(error) if error.kind == DiskErrorKind::NoSpace => {
                    let path = layout::journal_file(&self.directory, index);
                    self.env.remove_file(&path).await?;
                    return Ok(None);
                }
                made => made?,
            };
        let journal = self
            .env
            .open_directory(&self.directory.join(layout::JOURNAL))
            .await?;
        self.alive()?;
        journal.sync().await?;
        Ok(Some(made))
    }

    /// Clears the journal up to the file being written, and recycles.
    async fn round(&mut self) {
        let before = {
            let files = self.journal.files.borrow();
            Place {
                file: files.joint.place.file,
                offset: 0,
            }
        };
        let cleared = self.ask(|| ToShard::Clear { before }).await;
        if cleared.is_none() {
            return;
        }
        // What is durable and not told yet is in no shard's section.
        let end = self.journal.files.borrow().told;
        let as_of = end.place;
        let Some(answers) = self.ask(|| ToShard::Sections { as_of }).await else {
            return;
        };
        let next = self.encode_checkpoint(answers, end);
        self.write_when_there_is_room(next).await;
    }

    /// Asks every shard that is not closed, and waits for all answers. `None` if the journal failed meanwhile.
    async fn ask(&mut self, question: impl Fn() -> ToShard) -> Option<Vec<Sections>> {
        let mut answered: Vec<bool> = self.closed.iter().map(Option::is_some).collect();
        let mut waiting = 0;
        for (shard, answered) in answered.iter().enumerate() {
            if !answered {
                let _gone = self.shards[shard].send(question()).await;
                waiting += 1;
            }
        }
        let mut answers = Vec::new();
        while waiting > 0 {
            match self.next_event(None).await {
                Event::Mail(message) => {
                    let from = match &message {
                        ToKeeper::Cleared { shard } => Some(*shard),
                        ToKeeper::Sections(sections) | ToKeeper::Closing(sections) => {
                            Some(sections.shard)
                        }
                        ToKeeper::Space { .. } => None,
                    };
                    // A shard that closes may have answered before, or its last words are the answer.
                    if let Some(shard) = from
                        && !std::mem::replace(&mut answered[shard], true)
                    {
                        waiting -= 1;
                    }
                    match message {
                        ToKeeper::Sections(sections) => answers.push(sections),
                        other => self.unasked(other).await,
                    }
                }
                Event::Bell | Event::Time => self.tend_files().await,
            }
            if self.failed() {
                return None;
            }
        }
        answers.retain(|sections| self.closed[sections.shard].is_none());
        answers.extend(self.closed.iter().flatten().cloned());
        Some(answers)
    }

    async fn unasked(&mut self, message: ToKeeper) {
        match message {
            ToKeeper::Closing(sections) => {
                // The news may be on its way to the writer still. What such a shard says is not the whole of what is durable.
                if let Some(error) = sections.failed.clone() {
                    self.fail(error).await;
                }
                let shard = sections.shard;
                self.closed[shard] = Some(sections);
            }
            ToKeeper::Space { full } => self.tell_space(full).await,
            // Answers to a question that a failure ended.
            ToKeeper::Cleared { .. } | ToKeeper::Sections(_) => {}
        }
    }

    async fn tell_space(&mut self, full: Option<DiskError>) {
        for shard in &self.shards {
            let _gone = shard.send(ToShard::Space { full: full.clone() }).await;
        }
    }

    /// The next generation. `end` is where the journal ended when the shards were asked.
    fn encode_checkpoint(&self, answers: Vec<Sections>, end: Joint) -> NextCheckpoint {
        let needed = answers
            .iter()
            .filter_map(|sections| sections.oldest_needed)
            .min();
        let replay = self.replay_joint(needed, end);
        let next_log_number = answers
            .iter()
            .map(|sections| sections.next_log_number)
            .max()
            .unwrap_or(0);
        let sections: Vec<Section> = answers
            .into_iter()
            .flat_map(|sections| sections.sections)
            .map(|section| Section {
                as_of: section.as_of.max(end.place),
                ..section
            })
            .collect();
        let generation = self.generation + 1;
        NextCheckpoint {
            generation,
            pieces: checkpoint::encode(
                &self.meta.directory_id,
                generation,
                &replay,
                next_log_number,
                &sections,
            ),
            keep_from: replay.place.file,
        }
    }

    /// Writes it and recycles what lies before. What it says stays true while there is no room for it: then it is tried again and again, and
    /// everything else is seen to meanwhile, the deletion of a log among it. Given up once all shards have shut down: a stop does not wait for room.
    async fn write_when_there_is_room(&mut self, next: NextCheckpoint) {
        let mut was_full = false;
        while let Err(full) = self.write_checkpoint(&next).await {
            was_full = true;
            self.tell_space(Some(full)).await;
            let probe = self.env.now() + self.options.space_probe;
            while self.env.now() < probe && !self.failed() && !self.all_closed() {
                let patience = probe.saturating_since(self.env.now());
                match self.next_event(Some(patience)).await {
                    Event::Mail(message) => self.unasked(message).await,
                    Event::Bell | Event::Time => self.tend_files().await,
                }
            }
            if self.failed() || self.all_closed() {
                return;
            }
        }
        if was_full {
            self.tell_space(None).await;
        }
    }

    /// Writes the checkpoint and recycles what lies before. An error says that there is no room for it; any other is a failure.
    async fn write_checkpoint(&mut self, next: &NextCheckpoint) -> Result<(), DiskError> {
        let written = checkpoint::write(
            &self.env,
            &self.directory,
            &self.meta.directory_id,
            next.generation,
            next.pieces.clone(),
            || self.alive(),
        )
        .await;
        match written {
            Ok(()) => {
                self.generation = next.generation;
                self.recycle(next.keep_from);
            }
            Err(WriteError::NoSpace(error)) => return Err(error),
            Err(WriteError::Disk(error)) => self.fail(error).await,
            Err(WriteError::NotReadBack(path)) => self.fail(not_read_back(path)).await,
        }
        Ok(())
    }

    /// A place between two groups, at or before everything that is needed.
    fn replay_joint(&self, needed: Option<Place>, end: Joint) -> Joint {
        let Some(needed) = needed.filter(|needed| *needed < end.place) else {
            return end;
        };
        let files = self.journal.files.borrow();
        let live = files.live.iter().rev();
        live.map(|live| live.begin)
            .find(|begin| begin.place <= needed)
            .unwrap_or_else(|| files.live[0].begin)
    }

    fn recycle(&mut self, keep_from: u64) {
        let mut files = self.journal.files.borrow_mut();
        while files
            .live
            .front()
            .is_some_and(|live| live.file.sequence < keep_from)
        {
            if let Some(Live { file, .. }) = files.live.pop_front() {
                files.free.push(file);
            }
        }
        drop(files);
        self.journal.writer_bell.ring();
        self.journal.keeper_bell.ring();
    }

    async fn fail(&mut self, error: DiskError) {
        let first = {
            let mut files = self.journal.files.borrow_mut();
            let first = files.failed.is_none();
            if first {
                tracing::error!(
                    "{error}; nothing more is written to the data directory until the next start"
                );
                files.failed = Some(error);
            }
            first
        };
        if first {
            self.journal.writer_bell.ring();
            self.journal.keeper_bell.ring();
        }
    }

    /// All shards have shut down. The directory is marked clean if everything went well. Without room for a checkpoint it is not: the journal
    /// holds everything, and the next start reads it.
    async fn close(mut self) {
        let end = self.journal.files.borrow().joint;
        let answers: Vec<Sections> = self.closed.iter().flatten().cloned().collect();
        let tidy = answers.iter().all(|sections| sections.tidy);
        let mut full = None;
        if !self.failed() {
            let last = self.encode_checkpoint(answers, end);
            full = self.write_checkpoint(&last).await.err();
        }
        if !self.failed() && full.is_none() {
            self.meta.counter += 1;
            self.meta.clean = tidy.then_some((end, self.generation));
            if let Err(error) = meta::update(&self.env, &self.directory, &self.meta).await {
                self.fail(error).await;
            }
        }
        self.journal.files.borrow_mut().closed = true;
        self.journal.writer_bell.ring();
        let failed = self.journal.files.borrow().failed.clone();
        for shard in &self.shards {
            if let Some(error) = failed.clone() {
                let _gone = shard.send(ToShard::Failed(error)).await;
            }
            let full = full.clone();
            let _gone = shard.send(ToShard::Finished { full }).await;
        }
        drop(self.lock);
    }

    /// The next thing to see to. Tells the shards of a failure once.
    async fn next_event(&mut self, patience: Option<std::time::Duration>) -> Event {
        let journal = self.journal.clone();
        let mut bell = pin!(journal.keeper_bell.heard());
        let deadline = patience.map_or(taffrail_env::Instant::MAX, |patience| {
            self.env.now() + patience
        });
        let mut timer = pin!(self.env.sleep_until(deadline));
        let event = poll_fn(|context| {
            if let Poll::Ready(Some(message)) = self.mail.poll_recv(context) {
                return Poll::Ready(Event::Mail(message));
            }
            if bell.as_mut().poll(context).is_ready() {
                return Poll::Ready(Event::Bell);
            }
            if patience.is_some() && timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Event::Time);
            }
            Poll::Pending
        })
        .await;
        if matches!(event, Event::Bell) {
            let failed = self.journal.files.borrow().failed.clone();
            if let Some(error) = failed {
                for shard in &self.shards {
                    let _gone = shard.send(ToShard::Failed(error.clone())).await;
                }
            }
        }
        event
    }
}

fn not_read_back(path: PathBuf) -> DiskError {
    DiskError {
        kind: DiskErrorKind::Io,
        operation: DiskOperation::Read,
        path,
        system: "a checkpoint that was written and synced does not read back".into(),
    }
}
