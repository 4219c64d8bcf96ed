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

/// The option and its value that a key of Kafka's stands for; `None` if it stands for none.
pub fn translate(key: &str, value: &str) -> Result<Option<(String, String)>, String> {
    let (option, value) = match key {
        "listeners" => ("listen", client_listener(value)?),
        "advertised.listeners" => ("advertise", client_listener(value)?),
        "log.dirs" | "log.dir" => ("data", single_directory(value)?),
        "node.id" | "broker.id" => ("node-id", value.to_owned()),
        "controller.quorum.voters" => ("nodes", value.to_owned()),
        _ => return Ok(None),
    };
    Ok(Some((option.to_owned(), value)))
}

/// The address of the one listener for clients. Kafka's controller has one of its own, which a node alone does not need.
fn client_listener(value: &str) -> Result<String, String> {
    let mut client = None;
    for listener in value
        .split(',')
        .map(str::trim)
        .filter(|listener| !listener.is_empty())
    {
        let (name, address) = listener
            .split_once("://")
            .ok_or("expected NAME://HOST:PORT, such as PLAINTEXT://127.0.0.1:9092")?;
        match name.to_ascii_uppercase().as_str() {
            "CONTROLLER" => continue,
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
    client.ok_or_else(|| {
        "expected a listener for clients, such as PLAINTEXT://127.0.0.1:9092".to_owned()
    })
}

fn single_directory(value: &str) -> Result<String, String> {
    match value.split(',').map(str::trim).collect::<Vec<_>>()[..] {
        [directory] if !directory.is_empty() => Ok(directory.to_owned()),
        _ => Err("expected one directory".to_owned()),
    }
}
