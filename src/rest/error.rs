//! Everything that a request can be refused for, and the answer to it.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::channel::ChannelId;
use crate::handoff::{AdmitError, CreateError};
use crate::http::upgrade::{self, UpgradeError};
use crate::http::{ChunkedError, HeadError, Response, Status};
use crate::route::RouteError;

/// Why a request is refused. All but the last three are the client's to change; no variant holds a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApiError {
    Head(HeadError),
    Chunked(ChunkedError),
    /// The body is announced or found to be longer than allowed.
    BodyTooLong {
        len_max: usize,
    },
    /// The request was begun and not finished in time.
    RequestTimeout,
    /// A plain request where TLS is spoken.
    NotTls,
    NoSuchPath,
    NoSuchChannel,
    MethodNotAllowed {
        allow: &'static str,
    },
    MethodUnknown,
    Query,
    BodyMissing,
    MediaType,
    NotJson {
        line: usize,
        column: usize,
    },
    NotAnObject,
    UnknownField {
        name: String,
        known: &'static str,
    },
    /// Of the query.
    UnknownParameter {
        name: String,
        known: &'static str,
    },
    RepeatedField {
        name: String,
    },
    MissingField {
        name: &'static str,
        allowed: String,
    },
    /// `was` is the value as JSON.
    InvalidField {
        name: &'static str,
        was: String,
        allowed: String,
    },
    IdTaken(ChannelId),
    Upgrade(UpgradeError),
    TokenMissing,
    TokenWrong,
    ChannelFull,
    /// A page asks whose origin is not allowed.
    OriginNotAllowed,
    /// What is for the operator alone is asked for from elsewhere, or by a page.
    NotLocal,
    /// The API token is needed and not there.
    AuthMissing,
    AuthWrong,
    /// The API token is needed, or a JSON Web Token that gives the right, and neither is there.
    AuthOrJwtMissing,
    /// A JSON Web Token is not good; `why` says what to change.
    JwtInvalid {
        why: &'static str,
    },
    JwtExpired,
    /// A JSON Web Token is for other channels.
    JwtNotForChannel,
    /// A JSON Web Token does not say that its bearer may do this.
    JwtWithoutRight {
        needed: &'static str,
    },
    /// The client's address opens connections too often; after `wait` it may again.
    ConnectionRate {
        wait: Duration,
    },
    /// The client's address makes requests too often; after `wait` it may again.
    RequestRate {
        wait: Duration,
    },
    /// The client's address has as many connections as it may.
    TooManyConnectionsFromAddress,
    /// The client's address has created as many channels as it may.
    TooManyChannelsFromAddress,
    /// The relay has as many connections as it may.
    TooManyConnections,
    /// The relay has as many channels as it may.
    TooManyChannels,
    /// The shard of the channel holds as much as it may.
    OutOfMemory,
    /// The relay is closing, or a part of it does not answer.
    Unavailable,
}

impl ApiError {
    /// The answer.
    pub fn response(&self) -> Response {
        let (status, code) = self.status_and_code();
        let body = ErrorBody { error: ErrorDetail { code, message: &self.message() } };
        // Two strings can always be written.
        let response = Response::json(status, serde_json::to_vec(&body).unwrap_or_default());
        match self {
            ApiError::MethodNotAllowed { allow } => response.with("Allow", *allow),
            // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
            ApiError::Upgrade(UpgradeError::NotAsked) => response.with("Upgrade", "websocket"),
            ApiError::Upgrade(UpgradeError::Version) => {
                response.with("Upgrade", "websocket").with("Sec-WebSocket-Version", upgrade::VERSION)
            }
            // RFC 9110, section 15.5.2, wants a challenge with every 401; no registered scheme reads a query parameter.
            ApiError::TokenMissing | ApiError::TokenWrong => response.with("WWW-Authenticate", "channel-token"),
            ApiError::AuthMissing | ApiError::AuthWrong | ApiError::AuthOrJwtMissing => {
                response.with("WWW-Authenticate", "Bearer")
            }
            // RFC 6750, section 3.1.
            ApiError::JwtInvalid { .. } | ApiError::JwtExpired => {
                response.with("WWW-Authenticate", "Bearer error=\"invalid_token\"")
            }
            // In whole seconds (RFC 9110, section 10.2.3), and not too few of them.
            ApiError::ConnectionRate { wait } | ApiError::RequestRate { wait } => {
                response.with("Retry-After", wait.as_millis().div_ceil(1000).max(1).to_string())
            }
            ApiError::TooManyConnectionsFromAddress
            | ApiError::TooManyChannelsFromAddress
            | ApiError::TooManyConnections
            | ApiError::TooManyChannels
            | ApiError::OutOfMemory
            | ApiError::Unavailable => response.with("Retry-After", "1"),
            ApiError::Head(_)
            | ApiError::Chunked(_)
            | ApiError::BodyTooLong { .. }
            | ApiError::RequestTimeout
            | ApiError::NotTls
            | ApiError::NoSuchPath
            | ApiError::NoSuchChannel
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
            | ApiError::Upgrade(_)
            | ApiError::ChannelFull
            | ApiError::OriginNotAllowed
            | ApiError::NotLocal
            | ApiError::JwtNotForChannel
            | ApiError::JwtWithoutRight { .. } => response,
        }
    }

    /// What is wrong, for programs.
    pub fn code(&self) -> &'static str {
        self.status_and_code().1
    }

    pub(super) fn status_and_code(&self) -> (Status, &'static str) {
        match self {
            ApiError::Head(error @ HeadError::TargetTooLong) => (error.status(), "uri_too_long"),
            ApiError::Head(error) => (error.status(), "bad_head"),
            ApiError::Chunked(ChunkedError::Malformed) => (Status::BAD_REQUEST, "bad_body"),
            ApiError::Chunked(ChunkedError::TooLong | ChunkedError::TooMuchAround) | ApiError::BodyTooLong { .. } => {
                (Status::CONTENT_TOO_LARGE, "body_too_long")
            }
            ApiError::RequestTimeout => (Status::REQUEST_TIMEOUT, "request_timeout"),
            ApiError::NotTls => (Status::BAD_REQUEST, "not_tls"),
            ApiError::NoSuchPath => (Status::NOT_FOUND, "not_found"),
            ApiError::NoSuchChannel => (Status::NOT_FOUND, "no_such_channel"),
            ApiError::MethodNotAllowed { .. } => (Status::METHOD_NOT_ALLOWED, "method_not_allowed"),
            ApiError::MethodUnknown => (Status::NOT_IMPLEMENTED, "method_unknown"),
            ApiError::Query => (Status::BAD_REQUEST, "bad_query"),
            ApiError::BodyMissing => (Status::LENGTH_REQUIRED, "body_missing"),
            ApiError::MediaType => (Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            ApiError::NotJson { .. } => (Status::BAD_REQUEST, "not_json"),
            ApiError::NotAnObject => (Status::BAD_REQUEST, "not_an_object"),
            ApiError::UnknownField { .. } => (Status::UNPROCESSABLE_CONTENT, "unknown_field"),
            ApiError::UnknownParameter { .. } => (Status::UNPROCESSABLE_CONTENT, "unknown_parameter"),
            ApiError::RepeatedField { .. } => (Status::UNPROCESSABLE_CONTENT, "repeated_field"),
            ApiError::MissingField { .. } => (Status::UNPROCESSABLE_CONTENT, "missing_field"),
            ApiError::InvalidField { .. } => (Status::UNPROCESSABLE_CONTENT, "invalid_field"),
            ApiError::IdTaken(_) => (Status::CONFLICT, "id_taken"),
            ApiError::Upgrade(error) => (error.status(), "bad_upgrade"),
            ApiError::TokenMissing => (Status::UNAUTHORIZED, "token_missing"),
            ApiError::TokenWrong => (Status::UNAUTHORIZED, "token_wrong"),
            ApiError::ChannelFull => (Status::FORBIDDEN, "channel_full"),
            ApiError::OriginNotAllowed => (Status::FORBIDDEN, "origin_not_allowed"),
            ApiError::NotLocal => (Status::FORBIDDEN, "not_local"),
            ApiError::AuthMissing | ApiError::AuthOrJwtMissing => (Status::UNAUTHORIZED, "auth_missing"),
            ApiError::AuthWrong => (Status::UNAUTHORIZED, "auth_wrong"),
            ApiError::JwtInvalid { .. } => (Status::UNAUTHORIZED, "token_invalid"),
            ApiError::JwtExpired => (Status::UNAUTHORIZED, "token_expired"),
            ApiError::JwtNotForChannel => (Status::FORBIDDEN, "token_not_for_channel"),
            ApiError::JwtWithoutRight { .. } => (Status::FORBIDDEN, "token_without_right"),
            ApiError::ConnectionRate { .. } | ApiError::RequestRate { .. } => {
                (Status::TOO_MANY_REQUESTS, "rate_limit_exceeded")
            }
            ApiError::TooManyConnectionsFromAddress => (Status::TOO_MANY_REQUESTS, "too_many_connections_from_address"),
            ApiError::TooManyChannelsFromAddress => (Status::TOO_MANY_REQUESTS, "too_many_channels_from_address"),
            ApiError::TooManyConnections => (Status::SERVICE_UNAVAILABLE, "too_many_connections"),
            ApiError::TooManyChannels => (Status::SERVICE_UNAVAILABLE, "too_many_channels"),
            ApiError::OutOfMemory => (Status::SERVICE_UNAVAILABLE, "out_of_memory"),
            ApiError::Unavailable => (Status::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }

    /// What to change, in one sentence.
    pub fn message(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            ApiError::Head(error) => error.message(),
            ApiError::Chunked(ChunkedError::Malformed) => "the body breaks the grammar of the chunked transfer coding",
            ApiError::Chunked(ChunkedError::TooLong) => "the body is too long",
            ApiError::Chunked(ChunkedError::TooMuchAround) => {
                "the body has too many chunks, chunk extensions or trailers for its length"
            }
            ApiError::BodyTooLong { len_max } => return format!("the body may have at most {len_max} bytes").into(),
            ApiError::RequestTimeout => "the request took too long to arrive",
            ApiError::NotTls => "this port speaks TLS: use https:// and wss:// instead of http:// and ws://",
            ApiError::NoSuchPath => "there is nothing at this path; channels are at /channels",
            ApiError::NoSuchChannel => {
                "there is no channel with this id: it was never created, deleted, or has expired"
            }
            ApiError::MethodNotAllowed { allow } => return format!("allowed here: {allow}").into(),
            ApiError::MethodUnknown => "this server does not know the method",
            ApiError::Query => "the query is not well-formed: % must be followed by two hexadecimal digits, in UTF-8",
            ApiError::BodyMissing => "send the channel as a JSON body, with Content-Length or chunked",
            ApiError::MediaType => "the body must be JSON: send Content-Type: application/json",
            ApiError::NotJson { line, column } => {
                return format!("the body is not valid JSON, at line {line}, column {column}").into();
            }
            ApiError::NotAnObject => "the body must be a JSON object, such as {\"pattern\":\"echo\"}",
            ApiError::UnknownField { name, known } => {
                return format!("there is no field {:?}; allowed: {known}", excerpt(name)).into();
            }
            ApiError::UnknownParameter { name, known } => {
                return format!("there is no parameter {:?}; allowed: {known}", excerpt(name)).into();
            }
            ApiError::RepeatedField { name } => return format!("the field {name} is given more than once").into(),
            ApiError::MissingField { name, allowed } => {
                return format!("{name} is missing; allowed: {allowed}").into();
            }
            ApiError::InvalidField { name, was, allowed } => {
                return format!("{name} was {}; allowed: {allowed}", excerpt(was)).into();
            }
            ApiError::IdTaken(id) => {
                return format!("there is a channel {id} already: choose another id, or none").into();
            }
            ApiError::Upgrade(error) => error.message(),
            ApiError::TokenMissing => "the channel's token is missing: connect with ?token=",
            ApiError::TokenWrong => "this is not the channel's token",
            ApiError::ChannelFull => "the channel has as many clients as its clientLimit allows",
            ApiError::OriginNotAllowed => {
                "pages of this origin may not use the relay: its operator has to list the origin in cors-origins"
            }
            ApiError::NotLocal => {
                "this is for the operator: ask on the relay's own host, not through a proxy, or have auth guard the path \
                 and send the API token"
            }
            ApiError::AuthMissing => {
                "this needs the API token: send it as ?auth=, as Authorization: Bearer, or as the field auth of a JSON body"
            }
            ApiError::AuthWrong => "this is not the API token",
            ApiError::AuthOrJwtMissing => {
                "this needs the API token, as ?auth=, as Authorization: Bearer, or as the field auth of a JSON body; or a \
                 JSON Web Token in the same places, with create among can to create a channel, pub or sub to connect"
            }
            ApiError::JwtInvalid { why } => why,
            ApiError::JwtExpired => "the JSON Web Token has expired: get a new one",
            ApiError::JwtNotForChannel => {
                "the JSON Web Token is not for this channel: its claim channel has to name it, or the beginning of its id \
                 with * behind; a generated id needs *"
            }
            ApiError::JwtWithoutRight { needed } => {
                return format!("the JSON Web Token does not give the right: its claim can has to have {needed}")
                    .into();
            }
            ApiError::ConnectionRate { .. } | ApiError::RequestRate { .. } => {
                "this address does so too often: wait for the seconds that Retry-After names, and go slower"
            }
            ApiError::TooManyConnectionsFromAddress => {
                "this address has as many connections as it may: close some, or try again later"
            }
            ApiError::TooManyChannelsFromAddress => {
                "this address has created as many channels as it may: delete some, or give them a timeout"
            }
            ApiError::TooManyConnections => "the server has too many connections: try again later",
            ApiError::TooManyChannels => {
                "the server has as many channels as it may: delete some, give them a timeout, or try again later"
            }
            ApiError::OutOfMemory => "the server holds as many messages as it may: try again later",
            ApiError::Unavailable => "the server is closing or overloaded: try again later",
        })
    }
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody<'a> {
    pub(super) error: ErrorDetail<'a>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ErrorDetail<'a> {
    /// What is wrong, for programs.
    #[schema(example = "no_such_channel")]
    pub(super) code: &'a str,
    /// What to change, for people.
    pub(super) message: &'a str,
}

/// The beginning of what a client sent, short enough for a message.
fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(EXCERPT_LEN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// In characters.
const EXCERPT_LEN_MAX: usize = 64;

impl From<HeadError> for ApiError {
    fn from(error: HeadError) -> ApiError {
        ApiError::Head(error)
    }
}

impl From<ChunkedError> for ApiError {
    fn from(error: ChunkedError) -> ApiError {
        ApiError::Chunked(error)
    }
}

impl From<UpgradeError> for ApiError {
    fn from(error: UpgradeError) -> ApiError {
        ApiError::Upgrade(error)
    }
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> ApiError {
        match error {
            RouteError::NoSuchPath => ApiError::NoSuchPath,
            RouteError::NoSuchChannel => ApiError::NoSuchChannel,
            RouteError::MethodNotAllowed(allow) => ApiError::MethodNotAllowed { allow },
            RouteError::MethodUnknown => ApiError::MethodUnknown,
        }
    }
}

impl From<AdmitError> for ApiError {
    fn from(error: AdmitError) -> ApiError {
        match error {
            AdmitError::NoSuchChannel => ApiError::NoSuchChannel,
            AdmitError::WrongToken => ApiError::TokenWrong,
            AdmitError::Full => ApiError::ChannelFull,
            AdmitError::OutOfMemory => ApiError::OutOfMemory,
            AdmitError::ShuttingDown => ApiError::Unavailable,
        }
    }
}

impl ApiError {
    /// Why the channel `id` was not created.
    pub fn from_create(error: CreateError, id: ChannelId) -> ApiError {
        match error {
            CreateError::IdTaken => ApiError::IdTaken(id),
            CreateError::OutOfMemory => ApiError::OutOfMemory,
            CreateError::ShuttingDown => ApiError::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_is_quoted_in_part() {
        let name = "ä".repeat(1000);
        let message = ApiError::UnknownField { name, known: "id" }.message().into_owned();
        assert_eq!(message, format!("there is no field \"{}…\"; allowed: id", "ä".repeat(64)));
    }
}
