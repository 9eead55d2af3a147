//! The body of `POST /channels`, checked field by field.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::ApiError;
use crate::channel::{ChannelId, ChannelSpec, Pattern, Token};

/// The largest integer that every JSON reader keeps exactly (RFC 8259, section 6).
pub const SAFE_INTEGER_MAX: u64 = 1 << 53;

/// What a client asks a channel to be: every value is in its range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelRequest {
    /// `None` = to be generated.
    pub id: Option<ChannelId>,
    pub pattern: Pattern,
    pub client_limit: Option<u64>,
    pub timeout: Option<Duration>,
    pub exclude_sender: bool,
    pub history: u32,
}

impl ChannelRequest {
    /// Reads a body, with the `Content-Type` it came with.
    ///
    /// # Errors
    /// It is no JSON object, or a field is unknown, missing or out of its range; the error says which, and what is
    /// allowed.
    pub fn parse(content_type: Option<&[u8]>, body: &[u8]) -> Result<ChannelRequest, ApiError> {
        if !content_type.is_none_or(is_json) {
            return Err(ApiError::MediaType);
        }
        let Object(fields) = serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => ApiError::NotAnObject,
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => ApiError::NotJson { line: error.line(), column: error.column() },
        })?;
        let mut id = None;
        let mut pattern = None;
        let mut client_limit = None;
        let mut timeout = None;
        let mut exclude_sender = None;
        let mut history = None;
        for (name, value) in fields {
            let is_new = match name.as_str() {
                "id" => id.replace(parse_id(&value)?).is_none(),
                "pattern" => pattern.replace(parse_pattern(&value)?).is_none(),
                "clientLimit" => client_limit.replace(parse_limit("clientLimit", &value)?).is_none(),
                "timeout" => timeout.replace(parse_limit("timeout", &value)?).is_none(),
                "excludeSender" => exclude_sender.replace(parse_bool("excludeSender", &value)?).is_none(),
                "history" => history.replace(parse_history(&value)?).is_none(),
                _ => return Err(ApiError::UnknownField { name, known: FIELDS }),
            };
            if !is_new {
                return Err(ApiError::RepeatedField { name });
            }
        }
        let pattern = pattern.ok_or_else(|| ApiError::MissingField { name: "pattern", allowed: patterns() })?;
        let exclude_sender = exclude_sender.unwrap_or(false);
        if exclude_sender && pattern != Pattern::PubSub {
            let allowed = format!("false, or true with the pattern {}", Pattern::PubSub.name());
            return Err(invalid("excludeSender", &Value::Bool(true), allowed));
        }
        Ok(ChannelRequest {
            id,
            pattern,
            client_limit: client_limit.flatten(),
            timeout: timeout.map_or(Some(TIMEOUT_DEFAULT), |limit| limit.map(Duration::from_millis)),
            exclude_sender,
            history: history.unwrap_or(0),
        })
    }

    /// The channel asked for, under this id and with this token.
    pub fn spec(&self, id: ChannelId, token: Token) -> ChannelSpec {
        ChannelSpec {
            id,
            token,
            pattern: self.pattern,
            client_limit: self.client_limit,
            timeout: self.timeout,
            exclude_sender: self.exclude_sender,
            history: self.history,
        }
    }
}

const FIELDS: &str = "pattern, clientLimit, timeout, excludeSender, history, id";
const TIMEOUT_DEFAULT: Duration = Duration::from_millis(86_400_000);
const HISTORY_MAX: u32 = 65_536;

/// Whether a media type is JSON (RFC 6839, section 3.1: also by its suffix), whatever its parameters are.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    essence == b"application/json" || essence == b"text/json" || essence.ends_with(b"+json")
}

fn parse_id(value: &Value) -> Result<ChannelId, ApiError> {
    value.as_str().and_then(ChannelId::parse).ok_or_else(|| {
        invalid(
            "id",
            value,
            format!("a string of 1 to {} characters out of A-Z, a-z, 0-9, _ and -", ChannelId::LEN_MAX),
        )
    })
}

fn parse_pattern(value: &Value) -> Result<Pattern, ApiError> {
    value.as_str().and_then(Pattern::parse).ok_or_else(|| invalid("pattern", value, patterns()))
}

fn patterns() -> String {
    Pattern::ALL.map(|pattern| format!("\"{}\"", pattern.name())).join(", ")
}

/// A bound, where -1 is none.
fn parse_limit(name: &'static str, value: &Value) -> Result<Option<u64>, ApiError> {
    if value.as_i64() == Some(-1) {
        return Ok(None);
    }
    value
        .as_u64()
        .filter(|limit| *limit <= SAFE_INTEGER_MAX)
        .map(Some)
        .ok_or_else(|| invalid(name, value, format!("an integer from 0 to {SAFE_INTEGER_MAX}, or -1 for none")))
}

fn parse_history(value: &Value) -> Result<u32, ApiError> {
    value
        .as_u64()
        .and_then(|history| u32::try_from(history).ok())
        .filter(|history| *history <= HISTORY_MAX)
        .ok_or_else(|| invalid("history", value, format!("an integer from 0 to {HISTORY_MAX}")))
}

fn parse_bool(name: &'static str, value: &Value) -> Result<bool, ApiError> {
    value.as_bool().ok_or_else(|| invalid(name, value, "true or false".to_owned()))
}

fn invalid(name: &'static str, was: &Value, allowed: String) -> ApiError {
    ApiError::InvalidField { name, was: was.to_string(), allowed }
}

/// The members of a JSON object in their order, repeated ones too: a map would keep one of them silently, and the next
/// reader of the same body might keep the other.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<ChannelRequest, ApiError> {
        ChannelRequest::parse(Some(b"application/json"), body.as_bytes())
    }

    #[test]
    fn a_pattern_is_enough() {
        assert_eq!(
            parse(r#"{"pattern":"pub-sub"}"#).unwrap(),
            ChannelRequest {
                id: None,
                pattern: Pattern::PubSub,
                client_limit: None,
                timeout: Some(Duration::from_secs(86_400)),
                exclude_sender: false,
                history: 0,
            }
        );
    }

    #[test]
    fn every_field_is_read() {
        let body = r#" {"id":"room_1","pattern":"pub-sub","clientLimit":0,"timeout":9007199254740992,
                        "excludeSender":true,"history":65536} "#;
        assert_eq!(
            parse(body).unwrap(),
            ChannelRequest {
                id: ChannelId::parse("room_1"),
                pattern: Pattern::PubSub,
                client_limit: Some(0),
                timeout: Some(Duration::from_millis(1 << 53)),
                exclude_sender: true,
                history: 65_536,
            }
        );
        let request = parse(r#"{"pattern":"echo","clientLimit":-1,"timeout":-1,"excludeSender":false}"#).unwrap();
        assert_eq!((request.client_limit, request.timeout), (None, None));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_allowed() {
        for (member, name, was) in [
            (r#""clientLimit":-2"#, "clientLimit", "-2"),
            (r#""clientLimit":9007199254740993"#, "clientLimit", "9007199254740993"),
            (r#""clientLimit":1.5"#, "clientLimit", "1.5"),
            (r#""clientLimit":"5""#, "clientLimit", "\"5\""),
            (r#""timeout":null"#, "timeout", "null"),
            (r#""timeout":99999999999999999999"#, "timeout", "1e+20"),
            (r#""history":65537"#, "history", "65537"),
            (r#""history":-1"#, "history", "-1"),
            (r#""excludeSender":1"#, "excludeSender", "1"),
            (r#""excludeSender":true"#, "excludeSender", "true"),
            (r#""id":"""#, "id", "\"\""),
            (r#""id":"a b""#, "id", "\"a b\""),
            (r#""id":7"#, "id", "7"),
        ] {
            let error = parse(&format!(r#"{{"pattern":"echo",{member}}}"#)).unwrap_err();
            assert_eq!(error.response().status().code, 422, "{member}");
            let ApiError::InvalidField { name: in_name, was: in_was, .. } = error else {
                panic!("{member}: {error:?}")
            };
            assert_eq!((in_name, in_was.as_str()), (name, was), "{member}");
        }
        let error = parse(r#"{"pattern":"push"}"#).unwrap_err();
        assert!(error.message().contains(r#"pattern was "push"; allowed: "echo", "pub-sub""#), "{}", error.message());
    }

    #[test]
    fn fields_are_known_once_or_refused() {
        let error = parse(r#"{"pattern":"echo","clientlimit":1}"#).unwrap_err();
        assert!(matches!(&error, ApiError::UnknownField { name, .. } if name == "clientlimit"));
        assert_eq!(error.response().status().code, 422);
        let error = parse(r#"{"pattern":"echo","pattern":"echo"}"#).unwrap_err();
        assert!(matches!(&error, ApiError::RepeatedField { name } if name == "pattern"));
        let error = parse("{}").unwrap_err();
        assert!(matches!(error, ApiError::MissingField { name: "pattern", .. }));
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for body in ["", "{", "{\"pattern\"}", "{\"pattern\":\"echo\"} x", "\u{feff}{}", "{'pattern':'echo'}"] {
            assert!(matches!(parse(body), Err(ApiError::NotJson { .. })), "{body}");
        }
        for body in ["[]", "1", "null", "\"pattern\"", "true"] {
            assert!(matches!(parse(body), Err(ApiError::NotAnObject)), "{body}");
        }
        assert!(matches!(ChannelRequest::parse(None, b"{\"\xff\":1}"), Err(ApiError::NotJson { .. })));
        assert!(matches!(parse(&"[".repeat(10_000)), Err(ApiError::NotAnObject)));
        assert!(matches!(parse(&format!("{{\"a\":{}", "[".repeat(10_000))), Err(ApiError::NotJson { .. })));
    }

    #[test]
    fn only_json_is_taken() {
        let parse =
            |content_type: &str| ChannelRequest::parse(Some(content_type.as_bytes()), b"{\"pattern\":\"echo\"}");
        for content_type in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"] {
            assert!(parse(content_type).is_ok(), "{content_type}");
        }
        for content_type in ["application/x-www-form-urlencoded", "text/plain", "", "application/jsonx"] {
            assert!(matches!(parse(content_type), Err(ApiError::MediaType)), "{content_type}");
        }
    }
}
