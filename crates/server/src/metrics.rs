//! A node's figures as Prometheus reads them.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use taffrail_broker::{Metric, MetricKind, MetricsSnapshot};

/// What [`render`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures of one moment.
#[derive(Debug)]
struct Snapshot(MetricsSnapshot);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // Figures of one name follow one another, and share one description.
        for family in self.0.metrics.chunk_by(|one, other| one.name == other.name) {
            encode_family(&mut encoder, family)?;
        }
        Ok(())
    }
}

fn encode_family(
    encoder: &mut DescriptorEncoder<'_>,
    family: &[Metric],
) -> Result<(), std::fmt::Error> {
    let first = &family[0];
    let counter = ConstCounter::new(0_u64);
    let gauge = ConstGauge::new(0.0_f64);
    // The encoder adds the ending of a counter by itself.
    let (name, kind) = match first.kind {
        MetricKind::Counter => (
            first.name.strip_suffix("_total").unwrap_or(first.name),
            counter.metric_type(),
        ),
        MetricKind::Gauge => (first.name, gauge.metric_type()),
    };
    let mut encoder = encoder.encode_descriptor(name, first.help, None, kind)?;
    for metric in family {
        if metric.labels.is_empty() {
            match metric.kind {
                MetricKind::Counter => {
                    encoder.encode_counter::<NoLabelSet, _, u64>(&metric.value, None)?
                }
                MetricKind::Gauge => encoder.encode_gauge(&metric.value)?,
            }
            continue;
        }
        let labels: Vec<(String, String)> = metric
            .labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let encoder = encoder.encode_family(&labels)?;
        match metric.kind {
            MetricKind::Counter => ConstCounter::new(metric.value).encode(encoder)?,
            MetricKind::Gauge => ConstGauge::new(metric.value).encode(encoder)?,
        }
    }
    Ok(())
}

/// The text of `/metrics`.
pub fn render(snapshot: MetricsSnapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(snapshot)));
    let mut rendered = String::new();
    text::encode(&mut rendered, &registry).expect("writing to a string cannot fail");
    rendered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_described_and_end_as_they_should() {
        let mut snapshot = MetricsSnapshot::default();
        for (api, count) in [("Fetch", 7), ("Produce", 5)] {
            snapshot.push(
                MetricKind::Counter,
                "taffrail_requests_total",
                "Requests by API.",
                vec![("api", api.to_owned())],
                count,
            );
        }
        snapshot.push(
            MetricKind::Gauge,
            "taffrail_connections",
            "Open connections.",
            Vec::new(),
            3,
        );
        assert_eq!(
            render(snapshot),
            "# HELP taffrail_requests Requests by API.\n\
             # TYPE taffrail_requests counter\n\
             taffrail_requests_total{api=\"Fetch\"} 7.0\n\
             taffrail_requests_total{api=\"Produce\"} 5.0\n\
             # HELP taffrail_connections Open connections.\n\
             # TYPE taffrail_connections gauge\n\
             taffrail_connections 3.0\n\
             # EOF\n"
        );
    }
}
