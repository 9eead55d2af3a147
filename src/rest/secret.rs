//! Ids and tokens that the relay makes up.

use crate::channel::{ChannelId, Token};

/// An id as the source has them: `XXXX-XXXX`, upper-case hexadecimal.
///
/// # Errors
/// The system gives no random bytes.
pub fn generate_id() -> Result<ChannelId, getrandom::Error> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)?;
    let [a, b, c, d] = bytes;
    let text = format!("{a:02X}{b:02X}-{c:02X}{d:02X}");
    Ok(ChannelId::parse(&text).expect("nine characters that an id may have"))
}

/// A token of 128 random bits, as 32 hexadecimal digits.
///
/// # Errors
/// The system gives no random bytes.
pub fn generate_token() -> Result<Token, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(Token::new(format!("{:032x}", u128::from_be_bytes(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_tokens_have_their_form_and_differ() {
        let id = generate_id().unwrap();
        assert_eq!(id.as_str().len(), 9);
        assert_eq!(id.as_str().as_bytes()[4], b'-');
        let is_upper_hex = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
        assert!(id.as_str().bytes().enumerate().all(|(at, byte)| at == 4 || is_upper_hex(byte)));
        let (one, other) = (generate_token().unwrap(), generate_token().unwrap());
        assert_eq!(one.reveal().len(), 32);
        assert!(one.reveal().bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
        assert!(!one.matches(other.reveal()));
    }
}
