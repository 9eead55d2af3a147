//! WebSocket frames as this side sees them: what an expected frame starts with, the header of any other, and the
//! masked ones that it sends (RFC 6455, section 5.2).

/// The first byte of a whole message.
pub const FIN: u8 = 0x80;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// Not random: its purpose, keeping a browser's script from choosing bytes on the wire, does not exist here. Not zero
/// either, since a server could notice that there is nothing to unmask.
pub const MASK: [u8; 4] = [0x5A, 0xC3, 0x96, 0x0F];

/// The longest header: two bytes, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;

/// The frame that the server is expected to send all the time, recognised by comparing one word.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Header and payload.
    pub frame_bytes: usize,
    pub header_bytes: usize,
    word: u64,
    word_mask: u64,
    /// The end of a ten-byte header, which the word does not reach.
    rest: [u8; 2],
}

impl Expected {
    pub fn new(opcode: u8, payload_bytes: usize) -> Expected {
        let mut header = Vec::with_capacity(HEADER_BYTES_MAX);
        put_header(&mut header, opcode, payload_bytes, false);
        let header_bytes = header.len();
        header.resize(HEADER_BYTES_MAX, 0);
        Expected {
            frame_bytes: header_bytes + payload_bytes,
            header_bytes,
            word: u64::from_le_bytes(*header.first_chunk().expect("resized")),
            word_mask: if header_bytes >= 8 { u64::MAX } else { (1 << (8 * header_bytes)) - 1 },
            rest: [header[8], header[9]],
        }
    }

    /// Whether a frame of `frame_bytes` bytes, at least eight, starts as expected.
    #[inline(always)]
    pub fn matches(&self, frame: &[u8]) -> bool {
        let word = u64::from_le_bytes(*frame.first_chunk().expect("a frame holds at least a stamp"));
        word & self.word_mask == self.word && (self.header_bytes < 10 || frame[8..10] == self.rest)
    }
}

/// The header of any frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub fin: bool,
    pub reserved_bits: u8,
    pub opcode: u8,
    pub masked: bool,
    pub header_bytes: usize,
    pub payload_bytes: u64,
}

impl Header {
    /// `None`: more bytes are needed.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let [first, second, ..] = *bytes else { return None };
        let (length_bytes, payload_bytes) = match second & 0x7F {
            126 => (2, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
            127 => (8, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
            short => (0, u64::from(short)),
        };
        let masked = second & 0x80 != 0;
        Some(Header {
            fin: first & FIN != 0,
            reserved_bits: first >> 4 & 7,
            opcode: first & 0xF,
            masked,
            header_bytes: 2 + length_bytes + if masked { 4 } else { 0 },
            payload_bytes,
        })
    }
}

/// Appends the header of a whole message; a client's has the mask.
pub fn put_header(out: &mut Vec<u8>, opcode: u8, payload_bytes: usize, client: bool) {
    let mask_bit = if client { 0x80 } else { 0 };
    out.push(FIN | opcode);
    match payload_bytes {
        0..=125 => out.push(mask_bit | payload_bytes as u8),
        126..=0xFFFF => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
    if client {
        out.extend_from_slice(&MASK);
    }
}

/// Appends a whole client frame.
pub fn put_client_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    put_header(out, opcode, payload.len(), true);
    let at = out.len();
    out.extend_from_slice(payload);
    mask(&mut out[at..]);
}

/// Masks a payload, or unmasks it.
pub fn mask(payload: &mut [u8]) {
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(MASK)).to_ne_bytes();
    }
    rest.iter_mut().zip(MASK).for_each(|(byte, mask)| *byte ^= mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(opcode: u8, payload_bytes: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        put_header(&mut frame, opcode, payload_bytes, false);
        frame.resize(frame.len() + payload_bytes, b'x');
        frame
    }

    #[test]
    fn headers_parse_back_at_every_length_encoding() {
        for payload_bytes in [0, 24, 125, 126, 65_535, 65_536] {
            let frame = server_frame(BINARY, payload_bytes);
            let header = Header::parse(&frame).unwrap();
            assert_eq!(header.header_bytes + payload_bytes, frame.len());
            assert_eq!((header.payload_bytes, header.opcode), (payload_bytes as u64, BINARY));
            assert!(header.fin && !header.masked && header.reserved_bits == 0);
            for cut in 0..header.header_bytes.min(frame.len() - payload_bytes) {
                assert_eq!(Header::parse(&frame[..cut]), None);
            }
        }
    }

    #[test]
    fn the_expected_frame_is_recognised_and_no_other() {
        for payload_bytes in [24, 125, 126, 65_535, 65_536, 131_072] {
            let expected = Expected::new(BINARY, payload_bytes);
            let frame = server_frame(BINARY, payload_bytes);
            assert_eq!(expected.frame_bytes, frame.len());
            assert!(expected.matches(&frame));
            assert!(!expected.matches(&server_frame(TEXT, payload_bytes)));
            for bit in 0..8 * expected.header_bytes {
                let mut wrong = frame.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(!expected.matches(&wrong), "bit {bit} of a frame with {payload_bytes} bytes");
            }
        }
    }

    #[test]
    fn client_frames_are_masked() {
        let mut frame = Vec::new();
        put_client_frame(&mut frame, PONG, b"hello");
        let header = Header::parse(&frame).unwrap();
        assert!(header.masked);
        assert_eq!((header.header_bytes, header.payload_bytes), (6, 5));
        assert_eq!(frame[6] ^ MASK[0], b'h');
        assert_eq!(frame[10] ^ MASK[0], b'o');
    }
}
