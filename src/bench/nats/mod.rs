//! The client protocol of NATS in binary WebSocket frames (docs.nats.io, "Client Protocol"): `push-pull` as a queue group
//! on one subject, `fan-in-out` as request and reply with an inbox of each requester.
//!
//! Protocol and frames have nothing to do with each other: a frame may hold several messages, or a part of one.
//! [`join`] makes connections ready, [`stream`] reads what comes, and here is what is sent.

pub mod join;
pub mod stream;

use std::ops::Range;

use super::frame;
use super::payload::{Encoding, STAMP_BYTES, Stamp};

/// The messages of all publishers, ready but for their stamps.
pub struct Publications {
    /// Of each publisher: one message with its subject and inbox.
    lines: Vec<Line>,
    encoding: Encoding,
}

struct Line {
    bytes: Vec<u8>,
    stamp: Range<usize>,
}

impl Publications {
    /// `subjects`: of each publisher its room's subject, and its inbox if it waits for replies. The stamp of a payload
    /// stands at `stamp_at`.
    pub fn new(
        subjects: impl Iterator<Item = (String, Option<String>)>,
        payload: &[u8],
        stamp_at: usize,
        encoding: Encoding,
    ) -> Publications {
        let lines = subjects.map(|(subject, inbox)| {
            let mut bytes = Vec::new();
            put_publication(&mut bytes, subject.as_bytes(), inbox.as_deref().map(str::as_bytes), payload);
            let at = bytes.len() - "\r\n".len() - payload.len() + stamp_at;
            Line { bytes, stamp: at..at + STAMP_BYTES }
        });
        Publications { lines: lines.collect(), encoding }
    }

    /// Appends these messages of a publisher in one frame, as a client does that writes what it has at once.
    pub fn put(&self, out: &mut Vec<u8>, publisher: usize, stamps: impl ExactSizeIterator<Item = Stamp>) {
        let line = &self.lines[publisher];
        frame::put_header(out, frame::BINARY, stamps.len() * line.bytes.len(), true);
        let payload_at = out.len();
        for stamp in stamps {
            let at = out.len();
            out.extend_from_slice(&line.bytes);
            out[at..][line.stamp.clone()].copy_from_slice(&self.encoding.encode(&stamp));
        }
        frame::mask(&mut out[payload_at..]);
    }
}

/// Appends a message to this subject.
pub fn put_publication(out: &mut Vec<u8>, subject: &[u8], reply_to: Option<&[u8]>, payload: &[u8]) {
    out.extend_from_slice(b"PUB ");
    out.extend_from_slice(subject);
    if let Some(reply_to) = reply_to {
        out.push(b' ');
        out.extend_from_slice(reply_to);
    }
    out.push(b' ');
    out.extend_from_slice(payload.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// The subject of a room; the run is in it, so that two generators at one server do not meet.
pub fn subject(run: u64, room: u32) -> String {
    format!("bench.{run:06x}.{room}")
}

/// The subject on which a publisher waits for replies.
pub fn inbox(run: u64, publisher: u32) -> String {
    format!("inbox.{run:06x}.{publisher}")
}

#[cfg(test)]
mod end_to_end_tests;

#[cfg(test)]
mod tests {
    use super::super::frame::Header;
    use super::stream::{Operation, Stream};
    use super::*;

    #[test]
    fn messages_due_together_leave_in_one_masked_frame() {
        let subjects = [("a".to_owned(), None), ("bb".to_owned(), Some("in.1".to_owned()))];
        let payload = [b"..", [b'-'; STAMP_BYTES].as_slice(), b"!"].concat();
        let publications = Publications::new(subjects.into_iter(), &payload, 2, Encoding::Json);
        let stamp = |sequence| Stamp { origin: 9 << 24 | 1, sequence, sent_ns: 77 };
        let mut out = b"before".to_vec();
        publications.put(&mut out, 1, (5..8u32).map(|sequence| stamp(u64::from(sequence))));
        let header = Header::parse(&out[6..]).unwrap();
        assert!(header.masked && header.opcode == frame::BINARY);
        let mut bytes = out.split_off(6 + header.header_bytes);
        assert_eq!(bytes.len() as u64, header.payload_bytes);
        frame::mask(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let mut rest = text.as_str();
        for sequence in 5..8 {
            rest = rest.strip_prefix("PUB bb in.1 27\r\n..").unwrap();
            let (bytes, after) = rest.split_at(STAMP_BYTES);
            assert_eq!(Encoding::Json.decode(bytes.as_bytes().try_into().unwrap()), Some(stamp(sequence)));
            rest = after.strip_prefix("!\r\n").unwrap();
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn what_is_published_reads_back_as_a_message() {
        let mut out = Vec::new();
        put_publication(&mut out, b"s", Some(b"r"), b"payload");
        let message = String::from_utf8(out).unwrap().replacen("PUB s r", "MSG s 1 r", 1);
        let mut stream = Stream::of_protocol(message.as_bytes());
        let expected = Operation::Message { reply_to: Some(b"r"), payload: b"payload" };
        assert_eq!(stream.next_operation(), Ok(Some(expected)));
    }
}
