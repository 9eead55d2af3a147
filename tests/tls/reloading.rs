//! SIGHUP, and files that are not what they should be.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use rustls::version::TLS13;
use tungstenite::Message;

use crate::rig::{BOTH, Files, Rig, client_config, message};
use crate::support::eventually;
use crate::support::relay::{complaint, ringrelay};

#[test]
fn a_reload_is_for_new_connections_and_drops_nobody() {
    let mut rig = Rig::start();
    let old = rig.files.certificate();
    let channel = rig.channel("echo");
    let mut sockets: Vec<_> = BOTH.into_iter().map(|version| rig.websocket(&channel, version)).collect();
    rig.files.exchange();
    assert_eq!(
        rig.request(client_config(old.clone(), &TLS13), "GET", "/healthz", "").0,
        200,
        "not before it is asked for"
    );
    rig.relay.signal(Signal::HUP);
    eventually("the new certificate", || shows(&rig, rig.files.certificate()).then_some(()));
    assert!(!shows(&rig, old), "the old one is gone");
    for socket in &mut sockets {
        socket.send(Message::from("still here")).unwrap();
        assert_eq!(message(socket), Message::from("still here"));
    }
}

/// Whether a new connection is shown this certificate.
fn shows(rig: &Rig, certificate: rustls::pki_types::CertificateDer<'static>) -> bool {
    let mut stream = rig.tls(client_config(certificate, &TLS13));
    stream.conn.complete_io(&mut stream.sock).is_ok()
}

#[test]
fn a_bad_file_keeps_the_old_certificate() {
    let rig = Rig::start();
    let key = std::fs::read(rig.files.key_path()).unwrap();
    std::fs::write(rig.files.key_path(), "nothing").unwrap();
    for _ in 0..3 {
        rig.relay.signal(Signal::HUP);
    }
    for _ in 0..20 {
        assert!(shows(&rig, rig.files.certificate()));
    }
    std::fs::write(rig.files.key_path(), key).unwrap();
    rig.relay.signal(Signal::HUP);
    assert!(shows(&rig, rig.files.certificate()));
}

#[test]
fn a_relay_without_its_certificate_does_not_start_and_says_why() {
    let files = Files::new();
    std::fs::write(files.key_path(), "nothing").unwrap();
    let output = ringrelay()
        .args(["serve", "--port", "0", "--ssl", "--ssl-cert-path"])
        .arg(files.cert_path())
        .arg("--ssl-key-path")
        .arg(files.key_path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = complaint(&output);
    assert!(error.contains("ssl-key-path") && error.contains("no private key"), "{error}");
}

#[test]
fn a_key_that_others_may_read_is_warned_about() {
    for (mode, is_warned) in [(0o644, true), (0o600, false)] {
        let files = Files::new();
        std::fs::set_permissions(files.key_path(), std::fs::Permissions::from_mode(mode)).unwrap();
        let relay = crate::rig::start(&files, &[]);
        let ended = relay.end(Signal::TERM);
        ended.assert_clean();
        assert_eq!(ended.stdout.contains("others than its owner may read the key"), is_warned, "{}", ended.stdout);
    }
}

#[test]
fn metrics_tell_when_the_certificate_ends_and_what_is_refused() {
    let rig = Rig::start();
    let metrics = || rig.request(rig.config(&TLS13), "GET", "/metrics", "").1;
    // The year 4096, as the library that made it says.
    assert!(metrics().contains("\nringrelay_certificate_not_after_timestamp_seconds 67090118400\n"), "{}", metrics());
    let mut config = rig.config(&TLS13);
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(std::io::Write::write_all(&mut rig.tls(config), b"x").is_err());
    eventually("the refusal is counted", || {
        metrics().contains("\nringrelay_refused_total{reason=\"tls_handshake\"} 1\n").then_some(())
    });
}
