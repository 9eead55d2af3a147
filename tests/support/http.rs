//! An HTTP/1.1 client that sends exactly what it is given and reads answers strictly.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use ringrelay::http::ChunkedDecoder;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// One TCP connection.
pub struct HttpClient {
    stream: TcpStream,
    /// Read, but not yet part of an answer.
    received: Vec<u8>,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// In the order sent, with names as sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpClient {
    pub fn connect(address: SocketAddr) -> HttpClient {
        HttpClient::over(TcpStream::connect(address).expect("the relay accepts connections"))
    }

    /// Connects from an address of this host's own, such as 127.0.0.2.
    pub fn connect_from(source: [u8; 4], address: SocketAddr) -> HttpClient {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((source, 0)).into()).expect("all of 127.0.0.0/8 is this host's");
        socket.connect(&address.into()).expect("the relay accepts connections");
        HttpClient::over(socket.into())
    }

    fn over(stream: TcpStream) -> HttpClient {
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a TCP socket");
        HttpClient { stream, received: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the relay reads");
    }

    /// For what the relay may refuse before it has read all of it.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// A well-formed request and its answer.
    pub fn request(&mut self, method: &str, target: &str, body: Option<&Value>) -> Response {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        match body.map(Value::to_string) {
            None => self.send(format!("{head}\r\n")),
            Some(body) => self
                .send(format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())),
        }
        if method == "HEAD" { self.response_to_head() } else { self.response() }
    }

    /// The next answer.
    ///
    /// # Panics
    /// If none comes, or if its end cannot be told.
    pub fn response(&mut self) -> Response {
        self.response_or_end().expect("the connection ended where an answer was due")
    }

    /// The next answer; `None` = the connection ended instead.
    pub fn response_or_end(&mut self) -> Option<Response> {
        let mut response = self.head_or_end()?;
        if matches!(response.status, 100..=199 | 204 | 304) {
            return Some(response);
        }
        if response.header("transfer-encoding").is_some() {
            response.body = self.chunks(&response);
            return Some(response);
        }
        let len = response.header("content-length").expect("an answer says how long it is");
        let len: usize = len.parse().expect("content-length is a number");
        while self.received.len() < len {
            assert!(self.read_more(), "the connection ended inside a body: {response:?}");
        }
        response.body = self.received.drain(..len).collect();
        Some(response)
    }

    /// The content of an answer that comes in chunks.
    fn chunks(&mut self, response: &Response) -> Vec<u8> {
        assert_eq!(response.header("transfer-encoding"), Some("chunked"), "{response:?}");
        assert_eq!(response.header("content-length"), None, "{response:?}");
        let (mut decoder, mut body) = (ChunkedDecoder::new(usize::MAX, usize::MAX), Vec::new());
        loop {
            let progress = decoder.decode(&self.received, &mut body).expect("chunks by the grammar");
            self.received.drain(..progress.taken);
            if progress.done {
                return body;
            }
            assert!(self.read_more(), "the connection ended inside a body: {response:?}");
        }
    }

    /// The next answer, as one to HEAD: it has no body, whatever its head says.
    pub fn response_to_head(&mut self) -> Response {
        self.head_or_end().expect("the connection ended where an answer was due")
    }

    fn head_or_end(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_more() {
                assert!(self.received.is_empty(), "half an answer: {:?}", String::from_utf8_lossy(&self.received));
                return None;
            }
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        parsed.parse(&head).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&head)));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("header values are ASCII");
        Some(Response {
            status: parsed.code.expect("parsed whole"),
            headers: parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect(),
            body: Vec::new(),
        })
    }

    /// Waits for the end of the connection. What has been read and not answered for must be nothing.
    ///
    /// # Panics
    /// If anything else comes, or if the connection stays open.
    pub fn assert_closed(&mut self) {
        let open = self.received.is_empty() && self.read_more();
        let received = String::from_utf8_lossy(&self.received);
        assert!(!open && received.is_empty(), "the connection should have ended, but there came: {received:?}");
    }

    /// `false` at the connection's end. A reset is an end too: it is what a client sees that had not finished sending.
    fn read_more(&mut self) -> bool {
        super::read_more(&mut self.stream, &mut self.received)
    }

    /// The socket and what was read from it already.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.received)
    }
}

impl Response {
    /// The value of a header that stands at most once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice in {self:?}");
        value
    }

    pub fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type").map(|kind| kind.starts_with("application/json")),
            Some(true),
            "{self:?}"
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Checks that this is the refusal `status` in the form of the contract: a code and a sentence in JSON.
    pub fn assert_refusal(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        for field in ["code", "message"] {
            let text = body["error"][field].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "error.{field} is missing in {body}");
        }
    }
}
