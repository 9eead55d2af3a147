//! Frames from a client: whatever is sent, in whatever portions, the events are the same, in bounds, and text is UTF-8.
//!
//! The first byte says where the rest is cut in two.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringrelay::ws::{CloseCode, Decoder, Event, MessageKind};

const MESSAGE_LEN_MAX: usize = 512;

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else { return };
    let cut = usize::from(*cut) * input.len() / 255;
    let whole = decode(&[input]);
    assert_eq!(whole, decode(&[&input[..cut], &input[cut..]]), "cut at {cut}");
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(whole, decode(&bytes), "byte by byte");
});

/// What the decoder makes of the portions: events in words, and how it ended.
fn decode(portions: &[&[u8]]) -> (Vec<String>, Option<CloseCode>) {
    let mut decoder = Decoder::new(MESSAGE_LEN_MAX as u64);
    let mut events = Vec::new();
    for portion in portions {
        let mut portion = portion.to_vec();
        let mut rest = portion.as_mut_slice();
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(event)) => {
                    check(&event);
                    events.push(format!("{event:?}"));
                }
                Ok(None) => break,
                Err(code) => {
                    let mut buffer = [0; 125];
                    let payload = code.payload(&mut buffer);
                    assert!(payload.len() >= 2 && str::from_utf8(&payload[2..]).is_ok());
                    return (events, Some(code));
                }
            }
        }
        assert!(rest.is_empty(), "all of a portion is used");
    }
    (events, None)
}

fn check(event: &Event<'_>) {
    match event {
        Event::Message(kind, payload) => {
            assert!(payload.len() <= MESSAGE_LEN_MAX);
            assert!(*kind == MessageKind::Binary || str::from_utf8(payload).is_ok());
        }
        Event::Ping(payload) => assert!(payload.len() <= 125),
        Event::Pong | Event::Close(_) => {}
        Event::Compressed(..) => panic!("nothing was negotiated"),
    }
}
