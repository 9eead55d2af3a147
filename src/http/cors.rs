//! Which pages of other origins may read the answers (Fetch standard, "CORS protocol").

use core::net::Ipv6Addr;
use std::sync::Arc;

use super::{Fields, Response};

/// The origins whose pages may read answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origins(Allowed);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Allowed {
    All,
    /// As browsers write them: in lower case, without the scheme's own port. Empty = none.
    Only(Arc<[String]>),
}

/// What one request is granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant {
    Nothing,
    All,
    /// The place of its origin in the list.
    Listed(usize),
}

impl Origins {
    /// What [`parse`](Self::parse) takes, in words.
    pub const ALLOWED: &str = "*, none, or origins such as https://example.org, separated by spaces or commas";

    /// Every origin.
    pub const ALL: Origins = Origins(Allowed::All);

    /// Reads `*`, `none`, or a list of origins with commas or spaces between them.
    ///
    /// # Errors
    /// A member of the list is no origin; the text names it. What is allowed is [`ALLOWED`](Self::ALLOWED).
    pub fn parse(text: &str) -> Result<Origins, String> {
        match text.trim() {
            "*" => return Ok(Origins::ALL),
            "none" => return Ok(Origins(Allowed::Only(Arc::new([])))),
            _ => {}
        }
        let members = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|member| !member.is_empty());
        let origins: Vec<String> = members
            .map(|member| normal(member).ok_or_else(|| format!("{member:?} is no origin")))
            .collect::<Result<_, _>>()?;
        if origins.is_empty() {
            Err("the list is empty".to_owned())
        } else {
            Ok(Origins(Allowed::Only(origins.into())))
        }
    }

    /// Whether origins are allowed by their names.
    pub fn is_list(&self) -> bool {
        matches!(self.0, Allowed::Only(_))
    }

    /// What a request with this `Origin` is granted; `None` = it has none, or several.
    pub fn grant(&self, origin: Option<&[u8]>) -> Grant {
        match &self.0 {
            Allowed::All => Grant::All,
            Allowed::Only(list) => {
                let place = origin.and_then(|origin| list.iter().position(|listed| listed.as_bytes() == origin));
                place.map_or(Grant::Nothing, Grant::Listed)
            }
        }
    }

    /// Whether a page that asks for this may: one whose origin is allowed, or the relay's own, which is the host that the
    /// request names. Who sends no `Origin` is no page. Where all origins are allowed, all may.
    pub fn admit(&self, fields: Fields<'_>) -> bool {
        if !self.is_list() || !fields.has("origin") {
            return true;
        }
        let Some(origin) = fields.only("origin") else { return false };
        self.grant(Some(origin)) != Grant::Nothing || fields.only("host").is_some_and(|host| is_of_host(origin, host))
    }

    /// Adds to an answer what lets the page read it.
    #[must_use]
    pub fn allow(&self, grant: Grant, response: Response) -> Response {
        match (&self.0, grant) {
            (Allowed::All, _) => expose(response, "*".to_owned()),
            (Allowed::Only(list), _) if list.is_empty() => response,
            // Said to those as well who are granted nothing: a cache must not give them another's answer.
            (Allowed::Only(list), Grant::Listed(place)) => expose(response, list[place].clone()).with("Vary", "Origin"),
            (Allowed::Only(_), Grant::Nothing | Grant::All) => response.with("Vary", "Origin"),
        }
    }

    /// Answers the question that a browser asks before a request (Fetch standard, "CORS-preflight request"), if `fields`
    /// ask it; `methods` are those of the resource.
    #[must_use]
    pub fn preflight(&self, fields: Fields<'_>, methods: &'static str, response: Response) -> Response {
        let asks = fields.has("origin") && fields.has("access-control-request-method");
        if !asks || self.grant(fields.only("origin")) == Grant::Nothing {
            return response;
        }
        let response = response
            .with("Access-Control-Allow-Methods", methods)
            .with("Access-Control-Allow-Headers", "Content-Type, Authorization, Authentification")
            .with("Access-Control-Max-Age", MAX_AGE_SECONDS);
        // Private Network Access: a page from the internet asks a server in the local network. Only who is listed by name
        // may: with `*` every site that somebody here visits could.
        if self.is_list() && fields.has_token("access-control-request-private-network", "true") {
            return response.with("Access-Control-Allow-Private-Network", "true");
        }
        response
    }
}

fn expose(response: Response, origin: String) -> Response {
    response.with("Access-Control-Allow-Origin", origin).with("Access-Control-Expose-Headers", "Location, Retry-After")
}

/// Whether an origin is that of a page from `host`, a host with an optional port. The scheme is not compared: before a
/// proxy that ends TLS it is another one.
fn is_of_host(origin: &[u8], host: &[u8]) -> bool {
    let (Ok(origin), Ok(host)) = (str::from_utf8(origin), str::from_utf8(host)) else { return false };
    let Some((scheme, _)) = origin.split_once("://") else { return false };
    normal(origin).is_some_and(|origin| normal(&format!("{scheme}://{host}")) == Some(origin))
}

/// An origin as a browser sends it (RFC 6454, section 6.2); `None` = it is none.
fn normal(text: &str) -> Option<String> {
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host_fits = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // In its shortest form, however it was written.
        Some(address) => format!("[{}]", as_in_urls(address.parse().ok()?)),
        None if host_fits(host) => host.to_owned(),
        None => return None,
    };
    let port = match port {
        None => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse::<u16>().ok()?),
        Some(_) => return None,
    };
    if !scheme_fits {
        return None;
    }
    Some(match (scheme, port) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => format!("{scheme}://{host}"),
        (_, Some(port)) => format!("{scheme}://{host}:{port}"),
    })
}

/// An address as browsers write it (URL standard, "IPv6 serializer"): without the dotted form of mapped addresses.
fn as_in_urls(address: Ipv6Addr) -> String {
    match (address.to_ipv4_mapped(), address.segments()) {
        (Some(_), [.., high, low]) => format!("::ffff:{high:x}:{low:x}"),
        (None, _) => address.to_string(),
    }
}

/// Two hours, the most that browsers keep it for.
const MAX_AGE_SECONDS: &str = "7200";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let origins = Origins::parse("https://App.example:443, http://127.0.0.1:3000 http://[::1]:80").unwrap();
        assert_eq!(origins.grant(Some(b"https://app.example")), Grant::Listed(0));
        assert_eq!(origins.grant(Some(b"http://127.0.0.1:3000")), Grant::Listed(1));
        assert_eq!(origins.grant(Some(b"http://[::1]")), Grant::Listed(2));
        for origin in ["http://app.example", "https://app.example.evil", "https://app.example:8443", "null", ""] {
            assert_eq!(origins.grant(Some(origin.as_bytes())), Grant::Nothing, "{origin}");
        }
        assert_eq!(origins.grant(None), Grant::Nothing);
    }

    #[test]
    fn addresses_are_read_in_any_form() {
        let origins =
            Origins::parse("http://[0:0:0:0:0:0:0:1]:3000 http://[2001:DB8::0:1] http://[::ffff:127.0.0.1]").unwrap();
        assert_eq!(origins.grant(Some(b"http://[::1]:3000")), Grant::Listed(0));
        assert_eq!(origins.grant(Some(b"http://[2001:db8::1]")), Grant::Listed(1));
        assert_eq!(origins.grant(Some(b"http://[::ffff:7f00:1]")), Grant::Listed(2));
    }

    #[test]
    fn all_or_none_are_words_of_their_own() {
        assert_eq!(Origins::parse(" * ").unwrap().grant(Some(b"null")), Grant::All);
        assert_eq!(Origins::parse("none").unwrap().grant(Some(b"http://a")), Grant::Nothing);
    }

    fn admits(origins: &str, lines: &str) -> bool {
        let request = format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n");
        let limits = crate::http::HeadLimits { len_max: 4096, target_len_max: 4096 };
        let head = crate::http::HeadReader::default().read(request.as_bytes(), limits).unwrap().unwrap();
        Origins::parse(origins).unwrap().admit(head.fields(request.as_bytes()))
    }

    #[test]
    fn pages_of_listed_origins_and_the_relays_own_are_admitted() {
        for (lines, admitted) in [
            ("Host: relay", true),
            ("Host: relay\r\nOrigin: https://a.example", true),
            ("Host: relay:8080\r\nOrigin: http://relay:8080", true),
            ("Host: Relay:443\r\nOrigin: https://relay", true),
            ("Host: [::1]:8080\r\nOrigin: http://[::1]:8080", true),
            ("Host: relay:8080\r\nOrigin: http://relay", false),
            ("Host: relay\r\nOrigin: https://b.example", false),
            ("Host: relay\r\nOrigin: http://relay.evil.example", false),
            ("Host: relay\r\nOrigin: null", false),
            ("Host: relay\r\nOrigin:", false),
            ("Host: relay\r\nOrigin: https://a.example\r\nOrigin: https://a.example", false),
        ] {
            assert_eq!(admits("https://a.example", lines), admitted, "{lines}");
            assert!(admits("*", lines), "{lines}");
        }
        assert!(!admits("none", "Host: relay\r\nOrigin: https://a.example"));
        assert!(admits("none", "Host: relay\r\nOrigin: https://relay"));
    }

    #[test]
    fn what_is_no_origin_is_refused_by_name() {
        for text in ["app.example", "https://", "https://a/b", "https://a:x", "https://a:70000", "null", "https://a *"]
        {
            let error = Origins::parse(text).unwrap_err();
            assert!(error.contains("no origin"), "{text}: {error}");
        }
        assert!(Origins::parse("https://a,https://b/").unwrap_err().starts_with("\"https://b/\""));
        assert!(Origins::parse(" , ").is_err());
    }
}
