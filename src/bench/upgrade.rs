//! The opening handshake of RFC 6455, section 4.1, from the client's side.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::target::RoomTarget;

/// The same for every connection: what it protects from, caches that replay an answer, does not stand in between.
const KEY: &str = "cmluZ3JlbGF5IGJlbmNoIQ==";

/// Longer heads are refused.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The request of one connection.
pub fn request(target: &RoomTarget) -> Vec<u8> {
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n",
        target.path, target.authority
    )
    .into_bytes()
}

/// How long the head of the answer is; `None`: it is not complete. An answer that is no correct 101 is an error that
/// says what came instead.
pub fn answer(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut fields);
    let head_bytes = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) if bytes.len() > HEAD_BYTES_MAX => return Err("an endless HTTP head".into()),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("not HTTP: {error}")),
    };
    let field = |name: &str| {
        let found = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| String::from_utf8_lossy(field.value).into_owned())
    };
    let status = response.code.unwrap_or_default();
    if status != 101 {
        let body = String::from_utf8_lossy(&bytes[head_bytes..]);
        let body: String = body.trim().chars().take(200).collect();
        return Err(format!("status {status} {} {body}", response.reason.unwrap_or_default()));
    }
    if field("sec-websocket-accept") != Some(accept()) {
        return Err("a wrong or no Sec-WebSocket-Accept".into());
    }
    if let Some(extensions) = field("sec-websocket-extensions") {
        return Err(format!("extensions that were not asked for: {extensions}"));
    }
    Ok(Some(head_bytes))
}

fn accept() -> String {
    STANDARD.encode(Sha1::new().chain_update(KEY).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &str) -> Vec<u8> {
        format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{fields}\r\n").into()
    }

    #[test]
    fn a_correct_answer_ends_where_the_frames_begin() {
        let mut bytes = head(&format!("sec-websocket-accept: {}\r\n", accept()));
        let head_bytes = bytes.len();
        assert_eq!(answer(&bytes[..head_bytes - 1]), Ok(None));
        bytes.extend_from_slice(&[0x82, 0]);
        assert_eq!(answer(&bytes), Ok(Some(head_bytes)));
    }

    #[test]
    fn a_refusal_shows_status_and_body() {
        let refusal = answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nfull").unwrap_err();
        assert!(refusal.contains("403") && refusal.contains("full"), "{refusal}");
    }

    #[test]
    fn a_wrong_accept_or_an_extension_is_refused() {
        assert!(answer(&head("Sec-WebSocket-Accept: no\r\n")).is_err());
        let extension =
            format!("Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", accept());
        assert!(answer(&head(&extension)).is_err());
    }

    #[test]
    fn the_key_has_sixteen_bytes() {
        assert_eq!(STANDARD.decode(KEY).unwrap().len(), 16);
    }
}
