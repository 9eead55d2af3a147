//! The address of a client behind proxies: `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//!
//! Each proxy adds at the right what it saw; what stands further left may be made up by the client. So the walk goes from
//! the right, and ends at the first address that is no trusted proxy's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::TrustedProxies;
use crate::http::Fields;

/// The address of the client of a request that came from `source`. It is `source` unless that is a trusted proxy's; then
/// `Forwarded` and `X-Forwarded-For` are asked. Proxies pass on the one that they do not set, so a client can make that one
/// up: if both are there, they have to agree, or else the proxy is the client.
pub fn client_of(source: IpAddr, proxies: &TrustedProxies, fields: Fields<'_>) -> IpAddr {
    let source = source.to_canonical();
    if !proxies.trust(source) {
        return source;
    }
    let forwarded = client_by(Header::Forwarded, source, proxies, fields);
    let x_forwarded_for = client_by(Header::XForwardedFor, source, proxies, fields);
    match (forwarded, x_forwarded_for) {
        (Some(one), Some(other)) if one != other => source,
        (Some(client), _) | (None, Some(client)) => client,
        (None, None) => source,
    }
}

/// Where addresses are forwarded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    Forwarded,
    XForwardedFor,
}

/// The client by one header, from a trusted `source`; `None` = the header is not there. What is malformed or no address
/// ends the walk: the last trusted proxy before it is the client. What a proxy adds is well-formed, so it is found whatever
/// the client has left open before it.
fn client_by(header: Header, source: IpAddr, proxies: &TrustedProxies, fields: Fields<'_>) -> Option<IpAddr> {
    let name = match header {
        Header::Forwarded => "forwarded",
        Header::XForwardedFor => "x-forwarded-for",
    };
    let mut lines: Vec<&[u8]> = fields.all(name).collect();
    if lines.is_empty() {
        return None;
    }
    let mut hop = source;
    while let Some(line) = lines.pop() {
        // Only `Forwarded` has quotations with commas in them.
        let mut is_quoted = false;
        let elements = line.rsplit(|byte| {
            is_quoted ^= header == Header::Forwarded && *byte == b'"';
            !is_quoted && *byte == b','
        });
        // A recipient ignores empty elements (RFC 9110, section 5.6.1).
        for element in elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty()) {
            let address = match header {
                Header::Forwarded => node_of_element(element),
                Header::XForwardedFor => node(element),
            };
            let Some(address) = address else { return Some(hop) };
            hop = address;
            if !proxies.trust(hop) {
                return Some(hop);
            }
        }
    }
    Some(hop)
}

/// The `for` of an element of `Forwarded` (RFC 7239, section 4), if it is an address.
fn node_of_element(element: &[u8]) -> Option<IpAddr> {
    // Behind an escaped quotation mark, which stands in the same element as its backslash, the element's begin cannot be
    // told from the right. No address needs one.
    if element.contains(&b'\\') {
        return None;
    }
    let mut found = None;
    let mut is_quoted = false;
    let pairs = element.split(|byte| {
        is_quoted ^= *byte == b'"';
        !is_quoted && *byte == b';'
    });
    for pair in pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        if pair[..equals].eq_ignore_ascii_case(b"for") && found.replace(&pair[equals + 1..]).is_some() {
            // Two of them may be read in two ways.
            return None;
        }
    }
    node(found?)
}

/// An address with or without a port, in quotes or not (RFC 7239, section 6); `None` for `unknown`, for made-up names, and
/// for what is none of these.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let text = match text.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => text,
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let has_port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return address.parse().ok().filter(|_| has_port).map(|address: Ipv6Addr| IpAddr::V6(address).to_canonical());
    }
    if let Some((address, port)) = text.split_once(':')
        && let Ok(address) = address.parse::<Ipv4Addr>()
    {
        return is_port(port).then_some(IpAddr::V4(address));
    }
    // `X-Forwarded-For` has IPv6 addresses without brackets.
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// A port, or a made-up name of one.
fn is_port(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match text.strip_prefix('_') {
        Some(name) => is_name(name),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::{HeadLimits, HeadReader};

    /// The client of a request from 10.0.0.1 with these fields, where 10.0.0.0/8 and fd00::/8 are trusted.
    fn client(lines: &[&str]) -> String {
        client_from("10.0.0.1", lines)
    }

    fn client_from(source: &str, lines: &[&str]) -> String {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        client_in(source.parse().unwrap(), format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes()).to_string()
    }

    fn client_in(source: IpAddr, request: &[u8]) -> IpAddr {
        let proxies = TrustedProxies::new(&["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()));
        let limits = HeadLimits { len_max: 1 << 20, target_len_max: 1 << 20 };
        let head = HeadReader::default().read(request, limits).unwrap().unwrap();
        client_of(source, &proxies, head.fields(request))
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        let lines = ["Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1"];
        assert_eq!(client_from("198.51.100.1", &lines), "198.51.100.1");
        assert_eq!(client_from("::ffff:198.51.100.1", &lines), "198.51.100.1");
        assert_eq!(client_from("::ffff:10.1.2.3", &lines), "192.0.2.1", "an IPv4 address as IPv6");
        assert_eq!(client(&[]), "10.0.0.1");
    }

    #[test]
    fn the_first_untrusted_address_from_the_right_counts() {
        assert_eq!(client(&["X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.0.0.3,10.0.0.2"]), "192.0.2.1");
        assert_eq!(client(&["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 10.0.0.2"]), "192.0.2.1");
        assert_eq!(client(&["X-Forwarded-For: 10.0.0.3, , 10.0.0.2,"]), "10.0.0.3", "all are trusted");
        assert_eq!(client(&["Forwarded: for=203.0.113.9, for=192.0.2.1;proto=https, by=x;For=10.0.0.2"]), "192.0.2.1");
        assert_eq!(client(&["Forwarded: for=192.0.2.1", "Forwarded: for=\"[fd00::1]:80\""]), "192.0.2.1");
    }

    #[test]
    fn a_header_that_the_proxy_does_not_set_names_nobody() {
        for forged in ["203.0.113.9", "10.0.0.9", "unknown"] {
            let [forwarded, x_forwarded_for] =
                [format!("Forwarded: for={forged}"), format!("X-Forwarded-For: {forged}")];
            assert_eq!(client(&["X-Forwarded-For: 192.0.2.1", &forwarded]), "10.0.0.1", "{forged}");
            assert_eq!(client(&[&x_forwarded_for, "Forwarded: for=192.0.2.1"]), "10.0.0.1", "{forged}");
        }
        let agreeing = ["X-Forwarded-For: 203.0.113.9, 192.0.2.1", "Forwarded: for=unknown, for=\"192.0.2.1:80\""];
        assert_eq!(client(&agreeing), "192.0.2.1");
    }

    #[test]
    fn addresses_have_many_forms() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:8080", "192.0.2.1"),
            ("\"192.0.2.1:_hidden\"", "192.0.2.1"),
            ("\"[2001:db8::1]\"", "2001:db8::1"),
            ("\"[2001:DB8::1]:4711\"", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("\"[::ffff:192.0.2.1]\"", "192.0.2.1"),
        ] {
            assert_eq!(client(&[&format!("Forwarded: for={text}")]), address, "{text}");
            assert_eq!(client(&[&format!("X-Forwarded-For: {text}")]), address, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_leaves_the_last_trusted_proxy() {
        for element in [
            "for=unknown",
            "for=_gateway",
            "for=\"_gateway:80\"",
            "for=",
            "for",
            "proto=https",
            "for=192.0.2",
            "for=192.0.2.1:",
            "for=192.0.2.1:123456",
            "for=\"[2001:db8::1\"",
            "for=\"[2001:db8::1]x\"",
            "for=\"[192.0.2.1]\"",
            "for=\"192.0.2.1",
            "for=\"192.0.2.\\1\"",
            "for=192.0.2.1;for=192.0.2.2",
            "for = 192.0.2.1",
            "for=\u{fc}",
        ] {
            assert_eq!(client(&[&format!("Forwarded: for=203.0.113.9, {element}")]), "10.0.0.1", "{element}");
            let behind = format!("Forwarded: {element}");
            assert_eq!(client(&[&behind, "Forwarded: for=10.0.0.2"]), "10.0.0.2", "{element}");
        }
        // What a proxy adds in a line of its own is not hidden by what a client has left open before it.
        assert_eq!(client(&["Forwarded: for=\"1.2.3.4", "Forwarded: for=192.0.2.1"]), "192.0.2.1");
        assert_eq!(
            client(&["Forwarded: for=\"1.2.3.4", "Forwarded: for=192.0.2.1;by=\"a,b;for=9.9.9.9\""]),
            "192.0.2.1"
        );
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
            (0_u32..1 << 24).prop_map(|bits| Ipv4Addr::from_bits(10 << 24 | bits).into()),
            any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical()),
            any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits >> 8 | 0xfd << 120).into()),
        ]
    }

    fn is_trusted(address: &IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => address.octets()[0] == 10,
            IpAddr::V6(address) => address.octets()[0] == 0xfd,
        }
    }

    proptest! {
        /// However a chain is spread over lines and written, its client is the one that a walk over the addresses finds.
        #[test]
        fn a_chain_is_walked_from_the_right(
            chain in prop::collection::vec((address(), any::<bool>(), any::<bool>()), 0..8),
            in_forwarded: bool,
        ) {
            let source = IpAddr::from([10, 0, 0, 1]);
            let mut request = b"GET / HTTP/1.1\r\nHost: x".to_vec();
            for (at, (address, has_port, on_a_new_line)) in chain.iter().enumerate() {
                let new_line = if in_forwarded { "\r\nForwarded: " } else { "\r\nX-Forwarded-For: " };
                let before = if at == 0 || *on_a_new_line { new_line } else { ", " };
                let port = if *has_port { ":4711" } else { "" };
                let element = match (address, in_forwarded) {
                    (IpAddr::V4(address), true) => format!("proto=\"a;b\"; for=\"{address}{port}\";by=\"x,y\""),
                    (IpAddr::V6(address), true) => format!("for=\"[{address}]{port}\""),
                    (IpAddr::V4(address), false) => format!("{address}{port}"),
                    (IpAddr::V6(address), false) => format!("[{address}]{port}"),
                };
                request.extend_from_slice(format!("{before}{element}").as_bytes());
            }
            request.extend_from_slice(b"\r\n\r\n");
            let expected = chain.iter().map(|(address, ..)| address).rev().find(|address| !is_trusted(address));
            let leftmost = chain.first().map_or(&source, |(address, ..)| address);
            prop_assert_eq!(client_in(source, &request), *expected.unwrap_or(leftmost));
        }

        /// Whatever a client sends before it, what the last proxy saw is the client.
        #[test]
        fn nothing_before_the_last_proxys_line_changes_the_client(garbage in "[ -~]{0,80}", of_forwarded: bool) {
            let (name, value) =
                if of_forwarded { ("Forwarded", "for=192.0.2.1") } else { ("X-Forwarded-For", "192.0.2.1") };
            let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{name}: {garbage}\r\n{name}: {value}\r\n\r\n");
            prop_assert_eq!(client_in(IpAddr::from([10, 0, 0, 1]), request.as_bytes()), IpAddr::from([192, 0, 2, 1]));
        }

        /// Nor does it matter that the proxy adds to the client's own line.
        #[test]
        fn nothing_before_the_last_proxys_element_changes_the_client(garbage in "[ -~]{0,80}", of_forwarded: bool) {
            let (name, value) = if of_forwarded {
                ("Forwarded", "for=\"192.0.2.1:4711\";by=\"_a,b\"")
            } else {
                ("X-Forwarded-For", "192.0.2.1")
            };
            let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{name}: {garbage}, {value}\r\n\r\n");
            prop_assert_eq!(client_in(IpAddr::from([10, 0, 0, 1]), request.as_bytes()), IpAddr::from([192, 0, 2, 1]));
        }

        #[test]
        fn garbage_is_survived(garbage in "[ -~\u{fc}]{0,120}") {
            client(&[&format!("Forwarded: {garbage}")]);
            client(&[&format!("X-Forwarded-For: {garbage}")]);
        }
    }
}
