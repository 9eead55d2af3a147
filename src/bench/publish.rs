//! The sending side: messages are written from a frame made beforehand, of which three words change.

use std::io;

use rustix::io::Errno;

use super::frame::{self, MASK};
use super::nats::{self, Publications};
use super::options::{Dialect, Plan};
use super::payload::{Encoding, Filler, STAMP_BYTES, Stamp};
use super::request;
use super::transport::Transport;

/// The messages of all publishers, in the server's dialect.
pub enum Messages {
    Frames(Template),
    Publications { messages: Publications, message_bytes: usize },
}

impl Messages {
    /// `publishers`: the room of each.
    pub fn new(plan: &Plan, run: u64, publishers: impl Iterator<Item = u32>, filler: &Filler) -> Messages {
        let (payload, stamp_at) = payload(plan, filler);
        if plan.dialect == Dialect::Websocket {
            return Messages::Frames(Template::new(plan.text, plan.encoding(), &payload, stamp_at));
        }
        let subjects = (0..).zip(publishers).map(|(publisher, room)| {
            (nats::subject(run, room), plan.pattern.has_replies().then(|| nats::inbox(run, publisher)))
        });
        let messages = Publications::new(subjects, &payload, stamp_at, plan.encoding());
        Messages::Publications { messages, message_bytes: payload.len() }
    }

    /// About what a message takes on the wire.
    pub fn message_bytes(&self) -> usize {
        match self {
            Messages::Frames(template) => template.frame_bytes(),
            Messages::Publications { message_bytes, .. } => *message_bytes,
        }
    }

    /// Appends these messages of a publisher.
    pub fn put(&self, out: &mut Vec<u8>, publisher: usize, stamps: impl ExactSizeIterator<Item = Stamp>) {
        match self {
            Messages::Frames(template) => stamps.for_each(|stamp| template.put(out, &stamp)),
            Messages::Publications { messages, .. } => messages.put(out, publisher, stamps),
        }
    }
}

/// A payload without its stamp, and where that belongs.
fn payload(plan: &Plan, filler: &Filler) -> (Vec<u8>, usize) {
    let body = [&[0; STAMP_BYTES], filler.bytes()].concat();
    if plan.pattern.has_replies() { (request::request(&body), request::STAMP_AT) } else { (body, 0) }
}

/// A masked client frame, ready but for its stamp.
pub struct Template {
    frame: Vec<u8>,
    stamp_at: usize,
    /// The mask, from where in its four bytes the stamp begins.
    mask: [u8; 4],
    encoding: Encoding,
}

impl Template {
    pub fn new(text: bool, encoding: Encoding, payload: &[u8], stamp_at: usize) -> Template {
        let mut frame = Vec::new();
        frame::put_client_frame(&mut frame, if text { frame::TEXT } else { frame::BINARY }, payload);
        let stamp_at_in_frame = frame.len() - payload.len() + stamp_at;
        let mut mask = MASK;
        mask.rotate_left(stamp_at % MASK.len());
        Template { frame, stamp_at: stamp_at_in_frame, mask, encoding }
    }

    pub fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    /// Appends one message.
    pub fn put(&self, out: &mut Vec<u8>, stamp: &Stamp) {
        let at = out.len() + self.stamp_at;
        out.extend_from_slice(&self.frame);
        let bytes = self.encoding.encode(stamp);
        for (out, (byte, mask)) in out[at..at + STAMP_BYTES].iter_mut().zip(bytes.iter().zip(self.mask.iter().cycle()))
        {
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
    /// With TLS: what stands behind this is still to be sealed. `written <= sealed <= bytes.len()`
    sealed: usize,
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
    pub fn flush(&mut self, transport: &mut Transport) -> io::Result<()> {
        transport.seal(&mut self.bytes, self.sealed)?;
        self.sealed = self.bytes.len();
        while self.written < self.bytes.len() {
            match transport.send(&self.bytes[self.written..]) {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.bytes.clear();
        self.written = 0;
        self.sealed = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Header;
    use super::*;

    #[test]
    fn a_message_is_a_masked_frame_with_stamp_and_filler() {
        for (encoding, payload_bytes, stamp_at) in [
            (Encoding::Binary, 64, 0),
            (Encoding::Text, 64, 0),
            (Encoding::Binary, 24, 0),
            (Encoding::Text, 1024, 0),
            (Encoding::Binary, 70_000, 0),
            (Encoding::Json, 64, 26),
            (Encoding::Json, 70_000, 3),
        ] {
            let text = encoding != Encoding::Binary;
            let filler = Filler::new(payload_bytes - stamp_at);
            let payload = [&[b'.'; 26][..stamp_at], &[0; STAMP_BYTES], filler.bytes()].concat();
            let template = Template::new(text, encoding, &payload, stamp_at);
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
            assert_eq!(payload[..stamp_at], [b'.'; 26][..stamp_at]);
            let (stamp_bytes, rest) = payload[stamp_at..].split_first_chunk().unwrap();
            assert_eq!(encoding.decode(stamp_bytes), Some(stamp));
            assert!(filler.matches(rest, 0));
        }
    }
}
