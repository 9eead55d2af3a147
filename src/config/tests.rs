//! The table as a whole, and the precedence of the sources. Nothing here reads the process's own environment or files.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use clap::Command;

use super::*;

/// Files by their paths.
type Files<'a> = &'a [(&'a str, &'a str)];

fn load_from(arguments: &[&str], variables: &[(&str, &str)], files: Files) -> Result<Loaded, Vec<Refusal>> {
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    load_in(arguments, &environment, files)
}

fn load_in(arguments: &[&str], environment: &Environment, files: Files) -> Result<Loaded, Vec<Refusal>> {
    let command = command_line::with_settings(Command::new("serve").no_binary_name(true));
    let matches = command.try_get_matches_from(arguments).expect("flags that clap takes");
    let read = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path);
        file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    load(&matches, environment, &read)
}

fn loaded(arguments: &[&str], variables: &[(&str, &str)], file: &str) -> Loaded {
    let variables = [variables, &[("RINGRELAY_CONFIG", "relay.toml")]].concat();
    load_from(arguments, &variables, &[("relay.toml", file)]).expect("all of it is allowed")
}

/// What is said of what is wrong.
fn refused(arguments: &[&str], variables: &[(&str, &str)], file: &str) -> Vec<String> {
    let variables = [variables, &[("RINGRELAY_CONFIG", "relay.toml")]].concat();
    let refusals = load_from(arguments, &variables, &[("relay.toml", file)]).expect_err("something is wrong");
    refusals.iter().map(Refusal::to_string).collect()
}

fn origin(loaded: &Loaded, name: &str) -> String {
    let effective = loaded.settings.iter().find(|effective| effective.setting.name == name).expect("in the table");
    effective.origin.to_string()
}

// The table

#[test]
fn names_are_unique_and_flags_can_be_built() {
    command_line::with_settings(Command::new("serve")).debug_assert();
    let variables: Vec<String> = SETTINGS.iter().flat_map(Setting::variables).collect();
    assert_eq!(variables.iter().collect::<BTreeSet<_>>().len(), variables.len());
}

#[test]
fn every_setting_says_what_it_is() {
    for setting in SETTINGS {
        assert!(setting.help.ends_with('.') && !setting.help.contains('\n'), "{setting:?}");
        assert!(setting.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{setting:?}");
        assert!(!setting.allowed().is_empty() && !setting.default.words().is_empty(), "{setting:?}");
    }
}

#[test]
fn defaults_are_those_of_the_requirements() {
    let config = ServeConfig::default();
    assert_eq!(config.host.to_string(), "127.0.0.1");
    assert_eq!((config.port, config.public_port), (8080, None));
    assert_eq!((config.domain.as_str(), config.public_ssl), ("127.0.0.1", false));
    assert_eq!((config.max_message_size, config.max_lag), (1 << 20, 4 << 20));
    assert_eq!((config.max_connections, config.max_channels), (None, 1_000_000));
    assert_eq!((config.head_timeout, config.spin, config.drain), (10_000, 0, 5));
    assert_eq!((config.token_length, config.id_length), (32, 4));
    assert_eq!((config.cors_origins, config.log_level.as_str()), (Origins::ALL, "info"));
    assert_eq!((config.driver, config.shards), (Driver::Auto, None));
    assert!(config.auth.is_none() && !config.browser_only && config.readme.is_none());
}

#[test]
fn bounds_of_every_integer_are_allowed_and_what_is_beyond_is_not() {
    for setting in SETTINGS {
        let Kind::Integer { min, max, .. } = setting.kind else { continue };
        let parse = |text: &str| setting.parse(text, String::new);
        assert_eq!(parse(&min.to_string()).ok(), Some(Value::Integer(min)), "{}", setting.name);
        assert_eq!(parse(&max.to_string()).ok(), Some(Value::Integer(max)), "{}", setting.name);
        for wrong in
            [(max + 1).to_string(), "-1".into(), "".into(), "1.5".into(), " 1".into(), "99999999999999999999".into()]
        {
            assert!(parse(&wrong).is_err(), "{} {wrong}", setting.name);
        }
        if let Some(less) = min.checked_sub(1) {
            assert!(parse(&less.to_string()).is_err(), "{} {less}", setting.name);
        }
    }
}

#[test]
fn messages_may_take_half_of_the_memory_and_no_shard_less_than_it_needs() {
    assert_eq!(default_shard_memory(8 << 30, 4), 1 << 30);
    assert_eq!(default_shard_memory(8 << 30, 1), 4 << 30);
    assert_eq!(default_shard_memory(100 << 20, 4), SHARD_MEMORY_MIN);
    let ours = ServeConfig { shards: NonZeroUsize::new(2), ..ServeConfig::default() };
    assert_eq!(ours.shard_memory(), default_shard_memory(memory(), 2));
    assert_eq!(ServeConfig { shard_memory: Some(16 << 20), ..ours }.shard_memory(), 16 << 20);
}

// Precedence

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let (flag, variable, file) = (&["--max-lag", "1"][..], &[("RINGRELAY_MAX_LAG", "2")][..], "max-lag = 3");
    for (arguments, variables, file, lag, from) in [
        (flag, variable, file, 1, "flag --max-lag"),
        (&[][..], variable, file, 2, "variable RINGRELAY_MAX_LAG"),
        (&[][..], &[][..], file, 3, "file relay.toml:1"),
        (&[][..], &[][..], "", 4 << 20, "default"),
    ] {
        let loaded = loaded(arguments, variables, file);
        assert_eq!(loaded.config.max_lag, lag);
        assert_eq!(origin(&loaded, "max-lag"), from);
    }
}

#[test]
fn our_variables_win_over_those_of_the_source() {
    let both = loaded(&[], &[("WRS_API_PORT", "1"), ("RINGRELAY_PORT", "2")], "");
    assert_eq!((both.config.port, origin(&both, "port").as_str()), (2, "variable RINGRELAY_PORT"));
    let spellings = [("WRS_AUTH_RESSOURCES", "GET:/a"), ("WRS_AUTH_RESOURCES", "GET:/b")];
    assert_eq!(origin(&loaded(&[], &spellings, ""), "auth-resources"), "variable WRS_AUTH_RESOURCES");
}

#[test]
fn flag_names_the_file_rather_than_the_variable() {
    let files = [("flag.toml", "port = 1"), ("variable.toml", "port = 2")];
    let loaded = load_from(&["--config", "flag.toml"], &[("RINGRELAY_CONFIG", "variable.toml")], &files).unwrap();
    assert_eq!(loaded.config.port, 1);
}

#[test]
fn overridden_values_are_not_looked_at() {
    let loaded = loaded(&["--shards", "3"], &[("RINGRELAY_SHARDS", "none"), ("RINGRELAY_PORT", "1")], "port = 70000");
    assert_eq!((loaded.config.shard_count(), loaded.config.port), (3, 1));
}

#[test]
fn empty_variable_is_unset() {
    let loaded = loaded(&[], &[("RINGRELAY_PORT", ""), ("WRS_API_PORT", "9"), ("RINGRELAY_NO_SUCH", "")], "");
    assert_eq!(loaded.config.port, 9);
    assert!(load_from(&[], &[("RINGRELAY_CONFIG", "")], &[]).is_ok());
}

#[test]
fn booleans_as_flags_take_a_value_or_none() {
    let auth = |arguments: &[&str]| {
        let arguments = [arguments, &["--token", "0123456789abcdef"]].concat();
        loaded(&arguments, &[], "").config.auth.is_some()
    };
    assert!(auth(&["--auth"]) && auth(&["-a"]) && auth(&["--auth", "true"]) && auth(&["--auth=true"]));
    assert!(!auth(&[]) && !auth(&["--auth=false"]) && !auth(&["--auth", "false"]) && !auth(&["-a", "false"]));
}

#[test]
fn debug_sets_the_log_level_unless_one_is_given_as_strongly() {
    let level = |arguments: &[&str], file| loaded(arguments, &[], file).config.log_level;
    assert_eq!(level(&["--debug"], ""), "debug");
    assert_eq!(level(&["--debug"], "log-level = 'warn'"), "debug");
    assert_eq!(level(&["--debug", "--log-level", "trace"], ""), "trace");
    assert_eq!(level(&["--log-level", "error"], "debug = true"), "error");
    assert_eq!(level(&["--debug=false"], ""), "info");
    assert_eq!(origin(&loaded(&["--debug"], &[], ""), "log-level"), "flag --debug");
}

// The file

#[test]
fn keys_have_two_spellings_and_values_their_types() {
    let file = "max_lag = 0x10\nhost = '::'\npublic-ssl = true\nport = \"90\"\nauth-resources = ['GET:/a', 'GET:/b']\n\
                auth = true\nauth-token = 'abcdefghijklmnop'\n";
    let loaded = loaded(&[], &[], file);
    assert_eq!((loaded.config.max_lag, loaded.config.port, loaded.config.public_ssl), (16, 90, true));
    assert_eq!(loaded.config.host.to_string(), "::");
    let guarded = loaded.config.auth.expect("guarded").resources;
    assert_eq!(format!("{guarded:?}"), format!("{:?}", Rules::parse("GET:/a GET:/b").unwrap()));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn wrong_keys_are_refused_where_they_stand() {
    let file = "prot = 1\n  max_lag = 2\nmax-lag = 3\nconfig = 'x'\nhost = 4\n[auth]\nx = 1\n";
    let said = refused(&[], &[], file);
    assert_eq!(
        said,
        [
            "relay.toml:1:1: 'prot' is no setting; did you mean port?",
            "relay.toml:3:1: max-lag is set twice, in both spellings; allowed: once",
            "relay.toml:4:1: config cannot be set in a file; allowed: as a flag or a variable",
            "relay.toml:5:1: host is a TOML integer; allowed: an IP address such as 127.0.0.1, 0.0.0.0 or ::",
            "relay.toml:6:2: auth is a TOML table; allowed: true or false",
        ]
    );
}

#[test]
fn wrong_values_in_a_file_are_refused_where_they_stand() {
    let said = refused(&[], &[], "# ü\ntoken-length = 16\nmax-lag = 99999999999999999999");
    assert_eq!(said[1], "relay.toml:3:1: max-lag is '99999999999999999999'; allowed: 1 to 1099511627776 bytes");
    assert_eq!(said[0], "relay.toml:2:1: token-length is '16'; allowed: 32 to 256");
}

#[test]
fn file_that_is_no_toml_is_refused_without_what_stands_in_it() {
    let said = refused(&[], &[], "port = 1\nauth-token = 'hunter2\n");
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("relay.toml:2:") && !said[0].contains("hunter2") && !said[0].contains('\n'),
        "{said:?}"
    );
}

#[test]
fn file_that_cannot_be_read_is_refused_by_who_names_it() {
    let said = load_from(&["--config", "none.toml"], &[], &[]).unwrap_err();
    assert!(said[0].to_string().starts_with("--config is 'none.toml': "), "{said:?}");
    let said = load_from(&[], &[("WRS_README_PATH", "none.md")], &[]).unwrap_err();
    assert!(said[0].to_string().starts_with("WRS_README_PATH is 'none.md': "), "{said:?}");
}

#[test]
fn guide_is_the_text_of_its_file() {
    let loaded = load_from(&["--readme-path", "guide.md"], &[], &[("guide.md", "# Guide")]).unwrap();
    assert_eq!(loaded.config.readme.as_deref(), Some("# Guide"));
}

// What is refused, and what is warned of

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let said = refused(&["-p", "http"], &[("WRS_ID_LENGTH", "3"), ("RINGRELAY_MAXLAG", "1")], "drain = 3601");
    assert_eq!(said.len(), 4, "{said:?}");
    for expected in [
        "--port is 'http'; allowed: 0 to 65535",
        "WRS_ID_LENGTH is '3'; allowed: 4 to 31",
        "RINGRELAY_MAXLAG is no setting; did you mean RINGRELAY_MAX_LAG?",
        "relay.toml:1:1: drain is '3601'; allowed: 0 to 3600 seconds",
    ] {
        assert!(said.iter().any(|said| said == expected), "{expected}: {said:?}");
    }
}

#[test]
fn a_word_that_is_none_of_the_choices_is_refused() {
    assert_eq!(refused(&["--driver=kqueue"], &[], ""), ["--driver is 'kqueue'; allowed: auto or uring or epoll"]);
}

#[test]
fn guard_without_a_token_is_refused() {
    assert_eq!(
        refused(&[], &[("WRS_AUTH", "true")], ""),
        ["WRS_AUTH is true, which needs --auth-token or RINGRELAY_AUTH_TOKEN"]
    );
    // One that is wrong is not missing too.
    assert_eq!(refused(&["--auth", "--token", "two words"], &[], "").len(), 1);
    assert_eq!(refused(&["--auth"], &[], "auth-token = 1234").len(), 1);
}

#[test]
fn secrets_are_never_shown() {
    let secret = "hunter 2";
    for said in [
        refused(&["--auth-token", secret], &[], ""),
        refused(&[], &[("WRS_AUTH_TOKEN", secret)], ""),
        refused(&[], &[], "auth-token = 'hunter 2'"),
        refused(&[], &[], "auth-token = ['hunter 2']"),
    ] {
        assert!(said.len() == 1 && !said[0].contains("hunter") && said[0].contains("; allowed: 1 to 1024"), "{said:?}");
    }
    let loaded = loaded(&["--auth", "--token", "hunter2hunter2hunter2"], &[], "");
    let shown = format!("{loaded:?}{}{}", to_text(&loaded.settings), to_json(&loaded.settings));
    assert!(!shown.contains("hunter") && shown.contains("********"), "{shown}");
    assert_eq!(loaded.config.auth.expect("guarded").token.expect("given").reveal(), "hunter2hunter2hunter2");
}

#[test]
fn values_that_are_no_utf_8_are_refused_by_name() {
    let environment: Environment = [("RINGRELAY_DOMAIN".into(), OsString::from_vec(vec![0xff]))].into_iter().collect();
    let said = load_in(&[], &environment, &[]).unwrap_err();
    assert_eq!(said[0].to_string(), "RINGRELAY_DOMAIN is not UTF-8; allowed: text in UTF-8");
}

#[test]
fn raft_settings_are_ignored_with_one_warning() {
    let variables = [("WRS_NODE_SNAPSHOT_LENGHT", "5"), ("WRS_MAX_STARTUP_DELAY", "x"), ("WRS_NODE_PORT", "9")];
    let loaded = loaded(&["-n", "7000"], &variables, "");
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    for name in ["--node-port", "WRS_NODE_SNAPSHOT_LENGHT", "WRS_MAX_STARTUP_DELAY", "WRS_NODE_PORT"] {
        assert!(loaded.warnings[0].contains(name), "{name}: {:?}", loaded.warnings);
    }
}

#[test]
fn doubtful_settings_are_warned_of() {
    let one = |variables: &[(&str, &str)]| {
        let warnings = loaded(&[], variables, "").warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        warnings[0].clone()
    };
    assert_eq!(one(&[("WRS_API_PROT", "1")]), "WRS_API_PROT is no setting, and is ignored; did you mean WRS_API_PORT?");
    assert!(one(&[("WRS_AUTH", "true"), ("WRS_AUTH_TOKEN", "short")]).starts_with("WRS_AUTH_TOKEN is shorter than 16"));
    assert!(one(&[("WRS_AUTH_TOKEN", "0123456789abcdef")]).contains("auth is false"));
}

// What is shown

#[test]
fn effective_settings_are_shown_in_columns() {
    let loaded = loaded(&["--port", "81", "--shards", "2"], &[("WRS_DOMAIN", "a.example")], "browser-only = true");
    let text = to_text(&loaded.settings);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), SETTINGS.len());
    for expected in [
        ["port", "81", "flag", "--port"],
        ["domain", "a.example", "variable", "WRS_DOMAIN"],
        ["browser-only", "true", "file", "relay.toml:1"],
        ["readme-path", "(built", "in)", "default"],
    ] {
        assert!(lines.iter().any(|line| line[..] == expected), "{expected:?}:\n{text}");
    }
    assert!(lines.iter().any(|line| line[..] == ["public-port", "81", "default"]), "{text}");
    let json: serde_json::Value = serde_json::from_str(&to_json(&loaded.settings)).expect("JSON");
    assert_eq!(json["port"], serde_json::json!({"value": 81, "origin": "flag --port"}));
    assert_eq!(json["auth-token"]["value"], serde_json::Value::Null);
    assert_eq!(json["shards"]["value"], 2);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let loaded = load_from(&["--readme-path", "a\x1b[2J\nb"], &[], &[("a\x1b[2J\nb", "")]).unwrap();
    let text = to_text(&loaded.settings);
    assert!(!text.contains('\x1b') && text.lines().count() == SETTINGS.len(), "{text}");
    assert!(!refused(&["--port", "\x1b[2J"], &[], "")[0].contains('\x1b'));
}

#[test]
fn tls_without_its_files_is_refused() {
    assert_eq!(
        refused(&["--ssl", "--ssl-key-path=key.pem"], &[], ""),
        ["--ssl is true, which needs --ssl-cert-path or RINGRELAY_SSL_CERT_PATH"]
    );
    assert_eq!(refused(&["-s"], &[], "").len(), 2);
}

#[test]
fn the_proxy_protocol_without_a_proxy_is_refused() {
    assert_eq!(
        refused(&["--proxy-protocol"], &[], ""),
        ["--proxy-protocol is true, which needs --trusted-proxies or RINGRELAY_TRUSTED_PROXIES"]
    );
}

#[test]
fn tls_has_a_port_of_its_own() {
    let flags = ["--ssl", "--ssl-cert-path=cert.pem", "--ssl-key-path=key.pem"];
    let loaded = loaded(&flags, &[], "");
    assert_eq!((loaded.config.port, loaded.config.public_ssl), (8443, true));
}

#[test]
fn networks_are_networks_or_addresses() {
    let loaded = loaded(&["--trusted-proxies=10.0.0.0/8 ::1"], &[], "");
    let networks: Vec<String> = loaded.config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(refused(&["--trusted-proxies=10.0.0.0/8 proxy"], &[], "").len(), 1);
}
