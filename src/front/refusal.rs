//! What of all that is not answered as asked counts as refused.

use super::Front;
use crate::http::{ChunkedError, HeadError};
use crate::metrics::Refusal;
use crate::rest::ApiError;

impl Front {
    /// Notes that somebody is refused with `error`, be it told or not.
    pub(super) fn note_refusal(&self, error: &ApiError) {
        tracing::debug!(code = error.code(), "refused");
        if let Some(reason) = reason(error) {
            self.metrics.refused(reason);
        }
    }
}

/// `None` = it was asked for what is not there, or in words that say something else than was meant.
fn reason(error: &ApiError) -> Option<Refusal> {
    Some(match error {
        ApiError::Head(HeadError::TargetTooLong) => Refusal::UriTooLong,
        ApiError::Head(HeadError::TooLong | HeadError::TooManyFields) => Refusal::HeadTooLong,
        ApiError::Head(
            HeadError::BareLf
            | HeadError::BareCr
            | HeadError::RequestLine
            | HeadError::Target
            | HeadError::Version
            | HeadError::Field
            | HeadError::HostMissing
            | HeadError::HostRepeated
            | HeadError::HostInvalid
            | HeadError::LengthRepeated
            | HeadError::LengthInvalid
            | HeadError::LengthWithCoding
            | HeadError::CodingInvalid
            | HeadError::CodingUnknown
            | HeadError::Expectation,
        )
        | ApiError::Chunked(ChunkedError::Malformed) => Refusal::Malformed,
        ApiError::Chunked(ChunkedError::TooLong | ChunkedError::TooMuchAround) | ApiError::BodyTooLong { .. } => {
            Refusal::BodyTooLong
        }
        ApiError::TokenMissing => Refusal::TokenMissing,
        ApiError::TokenWrong => Refusal::TokenWrong,
        ApiError::ChannelFull => Refusal::ChannelFull,
        ApiError::AuthMissing | ApiError::AuthOrJwtMissing => Refusal::AuthMissing,
        ApiError::AuthWrong => Refusal::AuthWrong,
        ApiError::JwtInvalid { .. } => Refusal::JwtInvalid,
        ApiError::JwtExpired => Refusal::JwtExpired,
        ApiError::JwtNotForChannel | ApiError::JwtWithoutRight { .. } => Refusal::JwtNotEnough,
        ApiError::OriginNotAllowed => Refusal::OriginNotAllowed,
        ApiError::NotLocal => Refusal::NotLocal,
        ApiError::ConnectionRate { .. } => Refusal::ConnectionRate,
        ApiError::RequestRate { .. } => Refusal::RequestRate,
        ApiError::TooManyConnectionsFromAddress => Refusal::TooManyConnectionsFromAddress,
        ApiError::TooManyChannelsFromAddress => Refusal::TooManyChannelsFromAddress,
        ApiError::TooManyConnections => Refusal::TooManyConnections,
        ApiError::TooManyChannels => Refusal::TooManyChannels,
        ApiError::NotTls => Refusal::NotTls,
        ApiError::OutOfMemory => Refusal::OutOfMemory,
        ApiError::Unavailable => Refusal::Unavailable,
        // Counted where it is known whether the head or the body was late.
        ApiError::RequestTimeout => return None,
        ApiError::NoSuchPath
        | ApiError::NoSuchChannel
        | ApiError::MethodNotAllowed { .. }
        | ApiError::MethodUnknown
        | ApiError::Query
        | ApiError::BodyMissing
        | ApiError::MediaType
        | ApiError::NotJson { .. }
        | ApiError::NotAnObject
        | ApiError::UnknownField { .. }
        | ApiError::UnknownParameter { .. }
        | ApiError::RepeatedField { .. }
        | ApiError::MissingField { .. }
        | ApiError::InvalidField { .. }
        | ApiError::IdTaken(_)
        | ApiError::Upgrade(_) => return None,
    })
}
