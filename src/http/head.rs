//! The head of a request: request line and fields (RFC 9112, sections 2 to 5).

use std::mem::MaybeUninit;
use std::ops::Range;

use super::fields::{Field, Fields};
use super::framing::Framing;
use super::{HeadError, Target, framing};

/// Most field lines of one head.
pub const FIELDS_MAX: usize = 100;

/// How long a head may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadLimits {
    /// Most bytes of the whole head.
    pub len_max: usize,
    /// Most bytes of the request target.
    pub target_len_max: usize,
}

/// Finds the end of a head in bytes that arrive piecemeal, looking at each byte once; takes the head apart when it is
/// whole. One reader reads one head.
#[derive(Clone, Debug, Default)]
pub struct HeadReader {
    /// Bytes looked at; `line_start <= scanned`.
    scanned: usize,
    /// Where the line that is being looked at begins.
    line_start: usize,
    /// Where the head begins: behind the empty lines before it, which a server ignores (RFC 9112, section 2.2).
    head_start: usize,
}

impl HeadReader {
    /// The head at the front of `received`, or `None` while its end is not there. `received` must begin with the bytes
    /// of the call before. A head that is too long is refused as soon as that is clear.
    ///
    /// # Errors
    /// The head breaks the grammar, or leaves open where its body ends.
    pub fn read(&mut self, received: &[u8], limits: HeadLimits) -> Result<Option<Head>, HeadError> {
        debug_assert!(self.scanned <= received.len());
        while let Some(offset) = received[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let lf = self.scanned + offset;
            self.check_target(&received[self.line_start..lf], limits)?;
            if lf >= limits.len_max {
                return Err(HeadError::TooLong);
            }
            let Some(line) = received[self.line_start..lf].strip_suffix(b"\r") else {
                return Err(HeadError::BareLf);
            };
            if line.contains(&b'\r') {
                return Err(HeadError::BareCr);
            }
            let head_is_empty = self.line_start == self.head_start;
            self.scanned = lf + 1;
            self.line_start = lf + 1;
            if line.is_empty() {
                if !head_is_empty {
                    return parse(received, self.head_start..lf + 1).map(Some);
                }
                self.head_start = lf + 1;
            }
        }
        self.scanned = received.len();
        self.check_target(&received[self.line_start..], limits)?;
        if received.len() >= limits.len_max { Err(HeadError::TooLong) } else { Ok(None) }
    }

    /// Refuses a target that is too long, be the end of its line there or not. `line` is what is there of the line at
    /// `line_start`, and is looked at only when it is longer than any that is allowed, so that who sends byte by byte
    /// costs no more than others.
    fn check_target(&self, line: &[u8], limits: HeadLimits) -> Result<(), HeadError> {
        let is_request_line = self.line_start == self.head_start;
        if !is_request_line || line.len() <= limits.target_len_max {
            return Ok(());
        }
        let method_len_max = METHOD_LEN_MAX.min(line.len());
        let Some(method_end) = line[..method_len_max].iter().position(|byte| *byte == b' ') else { return Ok(()) };
        let target = &line[method_end + 1..];
        // With as much behind it as this the line is none, whatever ends the target.
        let is_too_long = target.len() > limits.target_len_max
            && (target.len() - limits.target_len_max > VERSION_LEN_MAX
                || !target[..=limits.target_len_max].contains(&b' '));
        if is_too_long { Err(HeadError::TargetTooLong) } else { Ok(()) }
    }
}

/// Where the end of the method is looked for: no method is longer.
const METHOD_LEN_MAX: usize = 32;

/// What follows the target in its line: a space, the version, and the CR, with room to spare.
const VERSION_LEN_MAX: usize = 16;

/// A request head. Its names, values and target are places in the bytes it was read from, so that it can be kept while
/// more bytes are read behind them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    pub method: Method,
    pub version: Version,
    pub target: Target,
    /// How the body behind it is delimited.
    pub framing: Framing,
    /// The client waits for [`CONTINUE`](super::CONTINUE) before it sends the body (RFC 9110, section 10.1.1).
    pub expects_continue: bool,
    /// The connection may be used for another request (RFC 9112, section 9.3).
    pub keeps_alive: bool,
    /// Bytes up to the end of the head, including any empty lines before it.
    pub len: usize,
    fields: Vec<Field>,
}

impl Head {
    /// The fields, read from the bytes that the head was read from.
    pub fn fields<'b>(&'b self, received: &'b [u8]) -> Fields<'b> {
        Fields::new(&self.fields, &received[..self.len])
    }
}

/// The methods of RFC 9110, section 9.3, and RFC 5789, and the safe method with a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Query,
    /// Any other, which no server is obliged to know (501). `CONNECT` is one: this is no proxy.
    Unknown,
}

impl Method {
    fn parse(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "TRACE" => Method::Trace,
            "QUERY" => Method::Query,
            _ => Method::Unknown,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    Http10,
    Http11,
}

/// Takes apart the whole head at `place`.
fn parse(received: &[u8], place: Range<usize>) -> Result<Head, HeadError> {
    let len = place.end;
    let head = &received[place];
    let mut lines = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut lines) {
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        // The end was found before: who sees another one reads the lines differently.
        Ok(httparse::Status::Complete(_) | httparse::Status::Partial) => return Err(HeadError::Field),
        Err(error) => return Err(blame(error)),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(HeadError::RequestLine);
    };
    let method = Method::parse(method);
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let target = Target::parse(method, target, place_in(received, target.as_bytes()).start)?;
    let fields: Vec<Field> = request
        .headers
        .iter()
        .map(|line| Field {
            name: place_in(received, line.name.as_bytes()),
            value: place_in(received, line.value.trim_ascii()),
        })
        .collect();

    let view = Fields::new(&fields, &received[..len]);
    check_host(view, version)?;
    let framing = framing::framing(view, version)?;
    let expects_continue = expects_continue(view, version)?;
    let keeps_alive = version == Version::Http11 && !view.has_token("connection", "close");
    Ok(Head { method, version, target, framing, expects_continue, keeps_alive, len, fields })
}

/// Where `part`, a part of `whole`, lies in it.
fn place_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

fn blame(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => HeadError::Field,
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => HeadError::RequestLine,
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version => HeadError::Version,
    }
}

/// RFC 9112, section 3.2: exactly one `Host` in HTTP/1.1, and a valid one.
fn check_host(fields: Fields<'_>, version: Version) -> Result<(), HeadError> {
    let mut hosts = fields.all("host");
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (Some(_), Some(_)) => return Err(HeadError::HostRepeated),
        (None, _) if version == Version::Http11 => return Err(HeadError::HostMissing),
        (None, _) => return Ok(()),
    };
    // uri-host [ ":" port ]: the characters of RFC 3986, section 3.2.2, which leave out "/", "@" and the comma of a list.
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte);
    if host.iter().all(allowed) { Ok(()) } else { Err(HeadError::HostInvalid) }
}

fn expects_continue(fields: Fields<'_>, version: Version) -> Result<bool, HeadError> {
    let mut expects = false;
    for expectation in fields.all("expect") {
        if !expectation.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::Expectation);
        }
        expects = true;
    }
    // An HTTP/1.0 client knows no interim answers (RFC 9110, section 10.1.1).
    Ok(expects && version == Version::Http11)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
