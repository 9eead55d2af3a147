//! Where a server is: `http://host:port` of a ringrelay, or the `ws://` address of each room; `https` and `wss` with TLS.

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

/// A ringrelay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub address: SocketAddr,
    /// For the `Host` field, and with TLS for the certificate.
    pub authority: String,
}

/// Where a ringrelay is, and whether it speaks TLS.
pub fn http(url: &str) -> Result<(Server, bool), Failure> {
    let (authority, path, is_tls) = split("--server", url, ["http://", "https://"])?;
    if path != "/" {
        return Err(Failure::Setting {
            name: "--server",
            allowed: format!("http[s]://HOST:PORT without a path, not {url}"),
        });
    }
    Ok((Server { address: resolve("--server", authority, is_tls)?, authority: authority.to_owned() }, is_tls))
}

/// The rooms 0 to `count - 1` of any other server, and whether it speaks TLS.
pub fn rooms(url: &str, count: u32) -> Result<(Vec<RoomTarget>, bool), Failure> {
    let (authority, path, is_tls) = split("--url", url, ["ws://", "wss://"])?;
    if count > 1 && !path.contains(ROOM) {
        return Err(Failure::Setting {
            name: "--url",
            allowed: format!("{ROOM} has to be in its path if --rooms is over 1"),
        });
    }
    let address = resolve("--url", authority, is_tls)?;
    let rooms = (0..count).map(|room| RoomTarget {
        address,
        authority: authority.to_owned(),
        path: path.replace(ROOM, &room.to_string()),
    });
    Ok((rooms.collect(), is_tls))
}

const ROOM: &str = "{room}";

/// Authority and path of a URL, and whether it is the second scheme, that of TLS.
fn split<'a>(name: &'static str, url: &'a str, schemes: [&str; 2]) -> Result<(&'a str, &'a str, bool), Failure> {
    let [plain, tls] = schemes.map(|scheme| url.strip_prefix(scheme));
    let rest = plain.or(tls).ok_or_else(|| Failure::Setting {
        name,
        allowed: format!("{}HOST:PORT/… or {}HOST:PORT/…, not {url}", schemes[0], schemes[1]),
    })?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    Ok((authority, path, tls.is_some()))
}

/// IPv4 before IPv6: servers here are told to listen on 127.0.0.1.
fn resolve(name: &'static str, authority: &str, is_tls: bool) -> Result<SocketAddr, Failure> {
    let with_port = if authority.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:{}", if is_tls { 443 } else { 80 })
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
        let (rooms, is_tls) = rooms("ws://127.0.0.1:9000/room/{room}?x={room}", 2).unwrap();
        assert!(!is_tls);
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
    fn each_setting_has_its_schemes_plain_or_with_tls() {
        assert!(rooms("wss://127.0.0.1:9000/", 1).unwrap().1);
        assert!(http("https://127.0.0.1").unwrap().1);
        assert!(rooms("https://127.0.0.1:9000/", 1).is_err());
        assert!(http("wss://127.0.0.1").is_err());
        assert!(http("http://127.0.0.1:80/path").is_err());
    }

    #[test]
    fn the_port_defaults_to_that_of_the_scheme() {
        assert_eq!(http("http://127.0.0.1").unwrap().0.address.port(), 80);
        assert_eq!(http("https://127.0.0.1").unwrap().0.address.port(), 443);
    }
}
