//! UTF-8, checked as it arrives (RFC 6455, section 8.1).

use arrayvec::ArrayVec;

/// The state between two parts of a text: the first bytes of a character whose rest has not come yet.
#[derive(Debug, Default)]
pub(super) struct Utf8Check {
    /// At most 3 bytes, a valid beginning of one character; empty = between characters.
    unfinished: ArrayVec<u8, 4>,
}

/// The text is not UTF-8, whatever may follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotUtf8;

impl Utf8Check {
    /// Checks the next part and fails at the first byte that makes the text invalid.
    pub(super) fn feed(&mut self, mut part: &[u8]) -> Result<(), NotUtf8> {
        while !self.unfinished.is_empty() {
            let Some((byte, rest)) = part.split_first() else { return Ok(()) };
            part = rest;
            self.unfinished.push(*byte);
            match std::str::from_utf8(&self.unfinished) {
                Ok(_) => self.unfinished.clear(),
                Err(error) if error.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        match simdutf8::compat::from_utf8(part) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(NotUtf8),
            Err(error) => {
                self.unfinished.extend(part[error.valid_up_to()..].iter().copied());
                Ok(())
            }
        }
    }

    /// Whether the text may end here.
    pub(super) fn is_complete(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// Forgets what came so far.
    pub(super) fn reset(&mut self) {
        self.unfinished.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The verdict of the standard library on the same parts: fails after the part that holds the first bad byte.
    fn failing_part(parts: &[Vec<u8>]) -> Option<usize> {
        let mut all = Vec::new();
        parts.iter().position(|part| {
            all.extend_from_slice(part);
            std::str::from_utf8(&all).is_err_and(|error| error.error_len().is_some())
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library_at_every_part(
            parts in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..4),
                prop::collection::vec(0x80u8..0xf5, 0..3),
                ".{0,6}".prop_map(String::into_bytes),
            ], 0..8),
        ) {
            let mut check = Utf8Check::default();
            let failed = parts.iter().position(|part| check.feed(part).is_err());
            prop_assert_eq!(failed, failing_part(&parts));
            if failed.is_none() {
                prop_assert_eq!(check.is_complete(), std::str::from_utf8(&parts.concat()).is_ok());
            }
        }

        #[test]
        fn valid_text_passes_however_it_is_split(text in ".{0,40}", cuts in prop::collection::vec(0usize..160, 0..8)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut check = Utf8Check::default();
            for cut in cuts.windows(2) {
                prop_assert_eq!(check.feed(&bytes[cut[0]..cut[1]]), Ok(()));
            }
            prop_assert!(check.is_complete());
        }
    }
}
