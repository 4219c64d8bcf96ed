//! Files and command lines, and what they come to.

use super::*;

fn plan_of(entries: Vec<Entry>, command_line: ServeOptions) -> Result<Plan, String> {
    let mut gathered = Gathered::default();
    let taken = entries.iter().try_for_each(|entry| gathered.take(entry));
    let plan = taken.and_then(|()| {
        gathered.overlay(command_line, |name| format!("--{name}"));
        gathered.plan()
    });
    plan.map_err(|failure| failure.message.expect("it says why"))
}

fn toml(text: &str) -> Result<Plan, String> {
    let entries =
        file::toml("t.toml", text).map_err(|failure| failure.message.expect("it says why"))?;
    plan_of(entries, ServeOptions::default())
}

fn properties(text: &str) -> Result<Plan, String> {
    let entries = file::properties("server.properties", text);
    let entries = entries.map_err(|failure| failure.message.expect("it says why"))?;
    plan_of(entries, ServeOptions::default())
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
    let plan = plan_of(entries, command_line).expect("sound");
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
    assert!(toml("nodes = '1@127.0.0.1:9093'").is_ok());
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
