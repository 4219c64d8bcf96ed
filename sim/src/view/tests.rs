//! A page is whole, and holds what the run did.

use super::*;
use crate::history::{Event as History, Membership};
use crate::run::Told;
use crate::story::Story;
use crate::{NodeOptions, Recording, Simulation};
use std::time::Duration;
use taffrail_record::TopicId;

/// The data of a story's page.
fn data_of(story: &str) -> (String, Value) {
    let outcome = Story::parse(story).expect("well formed").record();
    let page = page(&outcome);
    let data = read(&page);
    (page, data)
}

fn read(page: &str) -> Value {
    let (_, rest) = page
        .split_once("type=\"application/json\">")
        .expect("the page has its data");
    let (data, _) = rest.split_once("</script>").expect("the data ends");
    serde_json::from_str(data).expect("the data is JSON")
}

fn list(data: &Value, key: &str) -> Vec<Value> {
    data[key].as_array().expect(key).clone()
}

fn length(band: &Value) -> u64 {
    let of = |key: &str| band[key].as_u64().expect("a time");
    of("to") - of("from")
}

#[test]
fn a_page_shows_lives_messages_operations_and_curves() {
    let (page, data) = data_of(
        "broker b\ntopic orders partitions=1\nproduce p orders/0 one two\nwait 1s\ncut b p\n\
         cut-power b\nstart b\nwait 1s\n",
    );
    assert!(!page.contains("http://") && !page.contains("https://"));
    let names: Vec<&str> = data["lanes"]
        .as_array()
        .expect("lanes")
        .iter()
        .filter_map(|node| node["name"].as_str())
        .collect();
    assert_eq!(names[..2], ["run", "b"]);
    assert!(names.contains(&"p"));
    let list = |key: &str| list(&data, key);
    let lives = list("bands");
    let of = |kind: &str| lives.iter().filter(|band| band["kind"] == kind).count();
    assert_eq!(of("cut"), 2, "one for each direction");
    let of_broker = |band: &&Value| band["node"] == 1 && band["kind"] == "up";
    let of_broker = lives.iter().filter(of_broker).count();
    assert_eq!(of_broker, 3, "the last verifies what the story left");
    assert!(list("marks").iter().any(|mark| mark["title"] == "PowerCut"));
    let commands = |mark: &&Value| mark["shape"] == "note" && mark["node"] == 0;
    assert_eq!(list("marks").iter().filter(commands).count(), 8);
    let acks = |mark: &&Value| mark["title"] == "SendAcked" && mark["colour"] == "good";
    assert_eq!(list("marks").iter().filter(acks).count(), 2);
    for message in list("messages") {
        assert!(message[0].as_u64() <= message[1].as_u64(), "{message}");
    }
    let curves = data["curves"].as_object().expect("curves");
    let ends = curves.values().flat_map(|curve| curve.as_array());
    let highest = ends.flatten().filter_map(|point| point[3].as_i64()).max();
    assert_eq!(highest, Some(2));
}

/// A run in which nothing is simulated but what `story` does, with what the judges were told in it.
fn told(nodes: &[&str], events: Vec<(u32, History)>) -> Value {
    let simulation = Simulation::new("view", 1).with_recording(Recording::Full);
    let mut outcome = simulation.run(|_| async {});
    outcome.nodes = nodes.iter().map(|name| (*name).to_owned()).collect();
    outcome.history = (1..)
        .zip(events)
        .map(|(number, (node, event))| Told {
            time: number * 1_000_000,
            events: number,
            node,
            event,
        })
        .collect();
    read(&page(&outcome))
}

#[test]
fn everything_that_is_told_of_an_operation_is_drawn_in_a_lane() {
    let partition = TopicPartition {
        topic: TopicId([7; 16]),
        partition: 3,
    };
    let by = Membership {
        client: 1,
        member_id: "m".to_owned(),
        instance: None,
        generation: 1,
    };
    let (group, position) = (u32::MAX, 0);
    let events = vec![
        // A member reads on behalf of its group, which is no node.
        History::PollStarted {
            operation: 1,
            client: group,
            partition,
            position,
            fresh: false,
        },
        History::PollOutOfRange { operation: 1 },
        History::CommitStarted {
            operation: 2,
            group,
            partition,
            offset: 1,
            by: Some(by.clone()),
        },
        History::CommitFailed { operation: 2 },
        History::CommittedStarted {
            operation: 3,
            group: 1,
            partition,
        },
        History::CommittedAcked {
            operation: 3,
            offset: None,
        },
        History::EarliestStarted {
            operation: 4,
            client: 1,
            partition,
        },
        History::EarliestAcked {
            operation: 4,
            start: 0,
        },
        History::Held {
            group,
            by,
            partitions: vec![partition],
        },
        History::Deleted { partition },
        History::NameResolved {
            partition,
            found: None,
        },
        History::ReadBackRefused {
            round: 1,
            partition,
            from: 0,
            to: 1,
        },
        History::DamageAllowed {
            node: 1,
            partition,
            from: 0,
            to: 1,
        },
        History::DamageMended { node: 1 },
        History::LossAllowed { node: 1 },
    ];
    let count = events.len();
    let data = told(&["b", "m"], events.into_iter().map(|e| (2, e)).collect());
    let marks = list(&data, "marks");
    assert_eq!(marks.len(), count);
    let lanes: Vec<&Value> = data["lanes"].as_array().expect("lanes").iter().collect();
    for mark in &marks {
        let lane = lanes.iter().find(|lane| lane["number"] == mark["node"]);
        let of_damage = ["DamageAllowed", "DamageMended", "LossAllowed"];
        let expected = match of_damage.iter().any(|title| mark["title"] == *title) {
            true => "b",
            false => "m",
        };
        assert_eq!(lane.expect("a lane")["name"], expected, "{mark}");
    }
    let named = |mark: &&Value| mark["partitions"][0] == data["partitions"][0];
    assert_eq!(marks.iter().filter(named).count(), count - 2);
    let ended = marks[3]["detail"].as_str().expect("a detail");
    assert!(ended.ends_with("began at 3 ms, took 1.0 ms"), "{ended}");
}

#[test]
fn all_marks_and_bands_of_a_run_have_a_lane() {
    let profile = crate::profile::Profile::named("smoke").expect("it is there");
    let simulation = profile.simulation(3).with_recording(Recording::Full);
    let data = read(&page(&(profile.run)(simulation)));
    let lanes: Vec<Value> = list(&data, "lanes")
        .iter()
        .map(|lane| lane["number"].clone())
        .collect();
    let (marks, bands) = (list(&data, "marks"), list(&data, "bands"));
    assert!(marks.len() > 100 && !bands.is_empty());
    for drawn in marks.iter().chain(&bands) {
        assert!(lanes.contains(&drawn["node"]), "{drawn}");
    }
    let committed = marks.iter().filter(|mark| mark["title"] == "CommitAcked");
    assert!(committed.count() > 0);
    let phases = bands.iter().filter(|band| band["kind"] == "phase");
    let phases: Vec<&str> = phases.filter_map(|band| band["text"].as_str()).collect();
    let all = ["warm-up", "chaos", "core healed", "healed", "account"];
    assert_eq!(phases, all);
}

#[test]
fn clocks_and_disks_that_are_wrong_are_bands_and_times_are_in_milliseconds() {
    let simulation = Simulation::new("view", 1).with_recording(Recording::Full);
    let outcome = simulation.run(|world| async move {
        let node = world.add_node(NodeOptions::named("b"));
        let second = || world.sleep(Duration::from_secs(1));
        world.step_clock(node, 90_000);
        world.freeze_clock(node, true);
        second().await;
        world.freeze_clock(node, false);
        let disk = world.disk(node);
        disk.set_slow(50);
        disk.stall(500_000_000);
        disk.set_capacity(0);
        disk.set_read_only(true);
        second().await;
        disk.set_capacity(u64::MAX);
        disk.heal();
        second().await;
    });
    let data = read(&page(&outcome));
    let bands = list(&data, "bands");
    let text = |kind: &str| {
        let band = bands.iter().find(|band| band["kind"] == kind);
        let band = band.unwrap_or_else(|| panic!("no band {kind} in {bands:?}"));
        (
            band["text"].as_str().expect("a text").to_owned(),
            length(band),
        )
    };
    let length_of = |kind| text(kind).1;
    assert_eq!(text("skew").0, "the wall clock is wrong by 1.5 min");
    assert_eq!(length_of("frozen"), 1_000_000_000);
    assert_eq!(text("slow").0, "the disk is 50 times slower");
    assert_eq!(length_of("stall"), 500_000_000);
    for kind in ["slow", "full", "readonly"] {
        assert_eq!(length_of(kind), 1_000_000_000, "{kind}");
    }
    let marks = list(&data, "marks");
    let jumps: Vec<&Value> = marks
        .iter()
        .filter(|mark| mark["title"] == "the wall clock jumps")
        .collect();
    assert_eq!(jumps.len(), 1, "a freeze is no jump");
    assert_eq!(jumps[0]["detail"], "by 90000 ms (1.5 min)");
}

#[test]
fn a_client_is_busy_with_a_partition_while_it_has_something_open() {
    let of = |partition| TopicPartition {
        topic: TopicId([1; 16]),
        partition,
    };
    let begun = |operation, partition| History::EndStarted {
        operation,
        client: 1,
        partition: of(partition),
    };
    let ended = |operation| History::EndAcked { operation, end: 0 };
    // One operation ends, one is never heard of again and counts until the next begins.
    let events = vec![begun(1, 0), ended(1), begun(2, 1), begun(3, 0), ended(3)];
    let data = told(&["b", "c"], events.into_iter().map(|e| (2, e)).collect());
    let spans: Vec<Value> = list(&data, "partitions")
        .iter()
        .map(|name| data["spans"][name.as_str().expect("a name")].clone())
        .collect();
    assert_eq!(
        spans,
        [
            json!([[2, 1_000_000, 2_000_000], [2, 4_000_000, 5_000_000]]),
            json!([[2, 3_000_000, 4_000_000]])
        ]
    );
}

#[test]
fn what_broke_is_on_the_page_and_cannot_break_out_of_it() {
    let (page, data) = data_of("broker b\nexpect <!--<script></script><b>\n");
    assert_eq!(data["failure"]["invariant"], "STORY");
    let witness = data["failure"]["witness"].as_str().expect("a witness");
    assert!(witness.contains("<!--<script></script><b>"));
    assert!(!page.contains("<!--"));
    assert_eq!(page.matches("</script>").count(), 2);
}
