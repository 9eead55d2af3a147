//! The fields of a head (RFC 9110, section 5).

use std::ops::Range;

/// One field line: where its name and its value lie. The value has no white space around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Field {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// A view of the fields of one head.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'b> {
    fields: &'b [Field],
    bytes: &'b [u8],
}

impl<'b> Fields<'b> {
    pub(super) fn new(fields: &'b [Field], bytes: &'b [u8]) -> Fields<'b> {
        Fields { fields, bytes }
    }

    /// The values of all fields called `name` (in lower or any case), in order.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields
            .iter()
            .filter(move |field| self.bytes[field.name.clone()].eq_ignore_ascii_case(name.as_bytes()))
            .map(move |field| &self.bytes[field.value.clone()])
    }

    /// The value of the only field called `name`; `None` if there is none or more than one.
    pub fn only(self, name: &str) -> Option<&'b [u8]> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// The members of the comma-separated lists in the fields called `name` (RFC 9110, section 5.6.1); without the
    /// empty ones, which a recipient ignores.
    pub fn list(self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
    }

    /// Whether a list called `name` has the member `token`, in any case.
    pub fn has_token(self, name: &str, token: &str) -> bool {
        self.list(name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
    }

    pub fn has(self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}

/// Whether `byte` can stand in a token, such as a field name (RFC 9110, section 5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
