//! The JSON of `fan-in-out`: a request of a given size around stamp and filler, and the reply that carries both back.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload::STAMP_BYTES;

/// A request or a reply, its parts as they stand in the text.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// Whom to answer; set by the relay, returned as it came. Nothing is assumed about its form.
    #[serde(borrow)]
    pub origin: Option<&'a RawValue>,
    /// Stamp and filler.
    pub body: Option<&'a str>,
    /// In a reply: which member of the room answered.
    pub by: Option<u32>,
}

impl<'a> Message<'a> {
    /// What is wrong with it, if it cannot be read.
    pub fn parse(payload: &'a [u8]) -> Result<Message<'a>, String> {
        serde_json::from_slice(payload).map_err(|error| {
            let start = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]);
            format!("a message that cannot be read ({error}): {start}")
        })
    }
}

/// What a request has around its body.
pub const AROUND_BODY_BYTES: usize = HEAD.len() + TAIL.len();

/// The smallest request.
pub const REQUEST_BYTES_MIN: usize = AROUND_BODY_BYTES + STAMP_BYTES;

/// Where the stamp stands in a request.
pub const STAMP_AT: usize = HEAD.len();

const HEAD: &str = r#"{"type":"request","body":""#;
const TAIL: &str = r#""}"#;

/// How much of an unreadable message is shown.
const SHOWN_BYTES: usize = 120;

/// A request with this body.
pub fn request(body: &[u8]) -> Vec<u8> {
    [HEAD.as_bytes(), body, TAIL.as_bytes()].concat()
}

/// Appends the reply of `member`. `origin`: `None` where the server routes by something outside of the message.
pub fn put_reply(out: &mut Vec<u8>, origin: Option<&RawValue>, member: usize, body: &str) {
    out.extend_from_slice(br#"{"type":"reply","#);
    if let Some(origin) = origin {
        out.extend_from_slice(br#""origin":"#);
        out.extend_from_slice(origin.get().as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(br#""by":"#);
    out.extend_from_slice(member.to_string().as_bytes());
    out.extend_from_slice(br#","body":""#);
    out.extend_from_slice(body.as_bytes());
    out.extend_from_slice(TAIL.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_body_where_the_stamp_is_written() {
        let body = [b'x'; STAMP_BYTES + 12];
        let request = request(&body);
        assert_eq!((request.len(), STAMP_AT), (AROUND_BODY_BYTES + body.len(), 26));
        assert_eq!(request[STAMP_AT..][..body.len()], body);
        let message = Message::parse(&request).unwrap();
        assert_eq!((message.kind, message.body.unwrap().len()), ("request", body.len()));
        assert!(message.origin.is_none());
    }

    #[test]
    fn an_origin_goes_back_as_it_came_wherever_it_stands_and_whatever_it_is() {
        for origin in [r#""c7""#, "12", r#"{"a":[1,"}"]}"#, r#""\u0041\"""#] {
            for text in [
                format!(r#"{{"origin":{origin},"type":"request","body":"abc"}}"#),
                format!(r#"{{"type":"request","body":"abc","more":{{}},"origin": {origin} }}"#),
            ] {
                let message = Message::parse(text.as_bytes()).unwrap();
                let mut reply = Vec::new();
                put_reply(&mut reply, message.origin, 3, message.body.unwrap());
                let expected = format!(r#"{{"type":"reply","origin":{origin},"by":3,"body":"abc"}}"#);
                assert_eq!(String::from_utf8(reply).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_reply_without_an_origin_is_whole_too() {
        let mut reply = Vec::new();
        put_reply(&mut reply, None, 0, "abc");
        let message = Message::parse(&reply).unwrap();
        assert_eq!((message.kind, message.by, message.body), ("reply", Some(0), Some("abc")));
    }

    #[test]
    fn what_is_no_message_is_shown() {
        assert!(Message::parse(b"[1]").is_err());
        let error = Message::parse(b"nonsense").unwrap_err();
        assert!(error.contains("nonsense"), "{error}");
    }
}
