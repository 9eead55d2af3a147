//! The table of settings. Everything that is said or asked about them comes from here.

use crate::auth::Rules;
use crate::http::Origins;

use super::setting::{DefaultValue, Kind, Setting, Unit, Value};
use super::{SHARD_MEMORY_MIN, SHARDS_MAX, ServeConfig, allowed};

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
            Computed("8080, or 8443 with ssl", port),
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
        ..setting("ssl", Kind::Bool, Text("false"), "HTTPS and WSS on the port, with the certificate and key below.")
    },
    Setting {
        further_variables: &["WRS_SSL_CERT_PATH"],
        ..setting(
            "ssl-cert-path",
            Kind::Path,
            Unset("none"),
            "Certificate for `ssl`, in PEM, with those that lead to its root behind it; read anew on SIGHUP.",
        )
    },
    Setting {
        further_variables: &["WRS_SSL_KEY_PATH"],
        ..setting(
            "ssl-key-path",
            Kind::Path,
            Unset("none"),
            "Private key for `ssl`, in PEM; a file that only the relay's user may read; read anew on SIGHUP.",
        )
    },
    setting(
        "ktls",
        Kind::Choice(&["auto", "on", "off"]),
        Text("auto"),
        "The kernel seals what is sent with `ssl`: auto, where it can renew keys or TLS is 1.2; on, or no start; off.",
    ),
    setting(
        "trusted-proxies",
        Kind::List {
            value_name: "NETWORKS",
            allowed: "networks such as 10.0.0.0/8 or 2001:db8::/32, or addresses",
            check: allowed::networks,
        },
        Unset("none"),
        "Proxies whose word on a client's address counts: Forwarded, X-Forwarded-For, and the PROXY protocol.",
    ),
    setting(
        "proxy-protocol",
        Kind::Bool,
        Text("false"),
        "Trusted proxies begin each connection with a header of the PROXY protocol, version 2.",
    ),
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
            Kind::List { value_name: "METHOD:REGEX…", allowed: Rules::ALLOWED, check: allowed::auth_resources },
            Unset("everything"),
            "What `auth` guards.",
        )
    },
    setting(
        "cors-origins",
        Kind::List { value_name: "ORIGINS", allowed: Origins::ALLOWED, check: allowed::cors_origins },
        Text("*"),
        "Web pages that may use the API and open WebSockets: those of these origins.",
    ),
    Setting {
        further_variables: &["WRS_BROWSER_ONLY"],
        ..setting("browser-only", Kind::Bool, Text("false"), "Channels can be created and deleted with GET too.")
    },
    setting(
        "jwt-key-path",
        Kind::Path,
        Unset("none"),
        "Key that JSON Web Tokens are checked with: a public key in PEM (RS256, EdDSA), or a secret (HS256).",
    ),
    setting("jwt-jwks-path", Kind::Path, Unset("none"), "Keys that JSON Web Tokens are checked with: a JWK set."),
    setting(
        "jwt-issuer",
        Kind::Text { value_name: "ISS", allowed: "1 to 1024 characters", check: allowed::claim },
        Unset("anyone"),
        "Who JSON Web Tokens have to be issued by (`iss`).",
    ),
    setting(
        "jwt-audience",
        Kind::Text { value_name: "AUD", allowed: "1 to 1024 characters", check: allowed::claim },
        Unset("not asked for"),
        "Whom JSON Web Tokens have to be meant for (`aud`).",
    ),
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
    setting(
        "slow-consumers",
        Kind::Choice(&["disconnect", "skip"]),
        Text("disconnect"),
        "What becomes of clients over max-lag: closed with 4408, or (pub-sub) taken to the newest message.",
    ),
    setting(
        "shard-memory",
        Kind::Integer { min: SHARD_MEMORY_MIN, max: 1 << 50, unit: Unit::Bytes },
        Computed("half of the memory of the host, or of its control group, divided by the shards", shard_memory),
        "Most memory of one shard for messages; over it, those who hold most of it are closed with 4408.",
    ),
    setting(
        "max-connections",
        count(1, 1 << 32),
        Unset("as many as open files allow, less the relay's own"),
        "Most connections at once, and no more than there are open files for; over it: 503.",
    ),
    setting(
        "max-http-connections",
        count(1, 1 << 32),
        Unset("half of max-connections, and at most 16384 for each shard"),
        "Most connections at once that are no WebSocket, or not yet, each shard's front its part; over it who has waited longest for a request is closed.",
    ),
    setting(
        "max-connections-per-address",
        count(0, 1 << 32),
        Text("0"),
        "Most connections at once from one address, or one IPv6 network of 64 bits; 0 = no limit.",
    ),
    setting("max-channels", count(1, 1 << 32), Text("1000000"), "Most channels at once."),
    setting(
        "max-channels-per-address",
        count(0, 1 << 32),
        Text("0"),
        "Most channels at once that were created from one address; 0 = no limit.",
    ),
    setting(
        "message-rate",
        per_second(),
        Text("0"),
        "Messages a second that a client may send; over it: 1008; 0 = no limit.",
    ),
    setting(
        "byte-rate",
        per_second(),
        Text("0"),
        "Bytes a second that a client may send, without what TLS adds; over it: 1008; 0 = no limit.",
    ),
    setting(
        "connection-rate",
        per_second(),
        Text("0"),
        "Connections a second that one address may open; over it: 429; 0 = no limit.",
    ),
    setting(
        "request-rate",
        per_second(),
        Text("200"),
        "HTTP requests a second that one address may make; over it: 429; 0 = no limit.",
    ),
    setting(
        "head-timeout",
        milliseconds(1),
        Text("10000"),
        "How long an HTTP head may take to arrive, and then a body; over it: 408.",
    ),
    setting("handshake-timeout", milliseconds(1), Text("10000"), "How long a TLS handshake may take; then it is cut."),
    setting(
        "idle-timeout",
        milliseconds(1),
        Text("60000"),
        "How long an HTTP connection may wait for its next request; then it is closed.",
    ),
    setting("max-uri-size", bytes_from(64, 1 << 20), Text("8192"), "Longest request target; over it: 414."),
    setting("max-head-size", bytes_from(1024, 1 << 20), Text("16384"), "Longest HTTP head; over it: 431."),
    setting("max-body-size", bytes_from(1024, 1 << 30), Text("65536"), "Longest HTTP body; over it: 413."),
    setting(
        "ping-interval",
        Kind::Integer { min: 0, max: 3_600_000, unit: Unit::Milliseconds },
        Text("30000"),
        "How often a client is pinged; one that is silent for two of them is cut; 0 = never.",
    ),
    setting(
        "drain",
        Kind::Integer { min: 0, max: 3_600, unit: Unit::Seconds },
        Text("5"),
        "Over how long clients are closed on SIGTERM or SIGINT, one after the other; 0 = all at once.",
    ),
    // How it works
    setting("shards", count(1, SHARDS_MAX as u64), Computed("one per core", shards), "Threads that relay."),
    setting(
        "driver",
        Kind::Choice(&["auto", "uring", "epoll"]),
        Text("auto"),
        "How the relay talks to the kernel; auto is io_uring, or epoll where that is refused.",
    ),
    setting(
        "spin",
        Kind::Integer { min: 0, max: 1_000, unit: Unit::Microseconds },
        Text("0"),
        "How long a shard looks for work before it sleeps: faster, for a core that is busy anyway; 50 is a good value.",
    ),
    setting(
        "deflate",
        Kind::Bool,
        Text("false"),
        "Compresses messages for clients that ask for it (permessage-deflate); it costs time.",
    ),
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
    setting(
        "log-format",
        Kind::Choice(&["auto", "text", "json", "journald"]),
        Text("auto"),
        "Form of the log; auto takes journald for systemd's journal, text for a terminal, and json for all else.",
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
    Setting { name, short: None, further_flags: &[], further_variables: &[], kind, default, help }
}

const fn port_from(min: u64) -> Kind {
    Kind::Integer { min, max: u16::MAX as u64, unit: Unit::Port }
}

const fn bytes(max: u64) -> Kind {
    bytes_from(1, max)
}

const fn bytes_from(min: u64, max: u64) -> Kind {
    Kind::Integer { min, max, unit: Unit::Bytes }
}

const fn milliseconds(min: u64) -> Kind {
    Kind::Integer { min, max: 3_600_000, unit: Unit::Milliseconds }
}

const fn per_second() -> Kind {
    Kind::Integer { min: 0, max: 1 << 40, unit: Unit::PerSecond }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Integer { min, max, unit: Unit::Count }
}

fn port(config: &ServeConfig) -> Value {
    Value::Integer(u64::from(config.port))
}

fn shard_memory(config: &ServeConfig) -> Value {
    Value::Integer(config.shard_memory())
}

fn public_port(config: &ServeConfig) -> Value {
    Value::Integer(u64::from(config.port))
}

fn shards(config: &ServeConfig) -> Value {
    Value::Integer(config.shard_count() as u64)
}
