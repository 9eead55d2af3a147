//! What a message says: who sent it, which one it is and when, then filler; and how a receiver checks that.
//!
//! Three little-endian words of 48 bits each, `run << 24 | publisher`, `sequence` and `sent_ns`, then filler. In text
//! messages each byte of a word carries six of those bits as a printable character.

/// What the three words take.
pub const STAMP_BYTES: usize = 24;

/// Larger payloads measure the kernel's copying and nothing else.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// The words of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// `run << 24 | publisher`, both below 2^24. The run is random, so that a message of another generator is noticed.
    pub origin: u64,
    /// Counts up from 0 for each publisher.
    pub sequence: u64,
    /// Nanoseconds since the run's clock started: when it was sent, or should have been.
    pub sent_ns: u64,
}

impl Stamp {
    /// The generator's run that sent it.
    #[inline(always)]
    pub fn run(&self) -> u64 {
        self.origin >> PUBLISHER_BITS
    }

    /// The index of its sender among all publishers.
    #[inline(always)]
    pub fn publisher(&self) -> u32 {
        (self.origin & ((1 << PUBLISHER_BITS) - 1)) as u32
    }

    pub fn encode<const TEXT: bool>(&self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        for (word, value) in bytes.chunks_exact_mut(8).zip([self.origin, self.sequence, self.sent_ns]) {
            debug_assert!(value >> WORD_BITS == 0);
            word.copy_from_slice(&if TEXT { spread(value) } else { value }.to_le_bytes());
        }
        bytes
    }

    /// `None` if the bytes cannot be a stamp.
    #[inline(always)]
    pub fn decode<const TEXT: bool>(bytes: &[u8; STAMP_BYTES]) -> Option<Stamp> {
        let word = |at: usize| {
            let word = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
            if TEXT { gather(word) } else { word }
        };
        let stamp = Stamp { origin: word(0), sequence: word(8), sent_ns: word(16) };
        ((stamp.origin | stamp.sequence | stamp.sent_ns) >> WORD_BITS == 0).then_some(stamp)
    }
}

/// How a payload carries its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Binary,
    /// As printable ASCII.
    Text,
    /// As printable ASCII that a JSON string takes without escapes.
    Json,
}

impl Encoding {
    pub fn encode(self, stamp: &Stamp) -> [u8; STAMP_BYTES] {
        match self {
            Encoding::Binary => stamp.encode::<false>(),
            Encoding::Text => stamp.encode::<true>(),
            // Of the 64 characters, the backslash alone would need an escape; quotes are not among them.
            Encoding::Json => stamp.encode::<true>().map(|byte| if byte == b'\\' { b'p' } else { byte }),
        }
    }

    /// `None` if the bytes cannot be a stamp.
    pub fn decode(self, bytes: &[u8; STAMP_BYTES]) -> Option<Stamp> {
        match self {
            Encoding::Binary => Stamp::decode::<false>(bytes),
            Encoding::Text => Stamp::decode::<true>(bytes),
            Encoding::Json => Stamp::decode::<true>(&bytes.map(|byte| if byte == b'p' { b'\\' } else { byte })),
        }
    }
}

/// The bytes after the stamp, the same in every message of a run.
#[derive(Clone, Debug)]
pub struct Filler {
    bytes: Vec<u8>,
    /// The last eight bytes; meaningless if there are fewer.
    last: [u8; 8],
}

impl Filler {
    pub fn new(payload_bytes: usize) -> Filler {
        // A period of 61 that no buffer size divides: bytes that moved by a buffer's length do not look right.
        let bytes: Vec<u8> = (0..payload_bytes - STAMP_BYTES).map(|index| b'A' + (index % 61) as u8 % 26).collect();
        let last = bytes.last_chunk().copied().unwrap_or_default();
        Filler { bytes, last }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the filler of a message is right: its last bytes always, all of it in every 64th message.
    #[inline(always)]
    pub fn matches(&self, filler: &[u8], sequence: u64) -> bool {
        if sequence.is_multiple_of(64) || self.bytes.len() < 8 {
            return filler == self.bytes;
        }
        filler.last_chunk::<8>() == Some(&self.last)
    }
}

/// What a publisher's index has of the word that it shares with the run.
const PUBLISHER_BITS: u32 = 24;

/// What a word carries: eight bytes of six bits.
const WORD_BITS: u32 = 48;

/// '0': with six bits added, the characters '0' to 'o', all of them printable.
const PRINTABLE: u64 = 0x3030_3030_3030_3030;

/// 48 bits to eight printable characters, the lowest six bits first.
fn spread(value: u64) -> u64 {
    let x = (value & 0x00FF_FFFF) | ((value << 8) & 0x00FF_FFFF_0000_0000);
    let x = (x & 0x0000_0FFF_0000_0FFF) | ((x << 4) & 0x0FFF_0000_0FFF_0000);
    let x = (x & 0x003F_003F_003F_003F) | ((x << 2) & 0x3F00_3F00_3F00_3F00);
    x + PRINTABLE
}

/// The reverse; `u64::MAX` if a character is not one of ours.
#[inline(always)]
fn gather(word: u64) -> u64 {
    let x = word.wrapping_sub(PRINTABLE);
    if x & 0xC0C0_C0C0_C0C0_C0C0 != 0 {
        return u64::MAX;
    }
    let x = (x & 0x003F_003F_003F_003F) | ((x & 0x3F00_3F00_3F00_3F00) >> 2);
    let x = (x & 0x0000_0FFF_0000_0FFF) | ((x & 0x0FFF_0000_0FFF_0000) >> 4);
    (x & 0x00FF_FFFF) | ((x & 0x00FF_FFFF_0000_0000) >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { origin: 0xABCD_EF12_3456, sequence: 0xFFFF_FFFF_FFFF, sent_ns: 1 };

    #[test]
    fn a_stamp_survives_both_encodings() {
        assert_eq!(Stamp::decode::<false>(&STAMP.encode::<false>()), Some(STAMP));
        assert_eq!(Stamp::decode::<true>(&STAMP.encode::<true>()), Some(STAMP));
    }

    #[test]
    fn text_is_printable_for_every_bit() {
        for bit in 0..WORD_BITS {
            let stamp = Stamp { origin: 1 << bit, sequence: (1 << WORD_BITS) - 1 - (1 << bit), sent_ns: 0 };
            let bytes = stamp.encode::<true>();
            assert!(bytes.iter().all(|byte| byte.is_ascii_graphic()), "{bytes:?}");
            assert_eq!(Stamp::decode::<true>(&bytes), Some(stamp));
        }
        assert!(Filler::new(300).bytes().iter().all(u8::is_ascii_graphic));
    }

    #[test]
    fn a_json_string_takes_every_stamp_as_it_is() {
        for bit in 0..WORD_BITS {
            let stamp = Stamp { origin: 44 << (bit / 6 * 6), sequence: (1 << WORD_BITS) - 1 - (1 << bit), sent_ns: 1 };
            let bytes = Encoding::Json.encode(&stamp);
            assert!(bytes.iter().all(|byte| byte.is_ascii_graphic() && !br#""\"#.contains(byte)), "{bytes:?}");
            assert_eq!(Encoding::Json.decode(&bytes), Some(stamp));
        }
    }

    #[test]
    fn bytes_that_are_no_stamp_are_refused() {
        let mut bytes = STAMP.encode::<false>();
        bytes[7] = 1;
        assert_eq!(Stamp::decode::<false>(&bytes), None);
        for wrong in [b'/', b'p', 0, 0xFF] {
            let mut bytes = STAMP.encode::<true>();
            bytes[11] = wrong;
            assert_eq!(Stamp::decode::<true>(&bytes), None);
        }
    }

    #[test]
    fn damaged_filler_is_noticed_at_its_end_and_on_every_64th_message_anywhere() {
        let filler = Filler::new(STAMP_BYTES + 100);
        let mut seen = filler.bytes().to_vec();
        assert!(filler.matches(&seen, 1) && filler.matches(&seen, 64));
        seen[10] ^= 1;
        assert!(filler.matches(&seen, 1) && !filler.matches(&seen, 64));
        seen[95] ^= 1;
        assert!(!filler.matches(&seen, 1));
    }

    #[test]
    fn short_filler_is_compared_whole() {
        let filler = Filler::new(STAMP_BYTES + 3);
        assert!(filler.matches(b"ABC", 1) && !filler.matches(b"ABX", 1));
        assert!(Filler::new(STAMP_BYTES).matches(b"", 1));
    }
}
