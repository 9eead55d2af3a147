//! The opening handshake of WebSocket, the server's half (RFC 6455, section 4.2).

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest, Sha1};

use super::{Fields, Framing, Head, Method, Status, Version};

/// The version of RFC 6455, for `Sec-WebSocket-Version`.
pub const VERSION: &str = "13";

/// Why a request opens no WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpgradeError {
    /// It does not ask for one: no GET, not HTTP/1.1, or without the headers that would.
    NotAsked,
    /// It speaks another version of the protocol.
    Version,
    /// `Sec-WebSocket-Key` is missing, repeated, or not the base64 form of 16 bytes.
    Key,
    /// It has a body, which could be taken for frames.
    Body,
    /// `Sec-WebSocket-Extensions` breaks its grammar (RFC 6455, section 9.1).
    Extensions,
}

impl UpgradeError {
    pub fn status(self) -> Status {
        match self {
            UpgradeError::NotAsked | UpgradeError::Version => Status::UPGRADE_REQUIRED,
            UpgradeError::Key | UpgradeError::Body | UpgradeError::Extensions => Status::BAD_REQUEST,
        }
    }

    /// What to change, in one sentence.
    pub fn message(self) -> &'static str {
        match self {
            UpgradeError::NotAsked => {
                "this is a WebSocket endpoint: send GET over HTTP/1.1 with Upgrade: websocket and Connection: Upgrade"
            }
            UpgradeError::Version => "the WebSocket version must be 13",
            UpgradeError::Key => "Sec-WebSocket-Key must be one header with the base64 form of 16 bytes",
            UpgradeError::Extensions => {
                "Sec-WebSocket-Extensions must be a list of extensions, each with parameters behind semicolons"
            }
            UpgradeError::Body => "a request that opens a WebSocket must not have a body",
        }
    }
}

/// What proves to the client that this server understood it: the value of `Sec-WebSocket-Accept`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accept([u8; 28]);

impl Accept {
    /// The whole answer that opens the WebSocket, with the value of `Sec-WebSocket-Extensions`, if any were agreed on.
    pub fn response(&self, extensions: Option<&str>) -> Vec<u8> {
        let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        let mut response = [head.as_slice(), b"Sec-WebSocket-Accept: ", &self.0, b"\r\n"].concat();
        if let Some(extensions) = extensions {
            response.extend([b"Sec-WebSocket-Extensions: ", extensions.as_bytes(), b"\r\n"].concat());
        }
        response.extend(b"\r\n");
        response
    }
}

/// Checks the handshake in a request.
///
/// # Errors
/// The request does not open a WebSocket.
pub fn check(head: &Head, fields: Fields<'_>) -> Result<Accept, UpgradeError> {
    let asked = head.method == Method::Get
        && head.version == Version::Http11
        && fields.has_token("upgrade", "websocket")
        && fields.has_token("connection", "upgrade");
    if !asked {
        return Err(UpgradeError::NotAsked);
    }
    if fields.only("sec-websocket-version") != Some(VERSION.as_bytes()) {
        return Err(UpgradeError::Version);
    }
    match head.framing {
        Framing::None | Framing::Length(0) => {}
        Framing::Length(_) | Framing::Chunked => return Err(UpgradeError::Body),
    }
    let key = fields.only("sec-websocket-key").ok_or(UpgradeError::Key)?;
    let mut nonce = [0; 18];
    if KEY_BASE64.decode_slice(key, &mut nonce) != Ok(16) {
        return Err(UpgradeError::Key);
    }
    Ok(accept(key))
}

fn accept(key: &[u8]) -> Accept {
    let digest = Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let mut value = [0; 28];
    let len = STANDARD.encode_slice(digest, &mut value);
    debug_assert_eq!(len, Ok(28), "20 bytes are 28 in base64");
    Accept(value)
}

/// Some clients leave the four unused bits of the last character set; RFC 6455 asks for no canonical form.
const KEY_BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

#[cfg(test)]
mod tests {
    use super::super::{HeadLimits, HeadReader};
    use super::*;

    fn checked(lines: &str) -> Result<Accept, UpgradeError> {
        let request = format!("{lines}\r\nHost: x\r\n\r\n");
        let head = HeadReader::default()
            .read(request.as_bytes(), HeadLimits { len_max: 4096, target_len_max: 4096 })
            .unwrap()
            .unwrap();
        check(&head, head.fields(request.as_bytes()))
    }

    const REQUEST: &str = "GET /channels/x/connect HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_example_of_rfc_6455_is_accepted() {
        let response = String::from_utf8(checked(REQUEST).unwrap().response(None)).unwrap();
        assert!(response.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
        assert!(response.ends_with("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
    }

    #[test]
    fn headers_are_lists_in_any_case() {
        let request = REQUEST
            .replace("Upgrade: websocket", "upgrade: h2c, WebSocket")
            .replace("Connection: Upgrade", "CONNECTION: keep-alive\r\nConnection: x,, upgrade");
        assert!(checked(&request).is_ok());
        assert!(checked(&REQUEST.replace("ZQ==", "ZR==")).is_ok());
        assert!(checked(&format!("{REQUEST}\r\nContent-Length: 0")).is_ok());
    }

    #[test]
    fn each_broken_handshake_is_refused_for_its_reason() {
        for (from, to, error) in [
            ("GET", "HEAD", UpgradeError::NotAsked),
            ("HTTP/1.1", "HTTP/1.0", UpgradeError::NotAsked),
            ("Upgrade: websocket\r\n", "", UpgradeError::NotAsked),
            ("Upgrade: websocket", "Upgrade: web socket", UpgradeError::NotAsked),
            ("Connection: Upgrade", "Connection: keep-alive", UpgradeError::NotAsked),
            ("Version: 13", "Version: 8", UpgradeError::Version),
            ("Version: 13", "Version: 13, 8", UpgradeError::Version),
            ("Sec-WebSocket-Version: 13\r\n", "", UpgradeError::Version),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X: y", UpgradeError::Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", UpgradeError::Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", UpgradeError::Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQaa", UpgradeError::Key),
            ("dGhlIHNhbXBsZSBub25jZQ==", "", UpgradeError::Key),
            ("ZQ==", "ZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", UpgradeError::Key),
            ("ZQ==", "ZQ==\r\nContent-Length: 1", UpgradeError::Body),
            ("ZQ==", "ZQ==\r\nTransfer-Encoding: chunked", UpgradeError::Body),
        ] {
            assert_eq!(checked(&REQUEST.replacen(from, to, 1)), Err(error), "{from} -> {to}");
        }
    }
}
