//! One wound in a directory that nobody has open, while everything else is sound: what the broker makes of it, and what it
//! makes of the directory once the wound is undone.
//!
//! Where the product has another copy it must go on as if nothing were. Elsewhere it may refuse: the records that are hurt, or
//! to start, and then it says why and leaves the directory as it is. It never serves or forgets anything in silence,
//! and once the bytes are back it has everything again.

use super::PATIENCE;
use super::account::{
    on_node, read_everything, say_what_was_committed, tell_answers, tell_silence,
};
use crate::atlas::{Atlas, Part, Place, batches};
use crate::cluster::Broker;
use crate::disk::DiskView;
use crate::history::{Event, Hurt, Owed};
use crate::node::NodeId;
use crate::trace::digest;
use crate::workload::{Stage, commits, producer};
use crate::world::World;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const SECTOR: usize = 512;
const BLOCK: usize = 4096;
/// The second copy of a journal file's header.
const HEADER_COPY: usize = 2048;
const META_SLOT: usize = 4096;
/// How long a refused question for offsets is asked again.
const GROUP_PATIENCE: Duration = Duration::from_secs(5);

/// What the broker has to do about a wound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    /// Serve everything: there is another copy, or it can be made again.
    Serve,
    /// Serve everything but records of the hurt segment.
    RefuseRecords,
    /// Serve everything, or groups not at all, or not start.
    MayHalt,
}

/// A place that can be wounded.
#[derive(Clone, Debug)]
struct Site {
    what: &'static str,
    path: String,
    /// From here to there.
    from: usize,
    to: usize,
    /// Where batches begin in it.
    begins: Vec<usize>,
    duty: Duty,
}

/// What was done to a site.
struct Wound {
    site: Site,
    offset: u64,
    before: Vec<u8>,
    /// `None`: the sector cannot be read.
    after: Option<Vec<u8>>,
    /// Nothing else in this file was damaged before.
    alone: bool,
    /// The directory as it was when the broker came to it.
    found: BTreeMap<String, u64>,
}

/// Stops the broker in one way or another, wounds its directory, and judges. The rounds of reading back begin with `round`.
pub(super) async fn run(
    world: &World,
    broker: &Rc<Broker>,
    stage: &Rc<Stage>,
    reader: NodeId,
    round: u32,
) {
    let wound: Rc<RefCell<Option<Wound>>> = Rc::default();
    {
        let (world, atlas, slot) = (world.clone(), broker.atlas().clone(), wound.clone());
        let (node, data) = (broker.node, broker.data());
        broker.before_serving(move || *slot.borrow_mut() = inflict(&world, node, data, &atlas));
    }
    if !fill_tail(world, stage, reader).await {
        return;
    }
    let decisions = world.decisions();
    let death = decisions.below(decisions.stream("trial/death"), 3);
    match death {
        0 => broker.kill(),
        1 => broker.power_cut(),
        _ => {
            if !broker.stop_and_verify(stage, PATIENCE).await {
                return;
            }
        }
    }
    let until = world.elapsed() + PATIENCE;
    while wound.borrow().is_none() || !broker.is_serving() && broker.refusal().is_none() {
        if world.elapsed() >= until {
            return tell_silence(stage);
        }
        world.sleep(Duration::from_micros(100)).await;
    }
    let Some(wound) = wound.take() else {
        return;
    };
    stage.count(wound.site.what);
    // After a clean stop nothing is under way, so whatever is in a segment counts.
    if death > 1 && !is_found(world, broker, &wound) {
        return;
    }
    let sound = match broker.refusal() {
        Some(_) => is_fair_refusal(world, broker, stage, &wound),
        None => serves_all_it_can(world, broker, stage, reader, round, &wound).await,
    };
    if sound {
        mend(world, broker, stage, reader, round + 1, wound).await;
    }
}

/// Groups that no checkpoint covers, one after the other.
async fn fill_tail(world: &World, stage: &Rc<Stage>, reader: NodeId) -> bool {
    const TIMES: u32 = 5;
    for _ in 0..TIMES {
        let errand = move |env, stage| producer::probe(env, stage, reader.0, PATIENCE);
        let begun = world.elapsed();
        let left = on_node(world, reader, stage, errand).await;
        if !stage.tell_waits(Owed::Intake, left, begun, PATIENCE) {
            return false;
        }
    }
    true
}

/// What is wrong with records is found by whoever looks at the directory before it is served.
fn is_found(world: &World, broker: &Broker, wound: &Wound) -> bool {
    let harmless = wound.after.as_ref() == Some(&wound.before);
    let found = broker.found_before_serving();
    let named = found
        .iter()
        .any(|file| *file == Path::new(&wound.site.path));
    if named || harmless || wound.site.duty != Duty::RefuseRecords {
        return true;
    }
    let witness = format!(
        "the verification does not find what is wrong at {} of {}: it names {found:?}",
        wound.offset, wound.site.path
    );
    world.fail("NO-SILENT-CORRUPTION", witness);
    false
}

/// The broker did not start.
fn is_fair_refusal(world: &World, broker: &Broker, stage: &Stage, wound: &Wound) -> bool {
    let Some(refusal) = broker.refusal() else {
        return true;
    };
    stage.count("trial-halted");
    let hurt = Hurt {
        place: format!(
            "{} at {} of {}",
            wound.site.what, wound.offset, wound.site.path
        ),
        has_copy: wound.site.duty != Duty::MayHalt,
        is_named: refusal.why.contains(&broker.data().display().to_string()),
        is_changed: refusal.untouched && contents(&world.disk(broker.node)) != wound.found,
    };
    stage.tell(Event::StartRefused {
        node: broker.node.number(),
        after: "after it was hurt".to_owned(),
        over: refusal.over,
        why: refusal.why,
        hurt: Some(hurt),
    });
    !world.is_over()
}

/// The broker started.
async fn serves_all_it_can(
    world: &World,
    broker: &Rc<Broker>,
    stage: &Rc<Stage>,
    reader: NodeId,
    round: u32,
    wound: &Wound,
) -> bool {
    if !read_everything(world, reader, stage, round).await {
        return false;
    }
    let errand = move |env, stage| commits::ask_all(env, stage, GROUP_PATIENCE);
    let answers = on_node(world, reader, stage, errand).await;
    let owes = wound.site.duty != Duty::MayHalt;
    if owes && !tell_answers(stage, answers, Owed::CoordinatorLoad, GROUP_PATIENCE) {
        return false;
    }
    broker.kill();
    true
}

/// Puts back what was there before. Now everything must be there.
async fn mend(
    world: &World,
    broker: &Rc<Broker>,
    stage: &Rc<Stage>,
    reader: NodeId,
    round: u32,
    wound: Wound,
) {
    let disk = world.disk(broker.node);
    let Wound {
        site,
        offset,
        before,
        after,
        alone,
        ..
    } = wound;
    broker.kill();
    // Where something else was written meanwhile there is no wound any more.
    let there = disk.read_platter(&site.path).unwrap_or_default();
    let there = there.get(offset as usize..offset as usize + before.len());
    if there == Some(&after.as_ref().unwrap_or(&before)[..]) {
        disk.put(&site.path, offset, &before);
    }
    if alone {
        broker.atlas().unmark(Path::new(&site.path));
    }
    stage.tell(Event::DamageMended {
        node: broker.node.number(),
    });
    let after = format!("after {} was put right", site.path);
    if broker.comes_back(stage, &after, PATIENCE).await
        && read_everything(world, reader, stage, round).await
    {
        say_what_was_committed(world, reader, stage, Owed::CoordinatorLoad).await;
    }
}

/// Draws a site and wounds it.
fn inflict(world: &World, node: NodeId, data: &Path, atlas: &Atlas) -> Option<Wound> {
    let disk = world.disk(node);
    let stream = world.decisions().stream("trial/wound");
    let below = |n: usize| world.decisions().below(stream, n as u64) as usize;
    let sites = sites(&disk, data, atlas);
    let mut kinds: Vec<&'static str> = sites.iter().map(|site| site.what).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        return None;
    }
    let kind = kinds[below(kinds.len())];
    let sites: Vec<&Site> = sites.iter().filter(|site| site.what == kind).collect();
    let site = sites[below(sites.len())].clone();
    let bytes = disk.read(&site.path)?;
    let at = match below(4) {
        // Where something begins, so that what was there may pass for nothing.
        0 if !site.begins.is_empty() => site.begins[below(site.begins.len())],
        _ => site.from + below(site.to - site.from),
    };
    let found = contents(&disk);
    // From the place on to the end of the sector or the site.
    let end = ((at / SECTOR + 1) * SECTOR).min(site.to);
    let (offset, before, after) = match below(4) {
        0 => {
            let sector = at / SECTOR * SECTOR;
            disk.break_sector(&site.path, at as u64);
            let end = (sector + SECTOR).min(bytes.len());
            (sector, bytes[sector..end].to_vec(), None)
        }
        1 => (at, bytes[at..end].to_vec(), Some(vec![0; end - at])),
        2 => {
            let other = below(bytes.len() - (end - at) + 1);
            let foreign = bytes[other..other + end - at].to_vec();
            (at, bytes[at..end].to_vec(), Some(foreign))
        }
        _ => {
            let flipped = bytes[at] ^ 1 << below(8);
            (at, vec![bytes[at]], Some(vec![flipped]))
        }
    };
    if let Some(after) = &after {
        disk.put(&site.path, offset as u64, after);
    }
    let alone = match Place::of(data, Path::new(&site.path)) {
        Place::Log {
            partition,
            base,
            part: Part::Segment,
        } if site.duty == Duty::RefuseRecords => atlas.mark(partition, base, Path::new(&site.path)),
        Place::Log { .. } => atlas.mark_cache(Path::new(&site.path)),
        _ => true,
    };
    Some(Wound {
        found: match &after {
            Some(_) => contents(&disk),
            None => found,
        },
        site,
        offset: offset as u64,
        before,
        after,
        alone,
    })
}

/// Every file with a digest of its contents.
fn contents(disk: &DiskView) -> BTreeMap<String, u64> {
    let files = disk.files().into_iter();
    files
        .map(|path| {
            let sum = digest(&disk.read(&path).unwrap_or_default());
            (path, sum)
        })
        .collect()
}

fn sites(disk: &DiskView, data: &Path, atlas: &Atlas) -> Vec<Site> {
    let mut sites = Vec::new();
    let mut checkpoints = Vec::new();
    let mut journals = Vec::new();
    for path in disk.files() {
        let Some(bytes) = disk.read(&path).filter(|bytes| !bytes.is_empty()) else {
            continue;
        };
        match Place::of(data, Path::new(&path)) {
            Place::Meta => {
                for slot in [0, META_SLOT] {
                    sites.push(Site {
                        what: "trial-meta-slot",
                        path: path.clone(),
                        from: slot,
                        to: slot + 128,
                        begins: Vec::new(),
                        duty: Duty::Serve,
                    });
                }
            }
            Place::Checkpoint => checkpoints.push((path, bytes)),
            Place::Journal => journals.push((path, bytes)),
            Place::Log {
                partition, part, ..
            } => {
                let user = atlas.is_of_users(partition.topic);
                sites.extend(log_site(path, &bytes, part, user));
            }
            Place::Other => {}
        }
    }
    // The newest checkpoint says which groups recovery still needs.
    let newest = checkpoints
        .iter()
        .max_by_key(|(_, bytes)| number(bytes, 32));
    let needed = newest.and_then(|(_, bytes)| number(bytes, 56));
    sites.extend(journal_sites(journals, needed));
    sites.extend(checkpoint_sites(checkpoints));
    sites
}

fn log_site(path: String, bytes: &[u8], part: Part, user: bool) -> Option<Site> {
    let mut begins = Vec::new();
    let (what, to, duty) = match part {
        Part::Segment => {
            let batches = batches(bytes);
            let (at, len, ..) = *batches.last()?;
            begins.extend(batches.iter().map(|(at, ..)| *at));
            match user {
                true => ("trial-segment", at + len, Duty::RefuseRecords),
                false => ("trial-own-segment", at + len, Duty::MayHalt),
            }
        }
        Part::Cache | Part::TimeIndex => ("trial-side-file", bytes.len(), Duty::Serve),
        Part::State => ("trial-state", bytes.len(), Duty::MayHalt),
        Part::Other => return None,
    };
    Some(Site {
        what,
        path,
        from: 0,
        to,
        begins,
        duty,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let number = bytes.get(at..at + 8)?.try_into().ok()?;
    Some(u64::from_le_bytes(number))
}

/// The newer one may be needed; of the older one nothing is.
fn checkpoint_sites(checkpoints: Vec<(String, Vec<u8>)>) -> Vec<Site> {
    let newest = checkpoints
        .iter()
        .filter_map(|(_, bytes)| number(bytes, 32))
        .max();
    let sites = checkpoints.iter().filter_map(|(path, bytes)| {
        let newer = number(bytes, 32) == newest;
        Some(Site {
            what: if newer {
                "trial-checkpoint"
            } else {
                "trial-old-checkpoint"
            },
            path: path.clone(),
            from: 0,
            to: (number(bytes, 80)? as usize).min(bytes.len()),
            begins: Vec::new(),
            duty: if newer { Duty::MayHalt } else { Duty::Serve },
        })
    });
    sites.collect()
}

/// Either copy of a header, and groups that others follow: the last one cannot be told from one that was never finished.
/// Recovery reads those above `needed`.
fn journal_sites(journals: Vec<(String, Vec<u8>)>, needed: Option<u64>) -> Vec<Site> {
    let mut sites = Vec::new();
    let mut groups = Vec::new();
    for (path, bytes) in &journals {
        for copy in [0, HEADER_COPY] {
            sites.push(Site {
                what: "trial-journal-header",
                path: path.clone(),
                from: copy,
                to: copy + 64,
                begins: Vec::new(),
                duty: Duty::Serve,
            });
        }
        for at in (BLOCK..bytes.len()).step_by(BLOCK) {
            if let Some((sequence, len)) = group(&bytes[at..]) {
                groups.push((sequence, path, at, len));
            }
        }
    }
    let last = groups.iter().map(|group| group.0).max().unwrap_or(0);
    let followed = groups.into_iter().filter(|group| group.0 + 2 <= last);
    sites.extend(followed.map(|(sequence, path, at, len)| Site {
        what: match needed {
            Some(needed) if sequence > needed => "trial-journal-tail",
            _ => "trial-journal-group",
        },
        begins: Vec::new(),
        path: path.clone(),
        from: at,
        to: at + len,
        duty: Duty::MayHalt,
    }));
    sites
}

/// The sequence and the length of a group that begins here.
fn group(bytes: &[u8]) -> Option<(u64, usize)> {
    let sequence = bytes.get(8..16)?.try_into().ok()?;
    let entries: [u8; 4] = bytes.get(24..28)?.try_into().ok()?;
    let len = 40 + u32::from_le_bytes(entries) as usize;
    let whole = bytes.starts_with(b"TAFGROUP") && len <= bytes.len();
    whole.then(|| (u64::from_le_bytes(sequence), len))
}
