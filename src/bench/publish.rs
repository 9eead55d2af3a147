//! The sending side: messages are written from a frame made beforehand, of which three words change.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::frame::{self, MASK};
use super::payload::{Filler, STAMP_BYTES, Stamp};

/// A masked client frame, ready but for its stamp.
pub struct Template {
    frame: Vec<u8>,
    payload_at: usize,
    text: bool,
}

impl Template {
    pub fn new(text: bool, filler: &Filler) -> Template {
        let payload_bytes = STAMP_BYTES + filler.bytes().len();
        let mut frame = Vec::new();
        frame::put_header(&mut frame, if text { frame::TEXT } else { frame::BINARY }, payload_bytes, true);
        let payload_at = frame.len();
        frame.extend_from_slice(&[0; STAMP_BYTES]);
        frame.extend_from_slice(filler.bytes());
        for (byte, mask) in frame[payload_at..].iter_mut().zip(MASK.iter().cycle()) {
            *byte ^= mask;
        }
        Template { frame, payload_at, text }
    }

    pub fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    /// Appends one message.
    pub fn put(&self, out: &mut Vec<u8>, stamp: &Stamp) {
        let at = out.len() + self.payload_at;
        out.extend_from_slice(&self.frame);
        let bytes = if self.text { stamp.encode::<true>() } else { stamp.encode::<false>() };
        for (out, (byte, mask)) in out[at..at + STAMP_BYTES].iter_mut().zip(bytes.iter().zip(MASK.iter().cycle())) {
            *out = byte ^ mask;
        }
    }
}

/// What a connection has yet to write.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// `written <= bytes.len()`; equal only when both are 0.
    written: usize,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn pending_bytes(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Where messages are appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes what the socket takes. What it does not take waits for the socket to become writable.
    pub fn flush(&mut self, socket: &OwnedFd) -> Result<(), Errno> {
        while self.written < self.bytes.len() {
            match send(socket, &self.bytes[self.written..], SendFlags::NOSIGNAL) {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Header;
    use super::*;

    #[test]
    fn a_message_is_a_masked_frame_with_stamp_and_filler() {
        for (text, payload_bytes) in [(false, 64), (true, 64), (false, 24), (true, 1024), (false, 70_000)] {
            let filler = Filler::new(payload_bytes);
            let template = Template::new(text, &filler);
            let stamp = Stamp { origin: 7 << 24 | 3, sequence: 99, sent_ns: 123_456_789 };
            let mut out = b"before".to_vec();
            template.put(&mut out, &stamp);
            let frame = &out[6..];
            assert_eq!(frame.len(), template.frame_bytes());
            let header = Header::parse(frame).unwrap();
            assert!(header.masked && header.fin);
            assert_eq!(header.payload_bytes, payload_bytes as u64);
            assert_eq!(header.opcode, if text { frame::TEXT } else { frame::BINARY });
            let payload: Vec<u8> =
                frame[header.header_bytes..].iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            let (stamp_bytes, rest) = payload.split_first_chunk().unwrap();
            let decoded = if text { Stamp::decode::<true>(stamp_bytes) } else { Stamp::decode::<false>(stamp_bytes) };
            assert_eq!(decoded, Some(stamp));
            assert!(filler.matches(rest, 0));
        }
    }
}
