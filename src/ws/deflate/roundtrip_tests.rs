//! Both directions against flate2 as the peer, and against the examples of RFC 7692.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use proptest::prelude::*;

use super::*;
use crate::ws::{CloseCode, Decoder, Event, MessageKind};

/// What a client sends that compresses with this level and window; without the end of the flush.
fn client_compress(payload: &[u8], level: u32, window_bits: u8) -> Vec<u8> {
    let mut deflate = Compress::new_with_window_bits(Compression::new(level), false, window_bits);
    let mut out = Vec::with_capacity(payload.len() * 2 + 64);
    deflate.compress_vec(payload, &mut out, FlushCompress::Sync).expect("a compressor takes anything");
    assert_eq!(deflate.total_in(), payload.len() as u64);
    let len = out.strip_suffix(&FLUSH_END).expect("a flush was asked for").len();
    out.truncate(len);
    out
}

/// What a client reads that keeps a window of this size. It looks no further back.
fn client_inflate(compressed: &[u8], window_bits: u8, len: usize) -> Vec<u8> {
    let mut inflate = Decompress::new_with_window_bits(false, window_bits);
    let mut read = Vec::with_capacity(len + 1);
    // In small parts, so that what lies further back is no longer there to be found.
    for byte in compressed.iter().chain(&FLUSH_END) {
        let before = inflate.total_in();
        while inflate.total_in() == before {
            let mut piece = [0; 64];
            let written = inflate.total_out();
            inflate.decompress(&[*byte], &mut piece, FlushDecompress::None).expect("well-formed data");
            read.extend_from_slice(&piece[..(inflate.total_out() - written) as usize]);
        }
    }
    loop {
        let mut piece = [0; 64];
        let written = inflate.total_out();
        inflate.decompress(&[], &mut piece, FlushDecompress::None).expect("well-formed data");
        if inflate.total_out() == written {
            return read;
        }
        read.extend_from_slice(&piece[..(inflate.total_out() - written) as usize]);
    }
}

fn inflated(compressed: &[u8], len_max: u64) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    Inflater::new().inflate(compressed, len_max, &mut out).map(|()| out)
}

/// Text with repetitions near and far, or bytes without any.
fn some_payload() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::collection::vec(prop::sample::select(vec!["{\"x\":", "12", ",", "\"name\"", "ä", "}"]), 0..2000);
    prop_oneof![
        3 => words.prop_map(|words| words.concat().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..3000),
        1 => (any::<u8>(), 0usize..100_000).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

#[test]
fn the_examples_of_rfc_7692_are_read() {
    let hello: &[&[u8]] = &[
        // 7.2.3.1: one block.
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        // 7.2.3.3: a block without compression.
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        // 7.2.3.4: a last block, and what pads it.
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        // 7.2.3.5: two blocks.
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ];
    for compressed in hello {
        assert_eq!(inflated(compressed, 5).as_deref(), Ok(b"Hello".as_slice()), "{compressed:x?}");
        assert_eq!(inflated(compressed, 4), Err(InflateError::TooLarge), "{compressed:x?}");
    }
    // 7.2.3.6: an empty message.
    assert_eq!(inflated(&[0x00], 0), Ok(vec![]));
    assert_eq!(inflated(&[], 0), Ok(vec![]));
}

#[test]
fn no_context_is_taken_over() {
    // 7.2.3.2: the second "Hello" of a compressor that kept its context refers to the first.
    let mut inflater = Inflater::new();
    let mut out = Vec::new();
    assert_eq!(inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 100, &mut out), Ok(()));
    assert_eq!(inflater.inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00], 100, &mut out), Err(InflateError::Broken));
    assert_eq!(inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 100, &mut out), Ok(()));
    assert_eq!(out, b"Hello");

    let payload = br#"{"event":"moved","player":17,"x":120,"y":80}"#.repeat(4);
    for window in [Window::Full, Window::Small] {
        let mut compressor = Compressor::new(window);
        let first = compressor.compress(&payload, &mut out).expect("it shrinks").to_vec();
        assert_eq!(compressor.compress(&payload, &mut out), Some(first.as_slice()));
        assert_eq!(inflated(&first, 1000).as_deref(), Ok(payload.as_slice()));
    }
}

/// Noise finds more than that: at level 1 the compressor panics here.
#[test]
fn what_does_not_shrink_is_sent_as_it_is() {
    let mut compressor = Compressor::new(Window::Full);
    let mut out = Vec::new();
    let mut seed = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    })
    .take(1 << 20)
    .collect();
    for len in [COMPRESS_LEN_MIN, 200, 5000, 1 << 20] {
        assert_eq!(compressor.compress(&noise[..len], &mut out), None);
    }
    assert_eq!(compressor.compress(&[b'a'; COMPRESS_LEN_MIN - 1], &mut out), None);
    let compressed = compressor.compress(&[b'a'; COMPRESS_LEN_MIN], &mut out).expect("it shrinks");
    assert_eq!(inflated(compressed, 1000), Ok(vec![b'a'; COMPRESS_LEN_MIN]));
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    let bomb = client_compress(&vec![0; 64 << 20], 9, 15);
    assert!(bomb.len() < 70_000);
    for len_max in [0, 1, 1000, 1 << 16, 1_000_000] {
        let mut out = Vec::new();
        assert_eq!(Inflater::new().inflate(&bomb, len_max, &mut out), Err(InflateError::TooLarge));
        assert!(out.capacity() as u64 <= len_max + 1, "{} for {len_max}", out.capacity());
    }
}

#[test]
fn a_small_message_takes_little_memory_however_large_the_limit() {
    let mut out = Vec::new();
    assert_eq!(Inflater::new().inflate(&client_compress(b"Hello", 6, 15), u64::MAX, &mut out), Ok(()));
    assert!(out.capacity() <= 1024);
    assert_eq!(Inflater::new().inflate(&client_compress(&[7; 100_000], 6, 15), u64::MAX, &mut out), Ok(()));
    assert!(out.capacity() <= 200_000);
}

#[test]
fn data_that_no_compressor_writes_is_broken() {
    let whole = client_compress(&b"Hello, hello, hello, is there anybody in there?".repeat(3), 6, 15);
    // A reserved type of block, a length that is contradicted, half a message.
    for data in [&[0x07][..], &[0x00, 0x05, 0x00, 0x05, 0x00], &whole[..whole.len() / 2]] {
        assert_eq!(inflated(data, 1000), Err(InflateError::Broken), "{data:x?}");
    }
    assert_eq!(CloseCode::from(InflateError::Broken).code(), Some(1007));
    assert_eq!(CloseCode::from(InflateError::TooLarge).code(), Some(1009));
}

/// Blocks without anything in them, as bits, the first to be read first: of one that is stored, one with the fixed codes, and
/// one with codes of its own, of which there is but that for its end.
fn empty_blocks() -> [Vec<bool>; 3] {
    let bits = |fields: &[(u32, u32)]| {
        fields.iter().flat_map(|(value, len)| (0..*len).map(move |bit| value >> bit & 1 == 1)).collect::<Vec<_>>()
    };
    // Up to the last of 18 lengths in the order of section 3.2.7 of RFC 1951: those of 18 (the third) and 1 (the last) are 1.
    let mut code_lengths = vec![(0, 3); 18];
    (code_lengths[2], code_lengths[17]) = ((1, 3), (1, 3));
    // 138 and 118 lengths of 0, then that of the end, and one of a distance.
    let lengths = [(1, 1), (138 - 11, 7), (1, 1), (118 - 11, 7), (0, 1), (0, 1)];
    let own = [&[(0, 1), (2, 2), (0, 5), (0, 5), (14, 4)][..], &code_lengths, &lengths, &[(0, 1)]].concat();
    // What is stored begins with a whole byte.
    [bits(&[(0, 8), (0, 16), (0xffff, 16)]), bits(&[(0, 1), (1, 2), (0, 7)]), bits(&own)]
}

/// So many of the block, and a message's end behind them.
fn repeated(block: &[bool], blocks: usize) -> Vec<u8> {
    let bits: Vec<bool> = block.repeat(blocks).into_iter().chain([false; 3]).collect();
    bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

#[test]
fn empty_blocks_are_counted_and_refused_when_there_are_many() {
    let (mut inflater, mut out) = (Inflater::new(), Vec::new());
    for block in empty_blocks() {
        for blocks in [1, 2, 7, 1000, 16_000] {
            let message = repeated(&block, blocks);
            assert_eq!(inflater.inflate(&message, 1 << 20, &mut out), Ok(()), "{blocks} of {}", block.len());
            assert!(out.is_empty());
            assert!(inflater.blocks().abs_diff(blocks) <= 1, "{} of {blocks}", inflater.blocks());
        }
        for blocks in [16_400, 90_000] {
            let message = repeated(&block, blocks);
            assert_eq!(inflater.inflate(&message, 1 << 20, &mut out), Err(InflateError::Broken));
            assert!(inflater.blocks() < 16_400, "it is not read to its end");
        }
        assert_eq!(inflater.inflate(&client_compress(b"and on", 6, 15), 100, &mut out), Ok(()));
        assert_eq!(out, b"and on");
        assert!(inflater.blocks() <= 1, "those of the message before do not count");
    }
}

#[test]
fn a_few_last_blocks_may_stand_in_a_message() {
    let last = |blocks: usize| [&[0x03, 0x00].repeat(blocks)[..], &[0x00]].concat();
    for blocks in [1, 2, 16] {
        assert_eq!(inflated(&last(blocks), 0), Ok(vec![]), "{blocks}");
    }
    for blocks in [17, 500_000] {
        assert_eq!(inflated(&last(blocks), 1 << 20), Err(InflateError::Broken), "{blocks}");
    }
    let filled = [0x4b, 0x04, 0x00].repeat(17);
    assert_eq!(inflated(&[&filled[..48], &[0x00]].concat(), 16), Ok(b"a".repeat(16)));
    assert_eq!(inflated(&[&filled[..], &[0x00]].concat(), 17), Err(InflateError::Broken));
}

/// With the least memory zlib ends a block every 127 symbols, and who flushes writes two blocks each time.
#[test]
fn compressors_with_many_blocks_are_understood() {
    let payload: Vec<u8> = (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let stored = client_compress(&payload, 0, 15);
    let mut flushed = Vec::with_capacity(1 << 20);
    let mut deflate = Compress::new(Compression::new(6), false);
    for part in payload[..80_000].chunks(10) {
        deflate.compress_vec(part, &mut flushed, FlushCompress::Sync).expect("a compressor takes anything");
    }
    flushed.truncate(flushed.len() - FLUSH_END.len());
    assert!(inflated(&stored, 1 << 20) == Ok(payload.clone()));
    assert!(inflated(&flushed, 1 << 20) == Ok(payload[..80_000].to_vec()));
}

/// The frames of a client that sends `payload` as one message in fragments of at most `len` bytes.
fn fragments(first: u8, payload: &[u8], len: usize) -> Vec<u8> {
    let mask = [9, 99, 199, 3];
    let mut bytes = Vec::new();
    let mut parts = payload.chunks(len).peekable();
    let mut first = first & 0x7f;
    while let Some(part) = parts.next() {
        bytes.push(if parts.peek().is_none() { first | 0x80 } else { first });
        match part.len() {
            short @ 0..=125 => bytes.push(0x80 | short as u8),
            long => {
                bytes.push(0xfe);
                bytes.extend((long as u16).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(part.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        first = 0;
    }
    bytes
}

/// The messages in `bytes`, which come in portions of `len`, as they were before they were compressed.
fn receive(bytes: &[u8], len: usize, len_max: u64) -> Result<Vec<(MessageKind, Vec<u8>)>, CloseCode> {
    let (mut decoder, mut inflater) = (Decoder::with_deflate(len_max), Inflater::new());
    let mut messages = Vec::new();
    for portion in bytes.chunks(len) {
        let mut portion = portion.to_vec();
        let mut input = portion.as_mut_slice();
        while let Some(event) = decoder.next(&mut input)? {
            match event {
                Event::Message(kind, payload) => messages.push((kind, payload.to_vec())),
                Event::Compressed(kind, compressed) => {
                    let mut out = Vec::new();
                    inflater.inflate(compressed, len_max, &mut out)?;
                    kind.check(&out)?;
                    messages.push((kind, out));
                }
                Event::Ping(_) | Event::Pong | Event::Close(_) => unreachable!("only messages were sent"),
            }
        }
    }
    Ok(messages)
}

#[test]
fn text_is_checked_once_it_is_inflated() {
    let text = "Grüße, Grüße, Grüße".as_bytes();
    let good = fragments(0x41, &client_compress(text, 6, 15), 3);
    assert_eq!(receive(&good, 2, 100), Ok(vec![(MessageKind::Text, text.to_vec())]));
    let bad = client_compress(b"Gr\xfc\xdfe, Gr\xfc\xdfe", 6, 15);
    assert_eq!(receive(&fragments(0x41, &bad, 3), 2, 100), Err(CloseCode::InvalidText));
    assert_eq!(receive(&fragments(0x41, &bad, 100), 100, 100), Err(CloseCode::InvalidText));
    assert!(receive(&fragments(0x42, &bad, 3), 2, 100).is_ok());
}

#[test]
fn compressed_and_plain_messages_take_turns() {
    let compressed = client_compress(b"one, one, one", 6, 15);
    let bytes = [
        fragments(0x42, &compressed, 4),
        fragments(0x01, b"two", 1),
        fragments(0x41, &compressed, 100),
        fragments(0x02, &[0xff], 1),
    ]
    .concat();
    let one = b"one, one, one".to_vec();
    let expected = vec![
        (MessageKind::Binary, one.clone()),
        (MessageKind::Text, b"two".to_vec()),
        (MessageKind::Text, one),
        (MessageKind::Binary, vec![0xff]),
    ];
    for len in 1..bytes.len() {
        assert_eq!(receive(&bytes, len, 100).as_ref(), Ok(&expected), "portions of {len}");
    }
    // Plain text is checked as it comes, also behind a compressed message.
    let bytes = [fragments(0x42, &compressed, 4), fragments(0x01, b"a\xff", 1)].concat();
    assert_eq!(receive(&bytes, 3, 100), Err(CloseCode::InvalidText));
}

#[test]
fn rsv1_out_of_place_is_a_protocol_error() {
    let compressed = client_compress(b"Hello", 6, 15);
    let failed = |bytes: &[u8]| matches!(receive(bytes, 7, 100), Err(CloseCode::ProtocolError(_)));
    let continuation = [fragments(0x41, &compressed, 4), fragments(0x41, b"x", 1)].concat();
    let (first, _) = continuation.split_at(10);
    // The first fragment, then one that says RSV1 again.
    assert!(failed(&[first, &[0xc0, 0x80, 0, 0, 0, 0]].concat()));
    assert!(failed(&[0xc9, 0x80, 0, 0, 0, 0]), "a ping");
    assert!(failed(&[0xe1, 0x80, 0, 0, 0, 0]), "RSV2 too");
    let mut plain = fragments(0x41, &compressed, 100);
    let refused = Decoder::new(100).next(&mut plain.as_mut_slice()).map(|event| event.is_some());
    assert!(matches!(refused, Err(CloseCode::ProtocolError(_))), "nothing was agreed on: {refused:?}");
}

#[test]
fn a_compressed_message_is_refused_as_soon_as_it_cannot_fit() {
    let arriving = |payload: u16, before: &[u8]| {
        let header = [&[0x42 | 0x80, 0xfe], payload.to_be_bytes().as_slice(), &[0; 4]].concat();
        receive(&[before, &header].concat(), 1000, 1000).map(|messages| messages.len())
    };
    let len_max = compressed_len_max(1000) as u16;
    assert!((1125..1200).contains(&len_max));
    assert_eq!(arriving(len_max, &[]), Ok(0));
    assert_eq!(arriving(len_max + 1, &[]), Err(CloseCode::TooLarge));
    // All fragments count, and what a plain message may have stays what it was.
    let begun = [&[0x42, 0xfe, 0x04, 0x4c, 0, 0, 0, 0], [0; 1100].as_slice()].concat();
    let continued = |len: u8| receive(&[&begun[..], &[0x80, 0x80 | len, 0, 0, 0, 0]].concat(), 99, 1000);
    assert_eq!(continued((len_max - 1100) as u8), Ok(vec![]));
    assert_eq!(continued((len_max - 1099) as u8), Err(CloseCode::TooLarge));
    let plain = fragments(0x02, &[0; 1001], 1001);
    assert_eq!(receive(&plain[..20], 20, 1000), Err(CloseCode::TooLarge));
}

proptest! {
    #[test]
    fn what_the_relay_compresses_its_clients_can_read(payload in some_payload(), small in any::<bool>()) {
        let window = if small { Window::Small } else { Window::Full };
        let (mut compressor, mut out) = (Compressor::new(window), Vec::new());
        compressor.compress(&b"something else before, ".repeat(10), &mut out);
        if let Some(compressed) = compressor.compress(&payload, &mut out) {
            prop_assert!(compressed.len() < payload.len() && payload.len() >= COMPRESS_LEN_MIN);
            prop_assert!(client_inflate(compressed, window.bits(), payload.len()) == payload);
        }
    }

    #[test]
    fn what_clients_compress_the_relay_can_read(
        payload in some_payload(), level in 0u32..10, window_bits in 9u8..16, spare in 0u64..3,
    ) {
        let compressed = client_compress(&payload, level, window_bits);
        prop_assert!(compressed.len() as u64 <= compressed_len_max(payload.len() as u64));
        let len = payload.len() as u64;
        if len > 0 {
            prop_assert_eq!(inflated(&compressed, len - 1), Err(InflateError::TooLarge));
        }
        prop_assert!(inflated(&compressed, len + spare) == Ok(payload));
    }

    #[test]
    fn fragments_and_portions_make_no_difference(
        payload in some_payload(), fragment in 1usize..5000, portion in 1usize..5000, text in any::<bool>(),
    ) {
        let text = text && str::from_utf8(&payload).is_ok();
        let (first, kind) = if text { (0x41, MessageKind::Text) } else { (0x42, MessageKind::Binary) };
        let bytes = fragments(first, &client_compress(&payload, 6, 15), fragment);
        prop_assert!(receive(&bytes, portion, payload.len() as u64) == Ok(vec![(kind, payload)]));
    }

    #[test]
    fn any_bytes_are_inflated_in_bounds_or_refused(
        data in prop::collection::vec(any::<u8>(), 0..300), valid in some_payload(), at in any::<usize>(), len_max in 0u64..5000,
    ) {
        let mut compressed = client_compress(&valid, 6, 15);
        let at = at % (compressed.len() + 1);
        compressed.splice(at..(at + data.len()).min(compressed.len()), data.iter().copied());
        let (mut inflater, mut out) = (Inflater::new(), Vec::new());
        for data in [&data, &compressed] {
            let result = inflater.inflate(data, len_max, &mut out);
            // None takes fewer than ten bits.
            prop_assert!(inflater.blocks() * 10 <= (data.len() + 4) * 8);
            prop_assert!(out.capacity() as u64 <= len_max + 1);
            prop_assert!(result.is_err() || out.len() as u64 <= len_max);
        }
    }
}
