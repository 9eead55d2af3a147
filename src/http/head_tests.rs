use proptest::prelude::*;

use super::*;
use crate::http::Status;

const LEN_MAX: usize = 512;
const TARGET_LEN_MAX: usize = 400;
const LIMITS: HeadLimits = HeadLimits { len_max: LEN_MAX, target_len_max: TARGET_LEN_MAX };

fn read(input: &[u8]) -> Result<Option<Head>, HeadError> {
    HeadReader::default().read(input, LIMITS)
}

fn head(input: &str) -> Head {
    read(input.as_bytes()).unwrap().unwrap()
}

/// The head of a GET with these lines beside `Host`.
fn with_lines(lines: &str) -> Result<Head, HeadError> {
    read(format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n").as_bytes()).map(|head| head.expect("a whole head"))
}

/// The same, with more input at each call.
fn read_in_pieces(input: &[u8], cuts: &[usize]) -> Result<Option<Head>, HeadError> {
    let mut reader = HeadReader::default();
    let mut cuts = cuts.to_vec();
    cuts.retain(|cut| *cut < input.len());
    cuts.push(input.len());
    cuts.sort_unstable();
    for cut in cuts {
        match reader.read(&input[..cut], LIMITS) {
            Ok(None) => {}
            end => return end,
        }
    }
    Ok(None)
}

#[test]
fn a_head_is_taken_apart() {
    let input =
        b"GET /channels/a%20b?token=x&y HTTP/1.1\r\nHost: relay:8080\r\nX-Empty:\r\nAccept:\t a , b \r\n\r\nrest";
    let head = read(input).unwrap().unwrap();
    assert_eq!((head.method, head.version), (Method::Get, Version::Http11));
    assert_eq!(&input[head.len..], b"rest");
    let Target::Resource { path, query } = head.target.clone() else { panic!("no resource") };
    assert_eq!((&input[path], &input[query]), (b"/channels/a%20b".as_slice(), b"token=x&y".as_slice()));
    let fields = head.fields(input);
    assert_eq!(fields.only("HOST"), Some(b"relay:8080".as_slice()));
    assert_eq!(fields.only("x-empty"), Some(b"".as_slice()));
    assert_eq!(fields.list("accept").collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(head.framing, Framing::None);
    assert!(head.keeps_alive && !head.expects_continue);
}

#[test]
fn nothing_is_taken_before_the_head_is_whole() {
    let input = b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for end in 0..input.len() {
        assert_eq!(read(&input[..end]), Ok(None), "{end} bytes");
    }
    assert_eq!(read(input).unwrap().unwrap().len, input.len());
}

#[test]
fn a_head_split_anywhere_is_the_same_head() {
    let input = b"POST /channels HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody";
    let whole = read(input);
    assert_eq!(whole.as_ref().unwrap().as_ref().unwrap().framing, Framing::Length(4));
    for cut in 0..input.len() {
        assert_eq!(read_in_pieces(input, &[cut]), whole, "cut at {cut}");
    }
    assert_eq!(read_in_pieces(input, &(0..input.len()).collect::<Vec<_>>()), whole);
}

#[test]
fn every_way_to_smuggle_is_refused_with_its_status() {
    for (lines, error, code) in [
        ("Content-Length: 3\r\nContent-Length: 3", HeadError::LengthRepeated, 400),
        ("Content-Length: 3\r\ncontent-length: 4", HeadError::LengthRepeated, 400),
        ("Content-Length: 3, 3", HeadError::LengthInvalid, 400),
        ("Content-Length: +3", HeadError::LengthInvalid, 400),
        ("Content-Length: -3", HeadError::LengthInvalid, 400),
        ("Content-Length: 0x3", HeadError::LengthInvalid, 400),
        ("Content-Length: 3 3", HeadError::LengthInvalid, 400),
        ("Content-Length: 3.0", HeadError::LengthInvalid, 400),
        ("Content-Length:", HeadError::LengthInvalid, 400),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", HeadError::LengthWithCoding, 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3", HeadError::LengthWithCoding, 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HeadError::CodingInvalid, 400),
        ("Transfer-Encoding: chunked, chunked", HeadError::CodingInvalid, 400),
        ("Transfer-Encoding: chunked;q=1", HeadError::CodingInvalid, 400),
        ("Transfer-Encoding: ,chunked", HeadError::CodingInvalid, 400),
        ("Transfer-Encoding:", HeadError::CodingInvalid, 400),
        ("Transfer-Encoding: xchunked", HeadError::CodingUnknown, 501),
        ("Transfer-Encoding: gzip", HeadError::CodingUnknown, 501),
        ("Transfer-Encoding: gzip, chunked", HeadError::CodingUnknown, 501),
        ("Transfer-Encoding: identity", HeadError::CodingUnknown, 501),
        ("Transfer-Encoding : chunked", HeadError::Field, 400),
        ("Content-Length : 3", HeadError::Field, 400),
        (" Content-Length: 3", HeadError::Field, 400),
        ("X: a\r\n folded", HeadError::Field, 400),
        ("X:\r\n folded", HeadError::Field, 400),
        ("X: a\r\n\tContent-Length: 3", HeadError::Field, 400),
        ("X: a\nContent-Length: 3", HeadError::BareLf, 400),
        ("X: a\rContent-Length: 3", HeadError::BareCr, 400),
        ("X: a\0b", HeadError::Field, 400),
        ("X: a\x0bb", HeadError::Field, 400),
        ("X: a\x7fb", HeadError::Field, 400),
        ("X\0: a", HeadError::Field, 400),
        (": a", HeadError::Field, 400),
        ("no colon", HeadError::Field, 400),
        ("Host: x", HeadError::HostRepeated, 400),
        ("Expect: 200-ok", HeadError::Expectation, 417),
        ("Expect: 100-continue\r\nExpect: x", HeadError::Expectation, 417),
    ] {
        assert_eq!(with_lines(lines), Err(error), "{lines:?}");
        assert_eq!(error.status().code, code, "{lines:?}");
    }
}

#[test]
fn request_lines_are_strict() {
    for (line, error) in [
        ("GET / HTTP/1.1\n", HeadError::BareLf),
        ("GET  / HTTP/1.1\r\n", HeadError::RequestLine),
        ("GET /\r\n", HeadError::RequestLine),
        ("GET\r\n", HeadError::RequestLine),
        (" GET / HTTP/1.1\r\n", HeadError::RequestLine),
        ("G\0T / HTTP/1.1\r\n", HeadError::RequestLine),
        ("GET / HTTP/1.1 \r\n", HeadError::RequestLine),
        ("GET / HTTP/2.0\r\n", HeadError::Version),
        ("GET / HTTP/1.2\r\n", HeadError::Version),
        ("GET / http/1.1\r\n", HeadError::Version),
        ("GET /a#b HTTP/1.1\r\n", HeadError::Target),
        ("GET /ä HTTP/1.1\r\n", HeadError::Target),
        ("GET channels HTTP/1.1\r\n", HeadError::Target),
        ("GET * HTTP/1.1\r\n", HeadError::Target),
        ("GET http:///x HTTP/1.1\r\n", HeadError::Target),
        ("GET ftp://x/ HTTP/1.1\r\n", HeadError::Target),
        ("CONNECT x:80 HTTP/1.1\r\n", HeadError::Target),
    ] {
        assert_eq!(read(format!("{line}Host: x\r\n\r\n").as_bytes()), Err(error), "{line:?}");
    }
    assert_eq!(HeadError::Version.status(), Status::VERSION_NOT_SUPPORTED);
}

#[test]
fn host_is_needed_once_and_valid() {
    assert_eq!(read(b"GET / HTTP/1.1\r\n\r\n"), Err(HeadError::HostMissing));
    for host in ["a b", "a,b", "a/b", "user@a", "a\"b"] {
        let input = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(read(input.as_bytes()), Err(HeadError::HostInvalid), "{host}");
    }
    for host in ["", "a", "a.b-c_d:80", "[::1]:8080", "127.0.0.1"] {
        assert!(read(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).is_ok(), "{host}");
    }
    assert!(read(b"GET / HTTP/1.0\r\n\r\n").is_ok());
    assert_eq!(read(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), Err(HeadError::HostRepeated));
}

#[test]
fn what_keeps_a_connection_alive() {
    assert!(with_lines("Connection: keep-alive").unwrap().keeps_alive);
    assert!(!with_lines("Connection: x, Close").unwrap().keeps_alive);
    assert!(!head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keeps_alive);
}

#[test]
fn http_1_0_has_no_chunks_and_no_interim_answers() {
    assert_eq!(read(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Err(HeadError::CodingInvalid));
    assert!(!head("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue);
    assert!(with_lines("Expect: 100-Continue").unwrap().expects_continue);
}

#[test]
fn framing_is_read_from_the_fields() {
    assert_eq!(with_lines("Transfer-Encoding: CHUNKED").unwrap().framing, Framing::Chunked);
    assert_eq!(with_lines("Content-Length: 0042").unwrap().framing, Framing::Length(42));
    let huge = format!("Content-Length: {}", "9".repeat(40));
    assert_eq!(with_lines(&huge).unwrap().framing, Framing::Length(u64::MAX));
}

#[test]
fn absolute_urls_name_their_path() {
    for (target, path, query) in [
        ("http://relay:8080/channels?x=1", "/channels", "x=1"),
        ("HTTPS://relay/", "/", ""),
        ("http://relay", "", ""),
        ("http://relay?x=/1", "", "x=/1"),
        ("/a//b?", "/a//b", ""),
        ("/?a?b", "/", "a?b"),
    ] {
        let input = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let Target::Resource { path: in_path, query: in_query } = head(&input).target else { panic!("{target}") };
        assert_eq!((&input[in_path], &input[in_query]), (path, query), "{target}");
    }
    assert_eq!(head("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").target, Target::Server);
}

#[test]
fn a_target_has_a_longest_length() {
    let line = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(len - 1));
    assert!(read(line(TARGET_LEN_MAX).as_bytes()).unwrap().is_some());
    let too_long = line(TARGET_LEN_MAX + 1);
    assert_eq!(read(too_long.as_bytes()), Err(HeadError::TargetTooLong));
    // The end of the line is not waited for.
    assert_eq!(read(&too_long.as_bytes()[..TARGET_LEN_MAX + 4]), Ok(None));
    assert_eq!(read(&too_long.as_bytes()[..TARGET_LEN_MAX + 5]), Err(HeadError::TargetTooLong));
    // Neither other lines nor what has no target are held to it.
    let long_field = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y ".repeat(TARGET_LEN_MAX / 2 + 10));
    assert!(read(long_field.as_bytes()).unwrap().is_some());
    assert_eq!(read("y".repeat(TARGET_LEN_MAX + 50).as_bytes()), Ok(None));
}

#[test]
fn a_head_has_a_longest_length_and_a_most_of_fields() {
    let fixed = "GET / HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n".len();
    let fits = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(LEN_MAX - fixed));
    assert_eq!(head(&fits).len, LEN_MAX);
    let too_long = fits.replace("X: ", "X: y");
    assert_eq!(read(too_long.as_bytes()), Err(HeadError::TooLong));
    assert_eq!(read("x".repeat(LEN_MAX).as_bytes()), Err(HeadError::TooLong));
    assert_eq!(read("\r\n".repeat(LEN_MAX / 2).as_bytes()), Err(HeadError::TooLong));
    assert_eq!(HeadError::TooLong.status().code, 431);

    let lines = |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a:\r\n".repeat(count - 1));
    let read = |input: String| {
        HeadReader::default().read(input.as_bytes(), HeadLimits { len_max: 4096, target_len_max: 4096 })
    };
    assert!(read(lines(FIELDS_MAX)).is_ok());
    assert_eq!(read(lines(FIELDS_MAX + 1)), Err(HeadError::TooManyFields));
    assert_eq!(HeadError::TooManyFields.status().code, 431);
}

proptest! {
    /// Mutations of a good head, so that the parser is reached and not only the line scanner.
    #[test]
    fn any_head_reads_alike_in_any_pieces(
        changes in prop::collection::vec((0usize..110, prop::sample::select(b"\r\n :,a1\t\0\xff+".to_vec())), 0..4),
        cuts in prop::collection::vec(0usize..110, 0..6),
    ) {
        let mut input =
            b"POST /channels?a=b HTTP/1.1\r\nHost: relay\r\nContent-Length: 12\r\nConnection: close, x\r\n\r\nbody".to_vec();
        for (place, byte) in changes {
            let place = place % input.len();
            input[place] = byte;
        }
        prop_assert_eq!(read_in_pieces(&input, &cuts), read(&input));
    }
}
