//! `broker`: a broker joins the story, and starts.

use super::Command;
use super::start::serve;
use crate::atlas::Law;
use crate::cluster::{self, Broker};
use crate::node::NodeOptions;
use crate::story::act::{Act, Answer};
use crate::story::play::Play;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

pub const COMMAND: Command = Command {
    name: "broker",
    usage: "NAME [shards=N] [journal.bytes=N] [SETTING=VALUE ...]",
    about: "starts a broker with these settings of server.properties",
    read: |words| {
        Ok(Box::new(Start {
            name: words.next("NAME")?.to_owned(),
            shards: within(words.option_number("shards")?, "shards", 1, 256)?,
            journal_bytes: within(
                words.option_number("journal.bytes")?,
                "journal.bytes",
                64 << 10,
                1 << 30,
            )?,
            settings: words.take_options(),
        }))
    },
};

fn within<T: PartialOrd + Display>(
    value: Option<T>,
    name: &str,
    least: T,
    most: T,
) -> Result<Option<T>, String> {
    match value {
        Some(value) if value < least || value > most => {
            Err(format!("{name}={value} is not one of {least} to {most}"))
        }
        value => Ok(value),
    }
}

struct Start {
    name: String,
    shards: Option<usize>,
    journal_bytes: Option<u64>,
    settings: BTreeMap<String, String>,
}

impl Act for Start {
    fn run<'a>(&'a self, play: &'a Play) -> Pin<Box<dyn Future<Output = Answer> + 'a>> {
        Box::pin(async move {
            let node = play.world.add_node(NodeOptions::named(self.name.clone()));
            let mut config = cluster::plain_config(node);
            for (key, value) in &self.settings {
                let set = config.settings.set(key, value);
                set.map_err(|error| format!("{key}={value}: {error}"))?;
            }
            config.shards = self.shards.unwrap_or(1);
            if let Some(bytes) = self.journal_bytes {
                config.storage.journal_file_bytes = bytes;
            }
            let broker = Broker::with_config(&play.world, node, config, Law::Sound);
            // What a story damages is its own business.
            play.world.faults().set_atlas(|_| true);
            play.enter(self.name.clone(), broker.clone());
            serve(play, &broker, None).await
        })
    }
}
