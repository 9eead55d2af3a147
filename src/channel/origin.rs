//! The name of a client in the `origin` of requests and replies.

use std::io::Write;

use arrayvec::ArrayVec;

use super::ClientId;

/// One connection, told apart from all that had its slot before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    pub client: ClientId,
    /// Which connection of the shard it is, counted from its start.
    pub serial: u32,
}

/// The longest text: three hexadecimal numbers of 16, 32 and 32 bits, with two hyphens.
pub const ORIGIN_LEN_MAX: usize = 22;

impl Origin {
    /// The text that clients see: letters, digits and hyphens.
    pub fn text(self) -> ArrayVec<u8, ORIGIN_LEN_MAX> {
        let mut text = ArrayVec::new();
        write!(text, "{:x}-{:x}-{:x}", self.client.shard, self.client.slot, self.serial).expect("there is room");
        text
    }

    /// The connection that `text` names; `None` if no connection can have this name.
    pub fn parse(text: &str) -> Option<Origin> {
        let mut numbers = text.split('-');
        let mut number = || {
            let digits = numbers.next()?;
            // Only the one way of writing that `text` has.
            let is_canonical = digits == "0" || !digits.starts_with('0');
            let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            (is_canonical && is_hex).then(|| u32::from_str_radix(digits, 16).ok())?
        };
        let (shard, slot, serial) = (number()?, number()?, number()?);
        if numbers.next().is_some() {
            return None;
        }
        Some(Origin { client: ClientId { shard: u16::try_from(shard).ok()?, slot }, serial })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written_and_no_other_way() {
        for (shard, slot, serial) in [(0, 0, 0), (1, 0xab, 7), (u16::MAX, u32::MAX, u32::MAX)] {
            let origin = Origin { client: ClientId { shard, slot }, serial };
            let text = origin.text();
            assert_eq!(Origin::parse(str::from_utf8(&text).unwrap()), Some(origin));
        }
        for text in ["", "0", "0-0", "0-0-0-0", "00-0-0", "0-01-0", "0-A-0", "0-+1-0", "-0-0", "0--0", "10000-0-0", "é"]
        {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }
}
