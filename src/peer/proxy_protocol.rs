//! The header with which a proxy begins a connection: version 2 of the PROXY protocol. It comes before anything else, TLS
//! included. Version 1, which is text, is not taken: it cannot be told from a request as safely.

use std::net::IpAddr;

use ppp::PartialResult as _;
use ppp::v2::{Addresses, Command, Header};

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProxyHeader {
    /// Where the connection came from; `None` = from the proxy itself (a health check), or from what has no IP address.
    pub source: Option<IpAddr>,
    /// Bytes of the header. What follows them is the connection's.
    pub len: usize,
}

/// What is wrong with the begin of a connection. It is closed then: there is nobody who would read an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyHeaderError {
    /// It is no header of version 2.
    Malformed,
    /// The header is longer than [`HEADER_LEN_MAX`].
    TooLong,
}

/// Most bytes of a header. The protocol allows 64 KiB; the addresses take up to 232, and what proxies add to them, such
/// as names and the details of TLS, fits many times.
pub const HEADER_LEN_MAX: usize = 4096;

/// Reads the header at the front of `received`; `None` = more is needed.
///
/// # Errors
/// There is none that is allowed.
pub fn proxy_header(received: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let announced = received.get(LEN_AT..LEN_AT + 2).map_or(0, |len| usize::from(u16::from_be_bytes([len[0], len[1]])));
    let header = match Header::try_from(received) {
        Ok(header) if header.len() > HEADER_LEN_MAX => return Err(ProxyHeaderError::TooLong),
        Ok(header) => header,
        // Not waited for.
        Err(error) if error.is_incomplete() && LEN_AT + 2 + announced > HEADER_LEN_MAX => {
            return Err(ProxyHeaderError::TooLong);
        }
        Err(error) if error.is_incomplete() => return Ok(None),
        Err(_) => return Err(ProxyHeaderError::Malformed),
    };
    let source = match (header.command, header.addresses) {
        (Command::Local, _) | (Command::Proxy, Addresses::Unspecified | Addresses::Unix(_)) => None,
        (Command::Proxy, Addresses::IPv4(addresses)) => Some(IpAddr::V4(addresses.source_address)),
        (Command::Proxy, Addresses::IPv6(addresses)) => Some(IpAddr::V6(addresses.source_address).to_canonical()),
    };
    Ok(Some(ProxyHeader { source, len: header.len() }))
}

/// Where the length of the rest stands: behind twelve bytes of signature, version and command, family and protocol.
const LEN_AT: usize = 14;

#[cfg(test)]
mod tests {
    use ppp::v2::{Builder, Protocol, Type, Version};
    use proptest::prelude::*;

    use super::*;

    fn header(command: Command, addresses: impl Into<Addresses>, extension_len: usize) -> Vec<u8> {
        let mut builder = Builder::with_addresses(Version::Two | command, Protocol::Stream, addresses);
        if extension_len > 0 {
            builder = builder.write_tlv(Type::NoOp, vec![0; extension_len].as_slice()).unwrap();
        }
        builder.build().unwrap()
    }

    fn ipv4(extension_len: usize) -> Vec<u8> {
        header(Command::Proxy, ppp::v2::IPv4::new([192, 0, 2, 1], [10, 0, 0, 1], 4711, 80), extension_len)
    }

    fn source(received: &[u8]) -> Option<String> {
        proxy_header(received).unwrap().unwrap().source.map(|source| source.to_string())
    }

    #[test]
    fn the_source_is_announced() {
        assert_eq!(source(&ipv4(0)).as_deref(), Some("192.0.2.1"));
        let ipv6 = |source: &str| {
            let source: std::net::Ipv6Addr = source.parse().unwrap();
            header(Command::Proxy, ppp::v2::IPv6::new(source, std::net::Ipv6Addr::LOCALHOST, 4711, 80), 7)
        };
        assert_eq!(source(&ipv6("2001:db8::1")).as_deref(), Some("2001:db8::1"));
        assert_eq!(source(&ipv6("::ffff:192.0.2.1")).as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn a_proxys_own_connection_and_a_local_one_announce_nobody() {
        let local = header(Command::Local, ppp::v2::IPv4::new([192, 0, 2, 1], [10, 0, 0, 1], 4711, 80), 0);
        assert_eq!(source(&local), None);
        assert_eq!(source(&header(Command::Local, Addresses::Unspecified, 0)), None);
        assert_eq!(source(&header(Command::Proxy, Addresses::Unspecified, 3)), None);
        assert_eq!(source(&header(Command::Proxy, ppp::v2::Unix::new([1; 108], [2; 108]), 0)), None);
    }

    #[test]
    fn a_header_has_a_longest_length_that_is_not_waited_for() {
        // 16 bytes, 12 of addresses, 3 of the extension's own head.
        let longest = ipv4(HEADER_LEN_MAX - 31);
        assert_eq!(longest.len(), HEADER_LEN_MAX);
        assert_eq!(proxy_header(&longest).unwrap().unwrap().len, HEADER_LEN_MAX);
        let longer = ipv4(HEADER_LEN_MAX - 30);
        assert_eq!(proxy_header(&longer), Err(ProxyHeaderError::TooLong));
        assert_eq!(proxy_header(&longer[..15]), Ok(None));
        assert_eq!(proxy_header(&longer[..16]), Err(ProxyHeaderError::TooLong));
    }

    #[test]
    fn what_is_no_header_of_version_2_is_malformed() {
        let mut wrong_version = ipv4(0);
        wrong_version[12] = 0x11;
        let mut wrong_command = ipv4(0);
        wrong_command[12] = 0x22;
        let mut wrong_family = ipv4(0);
        wrong_family[13] = 0x41;
        let mut too_short = ipv4(0);
        too_short[15] = 11;
        for bytes in [wrong_version, wrong_command, wrong_family, too_short] {
            assert_eq!(proxy_header(&bytes), Err(ProxyHeaderError::Malformed), "{bytes:x?}");
        }
        for text in ["PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n", "GET / HTTP/1.1\r\n", "\x16\x03\x01", "\r\n\r\nG"] {
            assert_eq!(proxy_header(text.as_bytes()), Err(ProxyHeaderError::Malformed), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_header_is_read_wherever_it_is_cut(extension_len in 0_usize..600, behind in prop::collection::vec(any::<u8>(), 0..50)) {
            let header = ipv4(extension_len);
            for cut in 0..header.len() {
                prop_assert_eq!(proxy_header(&header[..cut]), Ok(None));
            }
            let read = proxy_header(&[header.as_slice(), &behind].concat()).unwrap().unwrap();
            prop_assert_eq!((read.source, read.len), (Some(IpAddr::from([192, 0, 2, 1])), header.len()));
        }

        #[test]
        fn garbage_is_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..300), has_signature: bool) {
            if has_signature {
                bytes.splice(..bytes.len().min(12), ppp::v2::PROTOCOL_PREFIX.iter().copied());
            }
            if let Ok(Some(header)) = proxy_header(&bytes) {
                prop_assert!(header.len <= bytes.len());
            }
        }
    }
}
