//! `ringrelay health`: status 0 if the relay takes requests, else 1, and a sentence, in bounded time.

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use support::relay::{Relay, ringrelay};

/// Asks with these flags, and with these variables in the environment.
fn ask(environment: &[(&str, &str)], flags: &[&str]) -> Output {
    ringrelay().envs(environment.iter().copied()).arg("health").args(flags).output().expect("the binary starts")
}

fn port(relay: &Relay) -> String {
    relay.address().port().to_string()
}

#[track_caller]
fn assert_well(output: &Output, sentence: &str) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), sentence, "{output:?}");
}

#[track_caller]
fn assert_unwell(output: &Output, part: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(part), "{output:?}");
}

#[test]
fn relay_that_takes_requests_is_well() {
    let relay = Relay::start();
    let (port, url) = (port(&relay), format!("http://{}", relay.address()));
    assert_well(&ask(&[], &["--port", &port]), &format!("{url}/readyz answers 200"));
    assert_well(&ask(&[], &["--port", &port, "--live"]), &format!("{url}/healthz answers 200"));
    let environment = [("RINGRELAY_HOST", "0.0.0.0"), ("RINGRELAY_PORT", port.as_str())];
    assert_well(&ask(&environment, &[]), &format!("{url}/readyz answers 200"));
    assert_well(&ask(&[], &["--url", &format!("{url}/channels")]), &format!("{url}/channels answers 200"));
}

#[test]
fn answer_that_is_no_success_is_told() {
    let relay = Relay::start();
    assert_unwell(&ask(&[], &["--url", &format!("http://{}/channels/none", relay.address())]), "answers 404");
}

#[test]
fn nobody_at_the_port_is_unwell() {
    // It stays taken, and nobody listens on it.
    let bound = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let port = bound.local_addr().expect("bound").as_socket().expect("an address").port().to_string();
    assert_unwell(&ask(&[], &["--port", &port]), &port);
}

#[test]
fn token_of_the_settings_opens_what_is_guarded() {
    let relay = Relay::start_with(&["--auth", "--auth-token", "open-sesame"]);
    let port = port(&relay);
    let secret = [("RINGRELAY_AUTH", "true"), ("RINGRELAY_AUTH_TOKEN", "open-sesame")];
    assert_eq!(ask(&secret, &["--port", &port]).status.code(), Some(0));
    assert_unwell(&ask(&[], &["--port", &port]), "auth-resources");
    // A token is for the relay of its settings, and for nobody else.
    assert_unwell(&ask(&secret, &["--url", &format!("http://{}/readyz", relay.address())]), "auth-token");
}

#[test]
fn relay_with_tls_is_asked_over_tls() {
    let folder = std::env::temp_dir().join(format!("ringrelay-health-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary directory");
    let made = rcgen::generate_simple_self_signed(vec!["relay.example.org".to_owned()]).expect("a certificate");
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        path.into_os_string().into_string().expect("UTF-8")
    };
    let cert = file("cert.pem", made.cert.pem());
    let key = file("key.pem", made.signing_key.serialize_pem());
    let relay = Relay::start_with(&["--ssl", "--ssl-cert-path", &cert, "--ssl-key-path", &key]);
    let flags = ["--port", &port(&relay), "--ssl", "--ssl-cert-path", &cert, "--ssl-key-path", &key];
    assert_well(&ask(&[], &flags), &format!("https://{}/readyz answers 200", relay.address()));
    assert_unwell(&ask(&[], &flags[..2]), "/readyz");
    std::fs::remove_dir_all(&folder).expect("a directory");
}

#[test]
fn relay_behind_proxies_is_asked_as_by_a_proxy() {
    let flags = ["--proxy-protocol", "--trusted-proxies", "127.0.0.0/8"];
    let relay = Relay::start_with(&flags);
    let port = port(&relay);
    assert_eq!(ask(&[], &["--port", &port, flags[0], flags[1], flags[2]]).status.code(), Some(0));
    assert_unwell(&ask(&[], &["--port", &port]), "/readyz");
    assert_unwell(&ask(&[], &["--port", &port, "--proxy-protocol", "--trusted-proxies", "10.0.0.0/8"]), "127.0.0.1");
}

#[test]
fn who_never_answers_is_waited_for_three_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let started = Instant::now();
    assert_unwell(&ask(&[], &["--port", &port]), "within 3s");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn who_answers_without_end_is_waited_for_no_longer() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        // Until the one who asks has gone.
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let started = Instant::now();
    assert_unwell(&ask(&[], &["--port", &port]), "within 3s");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    server.join().expect("it does not panic");
}

#[test]
fn settings_that_do_not_say_where_the_relay_is_are_unwell() {
    assert_unwell(&ask(&[], &["--port", "0"]), "--url");
    assert_unwell(&ask(&[], &["--port", "many"]), "port");
    assert_unwell(&ask(&[], &["--url", "ringrelay:8080"]), "--url");
}
