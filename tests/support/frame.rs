//! WebSocket frames (RFC 6455, section 5.2), well-formed or not.

/// One frame. What the constructors make is a well-formed frame of a client; the other methods break it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    /// RSV1 to RSV3, RSV1 highest.
    pub reserved: u8,
    pub opcode: u8,
    pub payload: Vec<u8>,
    /// `None` = not masked.
    pub mask: Option<[u8; 4]>,
    pub length: LengthField,
}

/// Where the payload's length stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthField {
    /// In as few bits as it fits in: what RFC 6455 wants.
    Minimal,
    Bits16,
    Bits64,
    /// In as few bits as it fits in, but the length said is this one.
    Claimed(u64),
}

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// Among the reserved bits: a message is compressed (RFC 7692, section 6).
pub const RSV1: u8 = 4;

impl Frame {
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Frame {
        Frame {
            fin: true,
            reserved: 0,
            opcode,
            payload: payload.into(),
            mask: Some([0x37, 0xfa, 0x21, 0x3d]),
            length: LengthField::Minimal,
        }
    }

    pub fn text(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(TEXT, payload)
    }

    pub fn binary(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(BINARY, payload)
    }

    pub fn continuation(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(CONTINUATION, payload)
    }

    pub fn ping(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(PING, payload)
    }

    pub fn pong(payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(PONG, payload)
    }

    pub fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
        Frame::new(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
    }

    /// Not the last of its message.
    pub fn unfinished(self) -> Frame {
        Frame { fin: false, ..self }
    }

    pub fn unmasked(self) -> Frame {
        Frame { mask: None, ..self }
    }

    pub fn reserved(self, bits: u8) -> Frame {
        Frame { reserved: bits, ..self }
    }

    pub fn length(self, length: LengthField) -> Frame {
        Frame { length, ..self }
    }

    pub fn encode(&self) -> Vec<u8> {
        let said = if let LengthField::Claimed(len) = self.length { len } else { self.payload.len() as u64 };
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode];
        let bits = match (self.length, said) {
            (LengthField::Bits16, _) => 16,
            (LengthField::Bits64, _) => 64,
            (_, 0..=125) => 7,
            (_, 126..=0xffff) => 16,
            (_, _) => 64,
        };
        match bits {
            7 => bytes.push(masked | said as u8),
            16 => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&(said as u16).to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&said.to_be_bytes());
            }
        }
        match self.mask {
            None => bytes.extend_from_slice(&self.payload),
            Some(mask) => {
                bytes.extend_from_slice(&mask);
                bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
            }
        }
        bytes
    }

    /// The first frame that a server sent, and how long it was; `None` = it is not whole yet.
    ///
    /// # Panics
    /// If a server must not send it: masked, with reserved bits other than RSV1 at the begin of a message, its length not
    /// minimal, or a control frame that is long or in fragments.
    pub fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
        let [first, second, rest @ ..] = bytes else { return None };
        assert_eq!(second & 0x80, 0, "a server masked a frame");
        let (len, at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        let header_minimal = match len {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        assert_eq!(at, header_minimal, "a server wrote the length {len} in {at} bytes of header");
        let end = at + usize::try_from(len).expect("a length that fits in memory");
        let payload = bytes.get(at..end)?.to_vec();
        let frame = Frame {
            fin: first & 0x80 != 0,
            reserved: first >> 4 & 0x7,
            opcode: first & 0xf,
            payload,
            mask: None,
            length: LengthField::Minimal,
        };
        let is_begin = [TEXT, BINARY].contains(&frame.opcode);
        assert!(frame.reserved == 0 || frame.reserved == RSV1 && is_begin, "a server set reserved bits: {frame:?}");
        assert!([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].contains(&frame.opcode), "unknown opcode: {frame:?}");
        assert!(frame.opcode < CLOSE || frame.fin && frame.payload.len() <= 125, "not a control frame: {frame:?}");
        Some((frame, end))
    }
}
