//! The settings' values on their way into a configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::origin::Origin;
use super::setting::Value;
use super::{AuthConfig, Driver, Secret, ServeConfig};

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
            port: self.port("port").expect("it has a default"),
            public_port: self.port("public-port"),
            domain: self.text("domain").to_owned(),
            public_ssl: self.bool("public-ssl"),
            shards: self.integer("shards").and_then(|count| NonZeroUsize::new(count as usize)),
            driver: if self.text("driver") == "uring" { Driver::Uring } else { Driver::Auto },
            max_message_size: self.set_integer("max-message-size"),
            max_lag: self.set_integer("max-lag"),
            max_connections: self.integer("max-connections"),
            max_channels: self.set_integer("max-channels"),
            head_timeout: self.set_integer("head-timeout"),
            spin: self.set_integer("spin"),
            drain: self.set_integer("drain"),
            token_length: self.set_integer("token-length") as usize,
            id_length: self.set_integer("id-length") as usize,
            auth: self.auth(),
            browser_only: self.bool("browser-only"),
            readme,
            cors_origins: self.text("cors-origins").to_owned(),
            log_level: self.text("log-level").to_owned(),
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
        let token = self.secret("auth-token").filter(|_| self.bool("auth"))?;
        Some(AuthConfig { token: token.clone(), resources: self.text("auth-resources").to_owned() })
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
