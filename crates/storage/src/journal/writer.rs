//! The journal's one writer: takes what all shards have queued, writes it as one group, syncs, tells them.
//!
//! While a group is being synced the next one fills up in the mailboxes, and it is not written before that
//! sync returned. The first failure is the last thing that happens here.

use super::entry::Entry;
use super::file::JournalFile;
use super::group;
use super::messages::{Lane, Submission, ToShard, ToWriter};
use super::{BLOCK, Joint, Place};
use crate::signal::Signal;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use taffrail_env::mailbox::{Receiver, Sender};
use taffrail_env::{DiskError, File};

/// The journal's files and where it ends; shared by writer and keeper, which run on one shard.
pub struct Journal<F> {
    pub files: RefCell<Files<F>>,
    pub file_len: u64,
    /// Rung when there is room again.
    pub writer_bell: Signal,
    /// Rung when files run short, or the journal failed.
    pub keeper_bell: Signal,
}

pub struct Files<F> {
    /// Hold entries that are needed; the last one is being written.
    pub live: VecDeque<Live<F>>,
    /// Has its header already.
    pub next: Option<JournalFile<F>>,
    pub free: Vec<JournalFile<F>>,
    pub joint: Joint,
    /// Up to here the shards have been told what is durable.
    pub told: Joint,
    pub failed: Option<DiskError>,
    pub closed: bool,
}

pub struct Live<F> {
    pub file: JournalFile<F>,
    /// Its first group follows here.
    pub begin: Joint,
}

impl<F> Files<F> {
    /// Files that can be gone on to.
    pub fn spare(&self) -> usize {
        self.free.len() + usize::from(self.next.is_some())
    }
}

/// The largest payload that an entry may have.
pub fn payload_max(file_len: u64) -> usize {
    file_len as usize - BLOCK as usize - group::GROUP_HEADER - super::entry::ENTRY_HEADER
}

struct Queue {
    submissions: VecDeque<(usize, std::vec::IntoIter<Entry>)>,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, submission: Submission) {
        self.bytes += submission
            .entries
            .iter()
            .map(Entry::encoded_len)
            .sum::<usize>();
        self.submissions
            .push_back((submission.shard, submission.entries.into_iter()));
    }

    /// Nothing of it will be written. It takes in again, so that nobody waits at a full mailbox for what never comes.
    fn clear(&mut self) {
        self.submissions.clear();
        self.bytes = 0;
    }

    fn front_len(&mut self) -> Option<usize> {
        while let Some((_, entries)) = self.submissions.front() {
            if let Some(entry) = entries.as_slice().first() {
                return Some(entry.encoded_len());
            }
            self.submissions.pop_front();
        }
        None
    }

    fn pop(&mut self) -> Option<(usize, Entry)> {
        self.front_len()?;
        let (shard, entries) = self.submissions.front_mut()?;
        let entry = entries.next()?;
        self.bytes -= entry.encoded_len();
        Some((*shard, entry))
    }
}

/// See the module's head.
pub struct Writer<F> {
    journal: Rc<Journal<F>>,
    mail: [Receiver<ToWriter>; 2],
    queues: [Queue; 2],
    shards: Vec<Sender<ToShard>>,
    /// Of the group being written: how many entries of each shard and lane.
    counts: Vec<[usize; 2]>,
    group_bytes_max: usize,
    /// The shards know that the relief lane waits for room.
    told_crowded: bool,
}

impl<F: File> Writer<F> {
    pub fn new(
        journal: Rc<Journal<F>>,
        mail: [Receiver<ToWriter>; 2],
        shards: Vec<Sender<ToShard>>,
        group_bytes_max: usize,
    ) -> Writer<F> {
        let counts = vec![[0; 2]; shards.len()];
        let queue = || Queue {
            submissions: VecDeque::new(),
            bytes: 0,
        };
        Writer {
            journal,
            mail,
            queues: [queue(), queue()],
            shards,
            counts,
            group_bytes_max,
            told_crowded: false,
        }
    }

    /// Until the keeper closes the journal.
    pub async fn run(mut self) {
        loop {
            self.receive();
            if self.journal.files.borrow().closed {
                return;
            }
            if self.journal.files.borrow().failed.is_some() {
                self.queues.iter_mut().for_each(Queue::clear);
                self.wait().await;
                continue;
            }
            let entries = self.gather();
            let crowded = entries.is_empty() && self.is_crowded();
            self.tell_crowded(crowded).await;
            if entries.is_empty() {
                self.wait().await;
                continue;
            }
            if let Err(error) = self.write(entries).await {
                self.fail(error).await;
            }
        }
    }

    /// Takes what is in the mailboxes, up to a few groups.
    fn receive(&mut self) {
        for lane in [Lane::Relief, Lane::Ordinary] {
            while self.has_appetite(lane) {
                match self.mail[lane as usize].try_recv() {
                    Some(message) => self.take(lane, message),
                    None => break,
                }
            }
        }
    }

    fn has_appetite(&self, lane: Lane) -> bool {
        lane == Lane::Relief || self.queues[lane as usize].bytes < 4 * self.group_bytes_max
    }

    fn take(&mut self, lane: Lane, message: ToWriter) {
        match message {
            ToWriter::Submit(submission) => self.queues[lane as usize].push(submission),
            ToWriter::Fail(error) => {
                let mut files = self.journal.files.borrow_mut();
                if files.failed.is_none() {
                    tracing::error!(
                        "{error}; nothing more is written to the data directory until the next start"
                    );
                    files.failed = Some(error);
                    self.journal.keeper_bell.ring();
                }
            }
        }
    }

    /// Ready when there may be something to do.
    async fn wait(&mut self) {
        let journal = self.journal.clone();
        let mut bell = pin!(journal.writer_bell.heard());
        poll_fn(|context| {
            let mut woken = bell.as_mut().poll(context).is_ready();
            for lane in [Lane::Relief, Lane::Ordinary] {
                if self.has_appetite(lane)
                    && let Poll::Ready(Some(message)) = self.mail[lane as usize].poll_recv(context)
                {
                    self.take(lane, message);
                    woken = true;
                }
            }
            if woken {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// The next group's entries, and the file that has room for them. Empty if there is nothing, or no room.
    fn gather(&mut self) -> Vec<Entry> {
        self.counts.fill([0; 2]);
        let mut entries = Vec::new();
        let mut length = 0;
        for lane in [Lane::Relief, Lane::Ordinary] {
            while let Some(len) = self.queues[lane as usize].front_len() {
                if !entries.is_empty() && length + len > self.group_bytes_max {
                    return entries;
                }
                if !self.has_room(lane, length + len, entries.is_empty()) {
                    break;
                }
                if let Some((shard, entry)) = self.queues[lane as usize].pop() {
                    self.counts[shard][lane as usize] += 1;
                    length += len;
                    entries.push(entry);
                }
            }
        }
        entries
    }

    /// Whether a group of `length` fits; goes on to the next file if that is what it takes. The last spare file is
    /// left to what makes room. Where there are only two files (the disk had no room for more), there is none to leave, or the first could
    /// never be left: then it is half of the second.
    fn has_room(&self, lane: Lane, length: usize, may_switch: bool) -> bool {
        let mut files = self.journal.files.borrow_mut();
        let few = files.live.len() + files.spare() <= 2;
        let needed = usize::from(lane == Lane::Ordinary && !few);
        let end = files.joint.place.offset + group::padded_len(length);
        let here = end <= self.journal.file_len;
        if here {
            let leaves_half = files.spare() > 0 || end <= self.journal.file_len / 2;
            let allowed = files.spare() >= needed && (lane == Lane::Relief || !few || leaves_half);
            if !allowed {
                self.journal.keeper_bell.ring();
            }
            return allowed;
        }
        if !may_switch {
            return false;
        }
        self.journal.keeper_bell.ring();
        if files.spare() <= needed {
            return false;
        }
        let Some(next) = files.next.take() else {
            return false;
        };
        files.joint.place = Place {
            file: next.sequence,
            offset: BLOCK,
        };
        files.told = files.joint;
        let begin = files.joint;
        files.live.push_back(Live { file: next, begin });
        true
    }

    async fn write(&mut self, entries: Vec<Entry>) -> Result<(), DiskError> {
        let (file, joint) = {
            let files = self.journal.files.borrow();
            let live = files.live.back().expect("one file is always being written");
            (live.file.clone(), files.joint)
        };
        let group = group::encode(file.nonce, &joint, entries.into_iter());
        let write = file.file.write_at(joint.place.offset, group.pieces);
        let sync = file.file.sync();
        write.await?;
        sync.await?;
        let end = Place {
            file: joint.place.file,
            offset: joint.place.offset + group.padded_len,
        };
        self.journal.files.borrow_mut().joint = Joint {
            place: end,
            sequence: joint.sequence + 1,
            checksum: group.checksum,
        };
        for (shard, counts) in self.counts.iter().enumerate() {
            if *counts != [0; 2] {
                let done = ToShard::Done {
                    place: joint.place,
                    end,
                    counts: *counts,
                };
                // A shard that is gone has nobody left to tell.
                let _gone = self.shards[shard].send(done).await;
            }
        }
        let mut files = self.journal.files.borrow_mut();
        files.told = files.joint;
        Ok(())
    }

    /// Whether what makes room waits for a file although there is none.
    fn is_crowded(&mut self) -> bool {
        self.queues[Lane::Relief as usize].front_len().is_some()
            && self.journal.files.borrow().spare() == 0
    }

    /// A shard that clears the journal for its room must not wait for copies that wait for the same room.
    async fn tell_crowded(&mut self, crowded: bool) {
        if self.told_crowded == crowded {
            return;
        }
        self.told_crowded = crowded;
        for shard in &self.shards {
            // A shard that is gone clears nothing.
            let _gone = shard.send(ToShard::Crowded(crowded)).await;
        }
    }

    async fn fail(&mut self, error: DiskError) {
        self.take(Lane::Relief, ToWriter::Fail(error));
    }
}
