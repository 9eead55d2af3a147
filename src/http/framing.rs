//! Where the body of a request ends (RFC 9112, section 6).

use super::fields::{Fields, is_token_byte};
use super::{HeadError, Version};

/// How the body is delimited. There is no other way: whatever could be read in two ways is a [`HeadError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// No body, and none announced.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Reads the framing from the fields of a head.
pub(super) fn framing(fields: Fields<'_>, version: Version) -> Result<Framing, HeadError> {
    let mut lengths = fields.all("content-length");
    let length = match (lengths.next(), lengths.next()) {
        (None, _) => None,
        (Some(length), None) => Some(parse_length(length)?),
        // RFC 9112, section 6.3, lets a server take equal ones for one; a proxy in front of it might take another.
        (Some(_), Some(_)) => return Err(HeadError::LengthRepeated),
    };
    let mut codings = fields.all("transfer-encoding");
    let coding = match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) => Some(coding),
        (Some(_), Some(_)) => return Err(HeadError::CodingInvalid),
    };
    match (length, coding) {
        (None, None) => Ok(Framing::None),
        (Some(length), None) => Ok(Framing::Length(length)),
        (Some(_), Some(_)) => Err(HeadError::LengthWithCoding),
        // RFC 9112, section 6.1: with HTTP/1.0 the framing is to be taken for faulty.
        (None, Some(_)) if version == Version::Http10 => Err(HeadError::CodingInvalid),
        (None, Some(coding)) => parse_coding(coding),
    }
}

/// Digits and nothing else: no sign, no list, no white space. A number that no `u64` holds is a number nevertheless, and
/// above every bound.
fn parse_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::LengthInvalid);
    }
    Ok(value.iter().fold(0u64, |length, digit| length.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

fn parse_coding(value: &[u8]) -> Result<Framing, HeadError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let is_token = |coding: &[u8]| !coding.is_empty() && coding.iter().copied().all(is_token_byte);
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let well_formed = codings.clone().all(is_token);
    if well_formed && codings.any(|coding| !coding.eq_ignore_ascii_case(b"chunked")) {
        Err(HeadError::CodingUnknown)
    } else {
        Err(HeadError::CodingInvalid)
    }
}
