//! The settings' values on their way into a configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Rules;
use crate::http::Origins;

use super::allowed::parse_networks;
use super::origin::Origin;
use super::setting::Value;
use super::{AuthConfig, Driver, JwtConfig, Ktls, LogFormat, Secret, ServeConfig, SlowPolicy, SslConfig};

/// Values and where they came from, by the settings' names. Those that were refused are missing; `None` = unset.
#[derive(Debug, Default)]
pub(super) struct Values {
    by_name: BTreeMap<&'static str, (Option<Value>, Origin)>,
}

impl Values {
    pub fn set(&mut self, name: &'static str, value: Option<Value>, origin: Origin) {
        self.by_name.insert(name, (value, origin));
    }

    /// `None` = it was refused.
    pub fn get(&self, name: &str) -> Option<&(Option<Value>, Origin)> {
        self.by_name.get(name)
    }

    /// The configuration. From here on nothing may have been refused.
    pub fn to_config(&self, readme: Option<Arc<str>>) -> ServeConfig {
        ServeConfig {
            host: self.address("host"),
            port: self.port("port").unwrap_or(if self.bool("ssl") { SSL_PORT } else { PORT }),
            public_port: self.port("public-port"),
            domain: self.text("domain").to_owned(),
            public_ssl: self.bool("public-ssl") || self.bool("ssl"),
            ssl: self.ssl(),
            ktls: match self.text("ktls") {
                "on" => Ktls::On,
                "off" => Ktls::Off,
                _ => Ktls::Auto,
            },
            trusted_proxies: parse_networks(self.text("trusted-proxies")).expect("they were checked"),
            proxy_protocol: self.bool("proxy-protocol"),
            shards: self.integer("shards").and_then(|count| NonZeroUsize::new(count as usize)),
            driver: match self.text("driver") {
                "uring" => Driver::Uring,
                "epoll" => Driver::Epoll,
                _ => Driver::Auto,
            },
            max_message_size: self.set_integer("max-message-size"),
            max_lag: self.set_integer("max-lag"),
            slow_consumers: if self.text("slow-consumers") == "skip" {
                SlowPolicy::Skip
            } else {
                SlowPolicy::Disconnect
            },
            shard_memory: self.integer("shard-memory"),
            max_connections: self.integer("max-connections"),
            max_http_connections: self.integer("max-http-connections"),
            max_connections_per_address: self.limit("max-connections-per-address"),
            max_channels: self.set_integer("max-channels"),
            max_channels_per_address: self.limit("max-channels-per-address"),
            message_rate: self.limit("message-rate"),
            byte_rate: self.limit("byte-rate"),
            connection_rate: self.limit("connection-rate"),
            request_rate: self.limit("request-rate"),
            head_timeout: self.set_integer("head-timeout"),
            handshake_timeout: self.set_integer("handshake-timeout"),
            idle_timeout: self.set_integer("idle-timeout"),
            max_uri_size: self.set_integer("max-uri-size") as usize,
            max_head_size: self.set_integer("max-head-size") as usize,
            max_body_size: self.set_integer("max-body-size") as usize,
            ping_interval: self.limit("ping-interval").map(|interval| Duration::from_millis(interval.get())),
            deflate: self.bool("deflate"),
            jwt: self.jwt(),
            spin: self.set_integer("spin"),
            drain: self.set_integer("drain"),
            token_length: self.set_integer("token-length") as usize,
            id_length: self.set_integer("id-length") as usize,
            auth: self.auth(),
            browser_only: self.bool("browser-only"),
            readme,
            cors_origins: Origins::parse(self.text("cors-origins")).expect("it was checked"),
            log_level: self.text("log-level").to_owned(),
            log_format: match self.text("log-format") {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                "journald" => LogFormat::Journald,
                _ => LogFormat::Auto,
            },
        }
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        self.by_name[name].0.as_ref()
    }

    pub fn origin(&self, name: &str) -> &Origin {
        &self.by_name[name].1
    }

    pub fn bool(&self, name: &str) -> bool {
        match self.value(name) {
            Some(Value::Bool(value)) => *value,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    pub fn secret(&self, name: &str) -> Option<&Secret> {
        match self.value(name) {
            Some(Value::Secret(value)) => Some(value),
            None => None,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    fn auth(&self) -> Option<AuthConfig> {
        if !self.bool("auth") {
            return None;
        }
        let resources = Rules::parse(self.text("auth-resources")).expect("it was checked");
        Some(AuthConfig { token: self.secret("auth-token").cloned(), resources })
    }

    fn ssl(&self) -> Option<SslConfig> {
        if !self.bool("ssl") {
            return None;
        }
        let path = |name| self.path(name).expect("ssl was checked to have both").to_owned();
        Some(SslConfig { cert_path: path("ssl-cert-path"), key_path: path("ssl-key-path") })
    }

    fn jwt(&self) -> Option<JwtConfig> {
        let (key_path, jwks_path) = (self.path("jwt-key-path"), self.path("jwt-jwks-path"));
        if key_path.is_none() && jwks_path.is_none() {
            return None;
        }
        let claim = |name| Some(self.text(name)).filter(|claim| !claim.is_empty()).map(str::to_owned);
        Some(JwtConfig {
            key_path: key_path.map(Path::to_owned),
            jwks_path: jwks_path.map(Path::to_owned),
            issuer: claim("jwt-issuer"),
            audience: claim("jwt-audience"),
        })
    }

    fn path(&self, name: &str) -> Option<&Path> {
        match self.value(name) {
            Some(Value::Path(value)) => Some(value),
            None => None,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    /// An integer that has a default, where 0 stands for none.
    fn limit(&self, name: &str) -> Option<NonZeroU64> {
        NonZeroU64::new(self.set_integer(name))
    }

    fn address(&self, name: &str) -> IpAddr {
        match self.value(name) {
            Some(Value::Address(value)) => *value,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    fn integer(&self, name: &str) -> Option<u64> {
        match self.value(name) {
            Some(Value::Integer(value)) => Some(*value),
            None => None,
            other => unreachable!("{name} is {other:?}"),
        }
    }

    /// An integer that has a default.
    fn set_integer(&self, name: &str) -> u64 {
        self.integer(name).expect("it has a default")
    }

    fn port(&self, name: &str) -> Option<u16> {
        self.integer(name).map(|port| u16::try_from(port).expect("a port of the table is in 0..=65535"))
    }

    /// Empty if unset.
    fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Some(Value::Text(value)) => value,
            None => "",
            other => unreachable!("{name} is {other:?}"),
        }
    }
}

/// The ports without TLS and with it (requirements, section 4).
const PORT: u16 = 8080;
const SSL_PORT: u16 = 8443;
