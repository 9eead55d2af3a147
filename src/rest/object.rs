//! A body that is one JSON object.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::ApiError;

/// The members of the object that a body is, with the `Content-Type` it came with.
///
/// # Errors
/// It is said to be something else, or is no JSON object.
pub(super) fn members(content_type: Option<&[u8]>, body: &[u8]) -> Result<Vec<(String, Value)>, ApiError> {
    if !content_type.is_none_or(is_json) {
        return Err(ApiError::MediaType);
    }
    let object: Object = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::NotAnObject,
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof | serde_json::error::Category::Io => {
            ApiError::NotJson { line: error.line(), column: error.column() }
        }
    })?;
    Ok(object.0)
}

/// The API tokens in a body that is a JSON object: what its fields `auth` say, the first [`TOKENS_MAX`]
/// of them. None in any other body.
pub fn tokens_in(content_type: Option<&[u8]>, body: &[u8]) -> Vec<String> {
    let members = members(content_type, body).unwrap_or_default();
    members
        .into_iter()
        .filter_map(|member| match member {
            (name, Value::String(token)) if name == "auth" => Some(token),
            _ => None,
        })
        .take(TOKENS_MAX)
        .collect()
}

/// Most API tokens that are looked at in one place of a request: with more of them, one request would try out many.
pub const TOKENS_MAX: usize = 4;

/// Whether a media type is JSON (RFC 6839, section 3.1: also by its suffix), whatever its parameters are.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
    essence == b"application/json" || essence == b"text/json" || essence.ends_with(b"+json")
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

    #[test]
    fn tokens_are_found_in_objects_alone() {
        assert_eq!(tokens_in(None, br#"{"pattern":1,"auth":"one","auth":"two"}"#), ["one", "two"]);
        for body in [r#"["auth","x"]"#, r#"{"auth":1}"#, r#"{"x":{"auth":"y"}}"#, "auth=x", ""] {
            assert_eq!(tokens_in(None, body.as_bytes()), [""; 0], "{body}");
        }
        let many = format!("{{{}}}", ["\"auth\":\"x\""; 1000].join(","));
        assert_eq!(tokens_in(None, many.as_bytes()).len(), TOKENS_MAX);
        assert_eq!(tokens_in(Some(b"text/plain"), br#"{"auth":"x"}"#), [""; 0]);
    }
}
