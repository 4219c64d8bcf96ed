//! The simulator as a stranger uses it: from a package outside of the tree, with nothing of it but paths.
//!
//! The package lies in the system's temporary directory, since below the tree cargo would find the tree's own flags. What it
//! is built into is the target directory of these tests, so that what comes from the registry is not built again: its profile and its
//! flags are those of the tree. Our own crates are built once more, and again when they change.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("tests/ has a parent")
}

/// A package that is removed when the test ends.
struct Package(PathBuf);

impl Package {
    fn new(name: &str, manifest: &str) -> Package {
        let place = format!("taffrail-{name}-{}", std::process::id());
        let package = Package(std::env::temp_dir().join(place));
        package.write("Cargo.toml", manifest);
        package.write("src/lib.rs", "//! Nothing but its tests.\n");
        package
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        let directory = path.parent().expect("files lie in directories");
        std::fs::create_dir_all(directory).expect("the temporary directory is writable");
        std::fs::write(path, text).expect("the temporary directory is writable");
    }

    /// Runs cargo there, with no flags but its own, and without a network.
    fn cargo(&self, arguments: &[&str]) -> Output {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.ends_with("RUSTFLAGS") || text.ends_with("RUSTDOCFLAGS") {
                command.env_remove(&name);
            }
        }
        command
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", target.expect("it has a parent"))
            .env("CARGO_NET_OFFLINE", "true")
            .args(arguments)
            .output()
            .expect("cargo runs")
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the package is ours to remove");
    }
}

/// Dependencies by path, and the tree's own profile, so that what comes from the registry is built once for both.
fn manifest() -> String {
    let crates = [
        "env",
        "record",
        "wire",
        "storage",
        "replication",
        "broker",
        "client",
        "sim",
    ];
    let unoptimised =
        crates.map(|name| format!("[profile.dev.package.taffrail-{name}]\nopt-level = 0\n"));
    format!(
        r#"[package]
name = "stranger"
version = "0.0.0"
edition = "2024"

[workspace]

[dev-dependencies]
taffrail-sim = {{ path = "{root}/sim" }}
taffrail-client = {{ path = "{root}/crates/client" }}

[profile.dev]
overflow-checks = true
debug = "line-tables-only"

[profile.dev.package."*"]
opt-level = 1
debug = false

{unoptimised}"#,
        root = root().display(),
        unoptimised = unoptimised.concat(),
    )
}

/// What the documentation says that a user needs, as it stands there.
fn config() -> &'static str {
    const HEAD: &str = include_str!("../../sim/src/lib.rs");
    let block = HEAD
        .split("//! ```toml\n")
        .nth(1)
        .expect("the head shows the flags");
    block.split("//! ```").next().expect("the block ends")
}

const TEST: &str = r#"//! One record, through a power cut.

use taffrail_client::{ProducerOptions, Record};
use taffrail_sim::{Cluster, ClusterOptions, Simulation};

#[test]
fn an_order_survives_a_power_cut() {
    let outcome = Simulation::new("stranger", 1).run(|world| async move {
        let cluster = Cluster::start(&world, ClusterOptions::default()).await;
        cluster.create_topic("orders", 1, &[]).await.expect("nothing is broken");
        let writer = cluster.client("writer", |node| async move {
            let producer = node.producer(ProducerOptions::default());
            let sent = producer.send("orders", None, Record::of_value("one"));
            sent.await.expect("there is room").await.expect("nothing is broken");
        });
        writer.join().await.expect("nobody killed it");
        cluster.power_cut(cluster.brokers()[0]);
        cluster.account().await;
    });
    println!("the run is {}", outcome.name);
    outcome.expect_ok();
}
"#;

#[test]
fn a_package_outside_of_the_tree_tests_with_the_simulator() {
    let package = Package::new("stranger", &manifest());
    package.write(".cargo/config.toml", &config().replace("//! ", ""));
    package.write("tests/orders.rs", TEST);
    // A stranger needs none of it; but without a network there are no other versions to be had than those of the tree.
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("the tree is locked");
    package.write("Cargo.lock", &lock);
    let output = package.cargo(&["test", "--test", "orders", "--", "--nocapture"]);
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("the run is stranger@1#"), "{said}");
}

/// The simulator's build script alone: all that stops without the flags stops there, and nothing else has to be built first.
#[test]
fn without_the_flags_the_build_stops_and_says_what_to_do() {
    let manifest = format!(
        "[package]\nname = \"flagless\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         build = \"{}/sim/build.rs\"\n\n[workspace]\n",
        root().display()
    );
    let package = Package::new("flagless", &manifest);
    let output = package.cargo(&["check"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for words in ["--cfg madsim", "rustdocflags", ".cargo/config.toml"] {
        assert!(said.contains(words), "no `{words}` in: {said}");
    }
    package.write(".cargo/config.toml", &config().replace("//! ", ""));
    let output = package.cargo(&["check"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
