//! From the bytes of a client to its messages: frames, fragments, control frames between them (RFC 6455, section 5).

use arrayvec::ArrayVec;

use super::deflate::compressed_len_max;
use super::frame::HEADER_LEN_MAX;
use super::mask::unmask;
use super::utf8::{NotUtf8, Utf8Check};
use super::{CloseCode, FrameHeader, MessageKind, Opcode};

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    Message(MessageKind, &'a [u8]),
    /// A message as it came, compressed: to be inflated with [`super::deflate::Inflater`], then checked with
    /// [`MessageKind::check`]. Only where deflate was agreed on.
    Compressed(MessageKind, &'a [u8]),
    /// To be answered with a pong of the same payload (at most 125 bytes).
    Ping(&'a [u8]),
    /// Unasked for, or the answer to a ping.
    Pong,
    /// A close frame, and what it is answered with.
    Close(CloseCode),
}

/// Takes a client's bytes in whatever portions they arrive. A message that lies whole in one portion is handed out where
/// it lies; only what is spread over several is copied.
#[derive(Debug)]
pub struct Decoder {
    /// Largest message, in bytes.
    message_len_max: u64,
    /// Whether messages may come compressed.
    deflate: bool,
    /// The beginning of a header that is not all there yet.
    header: ArrayVec<u8, HEADER_LEN_MAX>,
    /// The frame whose payload is arriving.
    frame: Option<Incoming>,
    /// Kind of the message that is arriving; `None` = between messages.
    kind: Option<MessageKind>,
    /// Whether that message is compressed; between messages, whether the last one was.
    compressed: bool,
    /// What has arrived of it; `message.len() <= message_len_max`, or what that may become if it is compressed.
    message: Vec<u8>,
    /// State of the check of `message`, if it is text and not compressed.
    utf8: Utf8Check,
    /// What has arrived of a control frame's payload; at most 125 bytes.
    control: Vec<u8>,
    /// `message` or `control` was handed out and is to be forgotten.
    handed_out: bool,
}

#[derive(Debug)]
struct Incoming {
    header: FrameHeader,
    /// Bytes of the payload that have come; `received <= header.payload_len`.
    received: u64,
}

impl Decoder {
    /// For a connection without extensions.
    pub fn new(message_len_max: u64) -> Decoder {
        Decoder {
            message_len_max,
            deflate: false,
            header: ArrayVec::new(),
            frame: None,
            kind: None,
            compressed: false,
            message: Vec::new(),
            utf8: Utf8Check::default(),
            control: Vec::new(),
            handed_out: false,
        }
    }

    /// For a connection that agreed on permessage-deflate. A compressed message is refused while it arrives only if it is
    /// longer than any compressor makes one of `message_len_max`; its inflater holds the limit itself.
    pub fn with_deflate(message_len_max: u64) -> Decoder {
        Decoder { deflate: true, ..Decoder::new(message_len_max) }
    }

    /// Bytes of memory that it holds for what has arrived in part.
    pub fn held_len(&self) -> usize {
        self.message.capacity() + self.control.capacity()
    }

    /// The next event in `input`, which is shortened by what was used; `None` = all of it was. Payloads are unmasked in
    /// place.
    ///
    /// # Errors
    /// The code to close the connection with: the client broke a rule. Nothing that it sends afterwards counts.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i mut [u8]) -> Result<Option<Event<'s>>, CloseCode> {
        if self.handed_out {
            self.forget();
        }
        loop {
            if self.frame.is_none() {
                let Some(header) = self.take_header(input)? else { return Ok(None) };
                let whole = header.payload_len <= input.len() as u64;
                if whole && header.fin && matches!(header.opcode, Opcode::Text | Opcode::Binary) {
                    let payload = take(input, header.payload_len as usize);
                    unmask(payload, header.mask, 0);
                    let kind = kind_of(header.opcode);
                    if header.compressed {
                        return Ok(Some(Event::Compressed(kind, payload)));
                    }
                    kind.check(payload)?;
                    return Ok(Some(Event::Message(kind, payload)));
                }
                if matches!(header.opcode, Opcode::Text | Opcode::Binary) {
                    self.kind = Some(kind_of(header.opcode));
                    self.compressed = header.compressed;
                }
                self.frame = Some(Incoming { header, received: 0 });
            }
            let Some(header) = self.take_payload(input)? else { return Ok(None) };
            match header.opcode {
                Opcode::Continuation | Opcode::Text | Opcode::Binary if !header.fin => {}
                Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                    let kind = self.kind.take().expect("a data frame belongs to a message");
                    if self.compressed {
                        self.handed_out = true;
                        return Ok(Some(Event::Compressed(kind, &self.message)));
                    }
                    if kind == MessageKind::Text && !self.utf8.is_complete() {
                        return Err(CloseCode::InvalidText);
                    }
                    self.handed_out = true;
                    return Ok(Some(Event::Message(kind, &self.message)));
                }
                Opcode::Close => {
                    self.handed_out = true;
                    return Ok(Some(Event::Close(CloseCode::answer_to(&self.control))));
                }
                Opcode::Ping => {
                    self.handed_out = true;
                    return Ok(Some(Event::Ping(&self.control)));
                }
                Opcode::Pong => {
                    self.handed_out = true;
                    return Ok(Some(Event::Pong));
                }
            }
        }
    }

    /// The next header, checked; `None` = it is not all there yet.
    fn take_header(&mut self, input: &mut &mut [u8]) -> Result<Option<FrameHeader>, CloseCode> {
        let header = if self.header.is_empty() {
            match FrameHeader::parse(input, self.deflate).map_err(CloseCode::ProtocolError)? {
                Some((header, len)) => {
                    take(input, len);
                    header
                }
                None => {
                    let rest = take(input, input.len());
                    self.header.extend(rest.iter().copied());
                    return Ok(None);
                }
            }
        } else {
            loop {
                let Some(byte) = input.first().copied() else { return Ok(None) };
                take(input, 1);
                self.header.push(byte);
                let parsed = FrameHeader::parse(&self.header, self.deflate).map_err(CloseCode::ProtocolError)?;
                if let Some((header, _)) = parsed {
                    self.header.clear();
                    break header;
                }
            }
        };
        self.check(&header)?;
        Ok(Some(header))
    }

    /// What a header alone cannot tell: whether the frame may come here, and whether its message fits.
    fn check(&self, header: &FrameHeader) -> Result<(), CloseCode> {
        match (header.opcode, self.kind) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
            (Opcode::Continuation, None) => {
                return Err(CloseCode::ProtocolError("a continuation frame without a message to continue"));
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(CloseCode::ProtocolError("a new message before the last one was finished"));
            }
            (Opcode::Continuation, Some(_)) | (Opcode::Text | Opcode::Binary, None) => {}
        }
        let before = if self.kind.is_some() { self.message.len() as u64 } else { 0 };
        if header.payload_len <= self.message_len_max.saturating_sub(before) {
            return Ok(());
        }
        let compressed = if self.kind.is_some() { self.compressed } else { header.compressed };
        let fits = compressed && header.payload_len <= compressed_len_max(self.message_len_max) - before;
        if fits { Ok(()) } else { Err(CloseCode::TooLarge) }
    }

    /// Moves what has come of the frame's payload to where it is collected; the header, once it is complete.
    fn take_payload(&mut self, input: &mut &mut [u8]) -> Result<Option<FrameHeader>, CloseCode> {
        let frame = self.frame.as_mut().expect("a frame is arriving");
        let left = frame.header.payload_len - frame.received;
        let len = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let part = take(input, len);
        unmask(part, frame.header.mask, (frame.received & 3) as usize);
        frame.received += len as u64;
        let header = frame.header;
        let complete = frame.received == header.payload_len;
        if header.opcode.is_control() {
            self.control.extend_from_slice(part);
        } else {
            if self.kind == Some(MessageKind::Text) && !self.compressed {
                self.utf8.feed(part).map_err(|NotUtf8| CloseCode::InvalidText)?;
            }
            self.message.extend_from_slice(part);
        }
        if complete {
            self.frame = None;
        }
        Ok(complete.then_some(header))
    }

    /// Empties what was handed out, and gives large memory back.
    fn forget(&mut self) {
        self.handed_out = false;
        self.control.clear();
        // A control frame may have come in the middle of a message, which then goes on.
        if self.kind.is_none() {
            self.utf8.reset();
            self.message.clear();
            self.message.shrink_to(MESSAGE_KEPT);
        }
    }
}

/// The memory for messages that a connection keeps between them, in bytes.
const MESSAGE_KEPT: usize = 256;

fn kind_of(opcode: Opcode) -> MessageKind {
    if opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary }
}

/// Splits the first `len` bytes off `input`.
fn take<'a>(input: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (taken, rest) = std::mem::take(input).split_at_mut(len);
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            len @ 0..=125 => bytes.push(0x80 | len as u8),
            len @ 126..=0xffff => {
                bytes.push(0xfe);
                bytes.extend((len as u16).to_be_bytes());
            }
            len => {
                bytes.push(0xff);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        let mask = [7, 77, 177, 250];
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    /// What the decoder makes of `bytes`, cut at `cuts`: events in words, the last perhaps an error.
    fn decode(bytes: &[u8], cuts: &[usize]) -> Vec<String> {
        let mut decoder = Decoder::new(1000);
        let mut said = Vec::new();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let mut start = 0;
        for end in ends {
            let mut portion = bytes[start..end].to_vec();
            let mut input = portion.as_mut_slice();
            loop {
                match decoder.next(&mut input) {
                    Ok(Some(event)) => said.push(format!("{event:?}")),
                    Ok(None) => break,
                    Err(code) => {
                        said.push(format!("{code:?}"));
                        return said;
                    }
                }
            }
            assert!(input.is_empty());
            start = end;
        }
        said
    }

    #[test]
    fn control_frames_may_come_between_fragments() {
        let bytes =
            [frame(0x01, b"he"), frame(0x89, b"now"), frame(0x00, b"ll"), frame(0x8a, b""), frame(0x80, b"o")].concat();
        let expected = [
            format!("{:?}", Event::Ping(b"now")),
            format!("{:?}", Event::Pong),
            format!("{:?}", Event::Message(MessageKind::Text, b"hello")),
        ];
        assert_eq!(decode(&bytes, &[]), expected);
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes, &[cut, cut / 2]), expected);
        }
    }

    #[test]
    fn bad_text_fails_before_its_frame_is_complete() {
        let mut decoder = Decoder::new(1000);
        let mut bytes = frame(0x81, b"abc\xffdef");
        let mut input = &mut bytes[..10];
        assert_eq!(decoder.next(&mut input), Err(CloseCode::InvalidText));
    }

    #[test]
    fn the_size_limit_counts_all_fragments() {
        let fits = [frame(0x02, &[0; 600]), frame(0x80, &[0; 400])].concat();
        assert_eq!(decode(&fits, &[]).len(), 1);
        let over = [frame(0x02, &[0; 600]), frame(0x80, &[0; 401])].concat();
        assert_eq!(decode(&over, &[]), ["TooLarge"]);
        assert_eq!(decode(&frame(0x82, &[0; 1001])[..8], &[]), ["TooLarge"], "told from the header alone");
    }

    #[test]
    fn frames_out_of_place_are_refused() {
        assert!(decode(&frame(0x80, b"x"), &[])[0].starts_with("ProtocolError"));
        let nested = [frame(0x01, b"x"), frame(0x81, b"y")].concat();
        assert!(decode(&nested, &[])[0].starts_with("ProtocolError"));
    }

    /// One frame of a client, well formed or nearly.
    fn some_frame() -> impl Strategy<Value = Vec<u8>> {
        let first = prop_oneof![8 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]), 1 => any::<u8>()];
        let payload = prop_oneof![".{0,20}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..200),];
        (first, payload).prop_map(|(first, payload)| frame(first, &payload))
    }

    proptest! {
        #[test]
        fn the_cuts_between_portions_make_no_difference(
            frames in prop::collection::vec(some_frame(), 0..8),
            cuts in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            let bytes = frames.concat();
            prop_assert_eq!(decode(&bytes, &cuts), decode(&bytes, &[]));
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(any::<usize>(), 0..4),
        ) {
            decode(&bytes, &cuts);
        }
    }
}
