//! What the running binary counts, and that it tells.

mod support;

use serde_json::json;
use support::client::Client;
use support::eventually;
use support::http::HttpClient;
use support::relay::Relay;

/// The answer to `GET /metrics`, read as OpenMetrics: every sample has a family that was announced, with help and type.
struct Scrape(Vec<(String, f64)>);

impl Scrape {
    fn of(relay: &Relay) -> Scrape {
        let mut client = HttpClient::connect(relay.address());
        client.send("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n");
        let response = client.response();
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
        let text = String::from_utf8(response.body).expect("the text is UTF-8");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
        let (mut samples, mut families) = (Vec::new(), Vec::new());
        for line in text.lines().filter(|line| *line != "# EOF") {
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["#", "HELP", _, ..] => {}
                ["#", "TYPE", name, kind] => families.push((name.to_string(), kind.to_string())),
                [series, value] => {
                    let (family, kind) = families.last().expect("a family is announced first");
                    let name = series.split('{').next().expect("a series has a name");
                    let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{name} after {family}"));
                    assert!(
                        match kind.as_str() {
                            "counter" => suffix == "_total",
                            "gauge" => suffix.is_empty(),
                            "histogram" => ["_sum", "_count", "_bucket"].contains(&suffix),
                            _ => false,
                        },
                        "{line} in a {kind}"
                    );
                    samples.push((series.to_string(), value.parse().expect("a number")));
                }
                _ => panic!("no line of OpenMetrics: {line:?}"),
            }
        }
        let names: std::collections::BTreeSet<_> = families.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), families.len(), "a family is announced once");
        Scrape(samples)
    }

    fn get(&self, series: &str) -> f64 {
        let found = self.0.iter().find(|(name, _)| name == series);
        found.unwrap_or_else(|| panic!("there is no {series} in {:?}", self.0)).1
    }
}

#[test]
fn connections_are_counted_while_they_are_open_and_when_they_come() {
    let relay = Relay::start();
    const OPEN: &str = "ringrelay_connections{kind=\"http\",tls=\"no\"}";
    let before = Scrape::of(&relay);
    assert_eq!(before.get(&format!("ringrelay_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
    let mut clients: Vec<HttpClient> = (0..3).map(|_| HttpClient::connect(relay.address())).collect();
    for client in &mut clients {
        assert_eq!(client.request("GET", "/healthz", None).status, 200);
    }
    // The connection of the first look may still be on its way out.
    let during = eventually("three are open, and the one that asks", || {
        let during = Scrape::of(&relay);
        (during.get(OPEN) == 4.0).then_some(during)
    });
    let accepted = |scrape: &Scrape| scrape.get("ringrelay_connections_accepted_total");
    assert!(accepted(&during) - accepted(&before) >= 4.0);
    drop(clients);
    eventually("the three are gone", || (Scrape::of(&relay).get(OPEN) == 1.0).then_some(()));
}

#[test]
fn refusals_are_counted_by_their_reason() {
    let relay = Relay::start();
    let refused = |reason: &str| Scrape::of(&relay).get(&format!("ringrelay_refused_total{{reason=\"{reason}\"}}"));
    let channel = relay.create(json!({"pattern": "echo", "clientLimit": 0}));
    let path = format!("/channels/{}/connect", channel.id);
    for _ in 0..2 {
        assert_eq!(relay.request("GET", &format!("{path}?token=wrong"), None).status, 401);
    }
    assert_eq!(relay.request("GET", &format!("{path}?token={}", channel.token), None).status, 403);
    let mut client = HttpClient::connect(relay.address());
    client.send(format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(17 << 10)));
    assert_eq!(client.response().status, 431);
    let mut client = HttpClient::connect(relay.address());
    client.send("GET / HTTP/1.1\r\nHost : x\r\n\r\n");
    assert_eq!(client.response().status, 400);
    assert_eq!(relay.request("GET", "/channels/none", None).status, 404);
    let expected = [("token_wrong", 2.0), ("channel_full", 1.0), ("head_too_long", 1.0), ("malformed", 1.0)];
    for (reason, count) in expected {
        assert_eq!(refused(reason), count, "{reason}");
    }
    let scrape = Scrape::of(&relay);
    let all: f64 =
        scrape.0.iter().filter(|(name, _)| name.starts_with("ringrelay_refused_total")).map(|(_, n)| n).sum();
    assert_eq!(all, 5.0, "that there is no such channel is an answer, not a refusal");
}

#[test]
fn refusals_of_addresses_and_origins_are_counted_and_asking_for_metrics_is_not_limited() {
    let relay = Relay::start_with(&[
        "--request-rate",
        "1",
        "--connection-rate",
        "1000",
        "--max-channels-per-address",
        "1",
        "--max-uri-size",
        "100",
        "--cors-origins",
        "https://example.org",
    ]);
    let refused = |reason: &str| Scrape::of(&relay).get(&format!("ringrelay_refused_total{{reason=\"{reason}\"}}"));
    relay.request("GET", &format!("/{}", "x".repeat(100)), None).assert_refusal(414);
    let mut client = HttpClient::connect(relay.address());
    client.send("DELETE /reset HTTP/1.1\r\nHost: x\r\nOrigin: https://example.com\r\n\r\n");
    client.response().assert_refusal(403);
    let channel = json!({"pattern": "echo"});
    assert_eq!(relay.request("POST", "/channels", Some(&channel)).status, 201);
    relay.request("POST", "/channels", Some(&channel)).assert_refusal(429);
    for reason in ["uri_too_long", "origin_not_allowed", "too_many_channels_from_address"] {
        assert_eq!(refused(reason), 1.0, "{reason}");
    }
    assert_eq!(refused("request_rate"), 0.0);
    let over = (0..1000).find(|_| relay.request("GET", "/channels", None).status == 429);
    assert!(over.is_some(), "nobody is refused");
    for _ in 0..20 {
        assert_eq!(refused("request_rate"), 1.0);
    }
}

#[test]
fn connections_over_the_rate_are_counted() {
    let relay = Relay::start_with(&["--connection-rate", "2"]);
    let mut told = 0.0;
    eventually("one is refused", || {
        let mut client = HttpClient::connect(relay.address());
        client.try_send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        told += f64::from(u8::from(client.response().status == 429));
        (told > 0.0).then_some(())
    });
    let scrape = eventually("it may ask again", || {
        let mut client = HttpClient::connect(relay.address());
        client.try_send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        let response = client.response();
        told += f64::from(u8::from(response.status == 429));
        (response.status == 200).then_some(String::from_utf8(response.body).expect("the text is UTF-8"))
    });
    assert!(scrape.contains(&format!("ringrelay_refused_total{{reason=\"connection_rate\"}} {told}\n")), "{scrape}");
}

#[test]
fn what_is_no_proxy_header_and_who_is_no_proxy_are_counted() {
    let relay = Relay::start_with(&["--proxy-protocol", "--trusted-proxies", "127.0.0.1"]);
    let mut client = HttpClient::connect(relay.address());
    client.try_send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    client.assert_closed();
    HttpClient::connect_from([127, 0, 0, 2], relay.address()).assert_closed();
    let mut client = HttpClient::connect(relay.address());
    client.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    let text = String::from_utf8(client.response().body).expect("the text is UTF-8");
    for reason in ["proxy_header", "no_proxy"] {
        assert!(text.contains(&format!("ringrelay_refused_total{{reason=\"{reason}\"}} 1\n")), "{text}");
    }
}

#[test]
fn a_head_that_does_not_end_is_counted() {
    let relay = Relay::start_with(&["--head-timeout", "50"]);
    let mut client = HttpClient::connect(relay.address());
    client.send("GET / HT");
    assert_eq!(client.response().status, 408);
    let scrape = Scrape::of(&relay);
    assert_eq!(scrape.get("ringrelay_refused_total{reason=\"head_timeout\"}"), 1.0);
    assert_eq!(scrape.get("ringrelay_refused_total{reason=\"body_timeout\"}"), 0.0);
}

#[test]
fn metrics_are_guarded_as_any_path() {
    let relay = Relay::start_with(&["--auth", "--token", "a-token-of-the-api", "--auth-resources", "GET:/metrics"]);
    for target in ["/metrics", "/metrics/", "/%6detrics"] {
        relay.request("GET", target, None).assert_refusal(401);
    }
    let text = relay.request("GET", "/metrics?auth=a-token-of-the-api", None);
    let text = String::from_utf8(text.body).expect("the text is UTF-8");
    assert!(text.contains("ringrelay_refused_total{reason=\"auth_missing\"} 3\n"), "{text}");
    assert!(!text.contains("a-token-of-the-api"));
}

#[test]
fn messages_are_counted_in_and_out_with_what_sends_carry() {
    let relay = Relay::start_with(&["--shards", "1"]);
    let channel = relay.pub_sub();
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&relay, &channel)).collect();
    relay.await_clients(&channel, 3);
    for text in ["four", "eight888"] {
        clients[0].send(text);
        clients.iter_mut().for_each(|client| client.expect(text));
    }
    let of_shard = |name: &str| format!("ringrelay_{name}_total{{shard=\"0\"}}");
    // The completions of the last sends come in a turn of their own.
    let scrape = eventually("all is counted", || {
        let scrape = Scrape::of(&relay);
        (scrape.get(&of_shard("sends")) >= 9.0).then_some(scrape)
    });
    for (name, count) in [
        ("handoffs", 3.0),
        ("messages_received", 2.0),
        ("messages_received_bytes", 12.0),
        ("messages_delivered", 6.0),
        ("messages_delivered_bytes", 36.0),
        ("receives", 2.0),
    ] {
        assert_eq!(scrape.get(&of_shard(name)), count, "{name}");
    }
    // Three answers to upgrades and six messages, none of which waited for another.
    assert_eq!(scrape.get("ringrelay_send_frames_sum"), 9.0);
    assert_eq!(scrape.get("ringrelay_send_frames_count"), 9.0);
    // Two bytes of header each.
    assert!(scrape.get(&of_shard("sent_bytes")) >= 36.0 + 6.0 * 2.0);
    assert!(scrape.get("ringrelay_shard_turn_seconds_count{shard=\"0\"}") > 0.0);
    assert_eq!(scrape.get("ringrelay_websocket_duration_seconds_count"), 0.0);
    clients.into_iter().for_each(Client::leave);
    eventually("their durations are counted", || {
        (Scrape::of(&relay).get("ringrelay_websocket_duration_seconds_count") == 3.0).then_some(())
    });
}

#[test]
fn who_does_not_read_is_seen_to_lag() {
    let relay = Relay::start_with(&["--shards", "1", "--max-lag", "67108864", "--ping-interval", "0"]);
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let (mut sender, silent) = (Client::connect(&relay, &channel), Client::connect(&relay, &channel));
    relay.await_clients(&channel, 2);
    let lag = || {
        let scrape = Scrape::of(&relay);
        ["lag_bytes", "lagging_clients"].map(|name| scrape.get(&format!("ringrelay_shard_{name}{{shard=\"0\"}}")))
    };
    eventually("one is behind", || {
        sender.send(vec![7; 1 << 20]);
        let [bytes, clients] = lag();
        // More than the sockets take in late.
        (bytes > f64::from(16 << 20) && clients == 1.0).then_some(())
    });
    // Nothing comes any more, and the shard looks again ten times a second, as one who is behind may catch up. For other reasons
    // it has some two turns a second: not as many as these within the patience of a test.
    let turns = || Scrape::of(&relay).get("ringrelay_shard_turn_seconds_count{shard=\"0\"}");
    let before = turns();
    eventually("it looks again", || (turns() >= before + 80.0).then_some(()));
    drop((sender, silent));
    eventually("nobody is there, and so nobody behind", || (lag() == [0.0; 2]).then_some(()));
}

#[test]
fn the_time_of_a_thread_is_that_of_its_own_work() {
    let relay = Relay::start();
    let [busy, idle] = [0, 1].map(|shard| format!("ringrelay_shard_cpu_seconds_total{{shard=\"{shard}\"}}"));
    let channel = &relay.channels_on_both_shards(&json!({"pattern": "echo"}))[0];
    let mut client = Client::connect(&relay, channel);
    let before = Scrape::of(&relay);
    let after = eventually("one shard has worked", || {
        for _ in 0..100 {
            client.send("x");
            client.expect("x");
        }
        let after = Scrape::of(&relay);
        (after.get(&busy) > before.get(&busy) + 0.05).then_some(after)
    });
    assert!(after.get(&idle) < before.get(&idle) + 0.025, "{} {}", before.get(&idle), after.get(&idle));
    for front in [0, 1] {
        assert!(after.get(&format!("ringrelay_front_cpu_seconds_total{{front=\"{front}\"}}")) > 0.0);
    }
    let threads: f64 =
        after.0.iter().filter(|(name, _)| name.contains("_cpu_seconds_total{")).map(|(_, time)| time).sum();
    // That of the process counts ticks of a hundredth of a second.
    assert!(threads <= after.get("process_cpu_seconds_total") + 0.05, "{threads}");
}

#[test]
fn requests_are_counted_by_route_and_status_with_their_time() {
    let relay = Relay::start();
    let channel = relay.echo();
    relay.look_up(&channel);
    relay.request("GET", "/channels/none", None).assert_refusal(404);
    relay.request("PATCH", "/channels", None).assert_refusal(405);
    relay.request("GET", "/nothing", None).assert_refusal(404);
    let _client = Client::connect(&relay, &channel);
    let scrape = Scrape::of(&relay);
    let count = |route: &str, status: u16| {
        scrape.get(&format!("ringrelay_http_requests_total{{route=\"{route}\",status=\"{status}\"}}"))
    };
    assert_eq!(count("/channels", 201), 1.0);
    assert_eq!(count("/channels/{id}", 200), 1.0);
    assert_eq!(count("/channels/{id}", 404), 1.0);
    assert_eq!(count("/channels/{id}/connect", 101), 1.0);
    assert_eq!((count("none", 405), count("none", 404)), (1.0, 1.0));
    let timed = "ringrelay_http_request_duration_seconds_count{route=\"/channels/{id}\"}";
    assert_eq!(scrape.get(timed), 2.0);
}

#[test]
fn prometheus_gets_its_own_format_unless_it_asks_for_another() {
    let relay = Relay::start();
    let response = relay.request("GET", "/metrics", None);
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(response.body).expect("the text is UTF-8");
    assert!(text.contains("\n# TYPE ringrelay_refused_total counter\n"), "{text}");
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_max_fds"] {
        assert!(text.contains(&format!("\n{name} ")), "{name} is missing in {text}");
    }
}
