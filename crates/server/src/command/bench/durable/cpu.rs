//! Who took the machine's cores: Linux counts in ticks, of all programs together and of each.

use crate::failure::Failure;
use std::path::Path;
use taffrail_os::process;

const TEXT_BYTES_MAX: usize = 1 << 20;

/// Ticks since the machine started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Of all cores, used or not.
    all: u64,
    /// Spent on programs.
    used: u64,
    /// Spent on other machines of the same host.
    stolen: u64,
    /// Spent on this process and the broker.
    ours: u64,
}

impl Usage {
    pub fn now(broker: Option<u32>) -> Result<Usage, Failure> {
        let mut usage = read("/proc/stat", of_machine)?;
        usage.ours = read("/proc/self/stat", of_process)?;
        if let Some(pid) = broker {
            usage.ours += read(&format!("/proc/{pid}/stat"), of_process)?;
        }
        Ok(usage)
    }

    /// Shares of all cores between two moments: what other programs took, and what other machines did.
    pub fn until(&self, later: &Usage) -> (f64, f64) {
        let all = later.all.saturating_sub(self.all).max(1) as f64;
        let ours = later.ours.saturating_sub(self.ours);
        let foreign = later.used.saturating_sub(self.used).saturating_sub(ours);
        let stolen = later.stolen.saturating_sub(self.stolen);
        (foreign as f64 / all, stolen as f64 / all)
    }
}

fn read<T>(path: &str, parse: fn(&str) -> Option<T>) -> Result<T, Failure> {
    let text = process::read_text(Path::new(path), TEXT_BYTES_MAX)
        .map_err(|error| Failure::operation(error.to_string()))?;
    parse(&text).ok_or_else(|| Failure::operation(format!("{path} is not as Linux writes it")))
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn of_machine(text: &str) -> Option<Usage> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let [user, nice, system, idle, waiting, irq, softirq, stolen] = ticks[..] else {
        return None;
    };
    let used = user + nice + system + irq + softirq;
    Some(Usage {
        all: used + idle + waiting + stolen,
        used,
        stolen,
        ours: 0,
    })
}

/// A line of `/proc/PID/stat`: the twelfth and thirteenth field behind the name are its time as a program and
/// in the system.
fn of_process(text: &str) -> Option<u64> {
    let (_, fields) = text.rsplit_once(") ")?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_ours_nor_idle_is_foreign() {
        let machine = "cpu  100 5 50 800 20 3 2 20 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        let begin = of_machine(machine).expect("it parses");
        assert_eq!(
            (begin.all, begin.used, begin.stolen),
            (1000, 160, 20),
            "guests are in user already"
        );
        let end = Usage {
            all: 2000,
            used: 660,
            stolen: 40,
            ours: 400,
        };
        assert_eq!(begin.until(&end), (0.1, 0.02));
    }

    #[test]
    fn a_process_may_have_any_name() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 31 12 0 0 20 0 9 0 5 6 7\n";
        assert_eq!(of_process(line), Some(43));
        assert_eq!(of_process("7 (a"), None);
    }
}
