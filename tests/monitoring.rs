//! The dashboard and the alert rules ask for what there is: every metric by its name, every label by its name.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use regex::Regex;
use ringrelay::metrics::{Format, Metrics};
use serde_json::{Value, json};
use support::client::Client;
use support::eventually;
use support::http::HttpClient;
use support::relay::Relay;

/// The labels of each metric, by its name.
type Names = BTreeMap<String, BTreeSet<String>>;

fn names(text: &str) -> Names {
    let sample = Regex::new(r"^([a-z_]+)(?:\{(.*)\})? ").expect("an expression");
    let label = Regex::new(r#"([a-z]+)=""#).expect("an expression");
    let mut names = Names::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let parts = sample.captures(line).unwrap_or_else(|| panic!("no sample: {line}"));
        let labels = parts.get(2).map_or("", |labels| labels.as_str());
        let known = names.entry(parts[1].to_owned()).or_default();
        known.extend(label.captures_iter(labels).map(|label| label[1].to_owned()));
    }
    names
}

/// What a relay tells that has done something of everything.
fn names_of_a_running_relay() -> Names {
    let relay = Relay::start();
    let channel = relay.create(json!({"pattern": "pub-sub", "clientLimit": 1}));
    let mut client = Client::connect(&relay, &channel);
    client.send("x");
    client.expect("x");
    relay.request("GET", &channel.target(), None).assert_refusal(403);
    client.leave();
    let text = || {
        let mut client = HttpClient::connect(relay.address());
        client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        String::from_utf8(client.response().body).expect("the text is UTF-8")
    };
    // A request is counted once it has been answered.
    let text = eventually("requests are counted", || Some(text()).filter(|text| text.contains("route=\"/metrics\"")));
    let mut names = names(&text);
    // What depends on a certificate, or on the kernel.
    let metrics = Arc::new(Metrics::new());
    metrics.reloads().set_certificate_not_after(1);
    names.extend(
        self::names(&metrics.text(Format::Prometheus)).into_iter().filter(|(name, _)| name.contains("certificate")),
    );
    names.entry("process_open_fds".to_owned()).or_default();
    names
}

fn file(name: &str) -> String {
    fs::read_to_string(format!("{}/tuning/monitoring/{name}", env!("CARGO_MANIFEST_DIR"))).expect("the file is there")
}

/// The strings under `key`, wherever they stand.
fn strings(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == key => found.push(text.clone()),
                    value => strings(value, key, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| strings(value, key, found)),
        _ => {}
    }
}

/// Checks one query, and counts the metrics that it names.
fn check(query: &str, names: &Names) -> usize {
    let metric = Regex::new(r"\b((?:ringrelay|process)_[a-z_]+)(?:\{([^}]*)\})?").expect("an expression");
    let matcher = Regex::new(r#"([a-z_]+)\s*(?:=~|!~|!=|=)\s*""#).expect("an expression");
    let grouping = Regex::new(r"\bby \(([^)]*)\)").expect("an expression");
    // What Prometheus adds.
    let mut labels: BTreeSet<&str> = ["instance", "job"].into();
    let mut count = 0;
    for parts in metric.captures_iter(query) {
        let Some(known) = names.get(&parts[1]) else { panic!("there is no {} for {query}", &parts[1]) };
        labels.extend(known.iter().map(String::as_str));
        for label in matcher.captures_iter(parts.get(2).map_or("", |matchers| matchers.as_str())) {
            let label = &label[1];
            assert!(
                known.contains(label) || ["instance", "job"].contains(&label),
                "{} has no {label}: {query}",
                &parts[1]
            );
        }
        count += 1;
    }
    for group in grouping.captures_iter(query) {
        for label in group[1].split(',').map(str::trim) {
            assert!(labels.contains(label), "nothing has {label}: {query}");
        }
    }
    count
}

#[test]
fn every_query_is_about_metrics_and_labels_that_there_are() {
    let names = names_of_a_running_relay();
    let dashboard: Value = serde_json::from_str(&file("dashboard.json")).expect("the dashboard is JSON");
    let mut queries = Vec::new();
    strings(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 30, "{queries:?}");
    let alerts = file("alerts.yml");
    let of_alerts: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(of_alerts.len() > 10, "{of_alerts:?}");
    for query in queries.iter().map(String::as_str).chain(of_alerts) {
        // Whether it answers at all is the one thing that Prometheus says itself.
        assert!(check(query, &names) > 0 || query.starts_with("up{"), "no metric in {query}");
    }
    // And the other way round: what is counted is shown.
    let shown = format!("{dashboard}");
    for name in names.keys() {
        let family =
            ["_bucket", "_sum", "_count"].iter().fold(name.as_str(), |name, suffix| name.trim_end_matches(suffix));
        assert!(shown.contains(family), "{name} is on no panel");
    }
}

#[test]
#[should_panic(expected = "has no code")]
fn a_label_that_there_is_not_is_noticed() {
    check("rate(ringrelay_refused_total{code=\"1\"}[5m])", &names("ringrelay_refused_total{reason=\"x\"} 1\n"));
}

#[test]
#[should_panic(expected = "there is no ringrelay_gone_total")]
fn a_metric_that_there_is_not_is_noticed() {
    check("rate(ringrelay_gone_total[5m])", &names("ringrelay_refused_total{reason=\"x\"} 1\n"));
}
