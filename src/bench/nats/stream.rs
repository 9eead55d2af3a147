//! What a NATS server sends: frames taken off, then one operation after the other.

use super::super::control;
use super::super::error::Failure;
use super::super::frame::Header;

/// What one connection receives.
#[derive(Debug, Default)]
pub struct Stream {
    /// What is still to come of the payload of the frame that is arriving.
    frame_left_bytes: u64,
    /// Protocol without frames.
    bytes: Vec<u8>,
    /// Of `bytes`, what has been read: `read <= bytes.len()`.
    read: usize,
}

/// What the server tells a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// A message that someone published.
    Message {
        reply_to: Option<&'a [u8]>,
        payload: &'a [u8],
    },
    /// To be answered with `PONG`.
    Ping,
    Pong,
    /// Nothing to act on: `INFO`, `+OK`.
    Notice,
}

impl Stream {
    /// A stream from which nothing has been read yet.
    #[cfg(test)]
    pub fn of_protocol(bytes: &[u8]) -> Stream {
        Stream { bytes: bytes.to_vec(), ..Stream::default() }
    }

    /// Takes what there is of frames; returns how much that was: all but a frame's head, or a control frame, whose end has
    /// not come. Answers to pings go to `replies`.
    pub fn unpack(&mut self, connection: usize, bytes: &[u8], replies: &mut Vec<u8>) -> Result<usize, Failure> {
        self.bytes.drain(..self.read);
        self.read = 0;
        let mut at = 0;
        loop {
            let taken = self.frame_left_bytes.min((bytes.len() - at) as u64) as usize;
            self.bytes.extend_from_slice(&bytes[at..at + taken]);
            self.frame_left_bytes -= taken as u64;
            at += taken;
            let Some(header) = Header::parse(&bytes[at..]) else { return Ok(at) };
            control::check(connection, &header)?;
            if header.opcode & 0x8 == 0 {
                self.frame_left_bytes = header.payload_bytes;
                at += header.header_bytes;
                continue;
            }
            match control::take(connection, &header, &bytes[at..], replies)? {
                0 => return Ok(at),
                frame_bytes => at += frame_bytes,
            }
        }
    }

    /// The next operation; `None`: its end has not come. An error is what the server complained of, or what it said that
    /// the protocol does not know.
    pub fn next_operation(&mut self) -> Result<Option<Operation<'_>>, String> {
        let rest = &self.bytes[self.read..];
        let Some(end) = rest.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
            return if rest.len() < LINE_BYTES_MAX { Ok(None) } else { Err("an endless line".into()) };
        };
        let line = rest[..end].trim_ascii_end();
        if let Some(fields) = line.strip_prefix(b"MSG ") {
            let unreadable = || format!("an unreadable line: {}", line.escape_ascii());
            let (reply_to, payload_bytes) = message_fields(fields).ok_or_else(unreadable)?;
            let Some(payload) = rest.get(end + 1..end + 1 + payload_bytes + LINE_END.len()) else { return Ok(None) };
            let payload = payload.strip_suffix(LINE_END).ok_or("a payload that does not end where it should")?;
            self.read += end + 1 + payload_bytes + LINE_END.len();
            return Ok(Some(Operation::Message { reply_to, payload }));
        }
        let operation = match line {
            b"PING" => Operation::Ping,
            b"PONG" => Operation::Pong,
            b"+OK" => Operation::Notice,
            _ if line.starts_with(b"INFO ") => Operation::Notice,
            _ => return Err(format!("the server says {}", line.escape_ascii())),
        };
        self.read += end + 1;
        Ok(Some(operation))
    }
}

const LINE_END: &[u8] = b"\r\n";

/// `INFO` is the longest line there is.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Of `subject sid [reply-to] #bytes`, what is of interest.
fn message_fields(fields: &[u8]) -> Option<(Option<&[u8]>, usize)> {
    let mut fields = fields.split(|byte| *byte == b' ');
    let (_subject, _subscription) = (fields.next()?, fields.next()?);
    let (third, fourth) = (fields.next()?, fields.next());
    let (reply_to, payload_bytes) = if let Some(fourth) = fourth { (Some(third), fourth) } else { (None, third) };
    let payload_bytes = std::str::from_utf8(payload_bytes).ok()?.parse().ok()?;
    fields.next().is_none().then_some((reply_to, payload_bytes))
}

#[cfg(test)]
mod tests {
    use super::super::super::frame;
    use super::*;

    /// What is in the stream, as text.
    fn read_all(stream: &mut Stream) -> Vec<String> {
        let mut read = Vec::new();
        while let Some(operation) = stream.next_operation().unwrap() {
            read.push(match operation {
                Operation::Message { reply_to, payload } => {
                    format!(
                        "{} -> {:?}",
                        payload.escape_ascii(),
                        reply_to.map(|subject| subject.escape_ascii().to_string())
                    )
                }
                other => format!("{other:?}"),
            });
        }
        read
    }

    #[test]
    fn operations_are_read_however_they_are_framed_and_cut() {
        let protocol = b"INFO {}\r\nPING\r\nMSG a.b 1 5\r\nx\r\nyz\r\n+OK\r\nMSG a 2 in.7 0\r\n\r\nPONG\r\n";
        let expected = ["Notice", "Ping", "x\\r\\nyz -> None", "Notice", " -> Some(\"in.7\")", "Pong"];
        for frame_payload_bytes in [1, 7, 30, protocol.len()] {
            let mut bytes = Vec::new();
            for part in protocol.chunks(frame_payload_bytes) {
                frame::put_header(&mut bytes, frame::BINARY, part.len(), false);
                bytes.extend_from_slice(part);
            }
            for read_bytes in [1, 10, bytes.len()] {
                let (mut stream, mut tail, mut read) = (Stream::default(), Vec::new(), Vec::new());
                for part in bytes.chunks(read_bytes) {
                    tail.extend_from_slice(part);
                    let taken = stream.unpack(0, &tail, &mut Vec::new()).unwrap();
                    tail.drain(..taken);
                    read.extend(read_all(&mut stream));
                }
                assert_eq!(read, expected, "frames of {frame_payload_bytes}, reads of {read_bytes}");
                assert!(tail.is_empty());
            }
        }
    }

    #[test]
    fn pings_of_websocket_are_answered_between_frames() {
        let (mut bytes, mut replies, mut pong) = (Vec::new(), Vec::new(), Vec::new());
        frame::put_header(&mut bytes, frame::PING, 2, false);
        bytes.extend_from_slice(b"hi");
        assert_eq!(Stream::default().unpack(0, &bytes[..3], &mut replies).unwrap(), 0);
        assert_eq!(Stream::default().unpack(0, &bytes, &mut replies).unwrap(), 4);
        frame::put_client_frame(&mut pong, frame::PONG, b"hi");
        assert_eq!(replies, pong);
    }

    #[test]
    fn complaints_and_nonsense_are_errors() {
        for (protocol, told) in [
            (b"-ERR 'Slow Consumer'\r\n".as_slice(), "Slow Consumer"),
            (b"MSG a 1\r\n", "unreadable"),
            (b"MSG a 1 b c 5\r\n", "unreadable"),
            (b"MSG a 1 x\r\n", "unreadable"),
            (b"MSG a 1 2\r\nabcd\r\n", "does not end"),
            (&[b'x'; LINE_BYTES_MAX], "endless"),
        ] {
            let error = Stream::of_protocol(protocol).next_operation().unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
