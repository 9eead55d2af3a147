//! What can be wrong with what a peer sends, and the alert that tells it so.

use std::{error, fmt};

use rustls::AlertDescription;

/// Why a handshake ends without a session; the peer's doing, but for the last two.
#[derive(Debug)]
pub enum HandshakeError {
    /// What rustls refuses; it has written the alert.
    Refused(rustls::Error),
    /// The peer closed in the middle.
    Closed,
    /// The peer's messages are longer than any handshake's.
    TooLong,
    /// Something came that can only follow the handshake.
    TooEarly,
    /// The suite's keys are of a kind that this version does not know.
    Suite,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Refused(error) => write!(f, "{error}"),
            HandshakeError::Closed => f.write_str("the peer closed during the handshake"),
            HandshakeError::TooLong => f.write_str("the handshake is too long"),
            HandshakeError::TooEarly => f.write_str("data came before the end of the handshake"),
            HandshakeError::Suite => f.write_str("the keys of this suite cannot be used"),
        }
    }
}

impl error::Error for HandshakeError {}

/// Why a session ends before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// A record is longer than it may be.
    Overflow,
    /// A record cannot be opened: it was changed, or is none of this session.
    BadMac,
    /// A record, or a message in it, of a kind that may not come here: renegotiation among them.
    Unexpected,
    /// A message that cannot be read.
    Malformed,
    /// More records without data, one after the other, than anyone sends who has something to say.
    NothingButControl,
    /// More key updates than the data between them is worth.
    TooManyKeys,
    /// The peer's own alert ended the session.
    PeerAlert,
    /// A key of TLS 1.2 has sealed as many records as it may, and there is no other.
    KeyWornOut,
    /// The kernel seals, takes no further key, and one is needed: the peer has asked for it, or the first is worn out.
    KeyStays,
    /// The library failed where it cannot.
    Internal,
}

impl RecordError {
    /// What the peer is told; `None` = it has told us.
    pub(super) fn alert(self) -> Option<AlertDescription> {
        Some(match self {
            RecordError::Overflow => AlertDescription::RecordOverflow,
            RecordError::BadMac => AlertDescription::BadRecordMac,
            RecordError::Unexpected | RecordError::NothingButControl | RecordError::TooManyKeys => {
                AlertDescription::UnexpectedMessage
            }
            RecordError::Malformed => AlertDescription::DecodeError,
            RecordError::PeerAlert => return None,
            RecordError::KeyWornOut | RecordError::KeyStays => AlertDescription::CloseNotify,
            RecordError::Internal => AlertDescription::InternalError,
        })
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordError::Overflow => "a record is too long",
            RecordError::BadMac => "a record cannot be decrypted",
            RecordError::Unexpected => "a record of a kind that may not come here",
            RecordError::Malformed => "a message that cannot be read",
            RecordError::NothingButControl => "too many records without data",
            RecordError::TooManyKeys => "more key updates than the data is worth",
            RecordError::PeerAlert => "the peer ended the session with an alert",
            RecordError::KeyWornOut => "the key has sealed as many records as it may",
            RecordError::KeyStays => "the kernel takes no further key",
            RecordError::Internal => "a record could not be sealed",
        })
    }
}

impl error::Error for RecordError {}
