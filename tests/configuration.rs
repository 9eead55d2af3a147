//! The settings of the running binary: where they come from, how what is wrong is refused, what is shown of them.

mod support;

use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::relay::{Relay, complaint, ringrelay};

/// A file that is deleted at the end of its test.
struct TestFile(PathBuf);

impl TestFile {
    /// `name` is the test's own.
    fn new(name: &str, text: &str) -> TestFile {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("the target folder can be written to");
        TestFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    ringrelay().args(arguments).envs(variables.iter().copied()).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `ringrelay config --json` says with these flags and variables.
fn effective(flags: &[&str], variables: &[(&str, &str)]) -> Value {
    let output = run(&[&["config", "--json"], flags].concat(), variables);
    assert_eq!(output.status.code(), Some(0), "{flags:?} {variables:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Checks that `serve` and `config` both end with status 2, and gives what they said.
#[track_caller]
fn refused(flags: &[&str], variables: &[(&str, &str)]) -> String {
    let [serve, config] = ["serve", "config"].map(|command| run(&[&[command], flags].concat(), variables));
    assert_eq!(serve.status.code(), Some(2), "{flags:?} {variables:?}: {serve:?}");
    assert!(serve.stdout.is_empty(), "it did not start: {serve:?}");
    assert_eq!((config.status.code(), &config.stderr), (Some(2), &serve.stderr), "config says the same as serve");
    text(&serve.stderr)
}

#[test]
fn readme_has_the_table_that_the_binary_prints() {
    const BEGIN: &str = "<!-- settings: printed by ringrelay config --markdown -->\n";
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README.md");
    let (_, rest) = readme.split_once(BEGIN).expect("where the table begins");
    let (table, _) = rest.split_once("<!-- end of settings -->").expect("where the table ends");
    let printed = text(&run(&["config", "--markdown"], &[]).stdout);
    assert!(printed.lines().count() > 20, "{printed}");
    assert_eq!(table, printed, "replace the README's table by what `ringrelay config --markdown` prints");
}

#[test]
fn help_lists_every_setting() {
    let table = effective(&[], &[]);
    let [all, serve] = [&["--help"][..], &["serve", "--help"]].map(|arguments| text(&run(arguments, &[]).stdout));
    for name in table.as_object().expect("an object").keys() {
        assert!(all.contains(&format!("--{name} ")), "{name}: {all}");
        assert!(serve.contains(&format!("--{name} ")) || serve.contains(&format!("--{name}[")), "{name}: {serve}");
        let variable = format!("RINGRELAY_{}", name.to_uppercase().replace('-', "_"));
        assert!(serve.contains(&variable), "{variable}: {serve}");
    }
}

#[test]
fn the_strongest_of_four_sources_wins() {
    let file = TestFile::new("precedence.toml", "max_lag = 3\n");
    let (config, flag, variable) =
        (["--config", file.path()], ["--max-lag", "1"], [("RINGRELAY_MAX_LAG", "2"), ("WRS_API_PORT", "0")]);
    for (flags, variables, value, origin) in [
        ([&config[..], &flag].concat(), &variable[..], 1, "flag --max-lag".to_owned()),
        (config.to_vec(), &variable[..], 2, "variable RINGRELAY_MAX_LAG".to_owned()),
        (config.to_vec(), &[][..], 3, format!("file {}:1", file.path())),
        (vec![], &[][..], 4 << 20, "default".to_owned()),
    ] {
        assert_eq!(effective(&flags, variables)["max-lag"], json!({"value": value, "origin": origin}));
    }
}

#[test]
fn file_can_be_named_by_a_variable() {
    let file = TestFile::new("variable.toml", "drain = 7\n");
    assert_eq!(effective(&[], &[("RINGRELAY_CONFIG", file.path())])["drain"]["value"], 7);
}

#[test]
fn every_name_of_the_source_is_accepted() {
    let guide = TestFile::new("guide.md", "# Guide\n");
    for (variable, value, name, expected) in [
        ("WRS_API_PORT", "81", "port", json!(81)),
        ("WRS_PUBLIC_API_PORT", "443", "public-port", json!(443)),
        ("WRS_DOMAIN", "relay.example", "domain", json!("relay.example")),
        ("WRS_TOKEN_LENGTH", "64", "token-length", json!(64)),
        ("WRS_ID_LENGTH", "6", "id-length", json!(6)),
        ("WRS_AUTH", "false", "auth", json!(false)),
        ("WRS_AUTH_TOKEN", "0123456789abcdef", "auth-token", json!("********")),
        ("WRS_AUTH_RESOURCES", "*:/reset", "auth-resources", json!("*:/reset")),
        ("WRS_AUTH_RESSOURCES", "*:/cluster", "auth-resources", json!("*:/cluster")),
        ("WRS_SSL", "false", "ssl", json!(false)),
        ("WRS_SSL_CERT_PATH", "cert.pem", "ssl-cert-path", json!("cert.pem")),
        ("WRS_SSL_KEY_PATH", "key.pem", "ssl-key-path", json!("key.pem")),
        ("WRS_PUBLIC_SSL", "true", "public-ssl", json!(true)),
        ("WRS_BROWSER_ONLY", "true", "browser-only", json!(true)),
        ("WRS_README_PATH", guide.path(), "readme-path", json!(guide.path())),
        ("WRS_NODE_PORT", "9000", "node-port", json!("9000")),
        ("WRS_DEBUG", "true", "debug", json!(true)),
    ] {
        let origin = format!("variable {variable}");
        assert_eq!(effective(&[], &[(variable, value)])[name], json!({"value": expected, "origin": origin}));
    }
}

#[test]
fn every_flag_of_the_source_is_accepted() {
    for (flags, name, expected) in [
        (&["-p", "81"][..], "port", json!(81)),
        (&["-a", "-t", "0123456789abcdef"], "auth", json!(true)),
        (&["-t", "0123456789abcdef"], "auth-token", json!("********")),
        (&["--token", "0123456789abcdef"], "auth-token", json!("********")),
        (&["-s", "false"], "ssl", json!(false)),
        (&["-n", "9000"], "node-port", json!("9000")),
    ] {
        assert_eq!(effective(flags, &[])[name]["value"], expected, "{flags:?}");
    }
}

#[test]
fn raft_settings_are_warned_of_once() {
    let variables = [("WRS_NODE_SNAPSHOT_LENGHT", "5"), ("WRS_NODE_ID", "a"), ("WRS_MAX_STARTUP_DELAY", "1")];
    let said = text(&run(&["config", "-n", "1"], &variables).stderr);
    assert_eq!(said.lines().count(), 1, "{said}");
    for name in variables.map(|(name, _)| name).iter().chain(&["--node-port"]) {
        assert!(said.contains(name), "{name}: {said}");
    }
}

#[test]
fn wrong_value_is_refused_with_its_setting() {
    for (name, value) in [
        ("host", "nowhere"),
        ("port", "65536"),
        ("port", "http"),
        ("public-port", "0"),
        ("domain", "https://a.example"),
        ("public-ssl", "yes"),
        ("ssl", "1"),
        ("trusted-proxies", "proxy.example"),
        ("slow-consumers", "wait"),
        ("shard-memory", "1"),
        ("request-rate", "-1"),
        ("max-uri-size", "10"),
        ("auth", "1"),
        ("auth-resources", "DELTE:/channels"),
        ("cors-origins", "example.org"),
        ("browser-only", "on"),
        ("token-length", "16"),
        ("id-length", "32"),
        ("readme-path", "/no/such/file"),
        ("config", "/no/such/file"),
        ("max-message-size", "0"),
        ("max-lag", "-1"),
        ("max-connections", "0"),
        ("max-channels", "4294967297"),
        ("head-timeout", "soon"),
        ("ping-interval", "3600001"),
        ("drain", "3601"),
        ("shards", "0"),
        ("shards", "1025"),
        ("driver", "kqueue"),
        ("spin", "1001"),
        ("deflate", "9"),
        ("log-level", "loud"),
        ("debug", "2"),
    ] {
        let flag = format!("--{name}");
        let said = refused(&[&format!("{flag}={value}")], &[]);
        assert!(said.contains(&format!("{flag} is '{value}'")) && said.contains("allowed: "), "{flag} {value}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");

        let variable = format!("RINGRELAY_{}", name.to_uppercase().replace('-', "_"));
        let said = refused(&[], &[(&variable, value)]);
        assert!(said.contains(&format!("{variable} is '{value}'")) && said.contains("allowed: "), "{variable}: {said}");

        if name != "config" {
            let file = TestFile::new(&format!("wrong-{name}-{}.toml", value.len()), &format!("\n{name} = '{value}'\n"));
            let said = refused(&["--config", file.path()], &[]);
            assert!(said.contains(&format!("{}:2:1: {name} is '{value}'", file.path())), "{said}");
        }
    }
}

#[test]
fn negative_value_after_a_space_is_one() {
    assert!(refused(&["--max-lag", "-1"], &[]).contains("--max-lag is '-1'"));
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let file = TestFile::new("unknown.toml", "port = 1\nmax-lagg = 2\n");
    let said = refused(&["--config", file.path()], &[("RINGRELAY_PROT", "1")]);
    assert!(said.contains("RINGRELAY_PROT is no setting; did you mean RINGRELAY_PORT?"), "{said}");
    assert!(said.contains(&format!("{}:2:1: 'max-lagg' is no setting; did you mean max-lag?", file.path())), "{said}");
    assert_eq!(said.lines().count(), 2, "all at once: {said}");
}

#[test]
fn file_that_is_no_toml_is_refused_with_the_place() {
    let file = TestFile::new("broken.toml", "port = 1\nhost 2\n");
    let said = refused(&["--config", file.path()], &[]);
    assert!(said.contains(&format!("{}:2:", file.path())), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn file_that_is_no_file_is_refused() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    for flag in ["--config", "--readme-path"] {
        let said = refused(&[flag, folder], &[]);
        assert!(said.contains(flag) && said.contains(folder), "{said}");
    }
}

#[test]
fn value_that_is_no_utf_8_is_refused_by_name() {
    let bytes = std::ffi::OsString::from_vec(vec![b'a', 0xff]);
    let variable = ringrelay().arg("serve").env("WRS_DOMAIN", &bytes).output().expect("the binary starts");
    let flag = ringrelay().args(["serve", "--domain"]).arg(&bytes).output().expect("the binary starts");
    for (output, name) in [(variable, "WRS_DOMAIN"), (flag, "--domain")] {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(&format!("{name} is not UTF-8")), "{output:?}");
    }
}

#[test]
fn secret_is_shown_nowhere() {
    let good = run(&["config", "--auth", "--token", "hunter2hunter2hunter2"], &[]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let wrong = refused(&["--auth", "--token", "hunter2 hunter2"], &[]);
    let shown = text(&good.stdout) + &text(&good.stderr) + &wrong;
    assert!(!shown.contains("hunter") && shown.contains("********") && shown.contains("--auth-token"), "{shown}");
}

#[test]
fn guard_without_a_token_does_not_start() {
    let said = refused(&[], &[("WRS_AUTH", "true"), ("WRS_AUTH_TOKEN", "")]);
    assert!(said.contains("WRS_AUTH") && said.contains("--auth-token"), "{said}");
}

#[test]
fn warnings_are_logged_at_their_level_in_the_form_that_is_asked_for() {
    // An address that is not ours, so that the relay ends by itself.
    let warnings = |flags: &[&str], is_warning: &dyn Fn(&str) -> bool| {
        let output = run(&[&["serve", "--host", "192.0.2.1", "--port", "0"], flags].concat(), &[("WRS_NODE_ID", "a")]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let logged = text(&output.stdout);
        assert!(!logged.contains('\x1b'), "no colours in a pipe: {logged}");
        logged.lines().filter(|line| line.contains("WRS_NODE_ID") && is_warning(line)).count()
    };
    let json = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line is an object");
        line["level"] == "WARN" && line["timestamp"].is_string()
    };
    assert_eq!(warnings(&[], &json), 1, "what is no terminal gets JSON");
    assert_eq!(warnings(&["--debug"], &json), 1);
    assert_eq!(warnings(&["--log-level", "error"], &json), 0);
    assert_eq!(warnings(&["--log-format", "text"], &|line| line.contains(" WARN ")), 1);
    assert_eq!(warnings(&["--log-format", "journald"], &|line| line.starts_with("<4>")), 1);
}

#[test]
fn effective_settings_are_aligned() {
    let output = text(&run(&["config", "--port", "81"], &[]).stdout);
    let origin_columns: Vec<usize> = output
        .lines()
        .map(|line| line.rfind("default").or_else(|| line.rfind("flag ")).expect("each line says where from"))
        .collect();
    assert!(origin_columns.len() > 20 && origin_columns.iter().all(|column| *column == origin_columns[0]), "{output}");
}

#[test]
fn environment_sets_what_no_flag_does() {
    let relay = Relay::start_in(&[("RINGRELAY_MAX_MESSAGE_SIZE", "10"), ("RINGRELAY_SHARDS", "0")], &["--shards", "1"]);
    let channel = relay.create(json!({"pattern": "echo"}));
    let mut client = support::raw::RawClient::connect(&relay, &channel);
    client.send(&support::frame::Frame::text("eleven byte"));
    client.expect_close(1009);
}

#[test]
fn file_and_source_names_reach_the_running_relay() {
    let file = TestFile::new("running.toml", "max-message-size = 10\n");
    let relay = Relay::start_in(&[("WRS_PUBLIC_API_PORT", "444")], &["--config", file.path()]);
    let channel = relay.echo();
    assert_eq!(relay.look_up(&channel).expect("it exists")["port"], 444);
    let mut client = support::raw::RawClient::connect(&relay, &channel);
    client.send(&support::frame::Frame::text("eleven byte"));
    client.expect_close(1009);
}

#[test]
fn a_file_that_cannot_be_used_is_a_wrong_setting() {
    let none = "/nonexistent/file";
    let short = TestFile::new("short-secret", "too short");
    for (flags, setting) in [
        (&["--jwt-key-path", none][..], "jwt-key-path"),
        (&["--jwt-key-path", short.path()], "jwt-key-path"),
        (&["--jwt-jwks-path", short.path()], "jwt-jwks-path"),
        (&["--ssl", "--ssl-cert-path", none, "--ssl-key-path", none], "ssl-cert-path"),
    ] {
        let output = run(&[&["serve", "--port", "0"], flags].concat(), &[]);
        let said = complaint(&output);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(setting) && !said.contains("too short"), "{said}");
    }
}

#[test]
fn messages_take_half_of_what_the_control_group_may_use_and_the_doctor_knows() {
    // In a mount namespace of its own the top of the tree says what the test wants.
    let script = "mount -t tmpfs tmpfs /sys/fs/cgroup && echo 268435456 > /sys/fs/cgroup/memory.max || exit 77
        \"$0\" config --json --shards 2; echo =====; \"$0\" doctor --json; exit 0";
    let run = |flags: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(flags).args(["sh", "-c", script]).arg(ringrelay().get_program()).output()
    };
    let output = [&["--mount"][..], &["--map-root-user", "--mount"]]
        .into_iter()
        .map(|flags| run(flags).expect("unshare is part of util-linux"))
        .find(|output| output.status.success());
    let Some(output) = output else {
        eprintln!("not tried: this user may not make a mount namespace");
        return;
    };
    let said = text(&output.stdout);
    let (config, doctor) = said.split_once("=====").expect("both");
    let config: Value = serde_json::from_str(config).expect("JSON");
    assert_eq!(config["shard-memory"], json!({"value": 64 << 20, "origin": "default"}));
    let doctor: Value = serde_json::from_str(doctor).expect("JSON");
    let line = doctor["checks"].as_array().expect("checks").iter().find(|check| check["id"] == "memory-limit");
    let found = line.expect("its line")["found"].as_str().expect("text");
    assert!(found.starts_with("268435456 of "), "{found}");
}
