//! How a node is to run: the command line over the configuration file over the defaults.
//!
//! The file's keys are the options of `serve` without their dashes, and the broker's settings under Kafka's names; a few of Kafka's keys
//! mean an option and are translated. Every value goes through the option's or the setting's one definition, and every error says where
//! the value stands. An unknown key is an error that names the nearest known one.

mod file;
mod kafka;

use crate::arguments::{
    DEFAULT_ADMIN, DEFAULT_DATA, DEFAULT_LISTEN, DEFAULT_MEMORY, DEFAULT_NODE_ID, NodeAddress,
    ServeOptions, usage_line,
};
use crate::failure::Failure;
use clap::{CommandFactory, Parser};
use kafka::Meaning;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use taffrail_broker::config::{BrokerSettings, Refusal, StaticSettings, nearest};

/// A key and its value, with the place where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    /// `--set`, or the file with the line.
    pub place: String,
}

/// What a node is started with.
#[derive(Clone, Debug)]
pub struct Plan {
    pub data: PathBuf,
    pub listen: String,
    pub advertise: Option<String>,
    pub admin: String,
    pub memory_bytes: u64,
    /// Somebody is let in who is not on this machine.
    pub open_to_anybody: bool,
    pub node_id: i32,
    pub settings: StaticSettings,
    pub warnings: Vec<String>,
    /// For messages: where `listen`, `admin` and so on were set.
    pub places: BTreeMap<&'static str, String>,
}

impl Plan {
    /// How a message names an option: where it was set, or the option to set it by.
    pub fn place(&self, option: &'static str) -> String {
        self.places
            .get(option)
            .cloned()
            .unwrap_or_else(|| format!("--{option}"))
    }
}

/// One option of `serve`, as a file may have it.
#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct OneOption {
    #[command(flatten)]
    options: ServeOptions,
}

/// Options that only the command line has.
const COMMAND_LINE_ONLY: [&str; 2] = ["config", "set"];

/// The options that may stand in a file, by their long names.
fn option_names() -> Vec<String> {
    OneOption::command()
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|name| !COMMAND_LINE_ONLY.contains(name))
        .map(str::to_owned)
        .collect()
}

/// What is gathered from entries.
#[derive(Default)]
struct Gathered {
    options: ServeOptions,
    settings: StaticSettings,
    warnings: Vec<String>,
    places: BTreeMap<&'static str, String>,
    names: kafka::Names,
    /// Where the file, or the command line, has said an option already: by the option, the key and the value.
    said: BTreeMap<String, (String, String)>,
}

/// Makes a plan of the command line and the file that it names.
pub fn resolve(command_line: ServeOptions) -> Result<Plan, Failure> {
    let file = match &command_line.config {
        Some(path) => file::read(path)?,
        None => Vec::new(),
    };
    plan_of(&file, command_line)
}

fn plan_of(file: &[Entry], command_line: ServeOptions) -> Result<Plan, Failure> {
    let mut set: Vec<Entry> = Vec::new();
    for (key, value) in command_line.set.clone() {
        if let Some(before) = set.iter().find(|entry| entry.key == key) {
            return Err(Failure::usage(format!(
                "--set {key}={value}: --set {key}={} stands before it: leave one of them out",
                before.value
            )));
        }
        let place = "--set".to_owned();
        set.push(Entry { key, value, place });
    }
    let mut gathered = Gathered {
        names: kafka::Names::of(file.iter().chain(&set)),
        ..Gathered::default()
    };
    for entry in file {
        gathered.take(entry)?;
    }
    gathered.said.clear();
    for entry in &set {
        gathered.take(entry)?;
    }
    gathered.check_set_beside(&command_line)?;
    gathered.overlay(command_line, |name| format!("--{name}"));
    gathered.plan()
}

/// The options of `over` that are given.
fn given(over: &ServeOptions) -> impl Iterator<Item = &'static str> {
    let options = [
        ("data", over.data.is_some()),
        ("listen", over.listen.is_some()),
        ("advertise", over.advertise.is_some()),
        ("admin", over.admin.is_some()),
        ("memory", over.memory.is_some()),
        ("insecure", over.insecure),
        ("node-id", over.node_id.is_some()),
        ("nodes", !over.nodes.is_empty()),
    ];
    let given = options.into_iter().filter(|(_, given)| *given);
    given.map(|(name, _)| name)
}

impl Gathered {
    fn take(&mut self, entry: &Entry) -> Result<(), Failure> {
        let wrong = |text: String| {
            Failure::usage(format!(
                "{} {}={}: {text}",
                entry.place, entry.key, entry.value
            ))
        };
        let meaning = self.names.translate(&entry.key, &entry.value);
        let (key, value, left_out) = match meaning.map_err(wrong)? {
            Meaning::Other => (entry.key.as_str(), entry.value.clone(), None),
            Meaning::Option {
                option,
                value,
                warning,
            } => (option, value, warning),
            Meaning::Judged { warning } => {
                self.warn_of(entry, warning);
                return Ok(());
            }
        };
        self.warn_of(entry, left_out);
        let names = option_names();
        if names.iter().any(|name| name == key) {
            self.say_once(entry, key, &value)?;
            let argument = match (key, value.as_str()) {
                ("insecure", "true") => "--insecure".to_owned(),
                ("insecure", "false") => return Ok(()),
                ("insecure", _) => return Err(wrong("expected true or false".to_owned())),
                _ => format!("--{key}={value}"),
            };
            let parsed = OneOption::try_parse_from([argument]);
            let one = parsed.map_err(|error| wrong(usage_line(&error)))?;
            self.overlay(one.options, |_| format!("{} {}", entry.place, entry.key));
            return Ok(());
        }
        match self.settings.set(key, &value) {
            Ok(warning) => {
                let warning = warning.map(|text| format!("{}: {text}", entry.place));
                self.warnings.extend(warning);
                Ok(())
            }
            Err(Refusal::UnknownKey { .. }) => Err(unknown(entry, &names)),
            Err(refusal) => Err(Failure::usage(format!("{}: {refusal}", entry.place))),
        }
    }

    fn warn_of(&mut self, entry: &Entry, warning: Option<String>) {
        let warning = warning.map(|text| format!("{} {}: {text}", entry.place, entry.key));
        self.warnings.extend(warning);
    }

    /// Two keys of one file may mean one option, and not two things. Of one key that stands twice the last holds, as for Java.
    fn say_once(&mut self, entry: &Entry, option: &str, value: &str) -> Result<(), Failure> {
        let now = (entry.key.clone(), value.to_owned());
        match self.said.insert(option.to_owned(), now) {
            Some((key, before)) if key != entry.key && before != value => {
                Err(Failure::usage(format!(
                    "{} {}={}: {key} says {before}, and both mean the option {option}: leave one of them out",
                    entry.place, entry.key, entry.value
                )))
            }
            _ => Ok(()),
        }
    }

    /// An option and a `--set` that means the same option: which of them was meant does not show.
    fn check_set_beside(&self, command_line: &ServeOptions) -> Result<(), Failure> {
        match given(command_line).find_map(|name| self.said.get(name).map(|said| (name, said))) {
            None => Ok(()),
            Some((name, (key, value))) => Err(Failure::usage(format!(
                "--{name}: --set {key} says {value}, and both mean the option {name}: leave one of them out"
            ))),
        }
    }

    /// Options that win over what was gathered before.
    fn overlay(&mut self, over: ServeOptions, place: impl Fn(&str) -> String) {
        for name in given(&over) {
            self.places.insert(name, place(name));
        }
        let options = &mut self.options;
        options.data = over.data.or(options.data.take());
        options.listen = over.listen.or(options.listen.take());
        options.advertise = over.advertise.or(options.advertise.take());
        options.admin = over.admin.or(options.admin.take());
        options.memory = over.memory.or(options.memory);
        options.insecure |= over.insecure;
        options.node_id = over.node_id.or(options.node_id);
        if !over.nodes.is_empty() {
            options.nodes = over.nodes;
        }
    }

    fn plan(self) -> Result<Plan, Failure> {
        let options = self.options;
        let mut plan = Plan {
            data: options.data.unwrap_or_else(|| PathBuf::from(DEFAULT_DATA)),
            listen: options.listen.unwrap_or_else(|| DEFAULT_LISTEN.to_owned()),
            advertise: options.advertise,
            admin: options.admin.unwrap_or_else(|| DEFAULT_ADMIN.to_owned()),
            memory_bytes: options.memory.unwrap_or(DEFAULT_MEMORY).0,
            open_to_anybody: false,
            node_id: options.node_id.unwrap_or(DEFAULT_NODE_ID),
            settings: self.settings,
            warnings: self.warnings,
            places: self.places,
        };
        check_nodes(&mut plan, &options.nodes)?;
        check_listeners(plan, options.insecure)
    }
}

fn unknown(entry: &Entry, names: &[String]) -> Failure {
    let settings = BrokerSettings::DEFINITIONS
        .iter()
        .map(|definition| definition.name);
    let options = names.iter().map(String::as_str);
    let known = settings.chain(options).chain(kafka::KEYS.iter().copied());
    let hint = match nearest(&entry.key, known) {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => "; keys are those of Kafka's broker, and the options of taffrail serve".to_owned(),
    };
    Failure::usage(format!("{}: unknown key {}{hint}", entry.place, entry.key))
}

/// There is nothing that nodes say to each other yet, so nothing is opened for it.
fn check_nodes(plan: &mut Plan, nodes: &[NodeAddress]) -> Result<(), Failure> {
    match nodes {
        [] => Ok(()),
        [alone] if alone.node_id == plan.node_id => {
            let warning = format!(
                "{}: {} is not opened: a node alone needs no listener for other nodes",
                plan.place("nodes"),
                alone.address
            );
            plan.warnings.push(warning);
            Ok(())
        }
        [alone] => Err(Failure::usage(format!(
            "{}: names node {} but this is node {}: give both the same number",
            plan.place("nodes"),
            alone.node_id,
            plan.node_id
        ))),
        several => Err(Failure::usage(format!(
            "{}: names {} nodes, and this version runs one node alone: leave it out, or name only this node",
            plan.place("nodes"),
            several.len()
        ))),
    }
}

/// Whether two addresses would be listened on twice.
fn collide(one: &str, other: &str) -> bool {
    let port = |address: &str| {
        address
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok())
    };
    let ip = |address: &str| match host(address) {
        name if name.eq_ignore_ascii_case("localhost") => Some(IpAddr::from([127, 0, 0, 1])),
        host => host.parse::<IpAddr>().ok(),
    };
    let same_host = match (ip(one), ip(other)) {
        (Some(one), Some(other)) => one == other || one.is_unspecified() || other.is_unspecified(),
        _ => host(one).eq_ignore_ascii_case(host(other)),
    };
    // Port 0 is whichever is free.
    same_host && port(one).is_some_and(|one: u16| one != 0 && Some(one) == port(other))
}

/// Nobody from outside gets in by accident.
fn check_listeners(mut plan: Plan, insecure: bool) -> Result<Plan, Failure> {
    let listeners = [
        ("listen", plan.listen.clone()),
        ("admin", plan.admin.clone()),
    ];
    for (option, address) in listeners {
        if is_loopback(&address) {
            continue;
        }
        if !insecure {
            return Err(Failure::usage(format!(
                "{}: {address} is not a loopback address, and TLS, authentication and authorization do not exist yet: \
                 listen on 127.0.0.1, or add --insecure to let anybody in who reaches the port",
                plan.place(option)
            )));
        }
        plan.open_to_anybody = true;
    }
    if collide(&plan.listen, &plan.admin) {
        return Err(Failure::usage(format!(
            "{} and {}: {} and {} cannot both be listened on: give each a port of its own",
            plan.place("listen"),
            plan.place("admin"),
            plan.listen,
            plan.admin
        )));
    }
    if let Some(address) = &plan.advertise
        && host(address)
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_unspecified())
    {
        return Err(Failure::usage(format!(
            "{}: {address} is every address and none that a client can connect to: give the one by which clients reach this node",
            plan.place("advertise")
        )));
    }
    Ok(plan)
}

/// The host of `HOST:PORT`, without brackets.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether an address can only be reached from this machine. A name other than localhost may resolve to anything.
fn is_loopback(address: &str) -> bool {
    let host = host(address);
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests;
