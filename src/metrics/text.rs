//! The answer to `GET /metrics`: the text format of Prometheus, or OpenMetrics 1.0 for who asks for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::counter::Counter;
use super::process::Process;
use super::request::REQUEST_BOUNDS;
use super::{
    BATCH_BOUNDS, BEHIND_BOUNDS, Closing, DURATION_BOUNDS, Front, Histogram, Metrics, Refusal, Reload, Resumption,
    Route, SlowAction, TURN_BOUNDS, Tally, TlsVersion, Transport, lock,
};

/// How the numbers are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus's own, which everything reads.
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// The format for who accepts these media types.
    pub fn accepted<'a>(mut accept: impl Iterator<Item = &'a [u8]>) -> Format {
        let names = |value: &[u8]| value.windows(OPENMETRICS.len()).any(|part| part.eq_ignore_ascii_case(OPENMETRICS));
        if accept.any(names) { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// The media type of the text.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

const OPENMETRICS: &[u8] = b"application/openmetrics-text";

impl Metrics {
    /// All numbers as they are now.
    pub fn text(self: &Arc<Metrics>, format: Format) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape(self.clone())));
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        match format {
            Format::Prometheus => to_prometheus(&text),
            Format::OpenMetrics => text,
        }
    }
}

/// What differs: a counter is announced by the name of its samples, and nothing marks the end.
fn to_prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 2048);
    let mut help = "";
    for line in openmetrics.lines().filter(|line| *line != "# EOF") {
        if line.starts_with("# HELP ") {
            // The type, which follows, says what it is the help of.
            help = line;
            continue;
        }
        let announced = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '));
        if let Some((name, kind)) = announced {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let help = help.strip_prefix("# HELP ").and_then(|rest| rest.strip_prefix(name)).unwrap_or_default();
            text.push_str(&format!("# HELP {name}{suffix}{help}\n# TYPE {name}{suffix} {kind}\n"));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// One reading of everything.
#[derive(Debug)]
struct Scrape(Arc<Metrics>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        let fronts = lock(&self.0.fronts).clone();
        let shards = self.0.tallies();
        gauges(out, "ringrelay_build_info", "The version that runs.", [([("version", env!("CARGO_PKG_VERSION"))], 1)])?;
        connections(out, &fronts, &shards)?;
        handshakes(out, &fronts)?;
        requests(out, &fronts)?;
        clients(out, &shards)?;
        slow_clients(out, &shards)?;
        by_shard(out, &shards)?;
        turns(out, &shards)?;
        let of_shards = self.0.shard_cpu_times();
        let help = "Time that the thread of a shard was on a core, with what the kernel does for it there.";
        cpu_times(out, "ringrelay_shard_cpu_seconds", help, "shard", of_shards)?;
        let of_fronts = self.0.front_cpu_times();
        let help = "Time that the thread of a front was on a core.";
        cpu_times(out, "ringrelay_front_cpu_seconds", help, "front", of_fronts)?;
        self.reloads(out)?;
        process(out, &Process::read())
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

fn requests(out: &mut DescriptorEncoder<'_>, fronts: &[Arc<Front>]) -> fmt::Result {
    let mut answered: Vec<([(&str, &str); 2], u64)> = Vec::new();
    for route in Route::ALL {
        let first = answered.len();
        for front in fronts {
            for (at, (status, count)) in front.requests.of(route).enumerate() {
                match answered.get_mut(first + at) {
                    Some((_, sum)) => *sum += count,
                    None => answered.push(([("route", route.name()), ("status", status)], count)),
                }
            }
        }
    }
    // Most routes have few statuses: what has never been is not told.
    answered.retain(|(_, count)| *count > 0);
    counters(out, "ringrelay_http_requests", "HTTP requests that were answered.", answered)?;
    let times = Route::ALL.iter().filter_map(|route| {
        let mut sum = Histogram::default();
        fronts.iter().for_each(|front| sum.add(&front.requests.times[*route as usize].get()));
        (sum != Histogram::default()).then_some(([("route", route.name())], sum))
    });
    let help = "Time from a request being there to its answer being ready to be sent.";
    histograms(out, "ringrelay_http_request_duration_seconds", help, (&REQUEST_BOUNDS, MICROS), times)
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
    counter(out, "ringrelay_receive_buffers_exhausted", help, exhausted)?;
    let overflowed = total(|shard| shard.completions_overflowed);
    let help = "How often there were more completions than their queue holds; they come later.";
    counter(out, "ringrelay_completion_queue_overflows", help, overflowed)?;
    let durations = self::total(shards, |shard| &shard.traffic.durations);
    let help = "How long WebSockets lasted that have ended.";
    histogram(out, "ringrelay_websocket_duration_seconds", help, (&DURATION_BOUNDS, MICROS), &durations)
}

fn slow_clients(out: &mut DescriptorEncoder<'_>, shards: &[Tally]) -> fmt::Result {
    let skipped = shards.iter().map(|shard| shard.skipped).sum();
    counter(out, "ringrelay_skipped_bytes", "Bytes that slow clients were not sent.", skipped)?;
    let actions = SlowAction::ALL.iter().map(|action| {
        let count = shards.iter().map(|shard| shard.slow[*action as usize]).sum();
        ([("action", action.name())], count)
    });
    counters(out, "ringrelay_slow_consumers", "Clients that fell too far behind, by what became of them.", actions)?;
    let behind = total(shards, |shard| &shard.behind);
    let help = "How far behind slow clients were when something was done about it.";
    histogram(out, "ringrelay_slow_consumer_behind_bytes", help, (&BEHIND_BOUNDS, 1.0), &behind)
}

fn by_shard(out: &mut DescriptorEncoder<'_>, shards: &[Tally]) -> fmt::Result {
    let mut each = |name, help, value: fn(&Tally) -> u64| gauges(out, name, help, of_shards(shards, value));
    each("ringrelay_shard_clients", "WebSockets of a shard.", |shard| shard.clients.iter().sum())?;
    each("ringrelay_shard_channels", "Channels of a shard.", |shard| shard.channels)?;
    each("ringrelay_shard_memory_bytes", "Memory that a shard holds for messages.", |shard| shard.memory)?;
    let help = "Most memory that a shard may hold for messages.";
    each("ringrelay_shard_memory_budget_bytes", help, |shard| shard.memory_budget)?;
    let help = "How far the slowest client of a shard was behind when all were last looked at.";
    each("ringrelay_shard_lag_bytes", help, |shard| shard.lag)?;
    let help = "Clients of a shard that were behind at all then.";
    each("ringrelay_shard_lagging_clients", help, |shard| shard.lagging)
}

/// What shards have done, which only grows.
fn turns(out: &mut DescriptorEncoder<'_>, shards: &[Tally]) -> fmt::Result {
    let mut each = |name, help, value: fn(&Tally) -> u64| counters(out, name, help, of_shards(shards, value));
    each("ringrelay_handoffs", "WebSockets that fronts handed over to a shard.", |shard| shard.handoffs)?;
    each("ringrelay_messages_received", "Messages that clients sent.", |shard| shard.traffic.received)?;
    let help = "Payloads of the messages that clients sent.";
    each("ringrelay_messages_received_bytes", help, |shard| shard.traffic.received_len)?;
    let help = "Messages put on their way, one for each receiver.";
    each("ringrelay_messages_delivered", help, |shard| shard.traffic.delivered)?;
    let help = "Payloads of the messages put on their way, one for each receiver.";
    each("ringrelay_messages_delivered_bytes", help, |shard| shard.traffic.delivered_len)?;
    each("ringrelay_receives", "Receives that have completed.", |shard| shard.turns.receives)?;
    each("ringrelay_received_bytes", "Bytes that came over WebSockets.", |shard| shard.turns.receives_len)?;
    each("ringrelay_sends", "Sends that have completed.", |shard| shard.turns.sends)?;
    each("ringrelay_sent_bytes", "Bytes that went out over WebSockets.", |shard| shard.turns.sends_len)?;
    let batches = total(shards, |shard| &shard.traffic.batches);
    let help = "Frames that one send carries; those of a send that was cut at its bound count with its last.";
    histogram(out, "ringrelay_send_frames", help, (&BATCH_BOUNDS, 1.0), &batches)?;
    let help = "Time that a turn of a shard's loop takes, from waking up to going to sleep; with io_uring it sends between turns.";
    let times = shards.iter().enumerate().map(|(index, shard)| ([("shard", index)], shard.turns.times));
    histograms(out, "ringrelay_shard_turn_seconds", help, (&TURN_BOUNDS, MICROS), times)
}

/// Of threads by their index; those of which the kernel does not tell are left out.
fn cpu_times(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    times: Vec<Option<Duration>>,
) -> fmt::Result {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    times.into_iter().enumerate().try_for_each(|(index, time)| {
        let Some(time) = time else { return Ok(()) };
        let labels = [(label, index)];
        metric.encode_family(&labels)?.encode_counter::<NoLabelSet, f64, u64>(&time.as_secs_f64(), None)
    })
}

fn process(out: &mut DescriptorEncoder<'_>, process: &Process) -> fmt::Result {
    if let Some(seconds) = process.cpu_seconds() {
        let help = "User and system time of the process.";
        out.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, f64, u64>(&seconds, None)?;
    }
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory of the process.", process.resident_bytes()),
        ("process_open_fds", "Open files of the process.", process.open_files),
        ("process_max_fds", "Most open files that the process may have.", process.open_files_max),
    ] {
        value.map_or(Ok(()), |value| gauge(out, name, help, value))?;
    }
    Ok(())
}

fn of_shards(shards: &[Tally], value: fn(&Tally) -> u64) -> impl Iterator<Item = ([(&'static str, usize); 1], u64)> {
    shards.iter().enumerate().map(move |(index, shard)| ([("shard", index)], value(shard)))
}

/// One histogram of all shards.
fn total<const N: usize>(shards: &[Tally], of: impl Fn(&Tally) -> &Histogram<N>) -> Histogram<N> {
    let mut total = Histogram::default();
    shards.iter().for_each(|shard| total.add(of(shard)));
    total
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

/// `unit` is what the values are counted in, as a part of what the name says.
fn histogram<const N: usize>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: (&[u64], f64),
    value: &Histogram<N>,
) -> fmt::Result {
    write_histogram(out.encode_descriptor(name, help, None, MetricType::Histogram)?, unit, value)
}

fn histograms<L: EncodeLabelSet, const N: usize>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: (&[u64], f64),
    values: impl IntoIterator<Item = (L, Histogram<N>)>,
) -> fmt::Result {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
    values.into_iter().try_for_each(|(labels, value)| write_histogram(metric.encode_family(&labels)?, unit, &value))
}

fn write_histogram<const N: usize>(
    mut metric: MetricEncoder<'_>,
    (bounds, unit): (&[u64], f64),
    value: &Histogram<N>,
) -> fmt::Result {
    // Divided, not multiplied: 100 / 10^6 is the number nearest to 0.0001, which is how it is written.
    let bounds = bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(value.counts).collect();
    let count = value.counts.iter().sum();
    metric.encode_histogram::<NoLabelSet>(value.sum as f64 / unit, count, &buckets, None)
}

/// So many make a second.
const MICROS: f64 = 1e6;

fn write_counter(mut metric: MetricEncoder<'_>, value: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

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
            tally.turns.times.observe(&TURN_BOUNDS, 200);
            tally.traffic.deliver(3, 10);
            shard.publish(&tally);
        }
        fronts[0].answered(Route::Channel, 404, Some(std::time::Duration::from_micros(300)));
        fronts[1].answered(Route::Channel, 404, None);
        metrics.reloads().failed(Reload::JwtKeys);
        metrics.reloads().set_certificate_not_after(1_900_000_000);
        let text = metrics.text(Format::OpenMetrics);
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
            "ringrelay_http_requests_total{route=\"/channels/{id}\",status=\"404\"} 2",
            "ringrelay_http_request_duration_seconds_count{route=\"/channels/{id}\"} 1",
            "ringrelay_http_request_duration_seconds_bucket{le=\"0.00025\",route=\"/channels/{id}\"} 0",
            "ringrelay_http_request_duration_seconds_bucket{le=\"0.0005\",route=\"/channels/{id}\"} 1",
            "ringrelay_shard_turn_seconds_bucket{le=\"0.00025\",shard=\"1\"} 1",
            "ringrelay_messages_delivered_bytes_total{shard=\"1\"} 30",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn threads_are_told_apart_by_the_time_they_took() {
        let metrics = Arc::new(Metrics::new());
        let (shards, fronts) = ([metrics.add_shard(), metrics.add_shard()], [metrics.add_front(), metrics.add_front()]);
        assert!(!metrics.text(Format::OpenMetrics).contains("cpu_seconds_total{"), "none has begun");
        shards[1].set_thread();
        fronts[0].set_thread();
        // Before its first tick a thread has had nothing.
        let begun = Instant::now();
        while metrics.front_cpu_times()[0].is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the kernel does not count");
        }
        let text = metrics.text(Format::OpenMetrics);
        for series in
            ["ringrelay_shard_cpu_seconds_total{shard=\"1\"} ", "ringrelay_front_cpu_seconds_total{front=\"0\"} "]
        {
            let seconds = text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{text}"));
            assert!(seconds.parse::<f64>().is_ok_and(|seconds| seconds > 0.0 && seconds < 3600.0), "{seconds}");
        }
        assert_eq!(text.matches("cpu_seconds_total{").count(), 2, "{text}");
        assert_eq!(metrics.shard_cpu_times().first(), Some(&None));
    }

    #[test]
    fn without_a_certificate_nothing_is_said_of_its_end() {
        assert!(!Arc::new(Metrics::new()).text(Format::OpenMetrics).contains("certificate_not_after"));
    }

    #[test]
    fn prometheus_is_told_of_counters_by_the_names_of_their_samples() {
        let metrics = Arc::new(Metrics::new());
        metrics.add_front().refused(Refusal::ChannelFull);
        let text = metrics.text(Format::Prometheus);
        for line in [
            "# HELP ringrelay_refused_total Connections and requests that were refused.",
            "# TYPE ringrelay_refused_total counter",
            "ringrelay_refused_total{reason=\"channel_full\"} 1",
            "# TYPE ringrelay_send_frames histogram",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("# EOF"));
    }

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        let accepted = |value: &'static str| Format::accepted([value.as_bytes()].into_iter());
        assert_eq!(Format::accepted(std::iter::empty()), Format::Prometheus);
        assert_eq!(accepted("text/plain;version=0.0.4, */*"), Format::Prometheus);
        assert_eq!(accepted("Application/OpenMetrics-text;version=1.0.0,text/plain;q=0.5"), Format::OpenMetrics);
    }
}
