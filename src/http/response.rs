//! The answer to a request (RFC 9112, section 4; RFC 9110, sections 6 to 8).

use std::borrow::Cow;
use std::io::Write;

use super::{HttpDate, Status};

/// The interim answer that asks for the body (RFC 9110, section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What becomes of the connection behind an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    KeepAlive,
    Close,
}

/// How a client learns where a content ends that is not whole when its head is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delimiter {
    /// By the chunked transfer coding: see [`push_chunk`].
    Chunked,
    /// By the end of the connection, for HTTP/1.0.
    End,
}

/// A final answer. Its length is said, so that the connection can be kept; where it is not known, see
/// [`write_head`](Self::write_head).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    status: Status,
    /// Fields beyond those that every answer has. Never a value of the peer's.
    fields: Vec<(&'static str, Cow<'static, str>)>,
    content_type: &'static str,
    content: Cow<'static, [u8]>,
}

impl Response {
    /// An answer without content.
    pub fn empty(status: Status) -> Response {
        Response { status, fields: Vec::new(), content_type: "", content: Cow::Borrowed(b"") }
    }

    pub fn json(status: Status, content: impl Into<Cow<'static, [u8]>>) -> Response {
        Response { content_type: "application/json", content: content.into(), ..Response::empty(status) }
    }

    pub fn html(status: Status, content: impl Into<Cow<'static, [u8]>>) -> Response {
        Response { content_type: "text/html; charset=utf-8", content: content.into(), ..Response::empty(status) }
    }

    /// An answer with content of another type.
    pub fn of_type(content_type: &'static str, status: Status, content: impl Into<Cow<'static, [u8]>>) -> Response {
        Response { content_type, content: content.into(), ..Response::empty(status) }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Response {
        let value = value.into();
        debug_assert!(value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "a field in one line");
        self.fields.push((name, value));
        self
    }

    pub fn status(&self) -> Status {
        self.status
    }

    /// Appends the answer to `out`; without its content if it answers a `HEAD` (RFC 9110, section 9.3.2).
    pub fn write(&self, out: &mut Vec<u8>, date: HttpDate, ending: Ending, to_head: bool) {
        out.reserve(192 + self.content.len());
        self.write_fields(out, date, ending);
        if self.status.has_content() {
            out.extend_from_slice(b"Content-Length: ");
            push_number(out, self.content.len() as u64);
            push_line(out, &[]);
        }
        push_line(out, &[]);
        if self.status.has_content() && !to_head {
            out.extend_from_slice(&self.content);
        }
    }

    /// Appends the head alone: the content follows piece by piece, and is delimited so.
    pub fn write_head(&self, out: &mut Vec<u8>, date: HttpDate, ending: Ending, delimiter: Delimiter) {
        debug_assert!(self.content.is_empty() && (delimiter == Delimiter::Chunked || ending == Ending::Close));
        self.write_fields(out, date, ending);
        if delimiter == Delimiter::Chunked {
            push_line(out, &[b"Transfer-Encoding: chunked"]);
        }
        push_line(out, &[]);
    }

    /// Status line and fields, without what delimits the content.
    fn write_fields(&self, out: &mut Vec<u8>, date: HttpDate, ending: Ending) {
        out.extend_from_slice(b"HTTP/1.1 ");
        push_number(out, u64::from(self.status.code));
        out.push(b' ');
        push_line(out, &[self.status.reason.as_bytes()]);
        push_line(out, &[b"Date: ", date.as_bytes()]);
        for (name, value) in &self.fields {
            push_line(out, &[name.as_bytes(), b": ", value.as_bytes()]);
        }
        if ending == Ending::Close {
            push_line(out, &[b"Connection: close"]);
        }
        if self.status.has_content() && !self.content_type.is_empty() {
            push_line(out, &[b"Content-Type: ", self.content_type.as_bytes()]);
        }
    }
}

/// Appends a piece of a content in the chunked transfer coding (RFC 9112, section 7.1). An empty one is none: it would be
/// the end.
pub fn push_chunk(out: &mut Vec<u8>, piece: &[u8]) {
    if !piece.is_empty() {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{:x}\r\n", piece.len());
        push_line(out, &[piece]);
    }
}

/// What ends a content in the chunked transfer coding.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

fn push_line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{number}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(response: &Response, ending: Ending, to_head: bool) -> String {
        let mut out = Vec::new();
        response.write(&mut out, HttpDate::from_unix(0), ending, to_head);
        String::from_utf8(out).unwrap()
    }

    const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

    #[test]
    fn an_answer_says_its_length() {
        let response = Response::json(Status::CREATED, b"{}".as_slice()).with("Location", "/channels/x");
        assert_eq!(
            written(&response, Ending::KeepAlive, false),
            format!(
                "HTTP/1.1 201 Created\r\n{DATE}Location: /channels/x\r\nContent-Type: application/json\r\n\
                 Content-Length: 2\r\n\r\n{{}}"
            )
        );
    }

    #[test]
    fn the_answer_to_head_is_the_same_without_content() {
        let response = Response::json(Status::OK, b"{\"a\":1}".as_slice());
        let to_get = written(&response, Ending::Close, false);
        assert_eq!(to_get.strip_suffix("{\"a\":1}").unwrap(), written(&response, Ending::Close, true));
        assert!(to_get.contains("\r\nContent-Length: 7\r\n"));
        assert!(to_get.contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn a_content_in_pieces_is_what_the_decoder_puts_together() {
        let mut out = Vec::new();
        let response = Response::json(Status::OK, b"".as_slice());
        response.write_head(&mut out, HttpDate::from_unix(0), Ending::KeepAlive, Delimiter::Chunked);
        let head = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), format!("HTTP/1.1 200 OK\r\n{DATE}{head}"));

        let mut out = Vec::new();
        for piece in ["[1,", "", &"2".repeat(300), "]"] {
            push_chunk(&mut out, piece.as_bytes());
        }
        out.extend_from_slice(LAST_CHUNK);
        let mut content = Vec::new();
        let progress = crate::http::ChunkedDecoder::new(1000, 100).decode(&out, &mut content).unwrap();
        assert!(progress.done && progress.taken == out.len());
        assert_eq!(content, format!("[1,{}]", "2".repeat(300)).into_bytes());
    }

    #[test]
    fn no_content_has_no_length() {
        let response = Response::empty(Status::NO_CONTENT).with("Allow", "GET");
        assert_eq!(
            written(&response, Ending::KeepAlive, false),
            format!("HTTP/1.1 204 No Content\r\n{DATE}Allow: GET\r\n\r\n")
        );
        let response = Response::empty(Status::OK);
        assert!(written(&response, Ending::KeepAlive, false).ends_with("\r\nContent-Length: 0\r\n\r\n"));
    }
}
