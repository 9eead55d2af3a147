//! Chunked bodies: cut anywhere they are the same body, and what was encoded is what comes out.
//!
//! The first two bytes say where the rest is cut, and in chunks of which sizes it is encoded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringrelay::http::{ChunkedDecoder, ChunkedError, Progress};

const BODY_LEN_MAX: usize = 512;
const AROUND_LEN_MAX: usize = 256;

fuzz_target!(|data: &[u8]| {
    let [cut, size, input @ ..] = data else { return };
    let cut = usize::from(*cut) * input.len() / 255;
    let whole = decode(&[input]);
    assert_eq!(whole, decode(&[&input[..cut], &input[cut..]]), "cut at {cut}");
    assert_eq!(whole, decode(&input.chunks(1).collect::<Vec<_>>()), "byte by byte");
    if let Ok((content, progress)) = &whole {
        assert!(content.len() <= BODY_LEN_MAX.min(input.len()) && progress.taken <= input.len());
        assert!(progress.done || progress.taken == input.len());
    }

    // The same bytes as content.
    let size = usize::from(*size % 64) + 1;
    let mut body: Vec<u8> = Vec::new();
    for chunk in input.chunks(size) {
        body.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    let end = body.len();
    body.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    match decode(&[&body]) {
        Ok((content, progress)) => {
            assert!(content == input, "other content than was encoded");
            assert_eq!(progress, Progress { taken: end, done: true }, "what is behind a body is not its own");
        }
        Err(ChunkedError::TooLong) => assert!(input.len() > BODY_LEN_MAX),
        Err(ChunkedError::TooMuchAround) => assert!(input.len().div_ceil(size) + 1 >= AROUND_LEN_MAX),
        Err(ChunkedError::Malformed) => panic!("a well-formed body was refused"),
    }
});

/// Decodes a body from consecutive pieces.
fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Progress), ChunkedError> {
    let mut decoder = ChunkedDecoder::new(BODY_LEN_MAX, AROUND_LEN_MAX);
    let mut content = Vec::new();
    let mut sum = Progress { taken: 0, done: false };
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        if sum.done {
            break;
        }
        let progress = decoder.decode(piece, &mut content)?;
        sum = Progress { taken: sum.taken + progress.taken, done: progress.done };
    }
    Ok((content, sum))
}
