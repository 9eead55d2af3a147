//! A relay with a certificate, and clients that trust it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::Value;
use tungstenite::{Message, WebSocket};

use crate::support::PATIENCE;
use crate::support::relay::{Channel, Relay};

pub const BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;
pub type Socket = WebSocket<TlsStream>;

pub struct Rig {
    pub relay: Relay,
    pub files: Files,
}

/// A certificate and its key, where the relay reads them.
pub struct Files {
    directory: PathBuf,
    current: CertifiedKey<KeyPair>,
}

impl Files {
    pub fn new() -> Files {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ringrelay-wss-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a temporary directory");
        let mut files = Files { directory, current: certificate() };
        files.exchange();
        files
    }

    /// Puts a new certificate in the place of the old one.
    pub fn exchange(&mut self) {
        self.current = certificate();
        std::fs::write(self.cert_path(), self.current.cert.pem()).expect("a file");
        std::fs::write(self.key_path(), self.current.signing_key.serialize_pem()).expect("a file");
    }

    pub fn cert_path(&self) -> PathBuf {
        self.directory.join("cert.pem")
    }

    pub fn key_path(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.current.cert.der().clone()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate")
}

/// A client that trusts one certificate alone.
pub fn client_config(certificate: CertificateDer<'static>, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("the provider has suites")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A request to upgrade to the WebSocket of a channel.
pub fn upgrade(channel: &Channel) -> String {
    format!(
        "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        channel.target()
    )
}

impl Rig {
    pub fn start() -> Rig {
        Rig::start_with(&[])
    }

    pub fn start_with(flags: &[&str]) -> Rig {
        let files = Files::new();
        let relay = start(&files, flags);
        Rig { relay, files }
    }

    pub fn config(&self, version: &'static SupportedProtocolVersion) -> ClientConfig {
        client_config(self.files.certificate(), version)
    }

    /// The TCP connection alone.
    pub fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.relay.address()).expect("the relay accepts connections");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a TCP socket");
        stream
    }

    /// A connection that shakes hands with the first byte that is read or written.
    pub fn tls(&self, config: ClientConfig) -> TlsStream {
        let name = ServerName::try_from("localhost").expect("a name");
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a configuration"), self.tcp())
    }

    /// One request on a connection of its own: its status and body.
    pub fn request(&self, config: ClientConfig, method: &str, target: &str, body: &str) -> (u16, String) {
        let mut stream = self.tls(config);
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        let framing = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{framing}{body}").as_bytes()).expect("the relay reads");
        let mut answer = String::new();
        // rustls takes an end without close_notify for an error.
        stream.read_to_string(&mut answer).expect("an answer, and an end that is sealed");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    pub fn create(&self, spec: &Value) -> Channel {
        let (status, body) = self.request(self.config(&TLS13), "POST", "/channels", &spec.to_string());
        assert_eq!(status, 201, "{body}");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        Channel { id: text(&body["data"]["id"]), token: text(&body["token"]) }
    }

    pub fn channel(&self, pattern: &str) -> Channel {
        self.create(&serde_json::json!({ "pattern": pattern }))
    }

    pub fn websocket(&self, channel: &Channel, version: &'static SupportedProtocolVersion) -> Socket {
        websocket_over(self.tls(self.config(version)), channel)
    }

    /// Waits until the relay counts `wanted` clients on a channel.
    pub fn await_clients(&self, channel: &Channel, wanted: u64) {
        crate::support::eventually(&format!("{wanted} clients"), || {
            let (_, body) = self.request(self.config(&TLS13), "GET", &format!("/channels/{}", channel.id), "");
            let body: Value = serde_json::from_str(&body).expect("JSON");
            (body["data"]["clients"].as_u64() == Some(wanted)).then_some(())
        });
    }
}

pub fn start(files: &Files, flags: &[&str]) -> Relay {
    let (cert_path, key_path) = (files.cert_path(), files.key_path());
    let paths = [cert_path.to_str().expect("UTF-8"), key_path.to_str().expect("UTF-8")];
    let mut all = vec!["--ssl", "--ssl-cert-path", paths[0], "--ssl-key-path", paths[1]];
    all.extend_from_slice(flags);
    Relay::start_with(&all)
}

pub fn websocket_over(stream: TlsStream, channel: &Channel) -> Socket {
    let url = format!("wss://localhost{}", channel.target());
    let (socket, _) = tungstenite::client(url, stream).expect("the relay upgrades");
    socket
}

/// The next data message.
pub fn message(socket: &mut Socket) -> Message {
    loop {
        match socket.read().expect("a message was due") {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

/// All that comes until the connection ends, in whatever way.
pub fn read_to_end(mut stream: impl Read) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(len) => all.extend_from_slice(&buffer[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the connection stays open")
            }
            Err(_) => return all,
        }
    }
}
