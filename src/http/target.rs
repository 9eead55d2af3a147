//! The request target (RFC 9112, section 3.2).

use std::ops::Range;

use super::{HeadError, Method};

/// What a request is about: places in the bytes of its head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A resource: its path (beginning with `/`, or empty for an absolute URL without one) and its query without the
    /// `?`. An absolute URL is accepted and its host ignored: this server answers for every name it is reached by.
    Resource { path: Range<usize>, query: Range<usize> },
    /// `*`, the server itself; only with `OPTIONS`.
    Server,
}

impl Target {
    /// `text` lies at `start` in the bytes of its head.
    pub(super) fn parse(method: Method, text: &str, start: usize) -> Result<Target, HeadError> {
        // A fragment is never sent, and bytes above ASCII must be percent-encoded (RFC 3986, section 3).
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
            return Err(HeadError::Target);
        }
        if text == "*" {
            return if method == Method::Options { Ok(Target::Server) } else { Err(HeadError::Target) };
        }
        let path_start = if text.starts_with('/') { 0 } else { authority_end(text)? };
        let (path_end, query_start) = match text[path_start..].find('?') {
            Some(mark) => (path_start + mark, path_start + mark + 1),
            None => (text.len(), text.len()),
        };
        Ok(Target::Resource {
            path: start + path_start..start + path_end,
            query: start + query_start..start + text.len(),
        })
    }
}

/// Where the authority of an absolute URL ends. The authority form, which is `CONNECT`'s alone, ends nowhere.
fn authority_end(text: &str) -> Result<usize, HeadError> {
    let scheme_len = ["http://", "https://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(str::len)
        .ok_or(HeadError::Target)?;
    let authority_len = text[scheme_len..].find(['/', '?']).unwrap_or(text.len() - scheme_len);
    if authority_len == 0 { Err(HeadError::Target) } else { Ok(scheme_len + authority_len) }
}
