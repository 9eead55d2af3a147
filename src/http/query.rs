//! Percent-encoding (RFC 3986, section 2.1) and the queries that HTML forms write (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

/// A `%` without two hexadecimal digits behind it, or bytes that are no UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Undoes the percent-encoding of a path segment.
///
/// # Errors
/// See [`Malformed`].
pub fn decode_segment(text: &str) -> Result<Cow<'_, str>, Malformed> {
    decode(text, false)
}

/// The parameters of a query, in order, decoded. One without `=` has an empty value.
pub fn parameters(query: &str) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), Malformed>> {
    query.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        Ok((decode(name, true)?, decode(value, true)?))
    })
}

/// The value of the first parameter called `name`.
///
/// # Errors
/// See [`Malformed`]; only the parameters up to it count.
pub fn parameter<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, Malformed> {
    for parameter in parameters(query) {
        let (key, value) = parameter?;
        if key == name {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, Malformed> {
    if !text.bytes().any(|byte| byte == b'%' || (plus_is_space && byte == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = bytes.next().and_then(hex_digit).ok_or(Malformed)?;
                let low = bytes.next().and_then(hex_digit).ok_or(Malformed)?;
                high << 4 | low
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Malformed)
}

/// The value of a hexadecimal digit.
pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_segment_is_decoded_and_a_plus_stays() {
        assert_eq!(decode_segment("D679-05F5").unwrap(), "D679-05F5");
        assert_eq!(decode_segment("a%2Db+c").unwrap(), "a-b+c");
        assert_eq!(decode_segment("%C3%A4").unwrap(), "ä");
    }

    #[test]
    fn broken_percent_encoding_is_refused() {
        for text in ["%", "%4", "%4g", "%+1", "a%zz", "%ff", "%C3"] {
            assert_eq!(decode_segment(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn parameters_are_found_by_their_decoded_name() {
        let query = "a=1&&token=x%20y+z&flag&empty=&%74oken=second";
        assert_eq!(parameter(query, "token").unwrap().unwrap(), "x y z");
        assert_eq!(parameter(query, "flag").unwrap().unwrap(), "");
        assert_eq!(parameter(query, "empty").unwrap().unwrap(), "");
        assert_eq!(parameter(query, "b").unwrap(), None);
        assert_eq!(parameter("", "b").unwrap(), None);
        assert_eq!(parameter("a=%&b=1", "b"), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_what_is_decoded(text in "\\PC{0,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode_segment(&encoded).unwrap(), text.as_str());
            // Not the name of the one before it.
            let (name, query) = (format!("x{text}x"), format!("x=1&x{encoded}x={encoded}"));
            prop_assert_eq!(parameter(&query, &name).unwrap().unwrap(), text);
        }

        #[test]
        fn any_query_is_decoded_or_refused(query in "[ -~]{0,60}") {
            for parameter in parameters(&query) {
                let _ = parameter;
            }
        }
    }
}
