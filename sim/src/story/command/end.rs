//! The end of every story: all is healed, every partition that was written to is read back, and what nobody asks for any more is given
//! back.

use super::heal::heal;
use super::start::serve;
use crate::cluster::Broker;
use crate::history::Event;
use crate::story::act::Answer;
use crate::story::play::{PATIENCE, Play, Unread};
use crate::workload::Stage;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use taffrail_client::TopicPartitionName;
use taffrail_record::Offset;

/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Asks the judges for the last time.
pub async fn account(play: &Play) -> Answer {
    let (Ok(stage), Ok(broker)) = (play.stage(), play.broker()) else {
        return Ok(vec!["nothing was there".to_owned()]);
    };
    heal(play);
    let mut answer = Vec::new();
    if !play.world.is_running(broker.node) {
        let said = serve(play, &broker, None).await?;
        answer.extend(said.iter().map(|said| format!("the broker {said}")));
        if !broker.is_serving() {
            if !play.damaged.get() {
                broker.tell_absence(&stage, "at the end of the story", PATIENCE);
            }
            return Ok(answer);
        }
    }
    let Some(ends) = read_back(play, &stage, &mut answer).await? else {
        return Ok(answer);
    };
    if !play.damaged.get() {
        groups_settle(play, &stage, &ends).await;
    }
    idle(play, &stage, &broker).await;
    if !play.damaged.get() && broker.is_serving() && !broker.has_failed() {
        stop_and_verify(play, &stage, &broker).await;
    }
    stage.conclude();
    if !play.world.is_over() {
        answer.push("every promise was kept".to_owned());
    }
    Ok(answer)
}

/// Reads every partition that was written to. Where each ends; `None` if one cannot be read, which is a verdict.
async fn read_back(
    play: &Play,
    stage: &Stage,
    answer: &mut Vec<String>,
) -> Result<Option<BTreeMap<TopicPartitionName, Offset>>, String> {
    let mut ends = BTreeMap::new();
    let written: Vec<TopicPartitionName> = play.written.borrow().iter().cloned().collect();
    for partition in written {
        let name = format!("{}/{}", partition.topic, partition.partition);
        match play.read("the-judge", &partition, None).await? {
            Ok(whole) => {
                let count = whole.records.len();
                let (start, end) = (whole.start, whole.end);
                answer.push(format!("{name}: {count} records, from {start} to {end}"));
                if play.retained.borrow().contains(&partition.topic) {
                    let partition = stage.identity(&partition);
                    stage.tell(Event::StartMoved { partition, start });
                }
                let records = whole.records.iter();
                let records = records.map(|record| play.records.as_read(record));
                stage.tell(Event::ReadBack {
                    round: 0,
                    partition: stage.identity(&partition),
                    start,
                    end,
                    records: records.collect(),
                });
                ends.insert(partition, end);
            }
            Err(Unread { why, .. }) if play.damaged.get() => {
                answer.push(format!("{name}: refused: {why}"));
            }
            Err(Unread { why, .. }) => {
                play.world
                    .fail("ACKED-DURABLE", format!("{name} cannot be read: {why}"));
                return Ok(None);
            }
        }
    }
    Ok(Some(ends))
}

/// The members of each group come to one generation, and read all that is there.
async fn groups_settle(play: &Play, stage: &Stage, ends: &BTreeMap<TopicPartitionName, Offset>) {
    for name in play.groups.names() {
        let begun = play.world.elapsed();
        let state = || {
            let reach = play.groups.reach(&name, ends);
            (play.groups.generations(&name), reach)
        };
        let is_settled = || {
            let (generations, reach) = state();
            let is_one = generations.windows(2).all(|pair| pair[0].1 == pair[1].1);
            is_one && reach.iter().all(|(_, reached, end)| reached >= end)
        };
        while !is_settled() && play.world.elapsed() < begun + PATIENCE {
            play.world.sleep(LOOK).await;
        }
        let (generations, reach) = state();
        stage.tell(Event::GroupSettled {
            generations,
            reach: reach
                .into_iter()
                .map(|(name, reached, end)| (stage.identity(&name), reached, end))
                .collect(),
            waited: play.world.elapsed() - begun,
        });
    }
}

/// The clients go, and nobody asks anything any more.
async fn idle(play: &Play, stage: &Stage, broker: &Broker) {
    let world = &play.world;
    for node in world.nodes() {
        if node != broker.node && world.is_running(node) {
            world.kill(node);
        }
    }
    broker.tell_idle(stage).await;
}

/// A clean stop, and a look at what it leaves behind.
async fn stop_and_verify(play: &Play, stage: &Rc<Stage>, broker: &Rc<Broker>) {
    let ended = play.world.exited(broker.node);
    let (next, told) = (broker.clone(), stage.clone());
    play.world.spawn_harness(async move {
        ended.await;
        next.start(&told);
    });
    broker.stop_and_verify(stage, PATIENCE).await;
}
