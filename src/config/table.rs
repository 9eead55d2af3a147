//! The table of settings. Everything that is said or asked about them comes from here.

use super::setting::{DefaultValue, Kind, Setting, Unit, Value};
use super::{SHARDS_MAX, ServeConfig, allowed};

use DefaultValue::{Computed, Text, Unset};

/// All settings, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    Setting {
        short: Some('c'),
        ..setting(
            CONFIG,
            Kind::Path,
            Unset("none"),
            "A TOML file with settings by their names, such as `max-lag = 65536`.",
        )
    },
    // Where it is reached
    setting("host", Kind::Address, Text("127.0.0.1"), "Address to listen on."),
    Setting {
        short: Some('p'),
        further_variables: &["WRS_API_PORT"],
        ..setting(
            "port",
            port_from(0),
            Text("8080"),
            "Port to listen on; 0 lets the system choose (the chosen one is printed).",
        )
    },
    Setting {
        further_variables: &["WRS_PUBLIC_API_PORT"],
        ..setting(
            "public-port",
            port_from(1),
            Computed("the port", public_port),
            "Port as clients see it, outside of a proxy.",
        )
    },
    Setting {
        further_variables: &["WRS_DOMAIN"],
        ..setting(
            "domain",
            Kind::Text {
                value_name: "NAME",
                allowed: "a host name or an IP address, without scheme, port and path",
                check: allowed::domain,
            },
            Text("127.0.0.1"),
            "Host name used in links.",
        )
    },
    Setting {
        further_variables: &["WRS_PUBLIC_SSL"],
        ..setting("public-ssl", Kind::Bool, Text("false"), "Links say https and wss, for a TLS proxy in front.")
    },
    Setting {
        short: Some('s'),
        further_variables: &["WRS_SSL"],
        unsupported: &[("true", "this version speaks no TLS: put a TLS proxy in front, and set public-ssl")],
        ..setting("ssl", Kind::Bool, Text("false"), "HTTPS and WSS on the port; not in this version.")
    },
    Setting {
        further_variables: &["WRS_SSL_CERT_PATH"],
        ..setting("ssl-cert-path", Kind::Path, Unset("none"), "Certificate for `ssl`; not read without it.")
    },
    Setting {
        further_variables: &["WRS_SSL_KEY_PATH"],
        ..setting("ssl-key-path", Kind::Path, Unset("none"), "Key for `ssl`; not read without it.")
    },
    // Who may do what
    Setting {
        short: Some('a'),
        further_variables: &["WRS_AUTH"],
        ..setting("auth", Kind::Bool, Text("false"), "Guards the API with `auth-token`.")
    },
    Setting {
        short: Some('t'),
        further_flags: &["token"],
        further_variables: &["WRS_AUTH_TOKEN"],
        ..setting(
            "auth-token",
            Kind::Secret {
                value_name: "TOKEN",
                allowed: "1 to 1024 visible ASCII characters, no spaces",
                check: allowed::auth_token,
            },
            Unset("none"),
            "What the API asks for with `auth`; as a flag, other users of the host can see it.",
        )
    },
    Setting {
        further_variables: &["WRS_AUTH_RESOURCES", "WRS_AUTH_RESSOURCES"],
        ..setting(
            "auth-resources",
            Kind::List {
                value_name: "METHOD:REGEX…",
                allowed: "METHOD:path-regex entries separated by spaces, such as POST:/channels or *:/reset (* = any method)",
                check: allowed::auth_resources,
            },
            Unset("everything"),
            "What `auth` guards.",
        )
    },
    setting(
        "cors-origins",
        Kind::List {
            value_name: "ORIGINS",
            allowed: "*, none, or origins such as https://example.org, separated by spaces or commas",
            check: allowed::cors_origins,
        },
        Text("*"),
        "Web pages that may use the API: those of these origins.",
    ),
    Setting {
        further_variables: &["WRS_BROWSER_ONLY"],
        ..setting("browser-only", Kind::Bool, Text("false"), "Channels can be created and deleted with GET too.")
    },
    // What channels are like
    Setting {
        further_variables: &["WRS_TOKEN_LENGTH"],
        ..setting(
            "token-length",
            count(32, 256),
            Text("32"),
            "Hexadecimal digits of a channel's token, four random bits each.",
        )
    },
    Setting {
        further_variables: &["WRS_ID_LENGTH"],
        ..setting("id-length", count(4, 31), Text("4"), "Characters of each half of a generated channel id.")
    },
    Setting {
        further_variables: &["WRS_README_PATH"],
        ..setting(
            "readme-path",
            Kind::Path,
            Unset("built in"),
            "The guide served at /readme, in Markdown; a readable file of at most 1 MiB.",
        )
    },
    // Bounds
    setting(
        "max-message-size",
        bytes(1 << 30),
        Text("1048576"),
        "Largest message; a larger one closes its sender with 1009.",
    ),
    setting(
        "max-lag",
        bytes(1 << 40),
        Text("4194304"),
        "How far behind a client may fall; over it, it is closed with 4408. One message always fits.",
    ),
    setting("max-connections", count(1, 1 << 32), Unset("as many as open files allow"), "Most connections at once."),
    setting("max-channels", count(1, 1 << 32), Text("1000000"), "Most channels at once."),
    setting(
        "head-timeout",
        Kind::Integer { min: 1, max: 3_600_000, unit: Unit::Milliseconds },
        Text("10000"),
        "How long an HTTP head may take to arrive; then the connection is closed.",
    ),
    setting(
        "ping-interval",
        Kind::Integer { min: 0, max: 0, unit: Unit::Milliseconds },
        Text("0"),
        "How often a client is pinged; 0 = never, as this version sends no pings.",
    ),
    setting(
        "drain",
        Kind::Integer { min: 0, max: 3_600, unit: Unit::Seconds },
        Text("5"),
        "How long clients get to close on SIGTERM or SIGINT; then they are cut.",
    ),
    // How it works
    setting(
        "shards",
        count(1, SHARDS_MAX as u64),
        Computed("one per core", shards),
        "Threads that relay, one io_uring each.",
    ),
    Setting {
        unsupported: &[("epoll", "this version has no epoll driver")],
        ..setting(
            "driver",
            Kind::Choice(&["auto", "uring"]),
            Text("auto"),
            "How shards talk to the kernel; auto takes the best it has.",
        )
    },
    setting(
        "spin",
        Kind::Integer { min: 0, max: 1_000, unit: Unit::Microseconds },
        Text("0"),
        "How long a shard looks for work before it sleeps: faster, for a core that is busy anyway; 50 is a good value.",
    ),
    Setting {
        unsupported: &[("true", "this version has no permessage-deflate")],
        ..setting("deflate", Kind::Bool, Text("false"), "Compresses messages; not in this version.")
    },
    // What it says
    setting(
        "log-level",
        Kind::Text {
            value_name: "LEVEL",
            allowed: "error, warn, info, debug, trace or off, also by module, such as info,ringrelay::front=debug",
            check: allowed::log_level,
        },
        Text("info"),
        "What is logged, to standard output.",
    ),
    Setting {
        further_variables: &["WRS_DEBUG"],
        ..setting(
            "debug",
            Kind::Bool,
            Text("false"),
            "Short for log-level debug; a log level given at the same place or a stronger one wins.",
        )
    },
    Setting {
        short: Some('n'),
        further_variables: &["WRS_NODE_PORT"],
        ..setting(
            NODE_PORT,
            Kind::Ignored { value_name: "PORT" },
            Unset("none"),
            "Of a Raft cluster: accepted and ignored with a warning, as are all variables WRS_NODE_… and WRS_MAX_STARTUP_DELAY.",
        )
    },
];

/// The setting that says where others are.
pub(super) const CONFIG: &str = "config";

/// The one setting of a Raft cluster that has a flag.
pub(super) const NODE_PORT: &str = "node-port";

/// Whether a variable is one of the Raft cluster that this relay does not have.
pub(super) fn is_of_raft(variable: &str) -> bool {
    variable.starts_with("WRS_NODE_") || variable == "WRS_MAX_STARTUP_DELAY"
}

/// The setting of this name. It has to be in the table.
pub(super) fn find(name: &str) -> &'static Setting {
    SETTINGS.iter().find(|setting| setting.name == name).expect("a setting of the table")
}

const fn setting(name: &'static str, kind: Kind, default: DefaultValue, help: &'static str) -> Setting {
    Setting { name, short: None, further_flags: &[], further_variables: &[], kind, default, unsupported: &[], help }
}

const fn port_from(min: u64) -> Kind {
    Kind::Integer { min, max: u16::MAX as u64, unit: Unit::Port }
}

const fn bytes(max: u64) -> Kind {
    Kind::Integer { min: 1, max, unit: Unit::Bytes }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Integer { min, max, unit: Unit::Count }
}

fn public_port(config: &ServeConfig) -> Value {
    Value::Integer(u64::from(config.port))
}

fn shards(config: &ServeConfig) -> Value {
    Value::Integer(config.shard_count() as u64)
}
