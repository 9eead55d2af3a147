//! What a client asks a channel to be: the body of `POST /channels`, or the query of browser-only mode, checked field by
//! field.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::ApiError;
use super::object;
use crate::budget::Permit;
use crate::channel::{ChannelId, ChannelSpec, Pattern, SlowPolicy, Token};
use crate::http::query;

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
    /// `None` = as the relay's settings say.
    pub slow_consumers: Option<SlowPolicy>,
}

impl ChannelRequest {
    /// Reads a body, with the `Content-Type` it came with. A field `auth` is the API's token and nothing of the channel's.
    ///
    /// # Errors
    /// It is no JSON object, or a field is unknown, missing or out of its range; the error says which, and what is
    /// allowed.
    pub fn parse(content_type: Option<&[u8]>, body: &[u8]) -> Result<ChannelRequest, ApiError> {
        let mut draft = Draft::default();
        for (name, value) in object::members(content_type, body)? {
            if name == "auth" {
                check_auth(&value)?;
            } else if !draft.take(&name, &value)? {
                return Err(ApiError::UnknownField { name, known: FIELDS });
            }
        }
        draft.finish()
    }

    /// Reads a query: an empty value is none, and `clientLimit` may be written in any case. A parameter `auth` is the
    /// API token's and not looked at.
    ///
    /// # Errors
    /// It is not well-formed, or as with [`parse`](Self::parse).
    pub fn from_query(query: &str) -> Result<ChannelRequest, ApiError> {
        let mut draft = Draft::default();
        for parameter in query::parameters(query) {
            let (mut name, text) = parameter.map_err(|_| ApiError::Query)?;
            if name.eq_ignore_ascii_case("clientLimit") {
                name = Cow::Borrowed("clientLimit");
            }
            let is_known =
                if text.is_empty() { is_field(&name) } else { draft.take(&name, &value_of(&name, &text))? };
            if !is_known && name != "auth" {
                return Err(ApiError::UnknownParameter { name: name.into_owned(), known: FIELDS });
            }
        }
        draft.finish()
    }

    /// The channel asked for, under this id, with this token, and counted by `permit`; `slow_consumers` is what the relay
    /// does otherwise.
    pub fn spec(&self, id: ChannelId, token: Token, slow_consumers: SlowPolicy, permit: Permit) -> ChannelSpec {
        let usual = if self.pattern == Pattern::PubSub { slow_consumers } else { SlowPolicy::Disconnect };
        ChannelSpec {
            id,
            token,
            pattern: self.pattern,
            client_limit: self.client_limit,
            timeout: self.timeout,
            exclude_sender: self.exclude_sender,
            history: self.history,
            slow_consumers: self.slow_consumers.unwrap_or(usual),
            permit: Some(permit),
        }
    }
}

/// The fields read so far; `None` = not given.
#[derive(Default)]
struct Draft {
    id: Option<ChannelId>,
    pattern: Option<Pattern>,
    client_limit: Option<Option<u64>>,
    timeout: Option<Option<u64>>,
    exclude_sender: Option<bool>,
    history: Option<u32>,
    slow_consumers: Option<SlowPolicy>,
}

impl Draft {
    /// Takes a field in; `false` = there is none of that name.
    fn take(&mut self, name: &str, value: &Value) -> Result<bool, ApiError> {
        let is_new = match name {
            "id" => self.id.replace(parse_id(value)?).is_none(),
            "pattern" => self.pattern.replace(parse_pattern(value)?).is_none(),
            "clientLimit" => self.client_limit.replace(parse_limit("clientLimit", value)?).is_none(),
            "timeout" => self.timeout.replace(parse_limit("timeout", value)?).is_none(),
            "excludeSender" => self.exclude_sender.replace(parse_bool("excludeSender", value)?).is_none(),
            "slowConsumers" => self.slow_consumers.replace(parse_slow_consumers(value)?).is_none(),
            "history" => self.history.replace(parse_history(value)?).is_none(),
            _ => return Ok(false),
        };
        if is_new { Ok(true) } else { Err(ApiError::RepeatedField { name: name.to_owned() }) }
    }

    fn finish(self) -> Result<ChannelRequest, ApiError> {
        let pattern = self.pattern.ok_or_else(|| ApiError::MissingField { name: "pattern", allowed: patterns() })?;
        let exclude_sender = self.exclude_sender.unwrap_or(false);
        if exclude_sender && pattern != Pattern::PubSub {
            let allowed = format!("false, or true with the pattern {}", Pattern::PubSub.name());
            return Err(invalid("excludeSender", &Value::Bool(true), allowed));
        }
        if self.slow_consumers == Some(SlowPolicy::Skip) && pattern != Pattern::PubSub {
            let allowed = format!("disconnect, or skip with the pattern {}", Pattern::PubSub.name());
            return Err(invalid("slowConsumers", &Value::from(SlowPolicy::Skip.name()), allowed));
        }
        Ok(ChannelRequest {
            id: self.id,
            pattern,
            client_limit: self.client_limit.flatten(),
            timeout: self.timeout.unwrap_or(Some(TIMEOUT_DEFAULT_MS)).map(Duration::from_millis),
            exclude_sender,
            history: self.history.unwrap_or(0),
            slow_consumers: self.slow_consumers,
        })
    }
}

const FIELDS: &str = "pattern, clientLimit, timeout, excludeSender, history, slowConsumers, id";
const TIMEOUT_DEFAULT_MS: u64 = 86_400_000;
const HISTORY_MAX: u32 = 65_536;

fn is_field(name: &str) -> bool {
    FIELDS.split(", ").any(|field| field == name)
}

/// What a parameter would be in JSON.
fn value_of(name: &str, text: &str) -> Value {
    let value = match name {
        "clientLimit" | "timeout" | "history" => text.parse().ok().map(|number: i64| Value::from(number)),
        "excludeSender" => text.parse().ok().map(Value::Bool),
        _ => None,
    };
    value.unwrap_or_else(|| Value::from(text))
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
    match integer(value) {
        Some(-1) => Ok(None),
        Some(limit @ 0..=SAFE_INTEGER_MAX_SIGNED) => Ok(Some(limit as u64)),
        _ => Err(invalid(name, value, format!("an integer from 0 to {SAFE_INTEGER_MAX}, or -1 for none"))),
    }
}

fn parse_history(value: &Value) -> Result<u32, ApiError> {
    integer(value)
        .and_then(|history| u32::try_from(history).ok())
        .filter(|history| *history <= HISTORY_MAX)
        .ok_or_else(|| invalid("history", value, format!("an integer from 0 to {HISTORY_MAX}")))
}

fn parse_slow_consumers(value: &Value) -> Result<SlowPolicy, ApiError> {
    let allowed = || SlowPolicy::ALL.map(|policy| format!("\"{}\"", policy.name())).join(", ");
    value.as_str().and_then(SlowPolicy::parse).ok_or_else(|| invalid("slowConsumers", value, allowed()))
}

/// An integer, be it written as `1` or as `1.0`: JSON does not tell them apart, and neither does JSON Schema.
fn integer(value: &Value) -> Option<i64> {
    let whole = |number: &f64| number.fract() == 0.0 && number.abs() <= SAFE_INTEGER_MAX as f64;
    value.as_i64().or_else(|| value.as_f64().filter(whole).map(|number| number as i64))
}

const SAFE_INTEGER_MAX_SIGNED: i64 = SAFE_INTEGER_MAX as i64;

/// The value itself is not told: it may be a token.
fn check_auth(value: &Value) -> Result<(), ApiError> {
    if value.is_string() {
        return Ok(());
    }
    let (was, allowed) = ("no string".to_owned(), "the API token, as a string".to_owned());
    Err(ApiError::InvalidField { name: "auth", was, allowed })
}

fn parse_bool(name: &'static str, value: &Value) -> Result<bool, ApiError> {
    value.as_bool().ok_or_else(|| invalid(name, value, "true or false".to_owned()))
}

fn invalid(name: &'static str, was: &Value, allowed: String) -> ApiError {
    ApiError::InvalidField { name, was: was.to_string(), allowed }
}

/// The same, for the OpenAPI document.
impl PartialSchema for ChannelRequest {
    fn schema() -> RefOr<Schema> {
        let of_pub_sub = [(
            "anyOf",
            json!([
                { "properties": { "excludeSender": { "const": false }, "slowConsumers": { "const": SlowPolicy::Disconnect.name() } } },
                { "properties": { "pattern": { "const": Pattern::PubSub.name() } } }
            ]),
        )];
        let auth = ObjectBuilder::new()
            .schema_type(Type::String)
            .write_only(true)
            .description(Some("The API token, where one is needed; nothing of the channel's."));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("What a channel is to be."))
            .property("pattern", pattern_schema())
            .required("pattern")
            .property("clientLimit", limit_schema("Most clients at once; -1 = no limit.", -1))
            .property(
                "timeout",
                limit_schema(
                    "Milliseconds without a message after which the channel is deleted; -1 = never.",
                    TIMEOUT_DEFAULT_MS as i64,
                ),
            )
            .property(
                "excludeSender",
                ObjectBuilder::new()
                    .schema_type(Type::Boolean)
                    .default(Some(json!(false)))
                    .description(Some("pub-sub only: the sender does not get its own message.")),
            )
            .property(
                "history",
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(0))
                    .maximum(Some(HISTORY_MAX))
                    .default(Some(json!(0)))
                    .description(Some("Messages kept for clients that join later.")),
            )
            .property("slowConsumers", slow_consumers_schema())
            .property("id", id_schema())
            .property("auth", auth)
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .extensions(Some(of_pub_sub.into_iter().collect()))
            .examples([json!({ "pattern": "echo" }), json!({ "pattern": "pub-sub", "clientLimit": 2, "history": 10 })])
            .into()
    }
}

impl ToSchema for ChannelRequest {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ChannelRequest")
    }
}

/// A pattern by its name.
pub(super) fn pattern_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(Pattern::ALL.map(Pattern::name)))
        .description(Some("How messages travel."))
        .build()
}

/// What becomes of slow clients.
pub(super) fn slow_consumers_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(SlowPolicy::ALL.map(SlowPolicy::name)))
        .description(Some(
            "What becomes of clients that fall too far behind: closed with 4408, or (pub-sub only) taken to the newest \
             message. Without it, as the relay is set.",
        ))
        .build()
}

/// A channel's id.
pub(super) fn id_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!("^[A-Za-z0-9_-]{{1,{}}}$", ChannelId::LEN_MAX)))
        .description(Some("The channel's name."))
        .build()
}

fn limit_schema(description: &str, default: i64) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(-1))
        .maximum(Some(SAFE_INTEGER_MAX))
        .default(Some(json!(default)))
        .description(Some(description))
        .build()
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
                slow_consumers: None,
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
                slow_consumers: None,
            }
        );
        let request = parse(r#"{"pattern":"echo","clientLimit":-1,"timeout":-1,"excludeSender":false}"#).unwrap();
        assert_eq!((request.client_limit, request.timeout), (None, None));
        let request = parse(r#"{"pattern":"echo","clientLimit":-1.0,"timeout":2e3,"history":7.0}"#).unwrap();
        assert_eq!((request.client_limit, request.timeout), (None, Some(Duration::from_secs(2))));
        assert_eq!(request.history, 7);
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
            (r#""slowConsumers":"wait""#, "slowConsumers", "\"wait\""),
            (r#""slowConsumers":"skip""#, "slowConsumers", "\"skip\""),
            (r#""id":"""#, "id", "\"\""),
            (r#""id":"a b""#, "id", "\"a b\""),
            (r#""id":7"#, "id", "7"),
            (r#""auth":7"#, "auth", "no string"),
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

    #[test]
    fn the_api_token_is_no_field_of_the_channel() {
        assert_eq!(parse(r#"{"pattern":"echo","auth":"x"}"#), parse(r#"{"pattern":"echo"}"#));
    }

    #[test]
    fn a_query_says_the_same() {
        let query = "pattern=pub-sub&clientlimit=0&timeout=-1&excludeSender=true&history=7&id=a%2Db&auth=x";
        let body = r#"{"pattern":"pub-sub","clientLimit":0,"timeout":-1,"excludeSender":true,"history":7,"id":"a-b"}"#;
        assert_eq!(ChannelRequest::from_query(query), parse(body));
        let empty = "pattern=echo&CLIENTLIMIT=&timeout=&id=&excludeSender";
        assert_eq!(ChannelRequest::from_query(empty), parse(r#"{"pattern":"echo"}"#));
    }

    #[test]
    fn a_wrong_query_is_refused_by_name() {
        for (query, message) in [
            ("", "pattern is missing"),
            ("pattern=", "pattern is missing"),
            ("pattern=echo&colour=", "no parameter \"colour\""),
            ("pattern=echo&Timeout=1", "no parameter \"Timeout\""),
            ("pattern=echo&timeout=1.5", "timeout was \"1.5\""),
            ("pattern=echo&clientLimit=-2", "clientLimit was -2"),
            ("pattern=echo&clientLimit=1&clientlimit=2", "clientLimit is given more than once"),
            ("pattern=echo&excludeSender=yes", "excludeSender was \"yes\""),
            ("pattern=%", "query is not well-formed"),
        ] {
            let error = ChannelRequest::from_query(query).unwrap_err();
            assert!(error.message().contains(message), "{query}: {}", error.message());
        }
    }
}
