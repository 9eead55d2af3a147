//! The JSON of requests and replies, held against a reader that keeps everything: what is a request goes on with the
//! relay's origin and nothing else changed, what is a reply goes to whom it names, and the rest is refused for what it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringrelay::channel::{
    Channel, ChannelId, ChannelSpec, ClientId, Delivery, ORIGIN_MEMBER_LEN_MAX, Origin, OriginMember, Pattern, Refusal,
    Rights, SlowPolicy, Token,
};
use ringrelay::chunk::Meter;
use ringrelay::time::Time;
use ringrelay::ws::frame_len;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

const ASKER: Origin = Origin { client: ClientId { shard: 1, slot: 0x2f }, serial: 9 };

fuzz_target!(|message: &[u8]| {
    for pattern in [Pattern::ReqRepl, Pattern::FanInOut] {
        check(pattern, message);
    }
});

fn check(pattern: Pattern, message: &[u8]) {
    let mut channel = Channel::new(spec(pattern), Time::ZERO, frame_len, &Meter::default());
    let sender = channel.join(ClientId { shard: 0, slot: 0 }, Rights::ALL);
    let other = ClientId { shard: 0, slot: 1 };
    channel.join(other, Rights::ALL);
    let delivery = channel.deliver(sender, message);

    let Ok(members) = serde_json::from_slice::<Members>(message) else {
        match serde_json::from_slice::<Value>(message) {
            // Deeper than the reader here goes, or a number that it cannot keep: only this one refuses that.
            Ok(Value::Object(_)) => {}
            Ok(_) => assert!(matches!(delivery, Err(Refusal::NotAnObject)), "{delivery:?}"),
            Err(_) => assert!(!matches!(delivery, Err(Refusal::NoResponders)), "{delivery:?}"),
        }
        return;
    };
    let named = |name: &str| -> Vec<&Value> {
        members.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
    };
    let (types, origins) = (named("type"), named("origin"));
    let kind = if let [kind] = types.as_slice() { kind.as_str() } else { None };
    match kind {
        Some("request") => match delivery {
            Ok(Delivery::RequestToOne(to, request)) => {
                assert_eq!((pattern, to), (Pattern::FanInOut, other));
                forwarded(message, &members, &request.parts(&OriginMember::new(ASKER)).concat());
            }
            Ok(Delivery::RequestToOthers(request)) => {
                assert_eq!(pattern, Pattern::ReqRepl);
                forwarded(message, &members, &request.parts(&OriginMember::new(ASKER)).concat());
            }
            refused => panic!("a request was {refused:?}"),
        },
        Some("reply") => {
            let origin = if let [origin] = origins.as_slice() { origin.as_str().and_then(Origin::parse) } else { None };
            match (origins.len(), origin, delivery) {
                (0, _, Err(Refusal::MissingOrigin)) | (1.., None, Err(Refusal::UnknownOrigin)) => {}
                (1, Some(named), Ok(Delivery::Reply(to))) => assert_eq!(named, to),
                (count, named, delivery) => panic!("a reply with {count} origins, {named:?}, was {delivery:?}"),
            }
        }
        _ => assert!(matches!(delivery, Err(Refusal::UnknownType)), "{delivery:?}"),
    }
}

/// Checks what others get of a request: one origin, the relay's, and all other members as they were.
fn forwarded(message: &[u8], members: &Members, sent: &[u8]) {
    assert!(sent.len() <= message.len() + ORIGIN_MEMBER_LEN_MAX);
    let got: Members = serde_json::from_slice(sent).expect("what was JSON is JSON");
    let is_origin = |(name, _): &&(String, Value)| name == "origin";
    let origins: Vec<&Value> = got.0.iter().filter(is_origin).map(|(_, value)| value).collect();
    assert_eq!(origins, ["1-2f-9"]);
    let others = |members: &Members| -> Vec<(String, Value)> {
        members.0.iter().filter(|member| !is_origin(member)).cloned().collect()
    };
    assert_eq!(others(members), others(&got));
}

fn spec(pattern: Pattern) -> ChannelSpec {
    ChannelSpec {
        id: ChannelId::parse("fuzzed").expect("an id"),
        token: Token::new("token"),
        pattern,
        client_limit: None,
        timeout: None,
        exclude_sender: false,
        history: 0,
        slow_consumers: SlowPolicy::Disconnect,
        permit: None,
    }
}

/// The members of an object, in order, with those that stand twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct OfMembers;

        impl<'de> Visitor<'de> for OfMembers {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(OfMembers)
    }
}
