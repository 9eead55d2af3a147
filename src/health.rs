//! `ringrelay health`: asks a relay how it is, as those who run containers do again and again.
//!
//! One request and one sentence, in bounded time. Without a URL it is the relay that these settings start: its address, its
//! TLS, the token that guards its API, and the header that its proxies begin with.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::{error, fmt};

use rustls::StreamOwned;

use crate::bench::{Failure, Trust};
use crate::config::{Secret, ServeConfig};

/// What is to be asked, and where.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Host and port.
    authority: String,
    /// With its query.
    path: String,
    is_tls: bool,
    /// What guards the API, for the relay of these settings alone.
    token: Option<Secret>,
    /// The relay takes connections from proxies only, which say whose they are.
    is_proxied: bool,
}

/// Whether it lives, or whether it takes requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    Live,
    Ready,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Probe::Live => "/healthz",
            Probe::Ready => "/readyz",
        }
    }
}

impl Inquiry {
    /// Asks the relay that runs with these settings on this host.
    ///
    /// # Errors
    /// The settings do not say where it is, or keep everyone from this host out.
    pub fn of_settings(config: &ServeConfig, probe: Probe) -> Result<Inquiry, Unwell> {
        if config.port == 0 {
            return Err(Unwell::PortUnknown);
        }
        let host = match config.host {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            host => host,
        };
        // Who connects to an address of this host has that address too.
        if config.proxy_protocol && !config.trusted_proxies.iter().any(|network| network.contains(&host)) {
            return Err(Unwell::NoProxy(host));
        }
        Ok(Inquiry {
            authority: SocketAddr::new(host, config.port).to_string(),
            path: probe.path().to_owned(),
            is_tls: config.ssl.is_some(),
            token: config.auth.as_ref().and_then(|auth| auth.token.clone()),
            is_proxied: config.proxy_protocol,
        })
    }

    /// Asks for this URL.
    ///
    /// # Errors
    /// It is none of HTTP.
    pub fn of_url(url: &str) -> Result<Inquiry, Unwell> {
        let (plain, tls) = (url.strip_prefix("http://"), url.strip_prefix("https://"));
        let is_tls = tls.is_some();
        let rest = plain.or(tls).ok_or(Unwell::Url)?;
        // What follows would be a request of its own.
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unwell::Url);
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = if path.len() < 2 { Probe::Ready.path() } else { path };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if is_tls { 443 } else { 80 };
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
        Ok(Inquiry { authority, path: path.to_owned(), is_tls, token: None, is_proxied: false })
    }

    /// Asks, and gives what is to be said of a relay that is well.
    ///
    /// # Errors
    /// It is not, or it does not answer within `patience`.
    pub fn ask(self, patience: Duration) -> Result<String, Unwell> {
        let url = self.url();
        let (done, answer) = mpsc::channel();
        // Looking a name up, connecting, shaking hands and reading together have one end: this thread is not waited for.
        thread::spawn(move || {
            // Nobody listens once the time is up.
            let _ = done.send(self.exchange(patience));
        });
        let (status, body) = match answer.recv_timeout(patience) {
            Ok(Ok(answer)) => answer,
            Ok(Err(Interruption::Call(error))) if is_timeout(&error) => return Err(Unwell::Silent(url, patience)),
            Ok(Err(interruption)) => return Err(Unwell::Unanswered(url, interruption)),
            Err(_) => return Err(Unwell::Silent(url, patience)),
        };
        if (200..300).contains(&status) {
            Ok(format!("{url} answers {status}"))
        } else {
            Err(Unwell::Refused(url, status, body))
        }
    }

    /// Without the query, in which a token could be.
    fn url(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", if self.is_tls { "https" } else { "http" }, self.authority)
    }

    /// Status and body of the answer.
    fn exchange(&self, patience: Duration) -> Result<(u16, String), Interruption> {
        let mut socket = self.connect(patience)?;
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        if self.is_proxied {
            socket.write_all(&PROXY_LOCAL)?;
        }
        let mut received = Vec::new();
        if self.is_tls {
            // It is asked how it is, and told nothing that is not in its own settings: a certificate that has just been
            // exchanged, or is for another name, does not make it ill.
            let session = Trust::in_anyone()?.session(&self.authority)?;
            self.converse(StreamOwned::new(session, socket), &mut received)?;
        } else {
            self.converse(socket, &mut received)?;
        }
        parse(&received).ok_or(Interruption::NotHttp)
    }

    fn connect(&self, patience: Duration) -> Result<TcpStream, Interruption> {
        let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = error,
            }
        }
        Err(failed.into())
    }

    fn converse(&self, mut stream: impl Read + Write, received: &mut Vec<u8>) -> io::Result<()> {
        let mut request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.path, self.authority);
        if let Some(token) = &self.token {
            request.push_str(&format!("Authorization: Bearer {}\r\n", token.reveal()));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        match stream.take(ANSWER_LEN_MAX).read_to_end(received) {
            // A connection may end in any way behind an answer.
            Err(error) if received.is_empty() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Status and body, if there is a whole head.
fn parse(received: &[u8]) -> Option<(u16, String)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head_len) = response.parse(received).ok()? else { return None };
    Some((response.code?, String::from_utf8_lossy(&received[head_len..]).trim().to_owned()))
}

/// How a socket says that its timeout is over.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// Why nobody can say that the relay is well.
#[derive(Debug)]
pub enum Unwell {
    /// What was given is no URL.
    Url,
    /// The system chose the port.
    PortUnknown,
    /// The relay takes proxies alone, and this address is none of them.
    NoProxy(IpAddr),
    /// Nothing came in time.
    Silent(String, Duration),
    /// Something came in between.
    Unanswered(String, Interruption),
    /// Status and body of an answer that is no success.
    Refused(String, u16, String),
}

impl fmt::Display for Unwell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unwell::Url => write!(f, "--url is to be http://HOST:PORT/PATH or https://HOST:PORT/PATH"),
            Unwell::PortUnknown => {
                write!(f, "the port is 0, so the system has chosen it: say where the relay is with --url")
            }
            Unwell::NoProxy(host) => {
                write!(f, "with proxy-protocol only trusted-proxies are let in, and {host} is none of them: add it")
            }
            Unwell::Silent(url, patience) => write!(f, "{url} has not answered within {patience:?}"),
            Unwell::Unanswered(url, interruption) => write!(f, "{url} does not answer: {interruption}"),
            Unwell::Refused(url, 401, _) => {
                write!(f, "{url} wants a token: set auth-token, or leave it out of auth-resources")
            }
            Unwell::Refused(url, status, body) => write!(f, "{url} answers {status} {body}"),
        }
    }
}

impl error::Error for Unwell {}

/// What came between the question and an answer.
#[derive(Debug)]
pub enum Interruption {
    Call(io::Error),
    Tls(Failure),
    NotHttp,
}

impl From<io::Error> for Interruption {
    fn from(error: io::Error) -> Interruption {
        Interruption::Call(error)
    }
}

impl From<Failure> for Interruption {
    fn from(failure: Failure) -> Interruption {
        Interruption::Tls(failure)
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interruption::Call(error) => error.fmt(f),
            Interruption::Tls(failure) => failure.fmt(f),
            Interruption::NotHttp => write!(f, "what it says is not HTTP"),
        }
    }
}

/// Longer answers are none to this question.
const ANSWER_LEN_MAX: u64 = 64 << 10;

/// A header of the PROXY protocol, version 2, from a proxy that asks for itself: signature, version and command, no
/// addresses, no more bytes.
const PROXY_LOCAL: [u8; 16] = *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_on_all_addresses_is_asked_at_the_loopback() {
        let of = |host: &str| {
            let config = ServeConfig { host: host.parse().unwrap(), port: 81, ..ServeConfig::default() };
            Inquiry::of_settings(&config, Probe::Live).unwrap().url()
        };
        assert_eq!(of("0.0.0.0"), "http://127.0.0.1:81/healthz");
        assert_eq!(of("::"), "http://[::1]:81/healthz");
        assert_eq!(of("192.0.2.1"), "http://192.0.2.1:81/healthz");
    }

    #[test]
    fn a_url_may_leave_out_port_and_path() {
        let of = |url: &str| Inquiry::of_url(url).map(|inquiry| inquiry.url());
        assert_eq!(of("https://relay.example.org").unwrap(), "https://relay.example.org:443/readyz");
        assert_eq!(of("http://[::1]/").unwrap(), "http://[::1]:80/readyz");
        assert_eq!(of("http://h:8080/healthz?auth=secret").unwrap(), "http://h:8080/healthz");
        for wrong in ["", "h:8080", "ws://h:8080/", "http://h/a b", "http://h/\r\nX: y"] {
            assert!(matches!(of(wrong), Err(Unwell::Url)), "{wrong}");
        }
    }

    #[test]
    fn what_is_unknown_or_kept_out_is_said_before_anything_is_asked() {
        let unknown = ServeConfig { port: 0, ..ServeConfig::default() };
        assert!(matches!(Inquiry::of_settings(&unknown, Probe::Ready), Err(Unwell::PortUnknown)));
        let mut proxied = ServeConfig { port: 81, proxy_protocol: true, ..ServeConfig::default() };
        proxied.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        assert!(matches!(Inquiry::of_settings(&proxied, Probe::Ready), Err(Unwell::NoProxy(_))));
        proxied.trusted_proxies.push("127.0.0.0/8".parse().unwrap());
        assert!(Inquiry::of_settings(&proxied, Probe::Ready).unwrap().is_proxied);
    }

    #[test]
    fn an_answer_is_read_with_its_body_or_not_at_all() {
        assert_eq!(parse(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{} "), Some((503, "{}".to_owned())));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), None);
    }
}
