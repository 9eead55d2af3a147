//! The channels of a ringrelay, created over REST before the run and deleted after it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::StreamOwned;
use serde_json::{Value, json};

use super::error::Failure;
use super::options::Plan;
use super::target::{RoomTarget, Server};
use super::trust::Trust;

/// Channels that exist until they are deleted.
pub struct Channels {
    client: RestClient,
    ids: Vec<String>,
    targets: Vec<RoomTarget>,
}

impl Channels {
    /// Creates one channel per room. If one is refused, those before it are deleted again.
    pub fn create(server: &Server, plan: &Plan) -> Result<Channels, Failure> {
        let client = RestClient::connect(server.clone(), plan.trust.clone())?;
        let mut channels = Channels { client, ids: Vec::new(), targets: Vec::new() };
        for room in 0..plan.rooms as usize {
            if let Err(failure) = channels.create_one(plan, room) {
                // The refusal is what to tell; what else fails here follows from it.
                let _ = channels.delete();
                return Err(failure);
            }
        }
        Ok(channels)
    }

    /// Where each room is.
    pub fn targets(&self) -> &[RoomTarget] {
        &self.targets
    }

    /// Deletes all of them.
    pub fn delete(mut self) -> Result<(), Failure> {
        // The connection may have been idle for longer than the relay keeps it.
        self.client = RestClient::connect(self.client.server, self.client.trust)?;
        for id in &self.ids {
            self.client.call("DELETE", &format!("/channels/{id}"), "")?;
        }
        Ok(())
    }

    fn create_one(&mut self, plan: &Plan, room: usize) -> Result<(), Failure> {
        let mut body = json!({"pattern": plan.pattern.name()});
        if let Some(id) = plan.channel_ids.get(room) {
            body["id"] = json!(id);
        }
        let answer = self.client.call("POST", "/channels", &body.to_string())?;
        let (Some(token), Some(id)) = (answer["token"].as_str(), answer["data"]["id"].as_str()) else {
            let answer = format!("token or data.id is missing in {answer}");
            return Err(Failure::Rest { request: "POST /channels".into(), answer });
        };
        self.ids.push(id.to_owned());
        let path = format!("/channels/{id}/connect?token={token}");
        self.targets.push(RoomTarget {
            address: self.client.server.address,
            authority: self.client.server.authority.clone(),
            path,
        });
        Ok(())
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers longer than this are not ours.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// One keep-alive connection, one request at a time.
struct RestClient {
    server: Server,
    trust: Option<Trust>,
    stream: Box<dyn Stream>,
}

/// Plain, or with TLS.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl RestClient {
    fn connect(server: Server, trust: Option<Trust>) -> Result<RestClient, Failure> {
        let address = server.address;
        let unreachable = |error| Failure::Unreachable { address, error };
        let stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(unreachable)?;
        stream.set_write_timeout(Some(TIMEOUT)).map_err(unreachable)?;
        let stream: Box<dyn Stream> = match &trust {
            None => Box::new(stream),
            Some(trust) => Box::new(StreamOwned::new(trust.session(&server.authority)?, stream)),
        };
        Ok(RestClient { server, trust, stream })
    }

    /// The JSON of a successful answer.
    fn call(&mut self, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
        let failed = |answer: String| Failure::Rest { request: format!("{method} {path}"), answer };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.server.authority,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).map_err(|error| failed(error.to_string()))?;
        let mut received = Vec::new();
        loop {
            if let Some((status, body)) = answer(&received).map_err(failed)? {
                if !(200..300).contains(&status) {
                    return Err(failed(format!("status {status} {}", String::from_utf8_lossy(body))));
                }
                return serde_json::from_slice(body).map_err(|error| failed(format!("not JSON: {error}")));
            }
            let mut buffer = [0; 8192];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(failed("the connection was closed".into())),
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(error) => return Err(failed(error.to_string())),
            }
        }
    }
}

/// Status and body of a complete answer.
fn answer(bytes: &[u8]) -> Result<Option<(u16, &[u8])>, String> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let head_bytes = match response.parse(bytes).map_err(|error| format!("not HTTP: {error}"))? {
        httparse::Status::Complete(head_bytes) => head_bytes,
        httparse::Status::Partial if bytes.len() > ANSWER_BYTES_MAX => return Err("an endless HTTP head".into()),
        httparse::Status::Partial => return Ok(None),
    };
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    let length = length.filter(|length| *length <= ANSWER_BYTES_MAX).ok_or("no usable Content-Length")?;
    Ok(bytes.get(head_bytes..head_bytes + length).map(|body| (response.code.unwrap_or_default(), body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        let bytes = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(answer(bytes), Ok(Some((201, &b"{}"[..]))));
        for cut in 0..bytes.len() {
            assert_eq!(answer(&bytes[..cut]), Ok(None));
        }
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(answer(b"HTTP/1.1 200 OK\r\n\r\n{}").is_err());
        assert!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n").is_err());
    }
}
