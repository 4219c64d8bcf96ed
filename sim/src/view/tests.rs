//! A page is whole, and holds what the run did.

use super::*;
use crate::story::Story;

/// The data of a story's page.
fn data_of(story: &str) -> (String, Value) {
    let outcome = Story::parse(story).expect("well formed").record();
    let page = page(&outcome);
    let (_, rest) = page
        .split_once("type=\"application/json\">")
        .expect("the page has its data");
    let (data, _) = rest.split_once("</script>").expect("the data ends");
    let data = serde_json::from_str(data).expect("the data is JSON");
    (page, data)
}

#[test]
fn a_page_shows_lives_messages_operations_and_curves() {
    let (page, data) = data_of(
        "broker b\ntopic orders partitions=1\nproduce p orders/0 one two\nwait 1s\ncut b p\n\
         cut-power b\nstart b\nwait 1s\n",
    );
    assert!(!page.contains("http://") && !page.contains("https://"));
    let names: Vec<&str> = data["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter_map(|node| node["name"].as_str())
        .collect();
    assert_eq!(names[0], "b");
    assert!(names.contains(&"p"));
    let list = |key: &str| data[key].as_array().expect(key).clone();
    let lives = list("bands");
    let of = |kind: &str| lives.iter().filter(|band| band["kind"] == kind).count();
    assert_eq!(of("cut"), 2, "one for each direction");
    let of_broker = |band: &&Value| band["node"] == 1 && band["kind"] == "up";
    assert_eq!(lives.iter().filter(of_broker).count(), 2);
    assert!(list("marks").iter().any(|mark| mark["title"] == "PowerCut"));
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

#[test]
fn what_broke_is_on_the_page_and_cannot_break_out_of_it() {
    let (_, data) = data_of("broker b\nexpect </script><b>\n");
    assert_eq!(data["failure"]["invariant"], "STORY");
    let witness = data["failure"]["witness"].as_str().expect("a witness");
    assert!(witness.contains("</script><b>"));
}
