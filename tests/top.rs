//! Who may see what the relay is busy with, and what they see: `GET /admin/top` and `ringrelay top`.

mod support;

use std::net::{IpAddr, SocketAddr};
use std::process::Output;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use support::client::Client;
use support::eventually;
use support::http::{HttpClient, Response};
use support::relay::{Relay, ringrelay};

fn top(relay: &Relay) -> Value {
    let host = relay.address();
    let response = ask(relay, &format!("Host: {host}\r\n"));
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["data"].clone()
}

fn ask(relay: &Relay, fields: &str) -> Response {
    let mut client = HttpClient::connect(relay.address());
    client.send(format!("GET /admin/top HTTP/1.1\r\n{fields}\r\n"));
    client.response()
}

fn view(relay: &Relay, flags: &[&str]) -> Output {
    let server = format!("http://{}", relay.address());
    ringrelay().args(["top", "--once", "--server", &server]).args(flags).output().expect("the binary starts")
}

#[test]
fn the_busiest_channels_of_all_shards_come_first() {
    let relay = Relay::start();
    let channels = relay.channels_on_both_shards(&json!({"pattern": "echo"}));
    relay.create(json!({"pattern": "pub-sub", "id": "quiet"}));
    let mut clients = channels.each_ref().map(|channel| Client::connect(&relay, channel));
    let data = eventually("both are busy, and the first is busier", || {
        for (client, count) in clients.iter_mut().zip([20, 5]) {
            for _ in 0..count {
                client.send("x");
                client.expect("x");
            }
        }
        let data = top(&relay);
        let rate = |at: usize| data["channels"][at]["messagesPerSecond"].as_u64().expect("a number");
        // A second that ends in between has less of the one than of the other.
        (data["channels"][0]["id"] == channels[0].id && rate(0) > rate(1) && rate(1) > 0).then_some(data)
    });
    let listed = |at: usize, field: &str| data["channels"][at][field].clone();
    assert_eq!([listed(0, "id"), listed(1, "id")], channels.each_ref().map(|channel| json!(channel.id)));
    assert_eq!([listed(0, "shard"), listed(1, "shard")], [0, 1]);
    assert_eq!((listed(2, "id"), listed(2, "messagesPerSecond")), (json!("quiet"), json!(0)));
    assert_eq!(listed(0, "clients"), 1);
    let shards = data["shards"].as_array().expect("a list");
    assert_eq!(shards.len(), 2);
    assert!(shards.iter().all(|shard| shard["messagesDelivered"].as_u64() > Some(4) && shard["clients"] == 1));
    assert!(shards.iter().all(|shard| shard["cpuMicros"].as_u64() > Some(0)), "{shards:?}");
    assert!(data["complete"] == true && data["clients"] == json!([]));
    assert!(channels.iter().all(|channel| !data.to_string().contains(&channel.token)));
}

#[test]
fn more_channels_than_one_question_asks_for_are_all_looked_at() {
    let relay = Relay::start_with(&["--shards", "1"]);
    for number in 0..600 {
        relay.create(json!({"pattern": "echo", "id": format!("room-{number:03}")}));
    }
    let last = relay.create(json!({"pattern": "echo", "id": "zzz"}));
    let mut client = Client::connect(&relay, &last);
    let data = eventually("the last one is the busiest", || {
        client.send("x");
        client.expect("x");
        let data = top(&relay);
        (data["channels"][0]["id"] == "zzz" && data["channels"][0]["messagesPerSecond"] != 0).then_some(data)
    });
    assert_eq!(data["channels"].as_array().map(Vec::len), Some(16));
    assert_eq!(data["complete"], true);
}

#[test]
fn who_does_not_read_is_among_the_slowest() {
    let relay = Relay::start_with(&["--max-lag", "67108864"]);
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let (mut sender, _silent) = (Client::connect(&relay, &channel), Client::connect(&relay, &channel));
    relay.await_clients(&channel, 2);
    let data = eventually("one is behind", || {
        sender.send(vec![7; 1 << 20]);
        let data = top(&relay);
        (data["clients"][0]["behind"].as_u64() > Some(0)).then_some(data)
    });
    assert_eq!(data["clients"][0]["channel"], channel.id);
    assert_eq!(data["clients"].as_array().map(Vec::len), Some(1));
}

#[test]
fn without_authentication_only_the_host_itself_may_ask() {
    let relay = Relay::start();
    let host = format!("Host: {}\r\n", relay.address());
    assert_eq!(ask(&relay, &host).status, 200);
    assert_eq!(ask(&relay, "Host: localhost\r\n").status, 200);
    for fields in [
        "Host: relay.example\r\n".to_owned(),
        format!("{host}X-Forwarded-For: 127.0.0.1\r\n"),
        format!("{host}Forwarded: for=127.0.0.1\r\n"),
        format!("{host}X-Real-IP: 127.0.0.1\r\n"),
        format!("{host}Via: 1.1 proxy\r\n"),
        format!("{host}Origin: http://{}\r\n", relay.address()),
        format!("{host}Sec-Fetch-Site: none\r\n"),
    ] {
        let response = ask(&relay, &fields);
        response.assert_refusal(403);
        assert_eq!(response.json()["error"]["code"], "not_local", "{fields}");
    }
    let refused = top(&relay)["refusals"].clone();
    assert_eq!(refused, json!([{"reason": "not_local", "count": 7}]));
}

#[test]
fn behind_a_trusted_proxy_nobody_is_the_host_itself() {
    let relay = Relay::start_with(&["--trusted-proxies", "127.0.0.1"]);
    let host = format!("Host: {}\r\n", relay.address());
    for fields in [host.clone(), format!("{host}X-Forwarded-For: 127.0.0.1\r\n")] {
        ask(&relay, &fields).assert_refusal(403);
    }
}

/// What begins a connection of this source: version 2 of the PROXY protocol, over TCP.
fn proxy_header(source: IpAddr) -> Vec<u8> {
    let (family, address) = match source {
        IpAddr::V4(address) => (0x11, address.octets().to_vec()),
        IpAddr::V6(address) => (0x21, address.octets().to_vec()),
    };
    let len = 2 * address.len() as u8 + 4;
    [SIGNATURE, &[0x21, family, 0, len], &address, &address, &[15, 160, 0, 80]].concat()
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

#[test]
fn a_proxy_header_that_names_the_host_itself_makes_nobody_the_host() {
    let flags = ["--proxy-protocol", "--trusted-proxies", "127.0.0.1"];
    let headers = [
        proxy_header("127.0.0.1".parse().expect("an address")),
        proxy_header("127.0.0.9".parse().expect("an address")),
        proxy_header("::1".parse().expect("an address")),
        proxy_header("::ffff:127.0.0.9".parse().expect("an address")),
        // The proxy itself.
        [SIGNATURE, b"\x20\0\0\0"].concat(),
    ];
    let relay = Relay::start_with(&flags);
    let ask = |relay: &Relay, header: &[u8], fields: &str| {
        let mut client = HttpClient::connect(relay.address());
        client.send(header);
        client.send(format!("GET /admin/top HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", relay.address()));
        client.response()
    };
    for header in &headers {
        let response = ask(&relay, header, "");
        response.assert_refusal(403);
        assert_eq!(response.json()["error"]["code"], "not_local", "{}", header.escape_ascii());
    }
    let guarded = [&flags[..], &["--auth", "--token", "of-the-api", "--auth-resources", "GET:/admin"]].concat();
    let relay = Relay::start_with(&guarded);
    for header in &headers {
        ask(&relay, header, "").assert_refusal(401);
        assert_eq!(ask(&relay, header, "Authorization: Bearer of-the-api\r\n").status, 200);
    }
}

#[test]
fn where_there_is_a_token_it_is_asked_for_whatever_the_rules_say() {
    let relay = Relay::start_with(&["--auth", "--token", "of-the-api", "--auth-resources", "POST:/channels"]);
    for target in ["/admin/top", "/admin/top/", "/%61dmin/top"] {
        relay.request("GET", target, None).assert_refusal(401);
    }
    assert_eq!(ask(&relay, "Host: relay.example\r\nAuthorization: Bearer of-the-api\r\n").status, 200);
    let shown = view(&relay, &["--token", "of-the-api"]);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let refused = view(&relay, &["--token", "another"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("refused with 401"), "{refused:?}");
}

#[test]
fn the_view_shows_a_running_relay() {
    let relay = Relay::start();
    relay.create(json!({"pattern": "echo", "id": "lobby"}));
    relay.request("GET", "/channels/lobby/connect?token=wrong", None).assert_refusal(401);
    let shown = view(&relay, &[]);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let text = String::from_utf8(shown.stdout).expect("the text is UTF-8");
    assert_eq!(text.lines().count(), 24, "{text}");
    for part in ["shards", "lobby", "echo", "token_wrong", "channels 1"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_view_of_nothing_says_so() {
    // Its port stays taken, and nobody listens on it.
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let gone = format!("http://{}", bound.local_addr().expect("bound").as_socket().expect("an address"));
    let shown = ringrelay().args(["top", "--once", "--server", &gone]).output().expect("the binary starts");
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    assert!(String::from_utf8_lossy(&shown.stderr).contains("no answer from"), "{shown:?}");
    let wrong = ringrelay().args(["top", "--server", "ftp://x"]).output().expect("the binary starts");
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}
