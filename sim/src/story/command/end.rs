//! The end of every story: all is healed, and every partition that was written to is read back.

use super::heal::heal;
use super::start::serve;
use crate::history::Event;
use crate::story::act::Answer;
use crate::story::play::{PATIENCE, Play};
use taffrail_client::TopicPartitionName;

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
                let records = whole.records.iter().map(|record| play.as_read(record));
                stage.tell(Event::ReadBack {
                    round: 0,
                    partition: stage.identity(&partition),
                    start,
                    end,
                    records: records.collect(),
                });
            }
            Err(why) if play.damaged.get() => answer.push(format!("{name}: refused: {why}")),
            Err(why) => {
                play.world
                    .fail("ACKED-DURABLE", format!("{name} cannot be read: {why}"));
                return Ok(answer);
            }
        }
    }
    stage.conclude();
    answer.push("every promise was kept".to_owned());
    Ok(answer)
}
