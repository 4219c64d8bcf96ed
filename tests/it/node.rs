//! A real broker: a process of its own on a directory of its own, to be killed and started again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the target's own temporary directory is writable");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Kept for a look when the test has failed.
        if !std::thread::panicking() {
            std::fs::remove_dir_all(&self.0).expect("the scratch directory is ours to remove");
        }
    }
}

/// A running broker. Killed when dropped.
pub struct Node {
    process: Child,
    data: PathBuf,
    extra: Vec<String>,
    /// `HOST:PORT` of the Kafka listener.
    pub kafka: String,
    /// `HOST:PORT` of the admin listener.
    pub admin: String,
}

/// The command under test, with nothing inherited on its standard streams.
pub fn taffrail(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taffrail-under-test"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command of the CLI to its end.
pub fn run(arguments: &[&str]) -> Output {
    taffrail(arguments).output().expect("the binary runs")
}

/// Sends a signal, such as `-TERM`.
pub fn signal(process: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(sent.expect("kill runs").success());
}

impl Node {
    /// Starts a broker on free ports, its data in `data`.
    pub fn start(data: &Path) -> Node {
        Node::start_with(data, &[])
    }

    /// The same with more options.
    pub fn start_with(data: &Path, extra: &[&str]) -> Node {
        let extra: Vec<String> = extra.iter().map(ToString::to_string).collect();
        Node::launch(data.to_path_buf(), "127.0.0.1:0", "127.0.0.1:0", extra)
    }

    fn launch(data: PathBuf, listen: &str, admin: &str, extra: Vec<String>) -> Node {
        let mut process = taffrail(&["serve", "--listen", listen, "--admin", admin])
            .arg("--data")
            .arg(&data)
            .args(&extra)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let output = process.stdout.take().expect("stdout is a pipe");
        let line = BufReader::new(output)
            .lines()
            .map(|line| line.expect("stdout is text"))
            .find(|line| line.starts_with("taffrail ready "))
            .expect("the broker says that it is ready");
        let field = |name: &str| {
            line.split(' ')
                .find_map(|word| word.strip_prefix(name))
                .unwrap_or_else(|| panic!("no {name} in {line}"))
                .to_string()
        };
        Node {
            process,
            data,
            extra,
            kafka: field("kafka="),
            admin: field("admin="),
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`, and a new start on the same directory and ports.
    pub fn kill_and_restart(self) -> Node {
        let (data, kafka, admin, extra) = (
            self.data.clone(),
            self.kafka.clone(),
            self.admin.clone(),
            self.extra.clone(),
        );
        drop(self);
        Node::launch(data, &kafka, &admin, extra)
    }

    /// SIGTERM, and the exit status.
    pub fn stop(mut self) -> ExitStatus {
        signal(self.process.id(), "-TERM");
        self.process.wait().expect("the broker ends")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails only if the process has ended already, which is what is wanted.
        let _ = self.process.kill();
        self.process
            .wait()
            .expect("the process is ours to wait for");
    }
}
