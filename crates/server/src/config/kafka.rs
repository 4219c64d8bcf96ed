//! Keys of Kafka's `server.properties` that mean an option of `serve`.

/// Those keys, for suggestions.
pub const KEYS: [&str; 7] = [
    "listeners",
    "advertised.listeners",
    "log.dirs",
    "log.dir",
    "node.id",
    "broker.id",
    "controller.quorum.voters",
];

/// What a key of Kafka's stands for.
pub struct Translated {
    pub option: String,
    pub value: String,
    /// What of it is left out.
    pub warning: Option<String>,
}

/// The option and its value that a key of Kafka's stands for; `None` if it stands for none.
pub fn translate(key: &str, value: &str) -> Result<Option<Translated>, String> {
    let mut warning = None;
    let (option, value) = match key {
        "listeners" => {
            let (address, controllers) = client_listener(value)?;
            warning = controllers.map(|left_out| {
                format!("{left_out} is not opened: a node alone needs no listener for controllers")
            });
            ("listen", address)
        }
        "advertised.listeners" => ("advertise", client_listener(value)?.0),
        "log.dirs" | "log.dir" => ("data", single_directory(value)?),
        "node.id" | "broker.id" => ("node-id", value.to_owned()),
        "controller.quorum.voters" => ("nodes", value.to_owned()),
        _ => return Ok(None),
    };
    Ok(Some(Translated {
        option: option.to_owned(),
        value,
        warning,
    }))
}

/// The address of the one listener for clients, and the listeners of Kafka's controller, if there are any.
fn client_listener(value: &str) -> Result<(String, Option<String>), String> {
    let mut client = None;
    let mut controllers: Vec<&str> = Vec::new();
    for listener in value
        .split(',')
        .map(str::trim)
        .filter(|listener| !listener.is_empty())
    {
        let (name, address) = listener
            .split_once("://")
            .ok_or("expected NAME://HOST:PORT, such as PLAINTEXT://127.0.0.1:9092")?;
        match name.to_ascii_uppercase().as_str() {
            "CONTROLLER" => {
                controllers.push(listener);
                continue;
            }
            "SSL" | "SASL_SSL" | "SASL_PLAINTEXT" => {
                return Err(format!(
                    "{name}: TLS and SASL do not exist yet; use PLAINTEXT on a loopback address"
                ));
            }
            _ => {}
        }
        if client.is_some() {
            return Err("one listener for clients is possible".to_owned());
        }
        // Without a host Kafka listens on all addresses.
        client = Some(match address.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => address.to_owned(),
        });
    }
    let left_out = (!controllers.is_empty()).then(|| controllers.join(","));
    match client {
        Some(client) => Ok((client, left_out)),
        None => {
            Err("expected a listener for clients, such as PLAINTEXT://127.0.0.1:9092".to_owned())
        }
    }
}

fn single_directory(value: &str) -> Result<String, String> {
    match value.split(',').map(str::trim).collect::<Vec<_>>()[..] {
        [directory] if !directory.is_empty() => Ok(directory.to_owned()),
        _ => Err("expected one directory".to_owned()),
    }
}
