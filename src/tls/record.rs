//! What a record looks like from outside (RFC 8446, section 5.1; RFC 5246, section 6.2).

use rustls::{ContentType, ProtocolVersion};

use super::error::RecordError;

pub(super) const HEADER_LEN: usize = 5;

/// Most bytes of data in one record.
pub(super) const DATA_LEN_MAX: usize = 1 << 14;

/// Most bytes of a sealed record behind its header: TLS 1.2 allows 2048 more than the data, TLS 1.3 256.
const SEALED_LEN_MAX: usize = DATA_LEN_MAX + 2048;
const SEALED_LEN_MAX_13: usize = DATA_LEN_MAX + 256;

pub(super) struct Header {
    pub(super) kind: ContentType,
    pub(super) version: ProtocolVersion,
    /// Bytes of the record, with its header.
    pub(super) len: usize,
}

impl Header {
    /// The header that `bytes` begin with; `None` = more of it is needed.
    pub(super) fn read(bytes: &[u8], version: ProtocolVersion) -> Result<Option<Header>, RecordError> {
        let Some([kind, major, minor, high, low]) = bytes.first_chunk::<HEADER_LEN>() else { return Ok(None) };
        if *major != 3 {
            return Err(RecordError::Unexpected);
        }
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let len_max = if version == ProtocolVersion::TLSv1_3 { SEALED_LEN_MAX_13 } else { SEALED_LEN_MAX };
        if len > len_max {
            return Err(RecordError::Overflow);
        }
        let version = ProtocolVersion::from(u16::from_be_bytes([*major, *minor]));
        Ok(Some(Header { kind: ContentType::from(*kind), version, len: HEADER_LEN + len }))
    }
}

/// Where the first record of `bytes` ends, if its header is there; what the header says is not judged.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    let [_, _, _, high, low] = bytes.first_chunk::<HEADER_LEN>()?;
    Some(HEADER_LEN + usize::from(u16::from_be_bytes([*high, *low])))
}
