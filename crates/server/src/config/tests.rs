//! Files and command lines, and what they come to.

use super::*;

fn plan(entries: &[Entry], command_line: ServeOptions) -> Result<Plan, String> {
    plan_of(entries, command_line).map_err(|failure| failure.message.expect("it says why"))
}

fn toml(text: &str) -> Result<Plan, String> {
    let entries =
        file::toml("t.toml", text).map_err(|failure| failure.message.expect("it says why"))?;
    plan(&entries, ServeOptions::default())
}

fn properties(text: &str) -> Result<Plan, String> {
    let entries = file::properties("server.properties", text);
    let entries = entries.map_err(|failure| failure.message.expect("it says why"))?;
    plan(&entries, ServeOptions::default())
}

#[test]
fn without_anything_a_node_stays_on_this_machine() {
    let plan = toml("").expect("defaults");
    assert_eq!(plan.listen, "127.0.0.1:9092");
    assert_eq!(plan.admin, "127.0.0.1:9644");
    assert_eq!(plan.data, PathBuf::from("./taffrail-data"));
    assert_eq!((plan.node_id, plan.memory_bytes), (1, 256 << 20));
    assert!(!plan.open_to_anybody);
}

#[test]
fn options_and_settings_stand_side_by_side_in_toml() {
    let plan = toml(
        "data = '/tmp/x'\nnode-id = 4\nmemory = '1GiB'\nnum.partitions = 3\n[log.retention]\nms = 60_000\n",
    )
    .expect("sound");
    assert_eq!(plan.data, PathBuf::from("/tmp/x"));
    assert_eq!((plan.node_id, plan.memory_bytes), (4, 1 << 30));
    assert_eq!(plan.settings.effective().num_partitions, 3);
    assert!(plan.settings.is_set("log.retention.ms"));
}

#[test]
fn the_command_line_wins_over_the_file() {
    let entries = file::toml("t.toml", "listen = '127.0.0.1:1'\nnode-id = 4\n").expect("sound");
    let command_line = ServeOptions {
        listen: Some("127.0.0.1:2".to_owned()),
        ..ServeOptions::default()
    };
    let plan = plan(&entries, command_line).expect("sound");
    assert_eq!((plan.listen.as_str(), plan.node_id), ("127.0.0.1:2", 4));
    assert_eq!(plan.place("listen"), "--listen");
    assert_eq!(plan.place("node-id"), "t.toml:2 node-id");
    assert_eq!(plan.place("admin"), "--admin");
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_known_one() {
    let line = toml("\nnum.partitons = 3\n").expect_err("a slip");
    assert_eq!(
        line,
        "t.toml:2: unknown key num.partitons; did you mean num.partitions?"
    );
    let line = toml("lissen = 'x'\n").expect_err("a slip");
    assert!(line.contains("did you mean listen?"), "{line}");
}

#[test]
fn a_wrong_value_names_its_place_and_what_would_be_right() {
    let line = toml("num.partitions = 'many'\n").expect_err("no number");
    assert!(
        line.starts_with("t.toml:1: ") && line.contains("num.partitions"),
        "{line}"
    );
    let line = toml("listen = 'here'\n").expect_err("no address");
    assert!(
        line.starts_with("t.toml:1 listen=here: ") && line.contains("HOST:PORT"),
        "{line}"
    );
    let line = toml("listen = \n").expect_err("no TOML");
    assert!(line.starts_with("t.toml:1: "), "{line}");
}

#[test]
fn a_listener_beyond_loopback_needs_the_word_insecure() {
    for address in [
        "0.0.0.0:9092",
        "[::]:9092",
        "192.168.1.2:9092",
        "example.com:9092",
    ] {
        let line = toml(&format!("listen = '{address}'")).expect_err("refused");
        assert!(
            line.contains("--insecure") && line.contains(address),
            "{line}"
        );
        let plan =
            toml(&format!("listen = '{address}'\ninsecure = true")).expect("at one's own risk");
        assert!(plan.open_to_anybody);
    }
    for address in ["127.0.0.1:0", "127.8.8.8:1", "[::1]:9092", "localhost:9092"] {
        assert!(toml(&format!("listen = '{address}'")).is_ok(), "{address}");
    }
    let line = toml("admin = '0.0.0.0:9644'").expect_err("refused");
    assert!(line.starts_with("t.toml:1 admin: "), "{line}");
}

#[test]
fn several_nodes_are_refused_and_one_must_be_this_one() {
    let line = toml("nodes = '1@a:1,2@b:1,3@c:1'").expect_err("refused");
    assert!(line.contains("names 3 nodes"), "{line}");
    let plan = toml("nodes = '1@127.0.0.1:9093'").expect("this node");
    assert_eq!(
        plan.warnings,
        [
            "t.toml:1 nodes: 127.0.0.1:9093 is not opened: a node alone needs no listener for other nodes"
        ]
    );
    assert!(toml("nodes = ['1@127.0.0.1:9093']").is_ok());
    let line = toml("nodes = '2@127.0.0.1:9093'").expect_err("another");
    assert!(line.contains("this is node 1"), "{line}");
}

#[test]
fn a_server_properties_of_kafka_is_understood() {
    let plan = properties(
        "# The id\nprocess.roles=broker,controller\nnode.id = 7\n\
         listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
         controller.quorum.voters=7@localhost:9093\nlog.dirs: /tmp/kraft\\\n   -logs\nnum.io.threads=8\nnum.partitions 2\n",
    )
    .expect("sound");
    assert_eq!((plan.node_id, plan.listen.as_str()), (7, "localhost:9092"));
    assert_eq!(plan.data, PathBuf::from("/tmp/kraft-logs"));
    assert_eq!(plan.settings.effective().num_partitions, 2);
    assert_eq!(plan.warnings.len(), 3, "{:?}", plan.warnings);
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.contains("voters: localhost:9093 is not opened"))
    );
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.contains("listeners: CONTROLLER://localhost:9093 is not opened"))
    );
    assert!(
        plan.warnings
            .iter()
            .any(|warning| warning.starts_with("server.properties:8: num.io.threads"))
    );
}

#[test]
fn what_kafka_would_secure_is_refused_rather_than_left_out() {
    let line = properties("listeners=SSL://localhost:9092").expect_err("refused");
    assert!(line.contains("TLS"), "{line}");
    let line = properties("listeners=PLAINTEXT://:9092").expect_err("all addresses");
    assert!(
        line.contains("0.0.0.0:9092") && line.contains("--insecure"),
        "{line}"
    );
    let line = properties("log.dirs=/a,/b").expect_err("two");
    assert!(line.contains("one directory"), "{line}");
}

#[test]
fn what_a_listener_speaks_stands_in_the_map_wherever_that_stands() {
    let map = "listener.security.protocol.map";
    for text in [
        format!("listeners=INTERNAL://127.0.0.1:1\n{map}=INTERNAL:SSL"),
        format!("{map}=internal:ssl\nlisteners=Internal://127.0.0.1:1"),
        format!("listeners=PLAINTEXT://127.0.0.1:1\n{map}=PLAINTEXT:SSL"),
        format!("listeners=PLAINTEXT://127.0.0.1:1\n{map}=PLAINTEXT:SASL_PLAINTEXT"),
        format!("listeners=SSL://127.0.0.1:1\n{map}=SSL:SASL_SSL"),
        // Kafka opens a listener of this name if none is named.
        format!("{map}=PLAINTEXT:SSL"),
    ] {
        let line = properties(&text).expect_err("refused");
        assert!(line.contains("TLS") && line.contains(map), "{text}: {line}");
    }
    for text in [
        "listeners=INTERNAL://127.0.0.1:1".to_owned(),
        format!("listeners=INTERNAL://127.0.0.1:1\n{map}=EXTERNAL:PLAINTEXT"),
    ] {
        let line = properties(&text).expect_err("refused");
        assert!(line.contains("INTERNAL:PLAINTEXT"), "{text}: {line}");
    }
    for wrong in ["INTERNAL", "INTERNAL:TLS", ":SSL"] {
        let line = properties(&format!("{map}={wrong}")).expect_err("refused");
        assert!(line.contains("expected"), "{line}");
    }
    let plan = properties(&format!(
        "listeners=INTERNAL://127.0.0.1:1,CTL://127.0.0.1:2\ncontroller.listener.names=CTL\n\
         {map}=INTERNAL:PLAINTEXT,CTL:SSL,SSL:SSL"
    ))
    .expect("the one that is opened is plain");
    assert_eq!(plan.listen, "127.0.0.1:1");
}

#[test]
fn a_node_that_is_to_be_one_of_several_does_not_run_alone() {
    let bootstrap = "controller.quorum.bootstrap.servers";
    let listeners = "listeners=PLAINTEXT://localhost:9092,CONTROLLER://:9093\n";
    for text in [
        "process.roles=broker".to_owned(),
        "process.roles=controller".to_owned(),
        format!("{bootstrap}=kafka-1:9093"),
        format!("{listeners}{bootstrap}=localhost:9093,kafka-2:9093"),
        format!("{listeners}{bootstrap}=localhost:9093,localhost:9095"),
    ] {
        let line = properties(&text).expect_err("refused");
        assert!(line.contains("one node alone"), "{text}: {line}");
    }
    for text in [
        "process.roles=controller, broker".to_owned(),
        format!("{bootstrap}="),
        format!("{bootstrap}=localhost:9093"),
        format!("{listeners}{bootstrap}=127.0.0.1:9093"),
        format!("{listeners}advertised.listeners=PLAINTEXT://me:9092\n{bootstrap}=me:9093"),
    ] {
        assert_eq!(properties(&text).map(drop), Ok(()), "{text}");
    }
}

#[test]
fn what_kafka_has_by_itself_is_taken_as_a_whole() {
    const KEYS: &str = include_str!("../../../../fixtures/kafka-broker-keys.properties");
    let set: Vec<&str> = KEYS.lines().filter(|line| line.contains('=')).collect();
    let plan = properties(&set.join("\n")).expect("nothing is asked for that is not there");
    assert_eq!(plan.listen, "127.0.0.1:9092");
    assert_eq!(plan.data, PathBuf::from("/tmp/kraft-logs"));
    let one_each: std::collections::BTreeSet<_> = plan.warnings.iter().collect();
    assert_eq!(one_each.len(), plan.warnings.len());
}

#[test]
fn what_is_said_twice_is_refused() {
    let line = properties("broker.id=3\nnode.id=4").expect_err("which?");
    assert!(line.contains("broker.id says 3"), "{line}");
    assert!(properties("broker.id=3\nnode.id=3").is_ok());
    let set = |pairs: &[(&str, &str)], listen: Option<&str>| {
        let owned = pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        let command_line = ServeOptions {
            set: owned.collect(),
            listen: listen.map(str::to_owned),
            ..ServeOptions::default()
        };
        plan(&[], command_line)
    };
    let line = set(&[("num.partitions", "3"), ("num.partitions", "4")], None);
    let line = line.expect_err("which?");
    assert!(
        line.contains("num.partitions=3") && line.contains("=4"),
        "{line}"
    );
    let listeners = [("listeners", "PLAINTEXT://127.0.0.1:1")];
    let line = set(&listeners, Some("127.0.0.1:2")).expect_err("which?");
    assert!(
        line.contains("--listen") && line.contains("listeners"),
        "{line}"
    );
    assert_eq!(set(&listeners, None).expect("one").listen, "127.0.0.1:1");
}

#[test]
fn two_listeners_do_not_share_a_port() {
    for (listen, admin) in [
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("localhost:9000", "127.0.0.1:9000"),
        ("127.0.0.1:9644", "127.0.0.1:9644"),
    ] {
        let line = toml(&format!("listen = '{listen}'\nadmin = '{admin}'")).expect_err("one port");
        let both = line.starts_with("t.toml:1 listen and t.toml:2 admin: ");
        assert!(both && line.contains("port of its own"), "{line}");
    }
    assert!(toml("listen = '127.0.0.1:0'\nadmin = '127.0.0.1:0'").is_ok());
    assert!(toml("listen = '127.0.0.1:1'\nadmin = '127.0.0.2:1'").is_ok());
}

#[test]
fn properties_have_java_escapes() {
    let entries = file::properties("p", "a\\=b=c\\u0041\\t\nd\n").expect("sound");
    assert_eq!(
        (entries[0].key.as_str(), entries[0].value.as_str()),
        ("a=b", "cA")
    );
    assert_eq!(
        (entries[1].key.as_str(), entries[1].value.as_str()),
        ("d", "")
    );
    assert!(file::properties("p", "a=\\u00\n").is_err());
}
