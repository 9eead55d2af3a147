//! The JSON of requests and replies: what `type` and `origin` say, and nothing else of it. All other members pass as they
//! are, byte for byte.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Origin, Refusal};

/// A message whose top level was read once: where in it the members are that concern the relay.
///
/// Values below the top level are skipped by a loop (`RawValue`), so that deep nesting costs a byte of memory per level
/// and no stack.
#[derive(Debug)]
pub(super) struct Envelope<'m> {
    text: &'m str,
    members: Members<'m>,
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Intent {
    Request,
    /// For the client that sent the request with this origin.
    Reply(Origin),
}

/// A request without its origin, which is to be written where another one stood, or before all other members.
#[derive(Debug)]
pub struct Request<'m> {
    /// A copy only where members had to be cut out.
    text: Cow<'m, str>,
    /// Place of the value in `text`; `None` = there is none, and the member is written first.
    origin: Option<Range<usize>>,
}

impl<'m> Envelope<'m> {
    /// Reads a whole message.
    pub(super) fn parse(payload: &'m [u8]) -> Result<Envelope<'m>, Refusal> {
        let text = simdutf8::basic::from_utf8(payload).map_err(|_| Refusal::NotJson)?;
        match serde_json::from_str::<Members<'m>>(text) {
            Ok(mut members) => {
                let start = text.as_ptr().addr();
                for cut in &mut members.cuts {
                    *cut = cut.start - start..cut.end - start;
                }
                Ok(Envelope { text, members })
            }
            // The first byte tells that it is no object; what follows may be no JSON either.
            Err(error) if error.is_data() && serde_json::from_str::<IgnoredAny>(text).is_ok() => {
                Err(Refusal::NotAnObject)
            }
            Err(_) => Err(Refusal::NotJson),
        }
    }

    pub(super) fn intent(&self) -> Result<Intent, Refusal> {
        let Members { kind, kinds, origin, cuts } = &self.members;
        match string(kind.filter(|_| *kinds == 1)).as_deref() {
            Some("request") => Ok(Intent::Request),
            Some("reply") => {
                let origin = origin.ok_or(Refusal::MissingOrigin)?;
                // Given twice it might be one for us and another for who reads the reply.
                let named = string(Some(origin).filter(|_| cuts.is_empty())).as_deref().and_then(Origin::parse);
                named.map(Intent::Reply).ok_or(Refusal::UnknownOrigin)
            }
            _ => Err(Refusal::UnknownType),
        }
    }

    /// Makes room for the origin. Those sent along go: who reads the request finds the relay's alone.
    pub(super) fn into_request(self) -> Request<'m> {
        let Envelope { text, members } = self;
        let origin = members.origin.map(|value| place_in(text, value.get()));
        // They stand behind the first, whose place stays the same.
        let text = match members.cuts.as_slice() {
            [] => Cow::Borrowed(text),
            cuts => {
                let mut kept = String::with_capacity(text.len());
                let mut from = 0;
                for cut in cuts {
                    kept.push_str(&text[from..cut.start]);
                    from = cut.end;
                }
                kept.push_str(&text[from..]);
                Cow::Owned(kept)
            }
        };
        Request { text, origin }
    }
}

impl Request<'_> {
    /// The parts of the message for who is to answer it, with `member`, which is `"origin":"…",`.
    pub fn parts<'s>(&'s self, member: &'s OriginMember) -> [&'s [u8]; 3] {
        let (before, origin, after) = match &self.origin {
            Some(place) => (place.start, member.value(), place.end),
            None => {
                let brace = self.text.find('{').expect("an object");
                (brace + 1, member.as_slice(), brace + 1)
            }
        };
        let text = self.text.as_bytes();
        [&text[..before], origin, &text[after..]]
    }
}

/// `"origin":"…",`, ready to be written into a request.
#[derive(Debug)]
pub struct OriginMember(arrayvec::ArrayVec<u8, ORIGIN_MEMBER_LEN_MAX>);

/// Bytes that an origin adds to a request at the most.
pub const ORIGIN_MEMBER_LEN_MAX: usize = NAME.len() + super::origin::ORIGIN_LEN_MAX + 3;

const NAME: &[u8] = br#""origin":"#;

impl OriginMember {
    pub fn new(origin: Origin) -> OriginMember {
        let mut member = arrayvec::ArrayVec::new();
        let id = origin.text();
        for part in [NAME, b"\"", &id, b"\","] {
            member.try_extend_from_slice(part).expect("there is room");
        }
        OriginMember(member)
    }

    fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The value alone.
    fn value(&self) -> &[u8] {
        &self.0[NAME.len()..self.0.len() - 1]
    }
}

/// The members of an object that concern the relay.
#[derive(Debug, Default)]
struct Members<'m> {
    /// The first value of `type`.
    kind: Option<&'m RawValue>,
    /// How often there is a `type`.
    kinds: u32,
    /// The first value of `origin`.
    origin: Option<&'m RawValue>,
    /// Every further `origin`, from the end of the value before it to the end of its own; ascending.
    cuts: Vec<Range<usize>>,
}

/// Where `part`, a part of `whole`, lies in it.
fn place_in(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// What a JSON string says; `None` = the value is none, or says what no text can.
fn string(value: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let json = value?.get();
    let between = json.strip_prefix('"')?.strip_suffix('"')?;
    if between.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(between)) }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'de>, D::Error> {
        struct OfMembers;

        impl<'de> Visitor<'de> for OfMembers {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members::default();
                // Addresses for now: the text in which they lie is not known here.
                let mut last_end = 0;
                // Names too as they are written: half of a surrogate pair, escaped, is JSON (RFC 8259, section 8.2), but no
                // `str`.
                while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    let bytes = value.get().as_bytes().as_ptr_range();
                    let end = bytes.end.addr();
                    // Escapes are undone: `"\u006frigin"` is an origin to everyone who reads it.
                    match string(Some(name)).as_deref() {
                        Some("type") => {
                            members.kinds += 1;
                            members.kind.get_or_insert(value);
                        }
                        Some("origin") if members.origin.is_none() => members.origin = Some(value),
                        Some("origin") => members.cuts.push(last_end..end),
                        Some(_) | None => {}
                    }
                    last_end = end;
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(OfMembers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::channel::ClientId;

    fn asker() -> Origin {
        Origin { client: ClientId { shard: 1, slot: 0x2f }, serial: 9 }
    }

    /// The request as others get it.
    fn forwarded(message: &str) -> String {
        let envelope = Envelope::parse(message.as_bytes()).unwrap();
        assert_eq!(envelope.intent(), Ok(Intent::Request), "{message}");
        let member = OriginMember::new(asker());
        String::from_utf8(envelope.into_request().parts(&member).concat()).unwrap()
    }

    fn refused(message: &str) -> Refusal {
        Envelope::parse(message.as_bytes()).and_then(|envelope| envelope.intent()).unwrap_err()
    }

    #[test]
    fn an_origin_is_written_and_all_else_stays_as_it_is() {
        for (message, expected) in [
            (r#"{"type":"request"}"#, r#"{"origin":"1-2f-9","type":"request"}"#),
            (
                " {\t\"type\" : \"request\" , \"n\":1.50e+2 }\n",
                " {\"origin\":\"1-2f-9\",\t\"type\" : \"request\" , \"n\":1.50e+2 }\n",
            ),
            (
                r#"{"a":"\u00e9\/","type":"request","b":[1 ,2]}"#,
                r#"{"origin":"1-2f-9","a":"\u00e9\/","type":"request","b":[1 ,2]}"#,
            ),
            (r#"{"origin":"me","type":"request"}"#, r#"{"origin":"1-2f-9","type":"request"}"#),
            (
                r#"{"type":"request", "origin" :  {"origin":[]}  , "z":0}"#,
                r#"{"type":"request", "origin" :  "1-2f-9"  , "z":0}"#,
            ),
            (r#"{"type":"request","\u006frigin":7}"#, r#"{"type":"request","\u006frigin":"1-2f-9"}"#),
            (r#"{"t\u0079pe":"\u0072equest"}"#, r#"{"origin":"1-2f-9","t\u0079pe":"\u0072equest"}"#),
            (r#"{"\ud83d":1,"type":"request"}"#, r#"{"origin":"1-2f-9","\ud83d":1,"type":"request"}"#),
            (
                r#"{"data":{"type":"reply","origin":"x"},"type":"request"}"#,
                r#"{"origin":"1-2f-9","data":{"type":"reply","origin":"x"},"type":"request"}"#,
            ),
        ] {
            assert_eq!(forwarded(message), expected);
        }
    }

    #[test]
    fn an_origin_of_the_senders_never_passes_however_often_it_is_sent() {
        let message = r#"{"origin":1,"type":"request", "origin" : "a" ,"x":2,"\u006frigin":"b"}"#;
        assert_eq!(forwarded(message), r#"{"origin":"1-2f-9","type":"request" ,"x":2}"#);
    }

    #[test]
    fn a_reply_names_its_origin() {
        let intent = |message: &str| Envelope::parse(message.as_bytes()).unwrap().intent();
        assert_eq!(intent(r#"{"type":"reply","origin":"1-2f-9"}"#), Ok(Intent::Reply(asker())));
        assert_eq!(intent(r#"{"origin":"1\u002d2f-9","x":[],"type":"reply"}"#), Ok(Intent::Reply(asker())));
    }

    #[test]
    fn what_breaks_the_rules_is_told_apart() {
        for message in [
            "",
            " ",
            "{",
            "hello",
            r#"{"type":"request"} {}"#,
            r#"{"type":"request",}"#,
            "[1,",
            "{1:2}",
            "nul",
            "\u{feff}{}",
            "{\"a\tb\":1,\"type\":\"request\"}",
            r#"{"a\x":1,"type":"request"}"#,
            r#"{"a\u12":1,"type":"request"}"#,
        ] {
            assert_eq!(refused(message), Refusal::NotJson, "{message}");
        }
        assert_eq!(Envelope::parse(b"{\"a\":\"\xff\"}").unwrap_err(), Refusal::NotJson);
        for message in ["[]", "1", "null", r#""request""#, "true", r#"[{"type":"request"}]"#] {
            assert_eq!(refused(message), Refusal::NotAnObject, "{message}");
        }
        for message in [
            "{}",
            r#"{"type":"ask"}"#,
            r#"{"type":1}"#,
            r#"{"type":null}"#,
            r#"{"type":"Request"}"#,
            r#"{"type":"request","type":"reply"}"#,
            r#"{"type":"request","type":"request"}"#,
            r#"{"x":{"type":"request"}}"#,
        ] {
            assert_eq!(refused(message), Refusal::UnknownType, "{message}");
        }
        assert_eq!(refused(r#"{"type":"reply"}"#), Refusal::MissingOrigin);
        for message in [
            r#"{"type":"reply","origin":7}"#,
            r#"{"type":"reply","origin":null}"#,
            r#"{"type":"reply","origin":"nobody"}"#,
            r#"{"type":"reply","origin":"1-2f-9","origin":"1-2f-9"}"#,
        ] {
            assert_eq!(refused(message), Refusal::UnknownOrigin, "{message}");
        }
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = |open: &str, close: &str| {
            format!(r#"{{"a":{}{},"type":"request"}}"#, open.repeat(500_000), close.repeat(500_000))
        };
        // In a thread with hardly any.
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || {
                let message = deep("[", "]");
                assert_eq!(forwarded(&message), message.replacen('{', r#"{"origin":"1-2f-9","#, 1));
                assert_eq!(refused(&deep("[", "")), Refusal::NotJson);
                assert_eq!(refused(&"[".repeat(1_000_000)), Refusal::NotJson);
                assert_eq!(refused(&(String::from("{\"a\":").repeat(150_000))), Refusal::NotJson);
            })
            .unwrap()
            .join()
            .unwrap();
    }

    /// Any JSON value, written with white space where it may stand.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("-0.10E+05".to_owned()),
            "[1-9][0-9]{0,25}",
            Just(r#""type""#.to_owned()),
            Just(r#""\ud800\/\n""#.to_owned()),
            "\"[a-zé ]{0,6}\"",
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[ {} ]", values.join(" ,"))),
                proptest::collection::vec(inner, 0..4).prop_map(|values| {
                    let members: Vec<String> = values
                        .iter()
                        .zip(["type", "origin", "x", "y"])
                        .map(|(value, name)| format!("\"{name}\" :{value}"))
                        .collect();
                    format!("{{{}}}", members.join(", "))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_request_passes_with_one_origin_and_otherwise_unchanged(
            members in proptest::collection::vec(("(origin|a|b|c)", json()), 0..8), at in 0usize..9,
        ) {
            let mut members: Vec<(String, String)> = members;
            members.insert(at.min(members.len()), ("type".to_owned(), "\"request\"".to_owned()));
            let written: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            let got = forwarded(&format!("{{{}}}", written.join(",")));
            let mut expected: Vec<(String, String)> = Vec::new();
            for (name, value) in &members {
                let is_origin = name == "origin";
                if !is_origin {
                    expected.push((name.clone(), value.clone()));
                } else if !expected.iter().any(|(name, _)| name == "origin") {
                    expected.push((name.clone(), "\"1-2f-9\"".to_owned()));
                }
            }
            if !expected.iter().any(|(name, _)| name == "origin") {
                let rest: Vec<String> = written;
                prop_assert_eq!(got, format!("{{\"origin\":\"1-2f-9\",{}}}", rest.join(",")));
            } else {
                let written: Vec<String> = expected.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
                prop_assert_eq!(got, format!("{{{}}}", written.join(",")));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in r#"[{}\[\]":,a-z0-9\\ ]{0,60}"#) {
            for message in [bytes.as_slice(), text.as_bytes()] {
                let accepted = Envelope::parse(message).is_ok();
                // Held against a reader that keeps everything.
                prop_assert_eq!(accepted, serde_json::from_slice::<serde_json::Map<String, Value>>(message).is_ok());
            }
        }
    }
}
