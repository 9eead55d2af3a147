//! The answer to `GET /metrics`: OpenMetrics 1.0, which Prometheus reads.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::counter::Counter;
use super::{
    BEHIND_BOUNDS, Behind, Closing, Front, Metrics, Refusal, Reload, Resumption, SlowAction, Tally, TlsVersion,
    Transport, lock,
};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Metrics {
    /// All numbers as they are now.
    pub fn text(self: &Arc<Metrics>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape(self.clone())));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

/// One reading of everything.
#[derive(Debug)]
struct Scrape(Arc<Metrics>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        let fronts = lock(&self.0.fronts).clone();
        let shards: Vec<Tally> = lock(&self.0.shards).iter().map(|shard| shard.read()).collect();
        gauges(out, "ringrelay_build_info", "The version that runs.", [([("version", env!("CARGO_PKG_VERSION"))], 1)])?;
        connections(out, &fronts, &shards)?;
        handshakes(out, &fronts)?;
        clients(out, &shards)?;
        slow_clients(out, &shards)?;
        by_shard(out, &shards)?;
        self.reloads(out)
    }
}

impl Scrape {
    fn reloads(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let reloads = &self.0.reloads;
        let outcomes = Reload::ALL.iter().flat_map(|what| {
            let (succeeded, failed) = reloads.of(*what);
            [("ok", succeeded), ("failed", failed)]
                .map(|(outcome, count)| ([("file", what.name()), ("outcome", outcome)], count))
        });
        counters(
            out,
            "ringrelay_reloads",
            "Files read anew on SIGHUP; of those that failed the old is kept.",
            outcomes,
        )?;
        let Some(seconds) = reloads.certificate_not_after() else { return Ok(()) };
        let help = "When the certificate in use ends, in seconds since 1970.";
        gauge(out, "ringrelay_certificate_not_after_timestamp_seconds", help, seconds)
    }
}

fn connections(out: &mut DescriptorEncoder<'_>, fronts: &[Arc<Front>], shards: &[Tally]) -> fmt::Result {
    let open = Transport::ALL.iter().flat_map(|transport| {
        let http = sum(fronts, |front| &front.open[*transport as usize]);
        let websocket = shards.iter().map(|shard| shard.clients[*transport as usize]).sum();
        [("http", http), ("websocket", websocket)]
            .map(|(kind, count)| ([("kind", kind), ("tls", transport.name())], count))
    });
    gauges(out, "ringrelay_connections", "Connections that are open.", open)?;
    let accepted = sum(fronts, |front| &front.accepted);
    counter(out, "ringrelay_connections_accepted", "Connections that were accepted.", accepted)?;
    let pauses = sum(fronts, |front| &front.accept_pauses);
    counter(out, "ringrelay_accept_pauses", "Pauses of accepting, for lack of open files or memory.", pauses)?;
    let refused = Refusal::ALL
        .iter()
        .map(|reason| ([("reason", reason.name())], sum(fronts, |front| &front.refused[*reason as usize])));
    counters(out, "ringrelay_refused", "Connections and requests that were refused.", refused)
}

fn handshakes(out: &mut DescriptorEncoder<'_>, fronts: &[Arc<Front>]) -> fmt::Result {
    let finished = TlsVersion::ALL.iter().flat_map(|version| {
        Resumption::ALL.iter().map(|resumption| {
            let count = sum(fronts, |front| &front.handshakes[*version as usize][*resumption as usize]);
            ([("version", version.name()), ("resumed", resumption.name())], count)
        })
    });
    counters(out, "ringrelay_tls_handshakes", "TLS handshakes that were finished.", finished)?;
    let failed = sum(fronts, |front| &front.handshakes_failed);
    counter(out, "ringrelay_tls_handshakes_failed", "TLS handshakes that were not finished.", failed)
}

fn clients(out: &mut DescriptorEncoder<'_>, shards: &[Tally]) -> fmt::Result {
    let closed = Closing::ALL.iter().map(|how| {
        let count = shards.iter().map(|shard| shard.closed[*how as usize]).sum();
        ([("code", how.name())], count)
    });
    counters(out, "ringrelay_websockets_closed", "WebSockets that have ended, by close code.", closed)?;
    let total = |count: fn(&Tally) -> u64| shards.iter().map(count).sum();
    let limited = total(|shard| shard.rate_limited);
    counter(out, "ringrelay_clients_rate_limited", "Clients closed because they sent more than their rate.", limited)?;
    let dead = total(|shard| shard.dead_peers);
    counter(out, "ringrelay_clients_dead", "Clients cut because they were silent for two pings.", dead)?;
    let cut = total(|shard| shard.memory_cuts);
    counter(out, "ringrelay_clients_cut_for_memory", "Clients closed because a shard was at its memory budget.", cut)?;
    let histories = total(|shard| shard.histories_cut);
    counter(out, "ringrelay_histories_cut_for_memory", "Histories halved for the same reason.", histories)?;
    let exhausted = total(|shard| shard.buffers_exhausted);
    let help = "Receives that found no free buffer (ENOBUFS).";
    counter(out, "ringrelay_receive_buffers_exhausted", help, exhausted)
}

fn slow_clients(out: &mut DescriptorEncoder<'_>, shards: &[Tally]) -> fmt::Result {
    let skipped = shards.iter().map(|shard| shard.skipped).sum();
    counter(out, "ringrelay_skipped_bytes", "Bytes that slow clients were not sent.", skipped)?;
    let actions = SlowAction::ALL.iter().map(|action| {
        let count = shards.iter().map(|shard| shard.slow[*action as usize]).sum();
        ([("action", action.name())], count)
    });
    counters(out, "ringrelay_slow_consumers", "Clients that fell too far behind, by what became of them.", actions)?;
    let mut behind = Behind::default();
    for shard in shards {
        behind.counts.iter_mut().zip(shard.behind.counts).for_each(|(sum, count)| *sum += count);
        behind.sum = behind.sum.saturating_add(shard.behind.sum);
    }
    let bounds = BEHIND_BOUNDS.iter().map(|bound| *bound as f64).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(behind.counts).collect();
    let help = "How far behind slow clients were when something was done about it.";
    let count = behind.counts.iter().sum();
    out.encode_descriptor("ringrelay_slow_consumer_behind_bytes", help, None, MetricType::Histogram)?
        .encode_histogram::<NoLabelSet>(behind.sum as f64, count, &buckets, None)
}

fn by_shard(out: &mut DescriptorEncoder<'_>, shards: &[Tally]) -> fmt::Result {
    let mut each = |name, help, value: fn(&Tally) -> u64| {
        let values = shards.iter().enumerate().map(|(index, shard)| ([("shard", index)], value(shard)));
        gauges(out, name, help, values)
    };
    each("ringrelay_shard_clients", "WebSockets of a shard.", |shard| shard.clients.iter().sum())?;
    each("ringrelay_shard_channels", "Channels of a shard.", |shard| shard.channels)?;
    each("ringrelay_shard_memory_bytes", "Memory that a shard holds for messages.", |shard| shard.memory)?;
    let help = "Most memory that a shard may hold for messages.";
    each("ringrelay_shard_memory_budget_bytes", help, |shard| shard.memory_budget)
}

fn sum(fronts: &[Arc<Front>], counter: impl Fn(&Front) -> &Counter) -> u64 {
    fronts.iter().map(|front| counter(front).get()).sum()
}

fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    write_counter(out.encode_descriptor(name, help, None, MetricType::Counter)?, value)
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    out.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

fn counters<L: EncodeLabelSet>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    values.into_iter().try_for_each(|(labels, value)| write_counter(metric.encode_family(&labels)?, value))
}

fn gauges<L: EncodeLabelSet>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values.into_iter().try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
}

fn write_counter(mut metric: MetricEncoder<'_>, value: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_up_and_shards_told_apart() {
        let metrics = Arc::new(Metrics::new());
        let fronts = [metrics.add_front(), metrics.add_front()];
        let [closed, _open] = fronts.each_ref().map(|front| front.open(Transport::Tls));
        for front in &fronts {
            front.accepted();
            front.refused(Refusal::ChannelFull);
            front.handshake(TlsVersion::Tls13, Resumption::Resumed);
        }
        drop(closed);
        for (shard, clients) in [(metrics.add_shard(), 3), (metrics.add_shard(), 4)] {
            let mut tally = Tally { clients: [clients, 1], ..Tally::default() };
            tally.slow(SlowAction::Disconnect, 5 << 20);
            tally.closed(Closing::SlowConsumer);
            shard.publish(&tally);
        }
        metrics.reloads().failed(Reload::JwtKeys);
        metrics.reloads().set_certificate_not_after(1_900_000_000);
        let text = metrics.text();
        for line in [
            "ringrelay_connections_accepted_total 2",
            "ringrelay_connections{kind=\"http\",tls=\"yes\"} 1",
            "ringrelay_connections{kind=\"websocket\",tls=\"no\"} 7",
            "ringrelay_refused_total{reason=\"channel_full\"} 2",
            "ringrelay_tls_handshakes_total{version=\"1.3\",resumed=\"yes\"} 2",
            "ringrelay_websockets_closed_total{code=\"4408\"} 2",
            "ringrelay_slow_consumers_total{action=\"disconnect\"} 2",
            "ringrelay_slow_consumer_behind_bytes_bucket{le=\"4194304.0\"} 0",
            "ringrelay_slow_consumer_behind_bytes_bucket{le=\"16777216.0\"} 2",
            "ringrelay_slow_consumer_behind_bytes_bucket{le=\"+Inf\"} 2",
            "ringrelay_slow_consumer_behind_bytes_count 2",
            "ringrelay_shard_clients{shard=\"0\"} 4",
            "ringrelay_shard_clients{shard=\"1\"} 5",
            "ringrelay_reloads_total{file=\"jwt_keys\",outcome=\"failed\"} 1",
            "ringrelay_certificate_not_after_timestamp_seconds 1900000000",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn without_a_certificate_nothing_is_said_of_its_end() {
        assert!(!Arc::new(Metrics::new()).text().contains("certificate_not_after"));
    }
}
