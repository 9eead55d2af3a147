//! One question to a relay: an HTTP request on a connection of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::Stream;

use super::options::TopConfig;
use super::snapshot::{Answer, Snapshot};
use crate::bench::error::Failure;
use crate::bench::target::{self, Server};
use crate::bench::trust::Trust;

/// Whom to ask, and how.
pub(super) struct Question {
    server: Server,
    /// `None` = it is asked without TLS.
    trust: Option<Trust>,
    request: String,
}

impl Question {
    /// # Errors
    /// A setting is wrong.
    pub(super) fn new(config: &TopConfig) -> Result<Question, Failure> {
        let (server, is_tls) = target::http(&config.server)?;
        let trust = match (is_tls, &config.ca) {
            (false, _) => None,
            (true, Some(path)) => Some(Trust::in_file(path)?),
            (true, None) if config.insecure => Some(Trust::in_anyone()?),
            (true, None) => {
                let allowed = "a file with certificates that are believed, or --insecure".to_owned();
                return Err(Failure::Setting { name: "--ca", allowed });
            }
        };
        let token = match &config.token {
            // Anything else could begin another field.
            Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                let allowed = "visible ASCII characters, no spaces".to_owned();
                return Err(Failure::Setting { name: "--token", allowed });
            }
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        let host = &server.authority;
        let request = format!("GET /admin/top HTTP/1.1\r\nHost: {host}\r\n{token}Connection: close\r\n\r\n");
        Ok(Question { server, trust, request })
    }

    /// Asks once.
    ///
    /// # Errors
    /// There is no answer, or a refusal; in words.
    pub(super) fn ask(&self) -> Result<Snapshot, String> {
        let answer = self.exchange().map_err(|error| format!("no answer from {}: {error}", self.server.authority))?;
        read(&answer)
    }

    fn exchange(&self) -> std::io::Result<Vec<u8>> {
        let mut socket = TcpStream::connect_timeout(&self.server.address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut answer = Vec::new();
        match &self.trust {
            None => {
                socket.write_all(self.request.as_bytes())?;
                socket.take(ANSWER_LEN_MAX).read_to_end(&mut answer)?;
            }
            Some(trust) => {
                let mut session = trust.session(&self.server.authority).map_err(std::io::Error::other)?;
                let mut stream = Stream::new(&mut session, &mut socket);
                stream.write_all(self.request.as_bytes())?;
                stream.take(ANSWER_LEN_MAX).read_to_end(&mut answer)?;
            }
        }
        Ok(answer)
    }
}

/// What an answer says.
fn read(answer: &[u8]) -> Result<Snapshot, String> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(len)) = head.parse(answer) else {
        return Err("the answer is no HTTP".to_owned());
    };
    let body = &answer[len..];
    match head.code {
        Some(200) => serde_json::from_slice::<Answer>(body)
            .map(|answer| answer.data)
            .map_err(|error| format!("the answer is that of another version: {error}")),
        code => {
            let refusal: Option<serde_json::Value> = serde_json::from_slice(body).ok();
            let message = refusal.as_ref().and_then(|refusal| refusal["error"]["message"].as_str());
            Err(format!("refused with {}: {}", code.unwrap_or(0), message.unwrap_or("no reason is given")))
        }
    }
}

/// How long a relay may take for each step.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than any relay has to say.
const ANSWER_LEN_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_a_refusal_told() {
        let body = r#"{"data":{"version":"1","shards":[],"channels":[],"clients":[],"refusals":[],"complete":true}}"#;
        assert!(read(format!("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{body}").as_bytes()).unwrap().complete);
        let refusal = "HTTP/1.1 403 Forbidden\r\n\r\n{\"error\":{\"code\":\"not_local\",\"message\":\"ask there\"}}";
        assert_eq!(read(refusal.as_bytes()).unwrap_err(), "refused with 403: ask there");
        assert_eq!(read(b"HTTP/1.1 404 Not Found\r\n\r\nx").unwrap_err(), "refused with 404: no reason is given");
        assert!(read(b"HTTP/1.1 200 OK\r\n\r\n{}").unwrap_err().contains("another version"));
        assert!(read(b"SSH-2.0\r\n\r\n").is_err());
    }
}
