//! `fault`: any kind of the catalogue, as often as one likes.

use super::Command;
use crate::fault::{FaultKind, Rates};
use crate::story::act::{Act, Answer, say};
use crate::story::play::Play;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "fault",
    usage: "KIND always|N%",
    about: "has a kind of fault strike at every opportunity, or at so many of a hundred, until `heal`; `cargo sim faults` lists the kinds. `code-point` strikes at every fault point alike: always, and no request is answered",
    read: |words| {
        let kind = words.next("KIND")?;
        let kind = FaultKind::parse(kind).ok_or_else(|| unknown(kind))?;
        if let Some(instead) = done_by(kind) {
            return Err(format!(
                "{} happens in a story where it says so: `{instead}`",
                kind.name()
            ));
        }
        if kind == FaultKind::NodeStarve {
            return Err(
                "node-starve is drawn once, before a story's first line, and never strikes later; another order of tasks is another `seed N`"
                    .to_owned(),
            );
        }
        let rate = match words.next("how often")? {
            "always" => 1_000_000,
            other => {
                let percent = other
                    .strip_suffix('%')
                    .and_then(|digits| digits.parse().ok());
                let percent = percent.filter(|percent: &u32| *percent <= 100);
                percent.ok_or_else(|| format!("`{other}` is not always, or a share such as 5%"))?
                    * 10_000
            }
        };
        Ok(Box::new(Fault { kind, rate }))
    },
};

/// With the kinds that share a word with it, if there are some.
fn unknown(name: &str) -> String {
    let words: Vec<&str> = name.split('-').collect();
    let is_near = |kind: &&FaultKind| kind.name().split('-').any(|word| words.contains(&word));
    let near: Vec<&str> = FaultKind::ALL
        .iter()
        .filter(is_near)
        .map(|kind| kind.name())
        .collect();
    match near.is_empty() {
        true => format!("there is no fault `{name}`"),
        false => format!("there is no fault `{name}`, but {}", near.join(", ")),
    }
}

/// The command that does what no opportunity brings about.
fn done_by(kind: FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::NodeKill | FaultKind::NodeKillInRecovery | FaultKind::ClientKill => Some("kill"),
        FaultKind::NodePowerCut | FaultKind::NodePowerCutAll => Some("cut-power"),
        FaultKind::NodePause | FaultKind::ClientPause => Some("pause"),
        FaultKind::NetCut | FaultKind::ClientCut => Some("cut"),
        FaultKind::ClockStep | FaultKind::ClockFreeze => Some("clock"),
        FaultKind::DiskReadOnly | FaultKind::DiskSlow | FaultKind::DiskReplaced => Some("disk"),
        _ => None,
    }
}

/// What is settled when a node is added, so that this kind would leave it alone ever after.
fn is_born_with(kind: FaultKind) -> Option<&'static str> {
    match kind {
        FaultKind::ClockOffset => Some("sets a clock wrong"),
        FaultKind::DiskStaleRead => Some("has a disk remember what is overwritten"),
        _ => None,
    }
}

struct Fault {
    kind: FaultKind,
    /// Parts per million.
    rate: u32,
}

impl Act for Fault {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let faults = play.world.faults();
            if let Some(what) = is_born_with(self.kind)
                && self.rate > 0
                && !play.world.nodes().is_empty()
            {
                let kind = self.kind.name();
                return Err(format!(
                    "{kind} {what} when its node is added, and there is one: put this line before `broker`"
                ));
            }
            faults.strike_points_alike();
            play.strained.set(true);
            let mut rates = Rates::none();
            for kind in FaultKind::ALL {
                rates.set(*kind, faults.rate(*kind));
            }
            faults.set_rates(rates.with(self.kind, self.rate));
            play.damaged
                .set(play.damaged.get() || self.kind.damages_synced_data());
            say("from now on")
        })
    }
}
