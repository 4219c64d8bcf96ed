//! Keys of Kafka's `server.properties` that mean an option of `serve`, or that say how its listeners and roles are to be understood.
//!
//! A listener has a name, and what it speaks stands in another key. So what the keys say of each other is gathered first, from wherever they
//! stand. What must hold: no listener is opened as plaintext that was to be something else, and no node runs alone that was to be one of several.

use super::{Entry, host, is_loopback};
use std::collections::BTreeMap;

/// Those keys, for suggestions.
pub const KEYS: [&str; 11] = [
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "log.dirs",
    "log.dir",
    "node.id",
    "broker.id",
    "process.roles",
    "controller.listener.names",
    "controller.quorum.voters",
    "controller.quorum.bootstrap.servers",
];

/// The one protocol that a listener here speaks.
const PLAINTEXT: &str = "PLAINTEXT";
/// What Kafka's listeners may speak. While no key says otherwise, a listener of one of these names speaks it.
const PROTOCOLS: [&str; 4] = [PLAINTEXT, "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// What a key of Kafka's means.
pub enum Meaning {
    /// An option of `serve`, and what of the value is left out.
    Option {
        option: &'static str,
        value: String,
        warning: Option<String>,
    },
    /// It holds as it stands, or that it does not is said in the warning.
    Judged { warning: Option<String> },
    /// It is none of [`KEYS`].
    Other,
}

/// What keys say that others are understood by.
#[derive(Debug, Default)]
pub struct Names {
    /// What a listener speaks, by its name in capitals, if that is said.
    protocols: Option<BTreeMap<String, String>>,
    /// The names of the controller's listeners in capitals, if that is said.
    controllers: Option<Vec<String>>,
    /// Name in capitals, and address.
    listeners: Vec<(String, String)>,
    advertised: Vec<(String, String)>,
    /// Of its two keys for directories Kafka reads this one.
    has_log_dirs: bool,
}

impl Names {
    /// What `entries` say; of two with one key the last. What cannot be read is refused when its turn comes.
    pub fn of<'e>(entries: impl Iterator<Item = &'e Entry>) -> Names {
        let mut names = Names::default();
        for Entry { key, value, .. } in entries {
            match key.as_str() {
                "listener.security.protocol.map" => names.protocols = protocols(value).ok(),
                "controller.listener.names" => {
                    names.controllers = Some(words(value).map(str::to_ascii_uppercase).collect());
                }
                "listeners" => names.listeners = listeners(value).unwrap_or_default(),
                "advertised.listeners" => names.advertised = listeners(value).unwrap_or_default(),
                "log.dirs" => names.has_log_dirs = true,
                _ => {}
            }
        }
        names
    }

    fn is_controllers(&self, name: &str) -> bool {
        match &self.controllers {
            Some(names) => names.iter().any(|one| one == name),
            None => name == "CONTROLLER",
        }
    }

    /// Refuses a listener that would not speak plaintext.
    fn check_protocol(&self, name: &str) -> Result<(), String> {
        let (protocol, by) = match &self.protocols {
            Some(said) => (
                said.get(name).map(String::as_str),
                " by listener.security.protocol.map",
            ),
            None => (PROTOCOLS.into_iter().find(|one| *one == name), ""),
        };
        match protocol {
            Some(PLAINTEXT) => Ok(()),
            Some(protocol) => Err(format!(
                "the listener {name} speaks {protocol}{by}, and TLS and SASL do not exist yet; use PLAINTEXT on a loopback address"
            )),
            None => Err(format!(
                "nothing says what the listener {name} speaks; add {name}:PLAINTEXT to listener.security.protocol.map"
            )),
        }
    }

    /// The address of the one listener for clients, and the listeners of Kafka's controller, if there are any.
    fn client_listener(&self, value: &str) -> Result<(String, Option<String>), String> {
        let mut client = None;
        let mut controllers = Vec::new();
        for (name, address) in listeners(value)? {
            if self.is_controllers(&name) {
                controllers.push(format!("{name}://{address}"));
                continue;
            }
            self.check_protocol(&name)?;
            if client.is_some() {
                return Err("one listener for clients is possible".to_owned());
            }
            // Without a host Kafka listens on all addresses.
            client = Some(match address.strip_prefix(':') {
                Some(port) => format!("0.0.0.0:{port}"),
                None => address,
            });
        }
        let left_out = (!controllers.is_empty()).then(|| controllers.join(","));
        match client {
            Some(client) => Ok((client, left_out)),
            None => Err(
                "expected a listener for clients, such as PLAINTEXT://127.0.0.1:9092".to_owned(),
            ),
        }
    }

    /// Whether a controller's address is one of this node's.
    fn is_own(&self, server: &str) -> bool {
        let mut own = self.listeners.iter().chain(&self.advertised);
        let own_host = is_loopback(server)
            || own.any(|(_, address)| host(address).eq_ignore_ascii_case(host(server)));
        let controllers = || {
            let listeners = self.listeners.iter();
            listeners.filter(|(name, _)| self.is_controllers(name))
        };
        own_host
            && (controllers().count() == 0
                || controllers().any(|(_, address)| port(address) == port(server)))
    }

    /// What a key of Kafka's means, or why it cannot stand.
    pub fn translate(&self, key: &str, value: &str) -> Result<Meaning, String> {
        let option = |option, value| {
            Ok(Meaning::Option {
                option,
                value,
                warning: None,
            })
        };
        let judged = || Ok(Meaning::Judged { warning: None });
        match key {
            "listeners" => {
                let (value, controllers) = self.client_listener(value)?;
                let warning = controllers.map(|left_out| {
                    format!(
                        "{left_out} is not opened: a node alone needs no listener for controllers"
                    )
                });
                Ok(Meaning::Option {
                    option: "listen",
                    value,
                    warning,
                })
            }
            "advertised.listeners" => option("advertise", self.client_listener(value)?.0),
            "listener.security.protocol.map" => {
                let said = protocols(value)?;
                // Kafka's listener that nobody names is called so.
                if self.listeners.is_empty() && said.contains_key(PLAINTEXT) {
                    self.check_protocol(PLAINTEXT)?;
                }
                judged()
            }
            "log.dir" if self.has_log_dirs => Ok(Meaning::Judged {
                warning: Some("log.dirs holds instead, as it does for Kafka".to_owned()),
            }),
            "log.dirs" | "log.dir" => option("data", single_directory(value)?),
            "node.id" | "broker.id" => option("node-id", value.to_owned()),
            "process.roles" => check_roles(value).and_then(|()| judged()),
            "controller.listener.names" => judged(),
            "controller.quorum.voters" if value.is_empty() => judged(),
            "controller.quorum.voters" => option("nodes", value.to_owned()),
            "controller.quorum.bootstrap.servers" => {
                match words(value).find(|server| !self.is_own(server)) {
                    None => judged(),
                    Some(other) => Err(format!(
                        "{other} is no address of this node, and this version runs one node alone: leave the key out, or name only this node's own listener for controllers"
                    )),
                }
            }
            _ => Ok(Meaning::Other),
        }
    }
}

/// What a list with commas holds.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

/// Names in capitals, with their addresses.
fn listeners(value: &str) -> Result<Vec<(String, String)>, String> {
    let expected = "expected NAME://HOST:PORT, such as PLAINTEXT://127.0.0.1:9092";
    words(value)
        .map(|listener| {
            let (name, address) = listener.split_once("://").ok_or(expected)?;
            Ok((name.to_ascii_uppercase(), address.to_owned()))
        })
        .collect()
}

fn protocols(value: &str) -> Result<BTreeMap<String, String>, String> {
    let expected = "expected NAME:PROTOCOL, such as INTERNAL:PLAINTEXT, with commas between";
    words(value)
        .map(|entry| {
            let (name, protocol) = entry.rsplit_once(':').ok_or(expected)?;
            let (name, protocol) = (name.trim(), protocol.trim().to_ascii_uppercase());
            if name.is_empty() {
                return Err(expected.to_owned());
            }
            match PROTOCOLS.contains(&protocol.as_str()) {
                true => Ok((name.to_ascii_uppercase(), protocol)),
                false => Err(format!(
                    "{entry}: expected one of {} behind the colon",
                    PROTOCOLS.join(", ")
                )),
            }
        })
        .collect()
}

fn check_roles(value: &str) -> Result<(), String> {
    let mut roles: Vec<&str> = words(value).collect();
    roles.sort_unstable();
    match roles[..] {
        ["broker", "controller"] => Ok(()),
        _ => Err(
            "expected broker,controller: this version runs one node alone, which is both"
                .to_owned(),
        ),
    }
}

fn port(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(_, port)| port)
}

fn single_directory(value: &str) -> Result<String, String> {
    match value.split(',').map(str::trim).collect::<Vec<_>>()[..] {
        [directory] if !directory.is_empty() => Ok(directory.to_owned()),
        _ => Err("expected one directory".to_owned()),
    }
}
