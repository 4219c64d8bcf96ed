//! One open file: its operations run one after the other, in the order of their calls.

use super::device::{Device, DiskNote, DiskStep, READ, SYNC, WRITE, Waiting, error};
use super::files::{
    Answer, DEAD, DENIED, Files, IO_ERROR, NO_SPACE, READ_ONLY, Refusal, TOO_LARGE,
};
use super::image::{Fate, SECTOR};
use super::names::InodeId;
use crate::decision::Tail;
use crate::env::SimEnv;
use crate::fault::FaultKind;
use crate::memory::{WORLD, charge_to};
use crate::node::Life;
use crate::timeline::Event;
use crate::trace::{EventKind, digest_more};
use crate::world::World;
use bytes::{Bytes, BytesMut};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use taffrail_env::disk::{DiskErrorKind, DiskOperation, DiskResult};

/// Longer than any file may get, whatever the capacity.
const FILE_MAX: u64 = 1 << 40;

pub(crate) type ReadDone = Waiting<(BytesMut, DiskResult<()>)>;
pub(crate) type Done = Waiting<DiskResult<()>>;

/// An operation on a file.
pub(crate) enum Work {
    Read {
        offset: u64,
        len: usize,
        buffer: BytesMut,
        done: ReadDone,
    },
    Write {
        offset: u64,
        pieces: Vec<Bytes>,
        done: Done,
    },
    Zeros {
        offset: u64,
        len: u64,
        done: Done,
    },
    Reserve {
        end: u64,
        done: Done,
    },
    Sync {
        done: Done,
    },
    Truncate {
        len: u64,
        done: Done,
    },
    Len {
        done: Waiting<DiskResult<u64>>,
    },
}

impl Work {
    fn operation(&self) -> DiskOperation {
        match self {
            Work::Read { .. } => DiskOperation::Read,
            Work::Write { .. } => DiskOperation::Write,
            Work::Zeros { .. } => DiskOperation::WriteZeros,
            Work::Reserve { .. } => DiskOperation::Reserve,
            Work::Sync { .. } => DiskOperation::Sync,
            Work::Truncate { .. } => DiskOperation::Truncate,
            Work::Len { .. } => DiskOperation::Len,
        }
    }

    fn latency(&self) -> Tail {
        match self {
            Work::Read { .. } | Work::Len { .. } => READ,
            Work::Sync { .. } => SYNC,
            _ => WRITE,
        }
    }

    /// What a watcher is told when it is asked for.
    fn asked(&self) -> DiskStep<'_> {
        match self {
            Work::Write { offset, pieces, .. } => DiskStep::Asked(Some((*offset, pieces))),
            _ => DiskStep::Asked(None),
        }
    }

    /// Offset and digest for the trace.
    fn details(&self) -> (u64, u64) {
        match self {
            Work::Read { offset, len, .. } => (*offset, *len as u64),
            Work::Write { offset, pieces, .. } => {
                let digest = pieces
                    .iter()
                    .fold(1, |state, piece| digest_more(state, piece));
                (*offset, digest)
            }
            Work::Zeros { offset, len, .. } => (*offset, *len),
            Work::Reserve { end, .. } => (*end, 0),
            Work::Truncate { len, .. } => (*len, 0),
            Work::Sync { .. } | Work::Len { .. } => (0, 0),
        }
    }
}

pub(crate) struct Handle {
    pub id: u64,
    pub path: PathBuf,
    pub(super) device: Rc<Device>,
    pub(super) life: Rc<Life>,
    pub(super) inode: InodeId,
    writable: bool,
    dead: Cell<bool>,
    /// The last clone was dropped: the file is closed when the queue has run empty.
    closed: Cell<bool>,
    queue: RefCell<VecDeque<Work>>,
    /// What a sync that has begun will make durable.
    sync_moment: Cell<u64>,
    /// Counts the begun operations; an event with an old ticket is void.
    ticket: Cell<u64>,
}

impl Handle {
    pub fn new(
        device: Rc<Device>,
        life: Rc<Life>,
        inode: InodeId,
        path: PathBuf,
        writable: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            id: device.next_id(),
            path,
            device,
            life,
            inode,
            writable,
            dead: Cell::new(false),
            closed: Cell::new(false),
            queue: RefCell::new(VecDeque::new()),
            sync_moment: Cell::new(0),
            ticket: Cell::new(0),
        })
    }

    /// The operation begins now, after those before it.
    pub fn submit(self: &Rc<Self>, env: &SimEnv, work: Work) {
        if !env.is_alive() {
            return;
        }
        let _charge = charge_to(WORLD);
        let world = env.world();
        world.count_disk_operation(env.life(), env.node());
        let (at, digest) = work.details();
        let operation = work.operation();
        let details = (operation as u64, at, digest);
        world.event_with(
            EventKind::DiskBegin,
            self.device.node.number(),
            details,
            || format!("{} {} at {at}", operation.name(), self.path.display()),
        );
        self.device.note(DiskNote {
            path: &self.path,
            inode: self.inode,
            handle: self.id,
            operation,
            step: work.asked(),
        });
        let first = {
            let mut queue = self.queue.borrow_mut();
            queue.push_back(work);
            queue.len() == 1
        };
        if first {
            self.device.set_busy(self);
            self.begin_first(world);
        }
    }

    fn begin_first(self: &Rc<Self>, world: &World) {
        let queue = self.queue.borrow();
        let Some(work) = queue.front() else { return };
        if let Work::Sync { .. } = work {
            let moment = self.device.files.borrow_mut().image(self.inode).moment();
            self.sync_moment.set(moment);
        }
        let delay = self.device.delay(world, work.latency());
        self.end_after(world, delay);
    }

    /// The operation that has begun ends after so long, whatever was said before.
    fn end_after(self: &Rc<Self>, world: &World, delay: u64) {
        let ticket = self.ticket.get() + 1;
        self.ticket.set(ticket);
        world.after(delay, Event::Disk(self.clone(), ticket));
    }

    /// The device is quick again: what it was busy with ends now.
    pub fn hurry(self: &Rc<Self>, world: &World) {
        self.end_after(world, 0);
    }

    /// The first operation of the queue takes effect and is answered.
    pub fn finish_first(self: &Rc<Self>, world: &World, ticket: u64) {
        if ticket != self.ticket.get() {
            return;
        }
        let Some(work) = self.queue.borrow_mut().pop_front() else {
            return;
        };
        let operation = work.operation();
        let (outcome, refused) = self.run(world, work);
        self.device.note(DiskNote {
            path: &self.path,
            inode: self.inode,
            handle: self.id,
            operation,
            step: DiskStep::Ended(refused),
        });
        let details = (operation as u64, outcome, 0);
        world.event_with(
            EventKind::DiskEnd,
            self.device.node.number(),
            details,
            || format!("{} {}", operation.name(), self.path.display()),
        );
        if self.queue.borrow().is_empty() {
            self.device.set_idle(self);
            if self.closed.get() {
                self.device.files.borrow_mut().close(self.inode);
            }
        } else {
            self.begin_first(world);
        }
    }

    /// The last clone was dropped by a living process.
    pub fn close(&self) {
        self.closed.set(true);
        if self.queue.borrow().is_empty() {
            self.device.files.borrow_mut().close(self.inode);
        }
    }

    /// The process died: the first so many operations still happen, perhaps the next one in part.
    pub fn abandon(&self, world: &World) {
        let queue = self.queue.take();
        let dice = self.device.dice(world);
        let whole = dice.below(queue.len() + 1);
        let mut files = self.device.files.borrow_mut();
        for (index, work) in queue.into_iter().enumerate() {
            if index < whole {
                // Nobody is left to hear of a refusal.
                let _unheard = self.effect(&mut files, &work, index == 0);
            } else if index == whole
                && let Work::Write { offset, pieces, .. } = &work
                && !self.dead.get()
                && self.writable
            {
                let len: usize = pieces.iter().map(Bytes::len).sum();
                let part = prefix(pieces, dice.below(len + 1));
                let _unheard = self.write(&mut files, *offset, &part, Fate::Sound);
            }
        }
    }

    /// The world ends.
    pub fn forget_all(&self) {
        drop(self.queue.take());
    }

    /// Runs an operation with its faults and answers it; returns 0, or 1 and the error's kind, and that kind.
    fn run(&self, world: &World, work: Work) -> (u64, Option<DiskErrorKind>) {
        match work {
            Work::Read {
                offset,
                len,
                mut buffer,
                done,
            } => {
                let answer = self.read(world, offset, len, &mut buffer);
                let outcome = outcome(&answer);
                done.done((buffer, self.explain(answer, DiskOperation::Read)));
                outcome
            }
            Work::Len { done } => {
                let answer = match self.dead.get() {
                    true => Err(DEAD),
                    false => Ok(self.device.files.borrow_mut().image(self.inode).len() as u64),
                };
                let outcome = outcome(&answer);
                done.done(self.explain(answer, DiskOperation::Len));
                outcome
            }
            work => {
                let operation = work.operation();
                let answer = match self.dead.get() {
                    true => Err(DEAD),
                    false => self.change(world, &work),
                };
                if let Err(refused) = answer {
                    self.device.count_refusal(world, refused);
                    self.dead
                        .set(self.dead.get() || operation != DiskOperation::Reserve);
                }
                let outcome = outcome(&answer);
                let answer = self.explain(answer, operation);
                match work {
                    Work::Write { done, pieces, .. } => {
                        drop(pieces);
                        done.done(answer);
                    }
                    Work::Zeros { done, .. }
                    | Work::Reserve { done, .. }
                    | Work::Sync { done }
                    | Work::Truncate { done, .. } => done.done(answer),
                    Work::Read { .. } | Work::Len { .. } => {}
                }
                outcome
            }
        }
    }

    fn explain<T>(&self, answer: Answer<T>, operation: DiskOperation) -> DiskResult<T> {
        answer.map_err(|refused| error(refused, operation, &self.path))
    }

    pub(super) fn strikes(&self, world: &World, kind: FaultKind, at: (u64, u64)) -> bool {
        self.device.strikes(world, kind, &self.path, at)
    }

    // ---- changing ----

    fn change(&self, world: &World, work: &Work) -> Answer<()> {
        if let Work::Sync { .. } = work {
            return self.sync(world);
        }
        let range = work.details();
        let dice = self.device.dice(world);
        let no_space = self.strikes(world, FaultKind::DiskNoSpace, range);
        let mut files = self.device.files.borrow_mut();
        match work {
            Work::Write { offset, pieces, .. } => {
                if self.strikes(world, FaultKind::DiskWriteError, range) {
                    world.faults().count_met(FaultKind::DiskWriteError);
                    let len: usize = pieces.iter().map(Bytes::len).sum();
                    let part = prefix(pieces, dice.below(len + 1));
                    self.write(&mut files, *offset, &part, Fate::Sound)?;
                    return Err(IO_ERROR);
                }
                if no_space {
                    let len: usize = pieces.iter().map(Bytes::len).sum();
                    let part = prefix(pieces, dice.below(len + 1));
                    self.write(&mut files, *offset, &part, Fate::Sound)?;
                    return Err(NO_SPACE);
                }
                let size = files.image(self.inode).len();
                let fate = self.fate(world, range, size, pieces);
                self.write(&mut files, *offset, pieces, fate)
            }
            _ if no_space => Err(NO_SPACE),
            Work::Zeros { .. } | Work::Truncate { .. }
                if self.strikes(world, FaultKind::DiskWriteError, range) =>
            {
                world.faults().count_met(FaultKind::DiskWriteError);
                if dice.chance(500_000) {
                    self.effect(&mut files, work, false)?;
                }
                Err(IO_ERROR)
            }
            work => self.effect(&mut files, work, false),
        }
    }

    fn fate(&self, world: &World, range: (u64, u64), size: usize, pieces: &[Bytes]) -> Fate {
        let len: usize = pieces.iter().map(Bytes::len).sum();
        if self.strikes(world, FaultKind::DiskLostWrite, range) {
            Fate::Lost
        } else if size >= len && self.strikes(world, FaultKind::DiskMisdirectedWrite, range) {
            let sectors = (size - len) / SECTOR + 1;
            Fate::Misdirected(self.device.dice(world).below(sectors) * SECTOR)
        } else {
            Fate::Sound
        }
    }

    /// What the operation does when nothing goes wrong. `begun`: it is the one whose time was running.
    fn effect(&self, files: &mut Files, work: &Work, begun: bool) -> Answer<()> {
        if self.dead.get() {
            return Err(DEAD);
        }
        match work {
            Work::Read { .. } | Work::Len { .. } => Ok(()),
            Work::Write { offset, pieces, .. } => self.write(files, *offset, pieces, Fate::Sound),
            Work::Zeros { offset, len, .. } => {
                self.check_writable(files)?;
                let end = offset.checked_add(*len).ok_or(TOO_LARGE)?;
                files.allocate(self.inode, end)?;
                let image = files.image(self.inode);
                image.write_zeros(*offset as usize, *len as usize);
                self.repair(files, *offset, *len);
                Ok(())
            }
            Work::Reserve { end, .. } => {
                self.check_writable(files)?;
                files.allocate(self.inode, *end)
            }
            Work::Sync { .. } => {
                let image = files.image(self.inode);
                let moment = match begun {
                    true => self.sync_moment.get(),
                    false => image.moment(),
                };
                image.sync(moment);
                Ok(())
            }
            Work::Truncate { len, .. } => {
                self.check_writable(files)?;
                if *len > FILE_MAX.min(files.capacity) {
                    return Err(TOO_LARGE);
                }
                files.image(self.inode).set_len(*len as usize);
                files.give_back(self.inode, *len);
                Ok(())
            }
        }
    }

    fn sync(&self, world: &World) -> Answer<()> {
        let moment = self.sync_moment.get();
        let failed = self.strikes(world, FaultKind::DiskSyncFailed, (moment, 0));
        let mut files = self.device.files.borrow_mut();
        let image = files.image(self.inode);
        if !failed {
            image.sync(moment);
            return Ok(());
        }
        image.fail_sync(moment, self.device.dice(world));
        world.faults().count_met(FaultKind::DiskSyncFailed);
        Err(IO_ERROR)
    }

    fn check_writable(&self, files: &Files) -> Answer<()> {
        match (self.writable, files.read_only) {
            (false, _) => Err(DENIED),
            (true, true) => Err(READ_ONLY),
            (true, false) => Ok(()),
        }
    }

    /// Writes all of it, or as much as there is room for.
    fn write(&self, files: &mut Files, offset: u64, pieces: &[Bytes], fate: Fate) -> Answer<()> {
        self.check_writable(files)?;
        let len: usize = pieces.iter().map(Bytes::len).sum();
        if len == 0 {
            return Ok(());
        }
        let end = offset.checked_add(len as u64).ok_or(TOO_LARGE)?;
        if let Err(refused) = files.allocate(self.inode, end) {
            let room = files.allocatable(self.inode).saturating_sub(offset);
            if room > 0 && room < len as u64 {
                let part = prefix(pieces, room as usize);
                files.allocate(self.inode, offset + room)?;
                self.put(files, offset, &part, fate);
            }
            return Err(refused);
        }
        self.put(files, offset, pieces, fate);
        Ok(())
    }

    fn put(&self, files: &mut Files, offset: u64, pieces: &[Bytes], fate: Fate) {
        files.image(self.inode).write(offset as usize, pieces, fate);
        let len: usize = pieces.iter().map(Bytes::len).sum();
        self.repair(files, offset, len as u64);
    }

    /// Writing a sector makes it readable again.
    fn repair(&self, files: &mut Files, offset: u64, len: u64) {
        let bad = &mut files.inode(self.inode).bad;
        if !bad.is_empty() {
            let (start, end) = (offset as usize, (offset + len) as usize);
            bad.retain(|sector| (sector + 1) * SECTOR <= start || sector * SECTOR >= end);
        }
    }
}

fn outcome<T>(answer: &Result<T, Refusal>) -> (u64, Option<DiskErrorKind>) {
    match answer {
        Ok(_) => (0, None),
        Err(refused) => (1 + refused.kind as u64, Some(refused.kind)),
    }
}

/// The first `len` bytes of the pieces.
fn prefix(pieces: &[Bytes], len: usize) -> Vec<Bytes> {
    let mut left = len;
    pieces
        .iter()
        .map(|piece| {
            let taken = piece.slice(..left.min(piece.len()));
            left -= taken.len();
            taken
        })
        .collect()
}
