//! `ringrelay bench` against a relay with TLS.

use std::process::{Command, Output};

use serde_json::Value;

use crate::rig::{Files, Rig};

fn bench(url: &str, trust: &[&str], load: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringrelay"));
    command.args(["bench", "--json", "--warmup", "0.1", "--duration", "0.4", "--subscribers", "3"]);
    command.args(["--server", url]).args(trust).args(load.split_whitespace());
    command.output().expect("the bench runs")
}

/// How many messages a clean run delivered.
fn delivered(output: &Output) -> u64 {
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    report["delivered"].as_u64().expect("a count")
}

#[test]
fn a_run_over_tls_is_checked_like_any_other() {
    let rig = Rig::start();
    let ca = rig.files.cert_path();
    let url = format!("https://localhost:{}", rig.relay.address().port());
    for load in [
        "--window 1",
        "--window 64 --size 1024 --publishers 2",
        // Many records, and more than the sockets take at once.
        "--window 2 --size 300000",
        "--pattern echo --window 16 --size 20000",
        "--rate 500 --text",
        "--pattern fan-in-out --publishers 2 --window 4",
    ] {
        // How many it is depends on who else needs the cores.
        let delivered = delivered(&bench(&url, &["--ca", ca.to_str().expect("UTF-8")], load));
        assert!(delivered > 0, "{load}");
    }
}

#[test]
fn whose_certificate_is_believed_has_to_be_said() {
    let rig = Rig::start();
    let url = format!("https://{}", rig.relay.address());
    assert!(delivered(&bench(&url, &["--insecure"], "--window 4")) > 0);
    let refusal = |trust: &[&str]| {
        let output = bench(&url, trust, "--window 4");
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    assert!(refusal(&[]).contains("--insecure"));
    let others = Files::new();
    assert!(refusal(&["--ca", others.cert_path().to_str().expect("UTF-8")]).contains("certificate"));
    assert!(refusal(&["--ca", others.key_path().to_str().expect("UTF-8")]).contains("no certificate in it"));
    assert!(refusal(&["--ca", "/nowhere.pem"]).contains("/nowhere.pem"));
}
