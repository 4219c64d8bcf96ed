//! Every command and option, each defined once. Help, errors and the keys of the configuration file come from here.

use crate::failure::Failure;
use crate::time;
use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use taffrail_client::{Acks, Codec};

/// Where brokers are looked for, and where one listens.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:9092";
pub const DEFAULT_ADMIN: &str = "127.0.0.1:9644";
pub const DEFAULT_DATA: &str = "./taffrail-data";
pub const DEFAULT_NODE_ID: i32 = 1;
pub const DEFAULT_MEMORY: Size = Size(256 << 20);

/// A distributed commit log that speaks Kafka's protocol.
#[derive(Debug, Parser)]
#[command(name = "taffrail", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// What is logged to stderr: error, warn, info, debug, trace, or a filter such as taffrail_broker=debug.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a broker until it is told to stop.
    Serve(Box<ServeOptions>),
    /// Topics: create, list, describe, alter, delete.
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Sends each line of stdin as a record.
    Produce(ProduceOptions),
    /// Prints the value of each record and a newline.
    Consume(ConsumeOptions),
    /// Consumer groups: list, describe, reset, delete.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Reads a data directory offline.
    #[command(subcommand)]
    Log(LogCommand),
    /// Measures a broker. Latencies count from when a record was due, so a stall shows in all that it held up.
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// How a broker runs. All but --config and --set may stand in the configuration file under the same names.
#[derive(Clone, Debug, Default, Args)]
pub struct ServeOptions {
    /// A TOML file, or a Kafka server.properties if its name ends so. The command line wins over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory, made if absent [default: ./taffrail-data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where Kafka clients connect [default: 127.0.0.1:9092].
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub listen: Option<String>,
    /// What clients are told to connect to, if not the address listened on.
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub advertise: Option<String>,
    /// Where /metrics and /healthz answer over HTTP [default: 127.0.0.1:9644].
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub admin: Option<String>,
    /// Memory for everything that clients can make grow, such as 512MiB [default: 256MiB].
    #[arg(long, allow_negative_numbers = true, value_name = "SIZE", value_parser = size)]
    pub memory: Option<Size>,
    /// Listen beyond loopback although anybody who reaches the port may then do anything.
    #[arg(long)]
    pub insecure: bool,
    /// This node's number, 0 or more [default: 1].
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub node_id: Option<i32>,
    /// The nodes of the cluster with their node-to-node addresses. This version runs one node alone, and opens none for others.
    #[arg(long, value_name = "N@HOST:PORT,...", value_delimiter = ',', value_parser = node)]
    pub nodes: Vec<NodeAddress>,
    /// A broker setting under Kafka's name.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

/// Whom the tools talk to.
#[derive(Clone, Debug, Args)]
pub struct Brokers {
    /// Brokers to begin with.
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',', default_value = DEFAULT_LISTEN, value_parser = address)]
    pub brokers: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// Makes a topic.
    Create {
        name: String,
        /// Partitions; the broker's num.partitions if not given.
        #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// Replicas; the broker's default.replication.factor if not given.
        #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
        replication_factor: Option<i16>,
        /// A topic config.
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        config: Vec<(String, String)>,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Names all topics.
    List {
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Shows a topic's partitions, offsets and configs.
    Describe {
        name: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Changes a topic's configs, or raises its number of partitions.
    Alter {
        name: String,
        /// The number of partitions it shall have.
        #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: Option<i32>,
        /// A config to set.
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
        config: Vec<(String, String)>,
        /// A config to put back to its default.
        #[arg(long, value_name = "KEY")]
        delete_config: Vec<String>,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Deletes a topic and all its records.
    Delete {
        name: String,
        #[command(flatten)]
        brokers: Brokers,
    },
}

/// How lines become records.
#[derive(Clone, Debug, Args)]
pub struct ProduceOptions {
    pub topic: String,
    /// What comes before the first S in a line is its record's key.
    #[arg(long, value_name = "S", value_parser = NonEmptyStringValueParser::new())]
    pub key_separator: Option<String>,
    /// The partition to write to; by key, or in turn, if not given.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Who must have a record: all, or the leader (1), or nobody (0).
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "ACKS",
        default_value = "all"
    )]
    pub acks: AcksChoice,
    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, value_name = "CODEC", default_value = "none")]
    pub compression: CodecChoice,
    #[command(flatten)]
    pub brokers: Brokers,
}

/// What to read.
#[derive(Clone, Debug, Args)]
pub struct ConsumeOptions {
    pub topic: String,
    /// start, end, an offset, or a time: RFC 3339 or @unix-milliseconds. With --group: where to begin without a committed offset.
    #[arg(long, allow_negative_numbers = true, value_name = "PLACE", default_value = "start", value_parser = place)]
    pub from: Place,
    /// One partition alone.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(i32).range(0..), conflicts_with = "group")]
    pub partition: Option<i32>,
    /// Share the topic's partitions with the other members of this group, and keep its offsets.
    #[arg(long, value_name = "G", value_parser = NonEmptyStringValueParser::new())]
    pub group: Option<String>,
    /// Stop after so many records.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = whole::<0>)]
    pub count: Option<u64>,
    /// One JSON object a line: partition, offset, timestamp, key, value, headers.
    #[arg(long)]
    pub json: bool,
    /// Stop at what was the end when reading began.
    #[arg(long)]
    pub exit_at_end: bool,
    #[command(flatten)]
    pub brokers: Brokers,
}

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Names all groups.
    List {
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Shows a group's members, offsets and lag.
    Describe {
        group: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Sets the offsets of a group without members.
    Reset {
        group: String,
        /// The topic whose offsets are set.
        #[arg(long)]
        topic: String,
        /// One partition alone.
        #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
        partition: Option<i32>,
        /// start, end, an offset, or a time: RFC 3339 or @unix-milliseconds.
        #[arg(long, allow_negative_numbers = true, value_name = "PLACE", value_parser = place)]
        to: Place,
        /// Only say what would be set.
        #[arg(long)]
        dry_run: bool,
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
    /// Deletes a group without members, and its offsets.
    Delete {
        group: String,
        #[command(flatten)]
        brokers: Brokers,
    },
}

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Prints what a data directory, a partition's directory, or any one file of them holds.
    Dump {
        path: PathBuf,
        /// The segments' batches instead, with the records in them.
        #[arg(long)]
        records: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Checks a data directory that no node has open: journal, checkpoint, every batch, digests and indexes.
    Verify {
        path: PathBuf,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Sends records for a while.
    Produce(BenchProduceOptions),
    /// Durable produce against bare writes and syncs on the same disk, in turns: the figure is their ratio.
    Durable(BenchDurableOptions),
    /// Reads a topic from its start to its end.
    Fetch {
        topic: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        brokers: Brokers,
    },
}

/// What is sent, how fast.
#[derive(Clone, Debug, Args)]
pub struct BenchProduceOptions {
    /// The topic, made if absent.
    #[arg(long, default_value = "taffrail-bench")]
    pub topic: String,
    /// Partitions of the topic if it is made.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Producers, each with connections of its own.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub producers: u32,
    /// Bytes of each record's value.
    #[arg(long, allow_negative_numbers = true, value_name = "SIZE", default_value = "1024", value_parser = size)]
    pub record_size: Size,
    /// Bytes at which a batch is sent.
    #[arg(long, allow_negative_numbers = true, value_name = "SIZE", default_value = "64KiB", value_parser = size)]
    pub batch_size: Size,
    /// How long a batch waits for more records.
    #[arg(long, allow_negative_numbers = true, value_name = "MS", default_value_t = 0, value_parser = whole::<0>)]
    pub linger_ms: u64,
    /// How long to send.
    #[arg(long, allow_negative_numbers = true, value_name = "S", default_value_t = 10, value_parser = whole::<1>)]
    pub seconds: u64,
    /// Records a second of all producers together; as many as go if not given.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = whole::<1>)]
    pub rate: Option<u64>,
    /// Who must have a record: all, or the leader (1), or nobody (0).
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "ACKS",
        default_value = "all"
    )]
    pub acks: AcksChoice,
    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, value_name = "CODEC", default_value = "none")]
    pub compression: CodecChoice,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub brokers: Brokers,
}

/// What is measured, and how often.
#[derive(Clone, Debug, Args)]
pub struct BenchDurableOptions {
    /// A directory on the disk that the broker's data is on; the probe writes up to some GiB there and removes them.
    #[arg(long, value_name = "DIR")]
    pub probe_dir: PathBuf,
    /// Partitions of the topic that is made for the run.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Connections, each with 5 requests on their way.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub producers: u32,
    /// Bytes of each record's value.
    #[arg(long, allow_negative_numbers = true, value_name = "SIZE", default_value = "1024", value_parser = size)]
    pub record_size: Size,
    /// Bytes of each batch; one batch makes a request.
    #[arg(long, allow_negative_numbers = true, value_name = "SIZE", default_value = "64KiB", value_parser = size)]
    pub batch_size: Size,
    /// How long each side of a pair runs.
    #[arg(long, allow_negative_numbers = true, value_name = "S", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub seconds: u64,
    /// Pairs that count.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub pairs: u32,
    /// A pair during which other programs took more than this share of all cores is dropped and done again, up
    /// to twice as often as pairs are wanted.
    #[arg(long, allow_negative_numbers = true, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub foreign_cpu_max: u8,
    /// The broker's process, if it runs on this machine: what it takes is not another program's.
    #[arg(long, allow_negative_numbers = true, value_name = "PID")]
    pub broker_pid: Option<u32>,
    /// A JSON object for each pair, and one of all.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub brokers: Brokers,
}

/// [`Acks`] by the names of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AcksChoice {
    All,
    #[value(name = "1")]
    One,
    #[value(name = "0")]
    Zero,
}

impl AcksChoice {
    pub fn acks(self) -> Acks {
        match self {
            AcksChoice::All => Acks::All,
            AcksChoice::One => Acks::Leader,
            AcksChoice::Zero => Acks::None,
        }
    }
}

/// [`Codec`] by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CodecChoice {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl CodecChoice {
    pub fn codec(self) -> Codec {
        match self {
            CodecChoice::None => Codec::None,
            CodecChoice::Gzip => Codec::Gzip,
            CodecChoice::Snappy => Codec::Snappy,
            CodecChoice::Lz4 => Codec::Lz4,
            CodecChoice::Zstd => Codec::Zstd,
        }
    }
}

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Start,
    End,
    Offset(i64),
    /// In Unix milliseconds.
    Time(i64),
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// One entry of `--nodes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    pub node_id: i32,
    pub address: String,
}

fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').and_then(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let numeric = host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        let sound = !host.is_empty()
            && (bracketed || !host.contains(':'))
            && (!numeric || host.parse::<std::net::Ipv4Addr>().is_ok());
        sound.then(|| port.parse::<u16>().ok()).flatten()
    });
    match port {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected HOST:PORT, such as 127.0.0.1:9092 or [::1]:9092".to_owned()),
    }
}

/// A number that is at least `MIN`.
fn whole<const MIN: u64>(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number >= MIN);
    number.ok_or_else(|| format!("expected a whole number, {MIN} or more"))
}

fn size(text: &str) -> Result<Size, String> {
    let expected = || "expected a number of bytes, such as 268435456, 256MiB or 1GiB".to_owned();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().map_err(|_| expected())?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(expected()),
    };
    number
        .checked_mul(1 << shift)
        .map(Size)
        .ok_or_else(expected)
}

fn node(text: &str) -> Result<NodeAddress, String> {
    let expected = || "expected N@HOST:PORT, such as 1@127.0.0.1:9093".to_owned();
    let (node_id, at) = text.split_once('@').ok_or_else(expected)?;
    let node_id = node_id.parse().ok().filter(|id: &i32| *id >= 0);
    Ok(NodeAddress {
        node_id: node_id.ok_or_else(expected)?,
        address: address(at).map_err(|_| expected())?,
    })
}

/// Splits at the first `=`.
fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected KEY=VALUE, such as retention.ms=86400000".to_owned()),
    }
}

fn place(text: &str) -> Result<Place, String> {
    match text {
        "start" => return Ok(Place::Start),
        "end" => return Ok(Place::End),
        _ => {}
    }
    if let Some(milliseconds) = text.strip_prefix('@').and_then(|ms| ms.parse().ok()) {
        return Ok(Place::Time(milliseconds));
    }
    if let Some(offset) = text.parse().ok().filter(|offset: &i64| *offset >= 0) {
        return Ok(Place::Offset(offset));
    }
    time::parse_rfc3339(text).map(Place::Time).ok_or_else(|| {
        "expected start, end, an offset, a time such as 2026-01-31T12:00:00Z, or @ and Unix milliseconds".to_owned()
    })
}

/// What became of arguments that are no command: help and version are printed; anything else is wrong usage, told in one line.
pub fn explain(error: &clap::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Whoever closed stdout does not want to read it.
            drop(error.print());
            Ok(())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => Err(
            Failure::usage("a command is missing; taffrail --help lists them"),
        ),
        _ => Err(Failure::usage(usage_line(error))),
    }
}

/// The first line of clap's message, with its tip.
pub fn usage_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("wrong usage");
    let mut line = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    for rest in lines {
        if rest.starts_with("Usage:") || rest.starts_with("For more information") {
            break;
        }
        let rest = rest.strip_prefix("tip: ").unwrap_or(rest);
        line.push_str(if line.ends_with(':') { " " } else { "; " });
        line.push_str(rest);
    }
    line
}

#[cfg(test)]
mod tests;
