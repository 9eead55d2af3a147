//! What the settings that are text may be. Each check says what is wrong with a text, and nothing that must stay secret.

use std::net::IpAddr;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use crate::auth::Rules;
use crate::http::Origins;

/// A host name, or an IP address; nothing that a URL has around it.
pub(super) fn domain(text: &str) -> Result<(), String> {
    const LEN_MAX: usize = 253;
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = text.len() <= LEN_MAX && text.split('.').all(is_label);
    if is_name || text.parse::<IpAddr>().is_ok() { Ok(()) } else { Err("it is neither".to_owned()) }
}

/// See [`Origins::parse`].
pub(super) fn cors_origins(text: &str) -> Result<(), String> {
    Origins::parse(text).map(drop)
}

/// See [`Rules::parse`].
pub(super) fn auth_resources(text: &str) -> Result<(), String> {
    Rules::parse(text).map(drop)
}

/// What can stand in a header, a query and a JSON string alike.
pub(super) fn auth_token(text: &str) -> Result<(), String> {
    const LEN_MAX: usize = 1024;
    match text.len() {
        0 => Err("it is empty".to_owned()),
        len if len > LEN_MAX => Err(format!("it has {len} bytes")),
        _ if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(()),
        _ => Err("it has other characters".to_owned()),
    }
}

/// Networks in CIDR notation, or single addresses, separated by spaces.
pub(super) fn networks(text: &str) -> Result<(), String> {
    parse_networks(text).map(drop)
}

/// See [`networks`].
pub(super) fn parse_networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parse = |word: &str| {
        let address = word.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| word.parse::<IpNet>()).map_err(|_| format!("'{}' is none", word.escape_debug()))
    };
    text.split_ascii_whitespace().map(parse).collect()
}

/// What a claim is compared with.
pub(super) fn claim(text: &str) -> Result<(), String> {
    const LEN_MAX: usize = 1024;
    match text.chars().count() {
        1..=LEN_MAX => Ok(()),
        len => Err(format!("it has {len} characters")),
    }
}

/// A level, or directives that set levels for parts of the program.
pub(super) fn log_level(text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    // A word alone that is no level would be taken for a part of the program, and show everything of it.
    let unknown = text
        .split(',')
        .find(|part| !part.contains('=') && !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part)));
    if let Some(part) = unknown {
        return Err(format!("'{}' is no level", part.escape_debug()));
    }
    EnvFilter::builder().parse(text).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_names_or_addresses() {
        for good in ["127.0.0.1", "::1", "relay.example.org", "localhost", "a-b", "xn--bcher-kva.example"] {
            assert_eq!(domain(good), Ok(()), "{good}");
        }
        for bad in ["", "https://example.org", "example.org:80", "a b", "a..b", "-a", "a/", &"a".repeat(254), "[::1]"] {
            assert!(domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_are_visible_and_stay_secret() {
        assert_eq!(auth_token("s3cret!"), Ok(()));
        for bad in ["", "two words", "ümlaut", "line\n", &"x".repeat(1025)] {
            let said = auth_token(bad).unwrap_err();
            assert!(bad.is_empty() || !said.contains(bad), "{said}");
        }
    }

    #[test]
    fn log_levels_are_levels_or_directives() {
        for good in ["error", "INFO", "off", "info,ringrelay::front=debug", "ringrelay=trace"] {
            assert_eq!(log_level(good), Ok(()), "{good}");
        }
        for bad in ["", "verbose", "info,", "ringrelay=loud", "3"] {
            assert!(log_level(bad).is_err(), "{bad}");
        }
    }
}
