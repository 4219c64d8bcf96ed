//! A node's figures as Prometheus reads them, in its own text format, and in OpenMetrics if that is what is asked for.
//!
//! The two differ in names: a counter's ending `_total` belongs to its family's name in the first, and to its samples alone in the second.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use taffrail_broker::{Metric, MetricKind, MetricsSnapshot};

/// How figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// What the values of a request's `accept` headers ask for. Prometheus' own, unless OpenMetrics is named and nothing is
    /// named that is wanted more.
    pub fn wanted<'v>(accepted: impl Iterator<Item = &'v str>) -> Format {
        let (mut open_metrics, mut text) = (0.0, 0.0);
        for range in accepted.flat_map(|value| value.split(',')) {
            let mut words = range.split(';').map(str::trim);
            let kind = words.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut version) = (1.0, "1.0.0");
            for (name, value) in words.filter_map(|word| word.split_once('=')) {
                match name.trim() {
                    "q" => weight = value.trim().parse().unwrap_or(0.0),
                    "version" => version = value.trim().trim_matches('"'),
                    _ => {}
                }
            }
            match kind.as_str() {
                "application/openmetrics-text" if version == "1.0.0" => {
                    open_metrics = f64::max(open_metrics, weight);
                }
                "text/plain" => text = f64::max(text, weight),
                _ => {}
            }
        }
        match open_metrics > 0.0 && open_metrics >= text {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The text of `/metrics`.
    pub fn render(self, snapshot: MetricsSnapshot) -> String {
        match self {
            Format::Prometheus => prometheus(&snapshot),
            Format::OpenMetrics => open_metrics(snapshot),
        }
    }
}

/// Prometheus' text format, version 0.0.4.
fn prometheus(snapshot: &MetricsSnapshot) -> String {
    let mut text = String::new();
    for family in snapshot
        .metrics
        .chunk_by(|one, other| one.name == other.name)
    {
        let first = &family[0];
        let kind = match first.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        let help = escaped(first.help, false);
        text.push_str(&format!("# HELP {} {help}\n", first.name));
        text.push_str(&format!("# TYPE {} {kind}\n", first.name));
        for metric in family {
            let labels: Vec<String> = metric
                .labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)))
                .collect();
            text.push_str(metric.name);
            if !labels.is_empty() {
                text.push_str(&format!("{{{}}}", labels.join(",")));
            }
            text.push_str(&format!(" {}\n", metric.value));
        }
    }
    text
}

fn escaped(text: &str, in_quotes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if in_quotes => escaped.push_str("\\\""),
            character => escaped.push(character),
        }
    }
    escaped
}

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

fn open_metrics(snapshot: MetricsSnapshot) -> String {
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
            Format::Prometheus.render(snapshot.clone()),
            "# HELP taffrail_requests_total Requests by API.\n\
             # TYPE taffrail_requests_total counter\n\
             taffrail_requests_total{api=\"Fetch\"} 7\n\
             taffrail_requests_total{api=\"Produce\"} 5\n\
             # HELP taffrail_connections Open connections.\n\
             # TYPE taffrail_connections gauge\n\
             taffrail_connections 3\n"
        );
        assert_eq!(
            Format::OpenMetrics.render(snapshot),
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

    #[test]
    fn texts_are_escaped() {
        let mut snapshot = MetricsSnapshot::default();
        let label = vec![("name", "a\"b\\c\nd".to_owned())];
        snapshot.push(MetricKind::Gauge, "x", "One \"x\"\nand two.", label, 1);
        assert_eq!(
            Format::Prometheus.render(snapshot),
            "# HELP x One \"x\"\\nand two.\n# TYPE x gauge\nx{name=\"a\\\"b\\\\c\\nd\"} 1\n"
        );
    }

    #[test]
    fn open_metrics_come_to_those_who_ask_for_them() {
        use Format::{OpenMetrics, Prometheus};
        for (accept, format) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/plain", Prometheus),
            ("text/html,application/xml;q=0.9,*/*;q=0.8", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Prometheus),
            ("application/openmetrics-text;q=0", Prometheus),
            (
                "application/openmetrics-text;q=0.3,text/plain;q=0.6",
                Prometheus,
            ),
            // What Prometheus itself sends.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
        ] {
            assert_eq!(Format::wanted([accept].into_iter()), format, "{accept}");
        }
    }
}
