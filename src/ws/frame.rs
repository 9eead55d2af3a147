//! Frame headers (RFC 6455, section 5.2).

use std::cell::Cell;

use arrayvec::ArrayVec;

use super::MessageKind;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn parse(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    pub fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// The header of a frame from a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    pub fin: bool,
    /// RSV1: the message that begins with this frame is compressed (RFC 7692, section 6).
    pub compressed: bool,
    pub opcode: Opcode,
    pub mask: [u8; 4],
    /// Length of the payload, in bytes; below 2^63.
    pub payload_len: u64,
}

/// The longest header of a frame: 2 bytes, a length of 8, a masking key of 4.
pub const HEADER_LEN_MAX: usize = 14;

/// The reserved bits, in the first byte of a header.
const RESERVED: u8 = 0x70;

/// The reserved bit that permessage-deflate gives a meaning.
const RSV1: u8 = 0x40;

impl FrameHeader {
    /// The header at the start of `bytes` and its length, or `None` if it is not all there yet. Only where `deflate` was
    /// agreed on may a message be compressed.
    ///
    /// # Errors
    /// The rule that the header breaks, as soon as the bytes there are show it.
    pub fn parse(bytes: &[u8], deflate: bool) -> Result<Option<(FrameHeader, usize)>, &'static str> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & RESERVED != 0 {
            check_reserved(*first, deflate)?;
        }
        let opcode = Opcode::parse(first & 0x0f).ok_or("reserved opcode")?;
        let fin = first & 0x80 != 0;
        let short_len = second & 0x7f;
        if second & 0x80 == 0 {
            return Err("frames of a client must be masked");
        }
        if opcode.is_control() && !fin {
            return Err("control frames must not be fragmented");
        }
        if opcode.is_control() && short_len > 125 {
            return Err("a control frame has at most 125 bytes of payload");
        }
        let (payload_len, rest) = match short_len {
            126 => {
                let Some((len, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
                let len = u16::from_be_bytes(*len);
                if len < 126 {
                    return Err("the length is not minimally encoded");
                }
                (u64::from(len), rest)
            }
            127 => {
                let Some((len, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
                let len = u64::from_be_bytes(*len);
                if len > u64::MAX >> 1 {
                    return Err("the most significant bit of the length must be 0");
                }
                if len <= u64::from(u16::MAX) {
                    return Err("the length is not minimally encoded");
                }
                (len, rest)
            }
            len => (u64::from(len), rest),
        };
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let compressed = first & RSV1 != 0;
        let header = FrameHeader { fin, compressed, opcode, mask: *mask, payload_len };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

/// Whether these reserved bits may be set in the first byte of a header.
fn check_reserved(first: u8, deflate: bool) -> Result<(), &'static str> {
    if !deflate {
        return Err("reserved bits must be 0: no extension was negotiated");
    }
    if first & RESERVED != RSV1 {
        return Err("RSV2 and RSV3 must be 0: no extension uses them");
    }
    match Opcode::parse(first & 0x0f) {
        Some(Opcode::Text | Opcode::Binary) => Ok(()),
        Some(Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong) => {
            Err("RSV1 is for the first frame of a message alone")
        }
        None => Err("reserved opcode"),
    }
}

/// The header of an unfragmented, unmasked frame: what a server sends.
pub fn server_header(opcode: Opcode, payload_len: usize) -> ArrayVec<u8, 10> {
    header_of(0x80 | opcode as u8, payload_len)
}

/// The same, of a message whose payload is compressed.
pub fn server_header_compressed(opcode: Opcode, payload_len: usize) -> ArrayVec<u8, 10> {
    debug_assert!(!opcode.is_control(), "control frames are not compressed");
    header_of(0x80 | RSV1 | opcode as u8, payload_len)
}

fn header_of(first: u8, payload_len: usize) -> ArrayVec<u8, 10> {
    let mut header = ArrayVec::new();
    header.push(first);
    match payload_len {
        0..=125 => header.push(payload_len as u8),
        126..=0xffff => {
            header.push(126);
            header.extend((payload_len as u16).to_be_bytes());
        }
        _ => {
            header.push(127);
            header.extend((payload_len as u64).to_be_bytes());
        }
    }
    header
}

/// Kind and payload of a whole message's frame, if it was written with [`server_header`].
pub fn server_message(frame: &[Cell<u8>]) -> (MessageKind, &[Cell<u8>]) {
    let kind = if frame[0].get() & 0x0f == Opcode::Text as u8 { MessageKind::Text } else { MessageKind::Binary };
    let header_len = match frame[1].get() {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    (kind, &frame[header_len..])
}

/// Length of the whole frame that starts `bytes`, if it was written with [`server_header`] or [`server_header_compressed`].
pub fn frame_len(bytes: &[Cell<u8>]) -> usize {
    let number = |bytes: &[Cell<u8>]| bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(byte.get()));
    match bytes[1].get() {
        126 => 4 + number(&bytes[2..4]),
        127 => 10 + number(&bytes[2..10]),
        len => 2 + usize::from(len),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_server_frame_tells_its_length() {
        for len in [0usize, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
            for header in [server_header(Opcode::Binary, len), server_header_compressed(Opcode::Binary, len)] {
                let cells: Vec<Cell<u8>> = header.iter().copied().map(Cell::new).collect();
                assert_eq!(frame_len(&cells), header.len() + len);
            }
        }
    }

    #[test]
    fn a_server_frame_gives_its_message_back() {
        for (opcode, kind) in [(Opcode::Text, MessageKind::Text), (Opcode::Binary, MessageKind::Binary)] {
            for len in [0, 125, 126, 65_535, 65_536] {
                let frame = [&server_header(opcode, len)[..], &vec![7; len]].concat();
                let cells: Vec<Cell<u8>> = frame.into_iter().map(Cell::new).collect();
                let (found, payload) = server_message(&cells);
                assert!(found == kind && payload.len() == len && payload.iter().all(|cell| cell.get() == 7));
            }
        }
    }

    #[test]
    fn a_compressed_frame_differs_in_rsv1_alone() {
        let (plain, compressed) = (server_header(Opcode::Text, 300), server_header_compressed(Opcode::Text, 300));
        assert_eq!((plain[0], compressed[0]), (0x81, 0xc1));
        assert_eq!(plain[1..], compressed[1..]);
    }

    #[test]
    fn rsv1_is_for_the_first_frame_of_a_message_where_deflate_was_agreed_on() {
        for first in 0..=u8::MAX {
            let bytes = [first, 0x80, 1, 2, 3, 4];
            let (plain, agreed) = (FrameHeader::parse(&bytes, false), FrameHeader::parse(&bytes, true));
            if first & RESERVED == 0 {
                assert_eq!(plain, agreed, "{first:#x}");
            } else {
                let begins_message = matches!(first & 0x0f, 1 | 2);
                assert!(plain.is_err(), "{first:#x}");
                assert_eq!(agreed.is_ok(), begins_message && first & RESERVED == RSV1, "{first:#x}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_header_is_parsed_whole_or_not_at_all(
            fin in any::<bool>(), compressed in any::<bool>(), opcode in 0u8..3, mask in any::<[u8; 4]>(),
            payload_len in prop_oneof![0u64..130, 65_000u64..66_000, 0u64..1 << 40],
        ) {
            let compressed = compressed && opcode != 0;
            let mut bytes = vec![u8::from(fin) << 7 | u8::from(compressed) << 6 | opcode];
            match payload_len {
                0..=125 => bytes.push(0x80 | payload_len as u8),
                126..=0xffff => { bytes.push(0xfe); bytes.extend((payload_len as u16).to_be_bytes()); }
                _ => { bytes.push(0xff); bytes.extend(payload_len.to_be_bytes()); }
            }
            bytes.extend(mask);
            let whole = bytes.len();
            bytes.extend([0xaa; 3]);
            for len in 0..whole {
                prop_assert_eq!(FrameHeader::parse(&bytes[..len], true), Ok(None));
            }
            let expected = FrameHeader { fin, compressed, opcode: Opcode::parse(opcode).unwrap(), mask, payload_len };
            prop_assert_eq!(FrameHeader::parse(&bytes, true), Ok(Some((expected, whole))));
        }
    }
}
