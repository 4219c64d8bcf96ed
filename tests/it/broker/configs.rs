//! Settings are described and changed while the broker runs.

use super::ground::*;
use taffrail_wire::alter_configs::{
    AlterConfigsResource as WholeResource, AlterableConfig as WholeConfig,
};
use taffrail_wire::describe_configs::DescribeConfigsResource;
use taffrail_wire::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use taffrail_wire::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

/// A key's value and the number of its source.
async fn describe(peer: &mut Peer, kind: i8, name: &str, key: &str) -> (Option<String>, i8) {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name,
            configuration_keys: Some(vec![key]),
        }],
        include_synonyms: true,
        include_documentation: true,
    };
    let reply = peer.call(4, &request).await;
    let response: DescribeConfigsResponse<'_> = reply.read();
    assert_eq!(response.results[0].error_code, 0);
    let config = &response.results[0].configs[0];
    assert_eq!(config.name, key);
    assert!(config.documentation.is_some_and(|text| !text.is_empty()));
    (config.value.map(str::to_string), config.config_source)
}

async fn alter(peer: &mut Peer, kind: i8, name: &str, edits: &[(&str, i8, Option<&str>)]) -> i16 {
    let configs = edits
        .iter()
        .map(|(name, operation, value)| AlterableConfig {
            name,
            config_operation: *operation,
            value: *value,
        });
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: name,
            configs: configs.collect(),
        }],
        validate_only: false,
    };
    let reply = peer.call(1, &request).await;
    let response: IncrementalAlterConfigsResponse<'_> = reply.read();
    let answer = &response.responses[0];
    assert_eq!(answer.error_message.is_some(), answer.error_code != 0);
    answer.error_code
}

#[test]
fn a_topics_setting_is_changed_acts_and_goes_back_to_its_default() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let key = "max.message.bytes";
        let default = Some("1048588".to_string());
        assert_eq!(
            describe(&mut peer, TOPIC, "t", key).await,
            (default.clone(), 5)
        );
        let batch = peer.batch(&[&[0; 500]]);
        assert_eq!(peer.produce("t", 0, batch.clone()).await.0, 0);
        assert_eq!(
            alter(&mut peer, TOPIC, "t", &[(key, SET, Some("100"))]).await,
            0
        );
        assert_eq!(
            describe(&mut peer, TOPIC, "t", key).await,
            (Some("100".into()), 1)
        );
        assert_eq!(peer.produce("t", 0, batch.clone()).await.0, 10);
        assert_eq!(
            alter(&mut peer, TOPIC, "t", &[(key, DELETE, None)]).await,
            0
        );
        assert_eq!(describe(&mut peer, TOPIC, "t", key).await, (default, 5));
        assert_eq!(peer.produce("t", 0, batch).await.0, 0);
    });
}

#[test]
fn a_brokers_setting_reaches_topics_that_do_not_say_otherwise() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        peer.create("own", 1, &[("max.message.bytes", "2000")])
            .await;
        let batch = peer.batch(&[&[0; 500]]);
        let edit = [("message.max.bytes", SET, Some("100"))];
        assert_eq!(alter(&mut peer, BROKER, "", &edit).await, 0);
        let key = "max.message.bytes";
        assert_eq!(
            describe(&mut peer, TOPIC, "t", key).await,
            (Some("100".into()), 3)
        );
        assert_eq!(peer.produce("t", 0, batch.clone()).await.0, 10);
        assert_eq!(peer.produce("own", 0, batch.clone()).await.0, 0);
        let edit = [("message.max.bytes", SET, Some("3000"))];
        assert_eq!(alter(&mut peer, BROKER, "1", &edit).await, 0);
        assert_eq!(
            describe(&mut peer, TOPIC, "t", key).await,
            (Some("3000".into()), 2)
        );
        assert_eq!(peer.produce("t", 0, batch).await.0, 0);
    });
}

#[test]
fn what_cannot_be_honoured_is_refused_and_changes_nothing() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        for (kind, name, key, operation, value, error) in [
            (TOPIC, "t", "retention.md", SET, Some("1"), 40),
            (TOPIC, "t", "retention.ms", SET, Some("x"), 40),
            (TOPIC, "t", "retention.ms", SET, None, 42),
            (TOPIC, "t", "retention.md", SET, None, 42),
            (TOPIC, "t", "cleanup.policy", APPEND, None, 42),
            (TOPIC, "no/where", "retention.ms", SET, Some("1"), 17),
            (TOPIC, "", "retention.ms", SET, Some("1"), 42),
            (BROKER, "1", "log.retention.ms", SET, Some("x"), 42),
            (BROKER, "1", "log.dirs", SET, Some("/tmp"), 42),
            (BROKER, "", "log.cleaner.threads", SET, Some("2"), 42),
            (TOPIC, "t", "retention.ms", APPEND, Some("1"), 40),
            (TOPIC, "t", "cleanup.policy", APPEND, Some("compact"), 40),
            (TOPIC, "t", "retention.ms", 9, Some("1"), 42),
            (TOPIC, "nowhere", "retention.ms", SET, Some("1"), 3),
            (BROKER, "7", "log.retention.ms", SET, Some("1"), 42),
            (BROKER, "1", "num.partitions", SET, Some("1"), 42),
            (16, "t", "retention.ms", SET, Some("1"), 42),
            // More than the journal takes, and than it takes by a byte.
            (TOPIC, "t", "max.message.bytes", SET, Some("1048577"), 40),
            (BROKER, "", "message.max.bytes", SET, Some("2000000000"), 42),
        ] {
            let edits = [
                ("min.insync.replicas", SET, Some("2")),
                (key, operation, value),
            ];
            let edits = if kind == TOPIC {
                &edits[..]
            } else {
                &edits[1..]
            };
            assert_eq!(
                alter(&mut peer, kind, name, edits).await,
                error,
                "{name} {key}"
            );
        }
        let unchanged = describe(&mut peer, TOPIC, "t", "min.insync.replicas").await;
        assert_eq!(unchanged, (Some("1".into()), 5));
        let twice = [
            ("retention.ms", SET, Some("1")),
            ("retention.ms", DELETE, None),
        ];
        assert_eq!(alter(&mut peer, TOPIC, "t", &twice).await, 42);
        // What is not set is not set afterwards either.
        let gone = [("retention.md", DELETE, None)];
        assert_eq!(alter(&mut peer, TOPIC, "t", &gone).await, 0);
        let gone = [("node.id", DELETE, None), ("num.partitions", DELETE, None)];
        assert_eq!(alter(&mut peer, BROKER, "1", &gone).await, 0);
    });
}

#[test]
fn keys_and_names_as_long_as_strings_can_be_are_refused_in_a_few_words() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let long = "x".repeat(32_760);
        let edits = [(long.as_str(), SET, Some("1"))];
        assert_eq!(alter(&mut peer, TOPIC, "t", &edits).await, 40);
        let edits = [("retention.ms", SET, Some(long.as_str()))];
        assert_eq!(alter(&mut peer, TOPIC, "t", &edits).await, 40);
        assert_eq!(alter(&mut peer, BROKER, &long, &edits).await, 42);
        let request = AlterConfigsRequest {
            resources: vec![WholeResource {
                resource_type: TOPIC,
                resource_name: "t",
                configs: vec![WholeConfig {
                    name: &long,
                    value: None,
                }],
            }],
            validate_only: false,
        };
        let reply = peer.call(2, &request).await;
        let response: AlterConfigsResponse<'_> = reply.read();
        assert_eq!(response.responses[0].error_code, 42);
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: BROKER,
                resource_name: &long,
                configuration_keys: None,
            }],
            ..DescribeConfigsRequest::default()
        };
        let reply = peer.call(4, &request).await;
        let response: DescribeConfigsResponse<'_> = reply.read();
        assert_eq!(response.results[0].error_code, 42);
    });
}

#[test]
fn a_resource_that_is_named_twice_is_refused_each_time() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let resource = |value| AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: "t",
            configs: vec![AlterableConfig {
                name: "retention.ms",
                config_operation: SET,
                value: Some(value),
            }],
        };
        let request = IncrementalAlterConfigsRequest {
            resources: vec![resource("5"), resource("6")],
            validate_only: false,
        };
        let reply = peer.call(1, &request).await;
        let response: IncrementalAlterConfigsResponse<'_> = reply.read();
        let errors = response.responses.iter().map(|answer| answer.error_code);
        assert_eq!(errors.collect::<Vec<_>>(), [42, 42]);
        let unchanged = describe(&mut peer, TOPIC, "t", "retention.ms").await;
        assert_eq!(unchanged, (Some("604800000".into()), 5));
    });
}

#[test]
fn altering_all_settings_drops_those_that_are_not_named() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let configs = [("retention.ms", "1000"), ("segment.ms", "1000")];
        peer.create("t", 1, &configs).await;
        let request = AlterConfigsRequest {
            resources: vec![WholeResource {
                resource_type: TOPIC,
                resource_name: "t",
                configs: vec![WholeConfig {
                    name: "retention.ms",
                    value: Some("2000"),
                }],
            }],
            validate_only: false,
        };
        let reply = peer.call(2, &request).await;
        assert_eq!(
            reply.read::<AlterConfigsResponse<'_>>().responses[0].error_code,
            0
        );
        assert_eq!(
            describe(&mut peer, TOPIC, "t", "retention.ms").await,
            (Some("2000".into()), 1)
        );
        assert_eq!(
            describe(&mut peer, TOPIC, "t", "segment.ms").await,
            (Some("604800000".into()), 5)
        );
    });
}

#[test]
fn a_broker_describes_itself_alone() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        assert_eq!(
            describe(&mut peer, BROKER, "1", "node.id").await,
            (Some("1".into()), 4)
        );
        for (kind, name, error) in [
            (BROKER, "2", 42),
            (TOPIC, "nowhere", 3),
            (TOPIC, "no/where", 17),
            (TOPIC, "", 17),
            (8, "1", 0),
            (8, "", 42),
            (99, "1", 42),
        ] {
            let request = DescribeConfigsRequest {
                resources: vec![DescribeConfigsResource {
                    resource_type: kind,
                    resource_name: name,
                    configuration_keys: None,
                }],
                ..DescribeConfigsRequest::default()
            };
            let reply = peer.call(1, &request).await;
            let response: DescribeConfigsResponse<'_> = reply.read();
            assert_eq!(response.results[0].error_code, error);
        }
    });
}

#[test]
fn no_keys_are_all_keys() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        peer.create("t", 1, &[]).await;
        let mut counts = Vec::new();
        let chosen = vec!["retention.ms", "retention.md", "retention.ms"];
        for keys in [None, Some(Vec::new()), Some(chosen)] {
            let request = DescribeConfigsRequest {
                resources: vec![DescribeConfigsResource {
                    resource_type: TOPIC,
                    resource_name: "t",
                    configuration_keys: keys,
                }],
                ..DescribeConfigsRequest::default()
            };
            let reply = peer.call(4, &request).await;
            let response: DescribeConfigsResponse<'_> = reply.read();
            counts.push(response.results[0].configs.len());
        }
        assert!(counts[0] > 20, "{counts:?}");
        assert_eq!(counts, [counts[0], counts[0], 1]);
    });
}

#[test]
fn values_are_kept_as_their_type_writes_them() {
    story(config(1), |place| async move {
        let mut peer = place.peer().await;
        let configs = [
            ("preallocate", "TRUE"),
            ("retention.ms", " 0100 "),
            ("cleanup.policy", "delete, delete"),
            ("min.cleanable.dirty.ratio", "0.50"),
        ];
        peer.create("t", 1, &configs).await;
        let written = ["true", "100", "delete", "0.5"];
        for ((key, _), written) in configs.iter().zip(written) {
            let told = describe(&mut peer, TOPIC, "t", key).await;
            assert_eq!(told, (Some(written.into()), 1), "{key}");
            let synonyms = synonyms(&mut peer, key).await;
            assert_eq!(synonyms.first().map(String::as_str), Some(written), "{key}");
        }
        let edits = [("preallocate", SET, Some(" False"))];
        assert_eq!(alter(&mut peer, TOPIC, "t", &edits).await, 0);
        assert_eq!(synonyms(&mut peer, "preallocate").await[0], "false");
        let edits = [("log.preallocate", SET, Some("TRUE"))];
        assert_eq!(alter(&mut peer, BROKER, "", &edits).await, 0);
        assert_eq!(synonyms(&mut peer, "preallocate").await[1], "true");
    });
}

/// What is kept for a key of topic `t`, the strongest first.
async fn synonyms(peer: &mut Peer, key: &str) -> Vec<String> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: "t",
            configuration_keys: Some(vec![key]),
        }],
        include_synonyms: true,
        ..DescribeConfigsRequest::default()
    };
    let reply = peer.call(4, &request).await;
    let response: DescribeConfigsResponse<'_> = reply.read();
    let synonyms = response.results[0].configs[0].synonyms.iter();
    let values = synonyms.map(|synonym| synonym.value.unwrap_or_default().to_string());
    values.collect()
}
