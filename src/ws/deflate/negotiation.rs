//! `Sec-WebSocket-Extensions` (RFC 6455, section 9.1) and what permessage-deflate says in it (RFC 7692, sections 5 and 7.1).

use super::Window;

/// What a client and the relay agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// What the client is sent is compressed with.
    pub window: Window,
    /// Whether the client set a bound to the window, which has to be confirmed.
    bound_asked: bool,
}

impl Agreed {
    /// The value of `Sec-WebSocket-Extensions` in the answer.
    ///
    /// Both sides start every message anew. `client_max_window_bits` is never in it: the relay takes any window.
    pub fn response(self) -> String {
        let mut value = String::from("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        if self.bound_asked {
            value.push_str(&format!("; server_max_window_bits={}", self.window.bits()));
        }
        value
    }
}

/// A value of `Sec-WebSocket-Extensions` breaks its grammar. RFC 6455, section 9.1, wants the connection failed: the request
/// is answered 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedExtensions;

/// Picks the first offer of permessage-deflate that the relay can keep from the `values` of all `Sec-WebSocket-Extensions`;
/// `None` = there is none, and messages are not compressed. An offer that breaks a rule of RFC 7692 is declined, and the
/// next one is looked at (sections 5.1 and 7.1).
///
/// # Errors
/// A value breaks the grammar, also behind an offer that could be taken.
pub fn negotiate<'h>(values: impl IntoIterator<Item = &'h [u8]>) -> Result<Option<Agreed>, MalformedExtensions> {
    let mut agreed = None;
    for value in values {
        let mut rest = Scanner(value);
        loop {
            rest.skip_space();
            match rest.peek() {
                None => break,
                // Empty members of a list mean nothing (RFC 9110, section 5.6.1).
                Some(b',') => rest.skip(),
                Some(_) => {
                    let offer = rest.extension()?;
                    agreed = agreed.or(offer);
                }
            }
        }
    }
    Ok(agreed)
}

/// What an offer says, as far as it has been read.
#[derive(Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    client_max_window_bits: bool,
    server_max_window_bits: Option<u8>,
}

impl Offer {
    /// Takes a parameter in; `None` = an offer with it has to be declined: it is unknown, was there before, or its value
    /// is none that it may have.
    fn take(&mut self, name: &[u8], value: Option<Value<'_>>) -> Option<()> {
        let first = match (name, value) {
            (b"server_no_context_takeover", None) => !std::mem::replace(&mut self.server_no_context_takeover, true),
            (b"client_no_context_takeover", None) => !std::mem::replace(&mut self.client_no_context_takeover, true),
            (b"client_max_window_bits", value) => {
                if let Some(value) = value {
                    value.window_bits()?;
                }
                !std::mem::replace(&mut self.client_max_window_bits, true)
            }
            (b"server_max_window_bits", Some(value)) => {
                self.server_max_window_bits.replace(value.window_bits()?).is_none()
            }
            (_, _) => return None,
        };
        first.then_some(())
    }

    fn accept(self) -> Option<Agreed> {
        let window = match self.server_max_window_bits {
            None | Some(15) => Window::Full,
            Some(9..=14) => Window::Small,
            // zlib compresses with no window of 8 bits in a raw stream.
            Some(_) => return None,
        };
        Some(Agreed { window, bound_asked: self.server_max_window_bits.is_some() })
    }
}

/// The value of a parameter: a token, or a string in quotation marks with the backslashes still in it.
#[derive(Clone, Copy)]
struct Value<'h>(&'h [u8]);

impl Value<'_> {
    /// 8 to 15, in decimal without leading zeros (RFC 7692, section 7.1.2).
    fn window_bits(self) -> Option<u8> {
        let mut number = [0; 2];
        let mut len = 0;
        for digit in self.characters() {
            *number.get_mut(len)? = digit;
            len += 1;
        }
        match &number[..len] {
            [digit @ b'8'..=b'9'] => Some(digit - b'0'),
            [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
            _ => None,
        }
    }

    /// What it says: without the backslashes that quote.
    fn characters(self) -> impl Iterator<Item = u8> {
        let mut bytes = self.0.iter().copied();
        std::iter::from_fn(move || match bytes.next() {
            Some(b'\\') => bytes.next(),
            byte => byte,
        })
    }
}

/// What is left of a value to be read.
struct Scanner<'h>(&'h [u8]);

impl<'h> Scanner<'h> {
    /// One extension, up to the comma behind it or the end; `Some` if it is an offer that can be taken.
    fn extension(&mut self) -> Result<Option<Agreed>, MalformedExtensions> {
        let mut offer = (self.token()? == b"permessage-deflate").then(Offer::default);
        loop {
            self.skip_space();
            match self.peek() {
                None => break,
                Some(b',') => {
                    self.skip();
                    break;
                }
                Some(b';') => self.skip(),
                Some(_) => return Err(MalformedExtensions),
            }
            self.skip_space();
            let name = self.token()?;
            self.skip_space();
            let value = if self.peek() == Some(b'=') { Some(self.value()?) } else { None };
            offer = offer.and_then(|mut offer| offer.take(name, value).map(|()| offer));
        }
        Ok(offer.and_then(Offer::accept))
    }

    /// What stands behind the equals sign that comes next.
    fn value(&mut self) -> Result<Value<'h>, MalformedExtensions> {
        self.skip();
        self.skip_space();
        if self.peek() != Some(b'"') {
            return self.token().map(Value);
        }
        self.skip();
        let mut quoted = false;
        let end = self.0.iter().position(|byte| {
            let ends = *byte == b'"' && !quoted;
            quoted = *byte == b'\\' && !quoted;
            ends
        });
        let (content, rest) = self.0.split_at(end.ok_or(MalformedExtensions)?);
        self.0 = &rest[1..];
        // Without its backslashes it has to be a token as well (RFC 6455, section 9.1).
        let value = Value(content);
        let is_token = value.characters().all(is_token_byte) && value.characters().next().is_some();
        if is_token { Ok(value) } else { Err(MalformedExtensions) }
    }

    fn token(&mut self) -> Result<&'h [u8], MalformedExtensions> {
        let len = self.0.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(len);
        self.0 = rest;
        if token.is_empty() { Err(MalformedExtensions) } else { Ok(token) }
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn skip(&mut self) {
        self.0 = &self.0[1..];
    }
}

/// Whether `byte` can stand in a token (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is answered to `values`: the extension's parameters, or how it ended.
    fn answer(values: &[&str]) -> String {
        match negotiate(values.iter().map(|value| value.as_bytes())) {
            Ok(Some(agreed)) => {
                let response = agreed.response();
                let always = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
                format!("taken{}", response.strip_prefix(always).expect("no context is ever taken over"))
            }
            Ok(None) => "declined".into(),
            Err(MalformedExtensions) => "malformed".into(),
        }
    }

    #[test]
    fn offers_are_taken_declined_or_malformed() {
        for (value, expected) in [
            ("permessage-deflate", "taken"),
            // What browsers send.
            ("permessage-deflate; client_max_window_bits", "taken"),
            ("permessage-deflate;server_no_context_takeover;client_no_context_takeover", "taken"),
            (" permessage-deflate \t;\t client_max_window_bits = 10 ", "taken"),
            ("permessage-deflate; client_max_window_bits=8", "taken"),
            ("permessage-deflate; client_max_window_bits=15", "taken"),
            ("permessage-deflate; server_max_window_bits=15", "taken; server_max_window_bits=15"),
            ("permessage-deflate; server_max_window_bits=14", "taken; server_max_window_bits=9"),
            ("permessage-deflate; server_max_window_bits=10", "taken; server_max_window_bits=9"),
            ("permessage-deflate; server_max_window_bits=9", "taken; server_max_window_bits=9"),
            ("permessage-deflate; server_max_window_bits=\"12\"", "taken; server_max_window_bits=9"),
            ("permessage-deflate; server_max_window_bits=\"\\1\\5\"", "taken; server_max_window_bits=15"),
            ("permessage-deflate; server_max_window_bits=8", "declined"),
            ("permessage-deflate; server_max_window_bits", "declined"),
            ("permessage-deflate; server_max_window_bits=7", "declined"),
            ("permessage-deflate; server_max_window_bits=16", "declined"),
            ("permessage-deflate; server_max_window_bits=09", "declined"),
            ("permessage-deflate; server_max_window_bits=+9", "declined"),
            ("permessage-deflate; server_max_window_bits=150", "declined"),
            ("permessage-deflate; server_max_window_bits=1", "declined"),
            ("permessage-deflate; server_max_window_bits=ten", "declined"),
            ("permessage-deflate; client_max_window_bits=7", "declined"),
            ("permessage-deflate; client_max_window_bits=16", "declined"),
            ("permessage-deflate; client_max_window_bits=010", "declined"),
            ("permessage-deflate; server_no_context_takeover=true", "declined"),
            ("permessage-deflate; client_no_context_takeover=1", "declined"),
            ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", "declined"),
            ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", "declined"),
            ("permessage-deflate; client_max_window_bits; client_max_window_bits=10", "declined"),
            ("permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", "declined"),
            ("permessage-deflate; x", "declined"),
            ("permessage-deflate; Server_No_Context_Takeover", "declined"),
            ("Permessage-Deflate", "declined"),
            ("x-webkit-deflate-frame", "declined"),
            ("permessage-bzip2; level=9", "declined"),
            ("x; y=\"a\\b\"; z", "declined"),
            ("", "declined"),
            (" , ,, ", "declined"),
            (",permessage-deflate,,", "taken"),
            ("permessage-deflate;", "malformed"),
            ("permessage-deflate; ;x", "malformed"),
            ("; x", "malformed"),
            ("permessage-deflate x", "malformed"),
            ("permessage-deflate; server_max_window_bits=", "malformed"),
            ("permessage-deflate; server_max_window_bits=\"10", "malformed"),
            ("permessage-deflate; server_max_window_bits=\"\"", "malformed"),
            ("permessage-deflate; server_max_window_bits=\"1 0\"", "malformed"),
            ("permessage-deflate; server_max_window_bits=\"10\\\"", "malformed"),
            ("permessage-deflate; server_max_window_bits=10 15", "malformed"),
            ("permessage-deflate; =10", "malformed"),
            ("permessage-deflate=10", "malformed"),
            ("\"permessage-deflate\"", "malformed"),
            ("permessage-deflate, \u{e4}", "malformed"),
        ] {
            assert_eq!(answer(&[value]), expected, "{value:?}");
        }
    }

    #[test]
    fn the_first_offer_that_can_be_kept_is_taken() {
        let (small, full) = ("taken; server_max_window_bits=9", "taken; server_max_window_bits=15");
        for (values, expected) in [
            (&["permessage-deflate; server_max_window_bits=8, permessage-deflate"] as &[&str], "taken"),
            (&["permessage-deflate; server_max_window_bits=10", "permessage-deflate"], small),
            (&["permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=15"], full),
            (&["x; a=1, permessage-deflate; b, permessage-deflate; server_max_window_bits=9"], small),
            (&["permessage-bzip2", "permessage-lz4"], "declined"),
            (&["permessage-deflate", "x;"], "malformed"),
            (&[], "declined"),
        ] {
            assert_eq!(answer(values), expected, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3),
        ) {
            let _ = negotiate(values.iter().map(Vec::as_slice));
        }

        #[test]
        fn what_is_agreed_is_within_what_was_offered(
            bits in 0u32..20, quoted in any::<bool>(), client in prop::option::of(8u32..16), twice in any::<bool>(),
        ) {
            let value = if quoted { format!("\"{bits}\"") } else { bits.to_string() };
            let client = client.map_or(String::new(), |bits| format!("; client_max_window_bits={bits}"));
            let offer = format!("permessage-deflate; server_max_window_bits={value}{client}");
            let header = if twice { format!("{offer}, {offer}") } else { offer };
            match negotiate([header.as_bytes()]) {
                Ok(Some(agreed)) => {
                    prop_assert!((9..=15).contains(&bits) && u32::from(agreed.window.bits()) <= bits);
                    let said = format!("; server_max_window_bits={}", agreed.window.bits());
                    prop_assert!(agreed.response().ends_with(&said));
                }
                other => prop_assert!(other == Ok(None) && !(9..=15).contains(&bits)),
            }
        }
    }
}
