//! What the settings that are text may be. Each check says what is wrong with a text, and nothing that must stay secret.

use std::net::IpAddr;

use regex::RegexBuilder;
use tracing_subscriber::EnvFilter;

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

/// `*`, `none`, or origins as a browser sends them.
pub(super) fn cors_origins(text: &str) -> Result<(), String> {
    let mut items = text.split([' ', ',']).filter(|item| !item.is_empty()).peekable();
    if items.peek().is_none() {
        return Err("it is empty".to_owned());
    }
    if text == "*" || text == "none" {
        return Ok(());
    }
    match items.find(|item| !is_origin(item)) {
        Some(item) if item == "*" || item == "none" => Err(format!("'{item}' stands alone")),
        Some(item) => Err(format!("'{}' is no origin", item.escape_debug())),
        None => Ok(()),
    }
}

/// `scheme://host[:port]`, without a path (RFC 6454, section 6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (host, port) = match authority.rfind(':') {
        // A colon inside of brackets belongs to an IPv6 address.
        Some(at) if !authority.ends_with(']') => (&authority[..at], Some(&authority[at + 1..])),
        _ => (authority, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()),
        None => domain(host).is_ok() && !host.contains(':'),
    };
    is_scheme && is_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// `METHOD:path-regex` entries separated by spaces.
pub(super) fn auth_resources(text: &str) -> Result<(), String> {
    // A misspelt method would guard nothing, and nobody would notice.
    const METHODS: [&str; 8] = ["*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    // What a path's expression may take when compiled, in bytes.
    const REGEX_SIZE_MAX: usize = 1 << 20;
    for entry in text.split_whitespace() {
        let Some((method, path)) = entry.split_once(':') else {
            return Err(format!("'{}' has no colon", entry.escape_debug()));
        };
        if !METHODS.contains(&method) {
            return Err(format!("'{}' is no method; known: {}", method.escape_debug(), METHODS.join(" ")));
        }
        if path.is_empty() {
            return Err(format!("'{entry}' has no path"));
        }
        if let Err(error) = RegexBuilder::new(path).size_limit(REGEX_SIZE_MAX).build() {
            // The crate's message draws a picture over several lines; its last line says what is wrong.
            let message = error.to_string();
            let line = message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Err(format!("'{}' is no regular expression ({line})", path.escape_debug()));
        }
    }
    Ok(())
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
    fn origins_have_a_scheme_and_no_path() {
        for good in [
            "*",
            "none",
            "https://example.org",
            "http://localhost:3000, https://a.example",
            "http://[::1]:80",
            "http://[::1]",
            "capacitor://localhost",
        ] {
            assert_eq!(cors_origins(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " , ",
            "example.org",
            "https://example.org/",
            "https://a:b",
            "https://",
            "* https://a",
            "://a",
            "http://[1]",
        ] {
            assert!(cors_origins(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn resources_are_methods_and_expressions() {
        for good in
            ["", "POST:/channels DELETE:/channels", "*:/cluster *:/reset", "GET:/channels/[^/]+/connect", "GET:a:b"]
        {
            assert_eq!(auth_resources(good), Ok(()), "{good}");
        }
        for (bad, fault) in [
            ("/channels", "colon"),
            ("DELTE:/a", "'DELTE'"),
            ("get:/a", "'get'"),
            ("GET:", "path"),
            ("GET:/(", "unclosed"),
        ] {
            let said = auth_resources(bad).unwrap_err();
            assert!(said.contains(fault) && !said.contains('\n'), "{bad}: {said}");
        }
        let large = format!("GET:/{}", "(a{1000}){1000}");
        assert!(auth_resources(&large).unwrap_err().contains("no regular expression"));
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
