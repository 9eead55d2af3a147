//! Why a request head is refused: always the peer's doing, always with a status.

use super::Status;

/// What is wrong with a request head. After any of these the connection is closed: where the next request would begin
/// is no longer known (RFC 9112, section 9.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadError {
    /// A line ends in LF without CR, which some recipients take for a line end and others do not (RFC 9112, section 2.2).
    BareLf,
    /// A CR that no LF follows.
    BareCr,
    /// The request line is none (RFC 9112, section 3).
    RequestLine,
    /// The request target has a form or a byte that is not allowed (RFC 9112, section 3.2).
    Target,
    /// Not HTTP/1.0 or HTTP/1.1.
    Version,
    /// A field line that is none: a space before the colon, a folded line, a control character (RFC 9112, section 5).
    Field,
    /// HTTP/1.1 without `Host` (RFC 9112, section 3.2).
    HostMissing,
    /// More than one `Host`.
    HostRepeated,
    /// `Host` holds what no host name or port can.
    HostInvalid,
    /// More than one `Content-Length`, be they equal or not.
    LengthRepeated,
    /// `Content-Length` is no plain decimal number.
    LengthInvalid,
    /// `Content-Length` and `Transfer-Encoding` together (RFC 9112, section 6.1).
    LengthWithCoding,
    /// `Transfer-Encoding` that does not end in one `chunked`, or comes with HTTP/1.0.
    CodingInvalid,
    /// A transfer coding other than `chunked`.
    CodingUnknown,
    /// `Expect` for something other than `100-continue` (RFC 9110, section 10.1.1).
    Expectation,
    /// The request target is longer than allowed.
    TargetTooLong,
    /// The head is longer than allowed.
    TooLong,
    /// The head has more fields than allowed.
    TooManyFields,
}

impl HeadError {
    /// The status that answers it.
    pub fn status(self) -> Status {
        match self {
            HeadError::BareLf
            | HeadError::BareCr
            | HeadError::RequestLine
            | HeadError::Target
            | HeadError::Field
            | HeadError::HostMissing
            | HeadError::HostRepeated
            | HeadError::HostInvalid
            | HeadError::LengthRepeated
            | HeadError::LengthInvalid
            | HeadError::LengthWithCoding
            | HeadError::CodingInvalid => Status::BAD_REQUEST,
            HeadError::Version => Status::VERSION_NOT_SUPPORTED,
            HeadError::CodingUnknown => Status::NOT_IMPLEMENTED,
            HeadError::Expectation => Status::EXPECTATION_FAILED,
            HeadError::TargetTooLong => Status::URI_TOO_LONG,
            HeadError::TooLong | HeadError::TooManyFields => Status::FIELDS_TOO_LARGE,
        }
    }

    /// What to change, in one sentence.
    pub fn message(self) -> &'static str {
        match self {
            HeadError::BareLf => "lines of a request head must end in CR LF, one ends in LF alone",
            HeadError::BareCr => "a CR in a request head must be followed by LF",
            HeadError::RequestLine => "the first line must be METHOD SP TARGET SP HTTP/1.1",
            HeadError::Target => "the request target must be a path, or an absolute http URL, of printable ASCII",
            HeadError::Version => "the version must be HTTP/1.1 or HTTP/1.0",
            HeadError::Field => "a header field must be `name: value` on one line, without a space before the colon",
            HeadError::HostMissing => "HTTP/1.1 requires a Host header",
            HeadError::HostRepeated => "there must be one Host header, not several",
            HeadError::HostInvalid => "the Host header must be a host name with an optional port",
            HeadError::LengthRepeated => "there must be one Content-Length header, not several",
            HeadError::LengthInvalid => "Content-Length must be a plain decimal number",
            HeadError::LengthWithCoding => "Content-Length and Transfer-Encoding exclude each other",
            HeadError::CodingInvalid => "Transfer-Encoding must be `chunked`, once, and in HTTP/1.1",
            HeadError::CodingUnknown => "the only transfer coding understood is chunked",
            HeadError::Expectation => "the only expectation understood is 100-continue",
            HeadError::TargetTooLong => "the request target, which is path and query, is too long",
            HeadError::TooLong => "the request head is too long",
            HeadError::TooManyFields => "the request has too many header fields",
        }
    }
}
