//! Ids and tokens that the relay makes up.

use std::fmt::Write as _;

use crate::channel::{ChannelId, Token};

/// Most characters of each half of a generated id.
pub const ID_HALF_LEN_MAX: usize = (ChannelId::LEN_MAX - 1) / 2;

/// An id as the source has them: two halves of `half_len` upper-case hexadecimal digits, 1 to [`ID_HALF_LEN_MAX`], with a
/// dash between them.
///
/// # Errors
/// The system gives no random bytes.
///
/// # Panics
/// If `half_len` is out of its range.
pub fn generate_id(half_len: usize) -> Result<ChannelId, getrandom::Error> {
    let mut text = digits(2 * half_len)?.to_ascii_uppercase();
    text.insert(half_len, '-');
    Ok(ChannelId::parse(&text).expect("digits and a dash, 3 to 64 of them"))
}

/// A token of `len` hexadecimal digits, each of which is 4 random bits.
///
/// # Errors
/// The system gives no random bytes.
pub fn generate_token(len: usize) -> Result<Token, getrandom::Error> {
    Ok(Token::new(digits(len)?))
}

/// Random hexadecimal digits.
fn digits(len: usize) -> Result<String, getrandom::Error> {
    let mut bytes = vec![0; len.div_ceil(2)];
    getrandom::fill(&mut bytes)?;
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits.truncate(len);
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_tokens_have_their_form_and_differ() {
        for half_len in [1, 4, ID_HALF_LEN_MAX] {
            let id = generate_id(half_len).unwrap();
            let (one, other) = id.as_str().split_once('-').unwrap();
            assert_eq!((one.len(), other.len()), (half_len, half_len));
            let is_upper_hex = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
            assert!(one.bytes().chain(other.bytes()).all(is_upper_hex), "{id}");
        }
        for len in [32, 33, 64] {
            let (one, other) = (generate_token(len).unwrap(), generate_token(len).unwrap());
            assert_eq!(one.reveal().len(), len);
            assert!(one.reveal().bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
            assert!(!one.matches(other.reveal()));
        }
    }
}
