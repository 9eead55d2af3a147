//! The chunked transfer coding (RFC 9112, section 7.1), undone as the bytes arrive.

use super::fields::is_token_byte;
use super::query::hex_digit;

/// What a chunked body may not be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChunkedError {
    /// It breaks the grammar.
    Malformed,
    /// Its content is longer than allowed.
    TooLong,
    /// Its chunk extensions and trailers are longer than allowed.
    TooMuchAround,
}

/// What one call took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes taken from the front of the input. All of it unless the body has ended.
    pub taken: usize,
    /// The body has ended.
    pub done: bool,
}

/// Undoes the coding of one body. Lines end in CR LF and in nothing else; chunk extensions and trailers are checked
/// and dropped.
#[derive(Clone, Debug)]
pub struct ChunkedDecoder {
    state: State,
    /// Content bytes that may still come, including those of the chunk under way.
    len_left: u64,
    /// Bytes of extensions and trailers, and leading digits of sizes, that may still come: what tiny chunks cost.
    around_left: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Before the first digit of a chunk size.
    SizeStart,
    /// Behind at least one digit.
    Size {
        size: u64,
    },
    /// In the extensions behind a size.
    Extension {
        size: u64,
    },
    /// Behind the CR of a size line.
    SizeLf {
        size: u64,
    },
    /// In a chunk; `left` > 0.
    Content {
        left: u64,
    },
    /// Behind a chunk.
    ContentCr,
    ContentLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    /// In the name of a trailer field, behind its first byte.
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// Behind the CR of the empty line at the end.
    EndLf,
    Done,
}

impl ChunkedDecoder {
    /// Content of up to `len_max` bytes, with extensions and trailers of up to `around_max` bytes in sum. A chunk counts
    /// there as one byte more, so that a body of tiny chunks does not cost many times its length.
    pub fn new(len_max: usize, around_max: usize) -> ChunkedDecoder {
        ChunkedDecoder { state: State::SizeStart, len_left: len_max as u64, around_left: around_max }
    }

    /// Takes what it can from the front of `input` and appends the content in it to `content`.
    ///
    /// # Errors
    /// The body is not well-formed or over a bound; the decoder must not be used again.
    pub fn decode(&mut self, input: &[u8], content: &mut Vec<u8>) -> Result<Progress, ChunkedError> {
        let mut taken = 0;
        while self.state != State::Done && taken < input.len() {
            if let State::Content { left } = self.state {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - taken);
                content.extend_from_slice(&input[taken..taken + len]);
                taken += len;
                let left = left - len as u64;
                self.state = if left > 0 { State::Content { left } } else { State::ContentCr };
            } else {
                self.state = self.step(input[taken])?;
                taken += 1;
            }
        }
        Ok(Progress { taken, done: self.state == State::Done })
    }

    /// The state behind `byte`, which is no content.
    fn step(&mut self, byte: u8) -> Result<State, ChunkedError> {
        let next = match (self.state, byte) {
            (State::SizeStart, _) => State::Size { size: self.size(0, byte)? },
            (State::Size { size } | State::Extension { size }, b'\r') => State::SizeLf { size },
            (State::Size { size }, b';') => State::Extension { size: self.around(size)? },
            (State::Size { size }, _) => State::Size { size: self.size(size, byte)? },
            (State::Extension { size }, _) if is_text(byte) => State::Extension { size: self.around(size)? },
            (State::SizeLf { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLf { size }, b'\n') => {
                // `size` checked it digit by digit.
                self.len_left -= size;
                State::Content { left: size }
            }
            (State::ContentCr, b'\r') => State::ContentLf,
            (State::ContentLf, b'\n') => State::SizeStart,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => self.around(State::TrailerName)?,
            (State::TrailerName, b':') => self.around(State::TrailerValue)?,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_text(byte) => self.around(State::TrailerValue)?,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            (
                State::Extension { .. }
                | State::SizeLf { .. }
                | State::Content { .. }
                | State::ContentCr
                | State::ContentLf
                | State::TrailerStart
                | State::TrailerName
                | State::TrailerValue
                | State::TrailerLf
                | State::EndLf
                | State::Done,
                _,
            ) => return Err(ChunkedError::Malformed),
        };
        Ok(next)
    }

    /// `size` with the digit `byte` behind it. Leading zeros are allowed, as many as may be around.
    fn size(&mut self, size: u64, byte: u8) -> Result<u64, ChunkedError> {
        let digit = hex_digit(byte).ok_or(ChunkedError::Malformed)?;
        if size == 0 {
            self.around(())?;
        }
        let size = size.checked_mul(16).ok_or(ChunkedError::TooLong)? + u64::from(digit);
        if size > self.len_left { Err(ChunkedError::TooLong) } else { Ok(size) }
    }

    /// `next`, one byte of extensions or trailers later.
    fn around<T>(&mut self, next: T) -> Result<T, ChunkedError> {
        self.around_left = self.around_left.checked_sub(1).ok_or(ChunkedError::TooMuchAround)?;
        Ok(next)
    }
}

/// Whether `byte` can stand in a field value (RFC 9110, section 5.5), and so in an extension.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(input: &[u8]) -> Result<(Vec<u8>, Progress), ChunkedError> {
        let mut content = Vec::new();
        let progress = ChunkedDecoder::new(64, 64).decode(input, &mut content)?;
        Ok((content, progress))
    }

    /// The same in pieces cut at `cuts`.
    fn decode_in_pieces(input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Progress), ChunkedError> {
        let mut decoder = ChunkedDecoder::new(64, 64);
        let mut content = Vec::new();
        let mut taken = 0;
        let mut done = false;
        for end in cuts.iter().copied().filter(|cut| *cut < input.len()).chain([input.len()]) {
            if done || end < taken {
                continue;
            }
            let progress = decoder.decode(&input[taken..end], &mut content)?;
            taken += progress.taken;
            done = progress.done;
        }
        Ok((content, Progress { taken, done }))
    }

    #[test]
    fn chunks_are_joined_and_the_rest_is_left() {
        let input = b"5\r\nhello\r\n006;a=\"b\"\r\n world\r\n0\r\nExpires: never\r\n\r\nGET /";
        let (content, progress) = decode(input).unwrap();
        assert_eq!(content, b"hello world");
        assert!(progress.done);
        assert_eq!(&input[progress.taken..], b"GET /");
        for cut in 0..input.len() {
            assert_eq!(decode_in_pieces(input, &[cut]).unwrap(), (content.clone(), progress), "cut at {cut}");
        }
    }

    #[test]
    fn an_empty_body_ends_at_once() {
        assert_eq!(decode(b"0\r\n\r\n").unwrap(), (Vec::new(), Progress { taken: 5, done: true }));
        assert_eq!(decode(b"0\r\n\r").unwrap(), (Vec::new(), Progress { taken: 4, done: false }));
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_malformed() {
        for input in [
            b"5\nhello\r\n0\r\n\r\n".as_slice(),
            b"\r\n5\r\nhello\r\n",
            b"+5\r\nhello",
            b"-5\r\nhello",
            b" 5\r\nhello",
            b"0x5\r\nhello",
            b";a=b\r\n",
            b"g\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\rhello\r\n",
            b"5 ;a\r\nhello",
            b"5 \r\nhello",
            b"5;a\x00\r\nhello",
            b"5;a\nhello\r\n",
            b"0\r\n\n",
            b"0\r\n folded: x\r\n\r\n",
            b"0\r\n: x\r\n\r\n",
            b"0\r\nname : x\r\n\r\n",
            b"0\r\nname\r\n\r\n",
            b"0\r\nname: x\n\r\n",
        ] {
            assert_eq!(decode(input), Err(ChunkedError::Malformed), "{:?}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn content_and_what_is_around_it_have_bounds() {
        assert!(decode(format!("40\r\n{}\r\n0\r\n\r\n", "x".repeat(64)).as_bytes()).is_ok());
        assert_eq!(decode(b"41\r\n"), Err(ChunkedError::TooLong));
        assert_eq!(decode(b"20\r\n01234567890123456789012345678901\r\n21\r\n"), Err(ChunkedError::TooLong));
        assert_eq!(decode(b"ffffffffffffffffffff\r\n"), Err(ChunkedError::TooLong));
        assert_eq!(decode(format!("1;{}", "x".repeat(64)).as_bytes()), Err(ChunkedError::TooMuchAround));
        assert_eq!(decode("0".repeat(66).as_bytes()), Err(ChunkedError::TooMuchAround));
        assert_eq!(decode(format!("0\r\na:{}", "x".repeat(64)).as_bytes()), Err(ChunkedError::TooMuchAround));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_alike_in_any_pieces(
            input in prop::collection::vec(prop::sample::select(b"0123af;:= \r\n\tx\x00".to_vec()), 0..60),
            mut cuts in prop::collection::vec(0usize..60, 0..6),
        ) {
            cuts.sort_unstable();
            prop_assert_eq!(decode(&input), decode_in_pieces(&input, &cuts));
        }

        #[test]
        fn what_was_chunked_is_what_is_decoded(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..12), 0..5),
            mut cuts in prop::collection::vec(0usize..120, 0..6),
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\n\r\n");
            cuts.sort_unstable();
            let (content, progress) = decode_in_pieces(&input, &cuts).unwrap();
            prop_assert_eq!(content, chunks.concat());
            prop_assert_eq!(progress, Progress { taken: input.len(), done: true });
        }
    }
}
