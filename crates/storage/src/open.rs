//! Opening a data directory: whose it is, what was durable, and who serves it from now on.
//!
//! May be killed at any await: everything that is written here is either a slot in turn, or the very bytes that
//! stand there already.

use crate::checkpoint::{self, Checkpoint, Section};
use crate::journal::file::{self, FileHeader, JournalFile};
use crate::journal::keeper::Keeper;
use crate::journal::messages::{ToKeeper, ToShard, WriterSenders};
use crate::journal::scan::{self, ScanEnd, Scanned};
use crate::journal::writer::{Files, Journal, Live, Writer, payload_max};
use crate::journal::{BLOCK, Joint, Place};
use crate::layout;
use crate::logs::{Identity, Opened, RecoverySummary, ShardPart, shard_of};
use crate::meta::{self, Meta};
use crate::replay::{Replay, Replayed};
use crate::signal::Signal;
use crate::{OpenError, Options};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use taffrail_env::disk::{DiskResult, EntryKind};
use taffrail_env::mailbox::{self, Receiver, Sender};
use taffrail_env::{Directory, Disk, DiskErrorKind, Env, File, OpenMode};

/// Messages that may wait in each mailbox.
const MAILBOX: usize = 1024;
/// The journal takes at most this part of a small file system.
const SHARE_OF_DISK: u64 = 8;
/// The smallest journal file.
const JOURNAL_FILE_MIN: u64 = 256 << 10;
const FIRST_FILE: u64 = 1;

type DiskFile<E> = <E as Disk>::File;

/// Opens a data directory, makes it if it is absent or empty, recovers what is in it. Call it on shard 0: the
/// journal's tasks are spawned there.
pub async fn open<E: Env>(
    env: &E,
    directory: &Path,
    options: Options,
    shards: usize,
) -> Result<Opened, OpenError> {
    let lock = take(env, directory).await?;
    let found = match meta::read(env, directory).await? {
        Some(meta) => meta,
        None => {
            refuse_foreign(env, directory).await?;
            let meta = new_meta(env, directory, &options).await?;
            meta::create(env, directory, &lock, &meta).await?;
            meta
        }
    };
    let fresh = !found.complete;
    let mut meta = found;
    if fresh {
        refuse_used(env, directory, &meta).await?;
        make(env, directory, &lock, &mut meta).await?;
    }
    let recovered = examine(env, directory, &meta, OpenMode::ReadWrite).await?;
    secure(env, directory, &meta, &recovered).await?;
    // The slot that was read may not be on the platter; the other one is written only when it is.
    meta::update(env, directory, &meta).await?;
    let identity = Identity {
        directory_id: meta.directory_id,
        cluster_id: meta.cluster_id,
        start_number: meta.start_number + 1,
        clean: recovered.clean || fresh,
        fresh,
    };
    meta.start_number += 1;
    meta.clean = None;
    // Both slots: the one that says that the stop was clean, and where the journal ended then, must not come back.
    meta::update_both(env, directory, &mut meta).await?;
    let going_on = Start {
        options,
        shards,
        lock,
        meta,
        identity,
        recovered,
    };
    Ok(start(env, directory, going_on))
}

/// Opens the directory itself, or makes it, and takes its lock.
pub(crate) async fn take<E: Env>(
    env: &E,
    directory: &Path,
) -> Result<<E as Disk>::Directory, OpenError> {
    let opened = match env.open_directory(directory).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => {
            env.create_directory(directory).await?;
            env.open_directory(directory).await?
        }
        opened => opened?,
    };
    match opened.lock().await {
        Err(error) if error.kind == DiskErrorKind::Locked => Err(OpenError::Locked {
            path: directory.into(),
        }),
        locked => Ok(locked.map(|()| opened)?),
    }
}

/// A directory without our file must be empty.
async fn refuse_foreign<E: Env>(env: &E, directory: &Path) -> Result<(), OpenError> {
    let entries = env.list(directory).await?;
    let foreign = entries
        .into_iter()
        .find(|entry| entry.name != layout::LOST_AND_FOUND && entry.name != layout::META_NEW);
    match foreign {
        Some(entry) => Err(OpenError::OtherProgram {
            path: directory.into(),
            found: entry.name,
        }),
        None => Ok(()),
    }
}

async fn new_meta<E: Env>(env: &E, directory: &Path, options: &Options) -> Result<Meta, OpenError> {
    let space = env.space(directory).await?;
    let wanted = options.journal_file_bytes.next_multiple_of(BLOCK);
    let mut files = options.journal_files.max(3);
    let mut file_bytes = wanted;
    let share = space.total / SHARE_OF_DISK;
    if wanted * u64::from(files) > share {
        files = files.min(4);
        file_bytes = wanted
            .min(share / u64::from(files) / BLOCK * BLOCK)
            .max(JOURNAL_FILE_MIN.min(wanted));
    }
    // Two files to begin with, and as much again to begin to work.
    if space.available < 4 * file_bytes {
        return Err(OpenError::NoSpace {
            path: directory.into(),
            needed: 4 * file_bytes,
            available: space.available,
        });
    }
    let id = |label| {
        let mut id = [0; 16];
        env.fill(label, &mut id);
        id
    };
    Ok(Meta {
        counter: 0,
        directory_id: id("directory id"),
        cluster_id: id("cluster id"),
        start_number: 0,
        clean: None,
        complete: false,
        journal_file_bytes: file_bytes,
        journal_files: files,
    })
}

/// Makes the directory's own name durable. Whoever made it, a start that died right after or the user, need not have.
async fn secure_name<E: Env>(env: &E, directory: &Path) -> Result<(), OpenError> {
    let parent = match directory.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    match env.open_directory(parent).await {
        Ok(parent) => Ok(parent.sync().await?),
        // Somebody gave this program a directory in a place that it may not look at. Its own sync has to do.
        Err(error) if error.kind == DiskErrorKind::PermissionDenied => {
            tracing::warn!(
                "{error}; the name of the data directory is synced with the directory alone"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// What an interrupted first start left holds nothing. If the journal holds something, it is not the first start that was interrupted:
/// the disk has lost what was written to our file since, or hides it.
async fn refuse_used<E: Env>(env: &E, directory: &Path, meta: &Meta) -> Result<(), OpenError> {
    let journal = directory.join(layout::JOURNAL);
    let entries = match env.list(&journal).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        if layout::journal_index(&entry.name).is_none() {
            continue;
        }
        let path = journal.join(&entry.name);
        let file = env.open(&path, OpenMode::Read).await?;
        if scan::holds_groups(&file, meta.journal_file_bytes).await? {
            return Err(OpenError::Damaged {
                file: layout::meta(directory),
                offset: 0,
                what: format!(
                    "it says that nothing was ever written here, but {} holds journal groups",
                    path.display()
                ),
            });
        }
    }
    Ok(())
}

/// Makes the journal's first files and an empty checkpoint. What an interrupted first start left is made anew.
async fn make<E: Env>(
    env: &E,
    directory: &Path,
    root: &<E as Disk>::Directory,
    meta: &mut Meta,
) -> Result<(), OpenError> {
    for name in [layout::JOURNAL, layout::CHECKPOINT, layout::PARTITIONS] {
        match env.create_directory(&directory.join(name)).await {
            Err(error) if error.kind == DiskErrorKind::AlreadyExists => {}
            created => created?,
        }
    }
    let header = |sequence| FileHeader {
        directory_id: meta.directory_id,
        sequence,
        nonce: env.random_u64("journal nonce"),
        len: meta.journal_file_bytes,
    };
    file::create(env, directory, 0, header(FIRST_FILE), || Ok(())).await?;
    file::create(env, directory, 1, header(0), || Ok(())).await?;
    let replay = Joint {
        place: Place {
            file: FIRST_FILE,
            offset: BLOCK,
        },
        ..Joint::default()
    };
    let sections: [Section; 0] = [];
    for generation in [0, 1] {
        let pieces = checkpoint::encode(&meta.directory_id, generation, &replay, 1, &sections);
        let written = checkpoint::write(
            env,
            directory,
            &meta.directory_id,
            generation,
            pieces,
            || Ok(()),
        )
        .await;
        written.map_err(|error| match error {
            checkpoint::WriteError::NoSpace(error) | checkpoint::WriteError::Disk(error) => {
                OpenError::Disk(error)
            }
            checkpoint::WriteError::NotReadBack(path) => OpenError::Damaged {
                file: path,
                offset: 0,
                what: "it does not read back as it was written".into(),
            },
        })?;
    }
    for name in [layout::JOURNAL, layout::CHECKPOINT] {
        let made = env.open_directory(&directory.join(name)).await?;
        made.sync().await?;
    }
    root.sync().await?;
    secure_name(env, directory).await?;
    meta.complete = true;
    meta.counter += 1;
    meta::update(env, directory, meta).await?;
    Ok(())
}

/// What recovery found.
pub(crate) struct Recovered<F> {
    /// The last stop was clean, and nothing was written since.
    pub clean: bool,
    pub replayed: Replayed,
    pub end: ScanEnd,
    pub generation: u64,
    checkpoint: Bytes,
    live: VecDeque<Live<F>>,
    free: Vec<JournalFile<F>>,
    missing: Vec<u32>,
}

/// Reads everything that is durable; changes nothing. The journal's files are opened with `mode`: who only looks need not be
/// allowed to write.
pub(crate) async fn examine<E: Env>(
    env: &E,
    directory: &Path,
    meta: &Meta,
    mode: OpenMode,
) -> Result<Recovered<DiskFile<E>>, OpenError> {
    let checkpoint = checkpoint::read(env, directory, &meta.directory_id).await?;
    let Some((checkpoint, checkpoint_bytes)) = checkpoint else {
        return Err(OpenError::Damaged {
            file: directory.join(layout::CHECKPOINT),
            offset: 0,
            what: "no checkpoint verifies".into(),
        });
    };
    let mut clean = meta.clean;
    if clean.is_some_and(|(_, generation)| generation < checkpoint.generation) {
        clean = outdated();
    }
    if let Some((_, generation)) = clean
        && generation != checkpoint.generation
    {
        return Err(OpenError::Damaged {
            file: layout::checkpoint_file(directory, generation),
            offset: 0,
            what: format!("checkpoint {generation} of the last clean stop does not verify"),
        });
    }
    let journal = directory.join(layout::JOURNAL);
    let (used, mut free, missing) =
        files_to_replay(env, directory, meta, &checkpoint, mode).await?;
    let generation = checkpoint.generation;
    let start = checkpoint.replay;
    let expected = clean.map(|(joint, _)| joint);
    let files = Scanned {
        files: &used,
        idle: &free,
        file_len: meta.journal_file_bytes,
    };
    let (replayed, end) = replay(&files, checkpoint, start, expected, &journal).await?;
    if end.goes_on {
        clean = outdated();
    }
    let mut live: VecDeque<Live<DiskFile<E>>> = VecDeque::new();
    for (at, file) in used.into_iter().enumerate() {
        match end.begins.get(at) {
            Some(begin) => live.push_back(Live {
                file,
                begin: *begin,
            }),
            // It may have been prepared; its header is written anew before it is used.
            None => free.push(file),
        }
    }
    Ok(Recovered {
        clean: clean.is_some(),
        replayed,
        end,
        generation,
        checkpoint: checkpoint_bytes,
        live,
        free,
        missing,
    })
}

type Found<F> = (Vec<JournalFile<F>>, Vec<JournalFile<F>>, Vec<u32>);

/// The journal's files from the checkpoint's on, those that are free, and those that are missing.
async fn files_to_replay<E: Env>(
    env: &E,
    directory: &Path,
    meta: &Meta,
    checkpoint: &Checkpoint,
    mode: OpenMode,
) -> Result<Found<DiskFile<E>>, OpenError> {
    let journal = directory.join(layout::JOURNAL);
    let (mut used, unused, missing) = find_files(env, directory, meta, mode).await?;
    let from = checkpoint.replay.place.file;
    let mut free = unused;
    while used.first().is_some_and(|file| file.sequence < from) {
        free.push(used.remove(0));
    }
    if used.first().is_none_or(|file| file.sequence != from) {
        return Err(OpenError::Damaged {
            file: journal,
            offset: 0,
            what: format!(
                "checkpoint {} needs journal file {from}, which is not there",
                checkpoint.generation
            ),
        });
    }
    Ok((used, free, missing))
}

/// The journal's files: those with a life, in order; those without; the numbers of those that are to be made.
async fn find_files<E: Env>(
    env: &E,
    directory: &Path,
    meta: &Meta,
    mode: OpenMode,
) -> Result<Found<DiskFile<E>>, OpenError> {
    let entries = env.list(&directory.join(layout::JOURNAL)).await?;
    let there: Vec<u32> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::File)
        .filter_map(|entry| layout::journal_index(&entry.name))
        .collect();
    let len = meta.journal_file_bytes;
    let (mut used, mut unused) = (Vec::new(), Vec::new());
    let mut missing: Vec<u32> = (0..meta.journal_files)
        .filter(|index| !there.contains(index))
        .collect();
    for index in there {
        let (file, header) = file::open(env, directory, index, meta, mode).await?;
        match header {
            Some(header) => {
                let file = JournalFile {
                    file,
                    sequence: header.sequence,
                    nonce: header.nonce,
                };
                if header.sequence == 0 {
                    unused.push(file);
                } else {
                    used.push(file);
                }
            }
            // It was being made, and holds nothing; or it was in use, and its header is gone.
            None if scan::holds_groups(&file, len).await? => {
                return Err(OpenError::Damaged {
                    file: layout::journal_file(directory, index),
                    offset: 0,
                    what: "a journal file without a header holds groups".into(),
                });
            }
            None => missing.push(index),
        }
    }
    used.sort_by_key(|file| file.sequence);
    missing.sort_unstable_by(|a, b| b.cmp(a));
    Ok((used, unused, missing))
}

/// The mark of a clean stop is older than what was written: the disk has lost the newer one, or hides it.
fn outdated<T>() -> Option<T> {
    tracing::warn!(
        "{} tells of a clean stop, but something was written after it; recovering as after a crash",
        layout::META
    );
    None
}

async fn replay<F: File>(
    files: &Scanned<'_, F>,
    checkpoint: Checkpoint,
    start: Joint,
    expected: Option<Joint>,
    journal: &Path,
) -> Result<(Replayed, ScanEnd), OpenError> {
    let mut replay = Replay::new(checkpoint);
    let mut fold = |place: Place, entries: Vec<_>| {
        entries
            .into_iter()
            .try_for_each(|entry| replay.entry(place, entry))
    };
    let end = scan::scan(files, start, expected, &mut fold).await?;
    let damaged = |offset, what| OpenError::Damaged {
        file: journal.into(),
        offset,
        what,
    };
    if let Some(clean) = expected
        && clean != end.joint
        && !end.goes_on
    {
        let what = format!(
            "the journal ends at group {}, but the last clean stop ended it at group {}",
            end.joint.sequence, clean.sequence
        );
        return Err(damaged(end.joint.place.offset, what));
    }
    let replayed = replay
        .finish()
        .map_err(|what| damaged(end.joint.place.offset, what))?;
    Ok((replayed, end))
}

/// After an unclean stop, what was read may stand in the page cache only, or in a page whose sync failed: the newest
/// checkpoint, the last group, the header of its file, names. They are written again, the same bytes, and synced, before
/// anybody builds on them.
async fn secure<E: Env>(
    env: &E,
    directory: &Path,
    meta: &Meta,
    recovered: &Recovered<DiskFile<E>>,
) -> DiskResult<()> {
    if recovered.clean {
        return Ok(());
    }
    let bytes = recovered.checkpoint.clone();
    checkpoint::secure(env, directory, recovered.generation, bytes).await?;
    if let Some(last) = recovered.live.back() {
        let header = FileHeader {
            directory_id: meta.directory_id,
            sequence: last.file.sequence,
            nonce: last.file.nonce,
            len: meta.journal_file_bytes,
        };
        file::write_header(&last.file.file, header, || Ok(())).await?;
        if let Some(group) = &recovered.end.last_group {
            let write = last
                .file
                .file
                .write_at(group.place.offset, vec![group.bytes.clone()]);
            let sync = last.file.file.sync();
            write.await?;
            sync.await?;
        }
    }
    for name in [layout::JOURNAL, layout::CHECKPOINT, layout::PARTITIONS] {
        let there = env.open_directory(&directory.join(name)).await?;
        there.sync().await?;
    }
    Ok(())
}

/// What of an opening goes on to the running storage.
struct Start<E: Env> {
    options: Options,
    shards: usize,
    lock: <E as Disk>::Directory,
    meta: Meta,
    identity: Identity,
    recovered: Recovered<DiskFile<E>>,
}

/// The ways to the journal's tasks, and the shards' own mailboxes.
struct Ways {
    writer: WriterSenders,
    keeper: Sender<ToKeeper>,
    mails: Vec<Receiver<ToShard>>,
}

/// Spawns the journal's tasks and deals the logs out to the shards.
fn start<E: Env>(env: &E, directory: &Path, start: Start<E>) -> Opened {
    let Start {
        options,
        shards,
        lock,
        meta,
        identity,
        recovered,
    } = start;
    let end = recovered.end;
    let replayed = recovered.replayed;
    let tail_bytes = replayed
        .logs
        .iter()
        .flat_map(|log| &log.tail)
        .map(|entry| entry.batch.len() as u64);
    let recovery = RecoverySummary {
        journal_bytes_read: end.bytes_read,
        groups: end.groups,
        logs: replayed.logs.len(),
        tail_bytes: tail_bytes.sum(),
        torn_tail: end.torn,
    };
    let journal = Rc::new(Journal {
        files: RefCell::new(Files {
            live: recovered.live,
            next: None,
            free: recovered.free,
            joint: end.joint,
            told: end.joint,
            failed: None,
            closed: false,
        }),
        file_len: meta.journal_file_bytes,
        writer_bell: Signal::default(),
        keeper_bell: Signal::default(),
    });
    let payload_max = payload_max(meta.journal_file_bytes);
    let keep = |mail, to_shards: Vec<Sender<ToShard>>| Keeper {
        env: env.clone(),
        directory: directory.into(),
        lock,
        meta,
        options: options.clone(),
        journal: journal.clone(),
        mail,
        closed: to_shards.iter().map(|_| None).collect(),
        shards: to_shards,
        generation: recovered.generation,
        missing: recovered.missing,
    };
    let ways = spawn_journal(env, &journal, shards, options.group_bytes_max, keep);
    let template = PartTemplate {
        directory,
        options: &options,
        payload_max,
        as_of: end.joint.place,
    };
    Opened {
        identity,
        shards: deal(&template, ways, replayed),
        recovery,
    }
}

/// Spawns the writer, and the keeper that `keep` makes.
fn spawn_journal<E: Env>(
    env: &E,
    journal: &Rc<Journal<DiskFile<E>>>,
    shards: usize,
    group_bytes_max: usize,
    keep: impl FnOnce(Receiver<ToKeeper>, Vec<Sender<ToShard>>) -> Keeper<E>,
) -> Ways {
    let (ordinary, ordinary_mail) = mailbox::bounded(MAILBOX);
    let (relief, relief_mail) = mailbox::bounded(MAILBOX);
    let (keeper, keeper_mail) = mailbox::bounded(MAILBOX);
    let (to_shards, mails): (Vec<Sender<_>>, Vec<Receiver<_>>) =
        (0..shards).map(|_| mailbox::bounded(MAILBOX)).unzip();
    let writer = Writer::new(
        journal.clone(),
        [ordinary_mail, relief_mail],
        to_shards.clone(),
        group_bytes_max,
    );
    env.spawn(writer.run());
    env.spawn(keep(keeper_mail, to_shards).run());
    Ways {
        writer: WriterSenders { ordinary, relief },
        keeper,
        mails,
    }
}

/// What is equal in all shards' parts.
struct PartTemplate<'a> {
    directory: &'a Path,
    options: &'a Options,
    payload_max: usize,
    as_of: Place,
}

fn deal(template: &PartTemplate<'_>, ways: Ways, replayed: Replayed) -> Vec<ShardPart> {
    let shards = ways.mails.len();
    let mails = ways.mails.into_iter().enumerate();
    let mut parts: Vec<ShardPart> = mails
        .map(|(index, mail)| ShardPart {
            index,
            shards,
            options: template.options.clone(),
            directory: PathBuf::from(template.directory),
            payload_max: template.payload_max,
            writer: ways.writer.clone(),
            keeper: ways.keeper.clone(),
            mail,
            logs: Vec::new(),
            deleted: Vec::new(),
            next_log_number: replayed.next_log_number,
            as_of: template.as_of,
        })
        .collect();
    for log in replayed.logs {
        parts[shard_of(log.state.partition, shards)].logs.push(log);
    }
    for (partition, number) in replayed.deleted {
        parts[shard_of(partition, shards)]
            .deleted
            .push((partition, number));
    }
    parts
}
