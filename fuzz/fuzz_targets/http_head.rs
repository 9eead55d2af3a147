//! Request heads and chunked bodies: whatever is sent, in whatever pieces, is read in one way or refused, in bounds.
//!
//! The first byte says where the rest is cut in two.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringrelay::http::{
    ChunkedDecoder, ChunkedError, Framing, Head, HeadError, HeadLimits, HeadReader, Progress, Target, query, upgrade,
};
use ringrelay::rest::ChannelRequest;
use ringrelay::route;

const HEAD_LEN_MAX: usize = 1024;
const HEAD_LIMITS: HeadLimits = HeadLimits { len_max: HEAD_LEN_MAX, target_len_max: 512 };
const BODY_LEN_MAX: usize = 256;
const AROUND_LEN_MAX: usize = 128;

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else { return };
    let cut = usize::from(*cut) * input.len() / 255;
    let whole = read(&[input]);
    assert_eq!(whole, read(&[&input[..cut], input]), "a head cut at {cut}");
    let Ok(Some(head)) = whole else { return };
    assert!(head.len <= HEAD_LEN_MAX && head.len <= input.len());
    assert!(input[..head.len].ends_with(b"\r\n\r\n"));

    let fields = head.fields(input);
    let lengths = fields.all("content-length").count();
    let codings = fields.all("transfer-encoding").count();
    match head.framing {
        Framing::None => assert_eq!((lengths, codings), (0, 0)),
        Framing::Length(_) => assert_eq!((lengths, codings), (1, 0)),
        Framing::Chunked => assert_eq!((lengths, codings), (0, 1)),
    }
    let _ = upgrade::check(&head, fields);
    if let Target::Resource { path, query } = &head.target {
        let text = |place: &std::ops::Range<usize>| str::from_utf8(&input[place.clone()]).expect("targets are ASCII");
        let _ = route::route(head.method, text(path), false);
        let _ = route::route(head.method, text(path), true);
        let _ = route::spellings(head.method, text(path), true);
        query::parameters(text(query)).for_each(drop);
    }

    let body = &input[head.len..];
    let _ = ChannelRequest::parse(fields.only("content-type"), body);
    if head.framing == Framing::Chunked {
        let whole = decode(&[body]);
        let cut = cut.saturating_sub(head.len);
        assert_eq!(whole, decode(&[&body[..cut], &body[cut..]]), "a body cut at {cut}");
        if let Ok((content, progress)) = whole {
            assert!(content.len() <= BODY_LEN_MAX && progress.taken <= body.len());
            assert!(!progress.done || body[..progress.taken].ends_with(b"\r\n\r\n"));
        }
    }
});

/// Reads a head from what has been received at each of several moments.
fn read(received: &[&[u8]]) -> Result<Option<Head>, HeadError> {
    let mut reader = HeadReader::default();
    for received in received {
        match reader.read(received, HEAD_LIMITS) {
            Ok(None) => {}
            end => return end,
        }
    }
    Ok(None)
}

/// Decodes a body from consecutive pieces.
fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Progress), ChunkedError> {
    let mut decoder = ChunkedDecoder::new(BODY_LEN_MAX, AROUND_LEN_MAX);
    let mut content = Vec::new();
    let mut sum = Progress { taken: 0, done: false };
    for piece in pieces {
        if sum.done {
            break;
        }
        let progress = decoder.decode(piece, &mut content)?;
        sum = Progress { taken: sum.taken + progress.taken, done: progress.done };
    }
    Ok((content, sum))
}
