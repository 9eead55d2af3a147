//! permessage-deflate: whatever comes is inflated within bounds or refused, what is compressed comes back, and any header is
//! answered or refused.
//!
//! The first byte says where the rest is cut in two.
#![no_main]

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use libfuzzer_sys::fuzz_target;
use ringrelay::ws::deflate::{Compressor, InflateError, Inflater, Window, negotiate};
use ringrelay::ws::{CloseCode, Decoder, Event};

const MESSAGE_LEN_MAX: u64 = 4096;

/// What a flush ends with and a message does not.
const FLUSH_END: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else { return };
    inflated(input);
    there_and_back(input);
    negotiated(input);
    let cut = usize::from(*cut) * input.len() / 255;
    let whole = decoded(&[input]);
    assert_eq!(whole, decoded(&[&input[..cut], &input[cut..]]), "cut at {cut}");
});

/// An inflater takes any bytes, and goes on as before after what was broken.
fn inflated(input: &[u8]) {
    let (mut inflater, mut out) = (Inflater::new(), Vec::new());
    let first = inflater.inflate(input, MESSAGE_LEN_MAX, &mut out);
    assert!(inflater.blocks() * 10 <= (input.len() + FLUSH_END.len()) * 8, "no block takes fewer than ten bits");
    assert!(out.capacity() as u64 <= MESSAGE_LEN_MAX + 1);
    let kept = out.clone();
    if first.is_ok() {
        assert!(out.len() as u64 <= MESSAGE_LEN_MAX);
    }
    let payload = b"as before, as before, as before";
    inflater.inflate(&flushed(payload), MESSAGE_LEN_MAX, &mut out).expect("it is well compressed");
    assert_eq!(out, payload);
    assert_eq!(first, inflater.inflate(input, MESSAGE_LEN_MAX, &mut out), "the same bytes, the same outcome");
    assert!(first.is_err() || out == kept);
    if let Err(InflateError::TooLarge) = first {
        let more = inflater.inflate(input, 1 << 22, &mut out);
        assert!(more != Ok(()) || out.len() as u64 > MESSAGE_LEN_MAX, "{} bytes are not too large", out.len());
    }
}

thread_local! {
    /// One for each window, kept from run to run, as the relay keeps its own from message to message.
    static COMPRESSORS: RefCell<[(Window, Compressor); 2]> =
        RefCell::new([Window::Full, Window::Small].map(|window| (window, Compressor::new(window))));
}

/// What one side compresses the other reads: each of them is held against zlib's own way.
fn there_and_back(payload: &[u8]) {
    let (mut inflater, mut inflated, mut out) = (Inflater::new(), Vec::new(), Vec::new());
    COMPRESSORS.with_borrow_mut(|compressors| {
        for (window, compressor) in compressors {
            if let Some(compressed) = compressor.compress(payload, &mut out) {
                assert!(compressed.len() < payload.len());
                inflater.inflate(compressed, payload.len() as u64, &mut inflated).expect("it fits");
                assert_eq!(inflated, payload);
                let whole = [compressed, &FLUSH_END].concat();
                let mut read = Vec::with_capacity(payload.len() + 1);
                let mut oracle = Decompress::new_with_window_bits(false, window.bits());
                oracle.decompress_vec(&whole, &mut read, FlushDecompress::Sync).expect("it is well compressed");
                assert_eq!(read, payload);
            }
        }
    });
    inflater.inflate(&flushed(payload), payload.len() as u64, &mut inflated).expect("it is well compressed");
    assert_eq!(inflated, payload);
    if let Some(len_max) = payload.len().checked_sub(1) {
        let error = inflater.inflate(&flushed(payload), len_max as u64, &mut inflated);
        assert_eq!(error, Err(InflateError::TooLarge));
    }
}

/// A message as another compressor writes it.
fn flushed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 4 + 64);
    let mut deflate = Compress::new(Compression::default(), false);
    deflate.compress_vec(payload, &mut out, FlushCompress::Sync).expect("there is room");
    assert!(out.ends_with(&FLUSH_END));
    out.truncate(out.len() - FLUSH_END.len());
    out
}

fn negotiated(value: &[u8]) {
    let Ok(Some(agreed)) = negotiate([value]) else { return };
    let response = agreed.response();
    assert!(response.starts_with("permessage-deflate; server_no_context_takeover; client_no_context_takeover"));
    // What is answered is an offer that would be answered in the same way.
    let again = negotiate([response.as_bytes()]).expect("the answer keeps the grammar").expect("and the rules");
    assert_eq!(again, agreed);
    let twice = negotiate([value, value]).expect("it was well formed before");
    assert_eq!(twice, Some(agreed), "the first offer counts");
}

/// What the decoder makes of the portions: events in words, and how it ended.
fn decoded(portions: &[&[u8]]) -> (Vec<String>, Option<CloseCode>) {
    let mut decoder = Decoder::with_deflate(MESSAGE_LEN_MAX);
    let (mut events, mut inflater, mut out) = (Vec::new(), Inflater::new(), Vec::new());
    for portion in portions {
        let mut portion = portion.to_vec();
        let mut rest = portion.as_mut_slice();
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(event)) => {
                    if let Event::Compressed(_, payload) = &event {
                        let outcome = inflater.inflate(payload, MESSAGE_LEN_MAX, &mut out);
                        events.push(format!("{outcome:?}"));
                    }
                    events.push(format!("{event:?}"));
                }
                Ok(None) => break,
                Err(code) => return (events, Some(code)),
            }
        }
        assert!(rest.is_empty(), "all of a portion is used");
    }
    (events, None)
}
