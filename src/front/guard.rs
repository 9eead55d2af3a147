//! Whether a request may go on: where the API token is needed, it has to be in it.

use super::Front;
use super::exchange::{Request, text};
use crate::http::{Method, Target, query};
use crate::rest::{self, ApiError};
use crate::route;

/// Looks for the token where it is needed. Of several that are given, one right one is enough.
///
/// # Errors
/// There is none, or none that is right; the same for channels that there are and those that there are not.
pub(super) fn check(front: &Front, request: Request<'_>) -> Result<(), ApiError> {
    let Some(auth) = &front.settings.auth else { return Ok(()) };
    let method = request.head.method;
    let Target::Resource { path, query } = &request.head.target else { return Ok(()) };
    // A browser asks what it may ask before it knows whether it may send the token.
    if method == Method::Options {
        return Ok(());
    }
    let path = text(&request.received[path.clone()]);
    let spellings = route::spellings(method, path, front.settings.browser_only);
    if !spellings.iter().any(|(method, path)| auth.guards(*method, path)) {
        return Ok(());
    }
    let given = tokens(request, text(&request.received[query.clone()]));
    if given.iter().any(|token| auth.accepts(token)) {
        Ok(())
    } else if given.is_empty() {
        Err(ApiError::AuthMissing)
    } else {
        Err(ApiError::AuthWrong)
    }
}

/// What is given as the API token in a request: so many in each place where it may stand.
fn tokens(request: Request<'_>, query: &str) -> Vec<String> {
    let fields = request.head.fields(request.received);
    let in_query = query::parameters(query).flatten().filter(|(name, _)| name == "auth").map(|(_, token)| token.into());
    let in_query = in_query.take(rest::TOKENS_MAX);
    // The second is the source's spelling.
    let in_fields = fields.all("authorization").chain(fields.all("authentification")).filter_map(bearer);
    let in_fields = in_fields.take(rest::TOKENS_MAX);
    let in_body = rest::tokens_in(fields.all("content-type").next(), request.body);
    in_query.chain(in_fields).chain(in_body).collect()
}

/// The token in `Bearer token` (RFC 6750, section 2.1).
fn bearer(value: &[u8]) -> Option<String> {
    let (scheme, token) = str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_matches(' ').to_owned())
}
