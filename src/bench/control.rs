//! What WebSocket demands of any frame of a server, and the control frames among them (RFC 6455, section 5.5).

use super::error::Failure;
use super::frame::{self, Header};

/// A server's frame is neither masked nor of an extension that was not asked for.
pub fn check(connection: usize, header: &Header) -> Result<(), Failure> {
    if header.masked {
        return Err(violation(connection, header, "the server masks its frames"));
    }
    if header.reserved_bits != 0 {
        return Err(violation(connection, header, "the server uses an extension that was not negotiated"));
    }
    Ok(())
}

/// Takes the control frame that `bytes` starts with; the answer to a ping goes to `replies`. Returns the frame's length,
/// or 0 if more bytes are needed. A close ends the run.
#[cold]
pub fn take(connection: usize, header: &Header, bytes: &[u8], replies: &mut Vec<u8>) -> Result<usize, Failure> {
    if header.payload_bytes > 125 || !header.fin {
        return Err(violation(connection, header, "a control frame that is too long or fragmented"));
    }
    let frame_bytes = header.header_bytes + header.payload_bytes as usize;
    let Some(payload) = bytes.get(header.header_bytes..frame_bytes) else { return Ok(0) };
    match header.opcode {
        frame::PING => frame::put_client_frame(replies, frame::PONG, payload),
        frame::PONG => {}
        frame::CLOSE => {
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
            return Err(Failure::Closed { connection, code, reason });
        }
        _ => return Err(violation(connection, header, "a control frame of an unknown kind")),
    }
    Ok(frame_bytes)
}

fn violation(connection: usize, header: &Header, what: &str) -> Failure {
    Failure::Protocol { connection, what: format!("{what} ({header:?})") }
}
