//! The atlas: what the disk of a broker may damage, which records that may cost, and nothing else.
//!
//! On one node there is no second copy of anything but slots and headers, of which a trial in the end damages one. So a run in which
//! something must survive damages only what the product can make again (indexes, digests) or has to refuse (records of users, segment by
//! segment), and remembers which records those are. What is neither, such as the last group of the journal, no product could save: it is
//! damaged only in runs without law, where everything may be lost and nothing may be served wrong.

use crate::fault::{FaultKind, Target};
use crate::node::NodeId;
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use taffrail_record::batch::split_batch;
use taffrail_record::{Offset, TopicId, TopicPartition};

/// So many bytes at the most turn into zeros at once.
const BLANK: usize = 4096;

/// How much a disk may lie and lose in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// What a sync promised is kept.
    Sound,
    /// Damage is done only where the product has to go on, beside records that it may refuse.
    Survivable,
    /// Anything, anywhere. The product may lose and stop; it may not serve what was not written.
    Lawless,
}

/// What a path of a data directory leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Meta,
    Journal,
    Checkpoint,
    /// A file of a partition's log; the number is the one in its name.
    Log {
        partition: TopicPartition,
        base: Offset,
        part: Part,
    },
    Other,
}

/// The files of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Segment,
    /// Made again from the segment, or never read.
    Cache,
    /// Kafka's time index, of which one entry is read without a checksum.
    TimeIndex,
    State,
    Other,
}

impl Place {
    /// Reads a path below the data directory `data`.
    pub fn of(data: &Path, path: &Path) -> Place {
        let Ok(inside) = path.strip_prefix(data) else {
            return Place::Other;
        };
        let names: Vec<&str> = inside.iter().filter_map(|name| name.to_str()).collect();
        match names[..] {
            ["taffrail.meta"] => Place::Meta,
            ["journal", _] => Place::Journal,
            ["checkpoint", _] => Place::Checkpoint,
            ["partitions", directory, file] => log_place(directory, file).unwrap_or(Place::Other),
            _ => Place::Other,
        }
    }
}

/// `HEX-N.L` and `BASE.suffix`.
fn log_place(directory: &str, file: &str) -> Option<Place> {
    let (topic, rest) = directory.split_once('-')?;
    let (partition, _) = rest.split_once('.')?;
    let (base, suffix) = file.split_once('.')?;
    let mut id = [0; 16];
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(topic.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    let part = match suffix {
        "log" => Part::Segment,
        "index" | "digest" | "snapshot" => Part::Cache,
        "timeindex" => Part::TimeIndex,
        "state" => Part::State,
        _ => Part::Other,
    };
    let partition = TopicPartition {
        topic: TopicId(id),
        partition: partition.parse().ok()?,
    };
    let base = base.parse().ok()?;
    Some(Place::Log {
        partition,
        base,
        part,
    })
}

/// Records that may be refused: a partition, by its true topic id, and the offsets from the first to before the second.
pub type Refusable = (TopicPartition, Offset, Offset);

/// See the module's head.
pub struct Atlas {
    world: World,
    pub node: NodeId,
    data: PathBuf,
    pub law: Law,
    /// Topics whose records may be refused. Those of the brokers are not among them.
    users: RefCell<BTreeSet<TopicId>>,
    /// Segments with damage in them.
    hurt: RefCell<BTreeMap<(TopicPartition, Offset), PathBuf>>,
    /// Files beside segments that are damaged.
    caches: RefCell<BTreeSet<PathBuf>>,
    /// From now on the disk keeps its word.
    closed: Cell<bool>,
}

impl Atlas {
    /// Lets the world's faults damage what `law` allows on this node, below the directory `data`.
    pub fn open(world: &World, node: NodeId, data: &Path, law: Law) -> Rc<Atlas> {
        let atlas = Rc::new(Atlas {
            world: world.clone(),
            node,
            data: data.to_owned(),
            law,
            users: RefCell::default(),
            hurt: RefCell::default(),
            caches: RefCell::default(),
            closed: Cell::new(false),
        });
        let asked = atlas.clone();
        world.faults().set_atlas(move |target| asked.allows(target));
        atlas
    }

    /// A topic of users was seen.
    pub fn learn(&self, topic: TopicId) {
        self.users.borrow_mut().insert(topic);
    }

    fn allows(&self, target: &Target<'_>) -> bool {
        if self.closed.get() || target.node != self.node {
            return false;
        }
        match self.law {
            Law::Sound => false,
            Law::Lawless => true,
            Law::Survivable => self.allows_survivable(target),
        }
    }

    fn allows_survivable(&self, target: &Target<'_>) -> bool {
        let place = Place::of(&self.data, target.path);
        let lies_once = matches!(
            target.kind,
            FaultKind::DiskReadFlip | FaultKind::DiskStaleRead | FaultKind::DiskMisdirectedRead
        );
        match place {
            Place::Log {
                part: Part::TimeIndex,
                ..
            } if lies_once => false,
            _ if lies_once => true,
            Place::Log {
                partition,
                base,
                part: Part::Segment,
            } if self.users.borrow().contains(&partition.topic) => {
                self.mark(partition, base, target.path);
                true
            }
            Place::Log {
                part: Part::Cache | Part::TimeIndex,
                ..
            } => {
                self.caches.borrow_mut().insert(target.path.to_owned());
                true
            }
            _ => false,
        }
    }

    /// Something in this segment is not as it was written.
    /// Answers whether that is news.
    pub fn mark(&self, partition: TopicPartition, base: Offset, path: &Path) -> bool {
        let place = (partition, base);
        let before = self.hurt.borrow_mut().insert(place, path.to_owned());
        before.is_none()
    }

    /// A file beside a segment is not as it was written. Answers whether that is news.
    pub fn mark_cache(&self, path: &Path) -> bool {
        self.caches.borrow_mut().insert(path.to_owned())
    }

    /// Whether a topic is one of the workload's.
    pub fn is_of_users(&self, topic: TopicId) -> bool {
        self.users.borrow().contains(&topic)
    }

    /// What was marked is as it was before.
    pub fn unmark(&self, path: &Path) {
        self.hurt.borrow_mut().retain(|_, hurt| hurt != path);
        self.caches.borrow_mut().remove(path);
    }

    /// Whether a checker of the directory may complain of this file.
    pub fn is_hurt(&self, path: &Path) -> bool {
        let hurt = self.hurt.borrow().values().any(|hurt| hurt == path);
        let cache = self.caches.borrow().contains(path);
        // A digest names the chain of its segment, so either may be blamed for the other.
        let sibling = path.with_extension("log");
        hurt || cache || self.hurt.borrow().values().any(|hurt| *hurt == sibling)
    }

    /// Which records may be refused: all of each damaged segment, up to the next segment of its log.
    pub fn refusable(&self) -> Vec<Refusable> {
        let hurt = self.hurt.borrow();
        let mut bases: BTreeMap<TopicPartition, BTreeSet<Offset>> = BTreeMap::new();
        for (partition, _) in hurt.keys() {
            bases.entry(*partition).or_default();
        }
        if bases.is_empty() {
            return Vec::new();
        }
        let disk = self.world.disk(self.node);
        for path in disk.files() {
            // A file in which nothing was ever written is no segment yet, and need not become one.
            if let Place::Log {
                partition,
                base,
                part: Part::Segment,
            } = Place::of(&self.data, Path::new(&path))
                && let Some(bases) = bases.get_mut(&partition)
                && disk.len(&path).is_some_and(|len| len > 0)
            {
                bases.insert(base);
            }
        }
        let refusable = hurt.keys().map(|(partition, base)| {
            let above = bases[partition].range(base + 1..).next();
            (*partition, *base, above.copied().unwrap_or(Offset::MAX))
        });
        refusable.collect()
    }

    /// Damages what lies still, by the rates of rot and bad sectors, until the disk is healed.
    pub async fn rot(self: Rc<Self>) {
        const LOOK: Duration = Duration::from_millis(100);
        while !self.closed.get() && self.law != Law::Sound {
            self.world.sleep(LOOK).await;
            for kind in [FaultKind::DiskBitRot, FaultKind::DiskLatentSector] {
                self.rot_once(kind);
            }
        }
    }

    fn rot_once(&self, kind: FaultKind) {
        let world = &self.world;
        let stream = world.decisions().stream(&format!("atlas/{}", kind.name()));
        // A tick is rarer than a read, and hurts more seldom by itself.
        let rate = world.faults().rate(kind).saturating_mul(10);
        if rate == 0 || !world.decisions().chance(stream, rate) {
            return;
        }
        let details = world.node(self.node).detail_stream(kind, world);
        let below = |n: usize| world.decisions().below(details, n as u64) as usize;
        let disk = world.disk(self.node);
        let files = disk.files();
        if files.is_empty() {
            return;
        }
        let path = &files[below(files.len())];
        let Some(bytes) = disk.read_platter(path).filter(|bytes| !bytes.is_empty()) else {
            return;
        };
        let at = below(bytes.len()) as u64;
        // From where a batch begins: what was there may pass for nothing.
        let begins: Vec<usize> = batches(&bytes).iter().map(|(at, ..)| *at).collect();
        match kind {
            FaultKind::DiskBitRot if !begins.is_empty() && below(3) == 0 => {
                let begin = begins[below(begins.len())];
                disk.blank(path, begin as u64, BLANK)
            }
            FaultKind::DiskBitRot => disk.rot(path, at, below(8) as u8, below(2) == 0),
            _ => disk.make_unreadable(path, at),
        };
    }

    /// The disk does no more damage. What it has done stays.
    pub fn close(&self) {
        self.closed.set(true);
    }
}

/// Where the batches of a segment lie: position, length, first offset, and one past the last.
pub fn batches(segment: &[u8]) -> Vec<(usize, usize, Offset, Offset)> {
    let (mut rest, mut at) = (segment, 0);
    let mut found = Vec::new();
    while let Ok((header, batch)) = split_batch(rest) {
        found.push((at, batch.len(), header.base_offset, header.next_offset()));
        at += batch.len();
        rest = &rest[batch.len()..];
    }
    found
}

#[cfg(test)]
mod tests;
