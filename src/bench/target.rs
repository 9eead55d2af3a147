//! Where a server is: `http://host:port` of a ringrelay, or the `ws://` address of each room.

use std::net::{SocketAddr, ToSocketAddrs};

use super::error::Failure;

/// What one upgrade request needs to know of its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomTarget {
    pub address: SocketAddr,
    /// For the `Host` field.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

/// The address of a ringrelay.
pub fn http(url: &str) -> Result<SocketAddr, Failure> {
    let (authority, path) = split("--server", url, "http://")?;
    if path != "/" {
        return Err(Failure::Setting {
            name: "--server",
            allowed: format!("http://HOST:PORT without a path, not {url}"),
        });
    }
    resolve("--server", authority)
}

/// The rooms 0 to `count - 1` of any other server.
pub fn rooms(url: &str, count: u32) -> Result<Vec<RoomTarget>, Failure> {
    let (authority, path) = split("--url", url, "ws://")?;
    if count > 1 && !path.contains(ROOM) {
        return Err(Failure::Setting {
            name: "--url",
            allowed: format!("{ROOM} has to be in its path if --rooms is over 1"),
        });
    }
    let address = resolve("--url", authority)?;
    Ok((0..count)
        .map(|room| RoomTarget {
            address,
            authority: authority.to_owned(),
            path: path.replace(ROOM, &room.to_string()),
        })
        .collect())
}

const ROOM: &str = "{room}";

/// Authority and path of a URL without TLS.
fn split<'a>(name: &'static str, url: &'a str, scheme: &str) -> Result<(&'a str, &'a str), Failure> {
    let rest = url.strip_prefix(scheme).ok_or_else(|| Failure::Setting {
        name,
        allowed: format!("{scheme}HOST:PORT/… (TLS is not measured), not {url}"),
    })?;
    Ok(match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    })
}

/// IPv4 before IPv6: servers here are told to listen on 127.0.0.1.
fn resolve(name: &'static str, authority: &str) -> Result<SocketAddr, Failure> {
    let with_port = if authority.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let addresses: Vec<_> = with_port
        .to_socket_addrs()
        .map_err(|error| Failure::Setting {
            name,
            allowed: format!("a host that can be resolved, not {authority} ({error})"),
        })?
        .collect();
    addresses
        .iter()
        .find(|address| address.is_ipv4())
        .or(addresses.first())
        .copied()
        .ok_or_else(|| Failure::Setting { name, allowed: format!("a host with an address, not {authority}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_numbers_replace_the_placeholder() {
        let rooms = rooms("ws://127.0.0.1:9000/room/{room}?x={room}", 2).unwrap();
        assert_eq!(rooms[1].path, "/room/1?x=1");
        assert_eq!(rooms[1].authority, "127.0.0.1:9000");
        assert_eq!(rooms[1].address, "127.0.0.1:9000".parse().unwrap());
    }

    #[test]
    fn several_rooms_at_one_address_are_refused() {
        assert!(rooms("ws://127.0.0.1:9000/", 2).is_err());
        assert!(rooms("ws://127.0.0.1:9000/", 1).is_ok());
    }

    #[test]
    fn tls_and_other_schemes_are_refused() {
        assert!(rooms("wss://127.0.0.1:9000/", 1).is_err());
        assert!(http("https://127.0.0.1").is_err());
        assert!(http("http://127.0.0.1:80/path").is_err());
    }

    #[test]
    fn the_port_defaults_to_80() {
        assert_eq!(http("http://127.0.0.1").unwrap().port(), 80);
    }
}
