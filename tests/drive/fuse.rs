//! As much of the kernel's FUSE protocol (version 7, `linux/fuse.h`) as a directory with two files needs. Integers are the
//! machine's own.

/// Number of the root directory, and of its files.
pub const ROOT: u64 = 1;
pub const DISK: u64 = 2;
pub const CONTROL: u64 = 3;

/// Most bytes of one write, and a page before them for its header.
const WRITE_MAX: usize = 1 << 20;
pub const REQUEST_MAX: usize = WRITE_MAX + 4096;

/// The protocol's minor version spoken here; the kernel adapts to a lower one.
const MINOR: u32 = 31;
/// Several reads at a time, writes above a page, and more than 32 pages a request.
const FLAGS: u32 = 1 | 1 << 5 | 1 << 22;
/// Past the page cache: every request of the loop device must reach the drive.
const OPEN_DIRECT: u32 = 1;

pub enum Request<'a> {
    Init {
        minor: u32,
        flags: u32,
    },
    Lookup {
        name: &'a [u8],
    },
    Attributes {
        node: u64,
    },
    Open,
    Read {
        node: u64,
        offset: u64,
        len: usize,
    },
    Write {
        node: u64,
        offset: u64,
        data: &'a [u8],
    },
    Sync {
        node: u64,
    },
    Allocate,
    Statistics,
    /// A handle is closed or flushed.
    Closed,
    /// The file system is unmounted.
    Destroy,
    /// What takes no answer.
    Forgotten,
    /// What is not served; the kernel does without.
    Other,
}

pub enum Answer {
    Error(i32),
    Done,
    Init {
        minor: u32,
        flags: u32,
    },
    /// Number and size of a file.
    Entry(u64, u64),
    Attributes(u64, u64),
    Opened,
    Data(Vec<u8>),
    Written(usize),
    Statistics,
}

/// Takes a request apart from the front.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest }
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_ne_bytes)
    }
}

/// A request's number, and what it asks.
pub fn parse(mut bytes: Reader<'_>) -> Option<(u64, Request<'_>)> {
    let _len = bytes.u32()?;
    let operation = bytes.u32()?;
    let id = bytes.u64()?;
    let node = bytes.u64()?;
    // User, group, process, extensions.
    bytes.take(16)?;
    let request = match operation {
        1 => {
            let name = bytes.rest.split(|byte| *byte == 0).next()?;
            Request::Lookup { name }
        }
        // Forget, interrupt, forget many.
        2 | 36 | 42 => Request::Forgotten,
        // Get and set: nothing here can be set, and a shell that truncates `control` need not know.
        3 | 4 => Request::Attributes { node },
        14 | 27 => Request::Open,
        15 => {
            let _handle = bytes.u64()?;
            let (offset, len) = (bytes.u64()?, bytes.u32()? as usize);
            Request::Read { node, offset, len }
        }
        16 => {
            let _handle = bytes.u64()?;
            let (offset, len) = (bytes.u64()?, bytes.u32()? as usize);
            // Flags, lock owner, flags, padding.
            bytes.take(20)?;
            let data = bytes.take(len)?;
            Request::Write { node, offset, data }
        }
        17 => Request::Statistics,
        // Release, flush, release of a directory.
        18 | 25 | 29 => Request::Closed,
        20 => Request::Sync { node },
        26 => {
            let (_major, minor) = (bytes.u32()?, bytes.u32()?);
            let (_readahead, flags) = (bytes.u32()?, bytes.u32()?);
            Request::Init { minor, flags }
        }
        28 => Request::Read {
            node: ROOT,
            offset: u64::MAX,
            len: 0,
        },
        38 => Request::Destroy,
        43 => Request::Allocate,
        _ => Request::Other,
    };
    Some((id, request))
}

/// The bytes of an answer, its header first.
pub fn encode(id: u64, answer: Answer) -> Vec<u8> {
    let mut body = Vec::new();
    let mut error = 0;
    match answer {
        Answer::Error(number) => error = -number,
        Answer::Done => {}
        Answer::Init { minor, flags } => init(&mut body, minor, flags),
        Answer::Entry(node, size) => {
            // Number, generation, how long name and attributes hold: not at all.
            words(&mut body, &[node, 0, 0, 0, 0]);
            attributes(&mut body, node, size);
        }
        Answer::Attributes(node, size) => {
            words(&mut body, &[0, 0]);
            attributes(&mut body, node, size);
        }
        Answer::Opened => {
            words(&mut body, &[0]);
            halves(&mut body, &[OPEN_DIRECT, 0]);
        }
        Answer::Data(data) => body = data,
        Answer::Written(len) => halves(&mut body, &[len as u32, 0]),
        Answer::Statistics => body.resize(80, 0),
    }
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend((16 + body.len() as u32).to_ne_bytes());
    bytes.extend(i32::to_ne_bytes(error));
    bytes.extend(id.to_ne_bytes());
    bytes.extend(body);
    bytes
}

fn words(body: &mut Vec<u8>, words: &[u64]) {
    body.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
}

fn halves(body: &mut Vec<u8>, halves: &[u32]) {
    body.extend(halves.iter().flat_map(|half| half.to_ne_bytes()));
}

fn init(body: &mut Vec<u8>, minor: u32, flags: u32) {
    let readahead = WRITE_MAX as u32;
    halves(body, &[7, minor.min(MINOR), readahead, flags & FLAGS]);
    // Requests in the background, and from how many on that is a crowd.
    body.extend([64_u16, 48].iter().flat_map(|half| half.to_ne_bytes()));
    // Largest write, grain of time; then pages a request, alignment.
    halves(body, &[WRITE_MAX as u32, 1]);
    body.extend(((WRITE_MAX / 4096) as u16).to_ne_bytes());
    body.resize(64, 0);
}

fn attributes(body: &mut Vec<u8>, node: u64, size: u64) {
    let mode = if node == ROOT { 0o040_700 } else { 0o100_600 };
    // Number, size, blocks, three times; their fractions; mode, links, owner, group, device, block size, flags.
    words(body, &[node, size, size.div_ceil(512), 0, 0, 0]);
    halves(body, &[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]);
}
