//! Whether a request may go on: where the API token is needed, it has to be in it. To create a channel or to connect to
//! one, a JSON Web Token that gives the right does as well.

use super::Front;
use super::admission::{Admission, verified};
use super::exchange::{Request, posted, text};
use crate::http::{Method, Target, query};
use crate::jwt::{self, Verifier};
use crate::rest::{self, ApiError, ChannelRequest};
use crate::route::{self, Action};

/// Looks for the token where it is needed. Of several that are given, one right one is enough.
///
/// # Errors
/// There is none, or none that is right; the same for channels that there are and those that there are not.
pub(super) fn check(front: &Front, request: Request<'_>) -> Result<(), ApiError> {
    let Some(auth) = &front.settings.auth else { return Ok(()) };
    let Target::Resource { path, query } = &request.head.target else { return Ok(()) };
    if !is_needed(front, request) {
        return Ok(());
    }
    let (method, path) = (request.head.method, text(&request.received[path.clone()]));
    let browser_only = front.settings.browser_only;
    let query = text(&request.received[query.clone()]);
    let given = tokens(request, query);
    if given.iter().any(|token| auth.accepts(token)) {
        return Ok(());
    }
    if let (Some(verifier), Ok(action)) = (&front.settings.jwt, route::route(method, path, browser_only))
        && let Some(outcome) = by_jwt(verifier, &action, request, query, &given)
    {
        return outcome;
    }
    Err(if given.is_empty() { ApiError::AuthMissing } else { ApiError::AuthWrong })
}

/// Whether a token is looked for in `request`.
pub(super) fn is_needed(front: &Front, request: Request<'_>) -> bool {
    let (Some(auth), Target::Resource { path, .. }) = (&front.settings.auth, &request.head.target) else {
        return false;
    };
    // A browser asks what it may ask before it knows whether it may send the token.
    if request.head.method == Method::Options {
        return false;
    }
    let path = text(&request.received[path.clone()]);
    let spellings = route::spellings(request.head.method, path, front.settings.browser_only);
    // What the operator alone may see is never open where there is a token.
    spellings.iter().any(|(method, path)| path.starts_with(ADMINISTRATION) || auth.guards(*method, path))
}

/// Whether one of the JSON Web Tokens in a request gives the right to `action`; `None` = they are not asked, or there are
/// other things than those.
fn by_jwt(
    verifier: &Verifier,
    action: &Action,
    request: Request<'_>,
    query: &str,
    given: &[String],
) -> Option<Result<(), ApiError>> {
    let may: &dyn Fn(&str) -> Result<(), ApiError> = match action {
        Action::CreateChannel => &|token| may_create(verifier, token, || posted(request)),
        Action::CreateByQuery => &|token| may_create(verifier, token, || ChannelRequest::from_query(query)),
        Action::Connect(id) => &|token| Admission::by_jwt(verifier, token, id).map(drop),
        _ => return None,
    };
    let in_token = match action {
        Action::Connect(_) => query::parameter(query, "token").ok().flatten(),
        _ => None,
    };
    let jwts = given.iter().map(String::as_str).chain(in_token.as_deref()).filter(|token| jwt::has_form(token));
    let mut refused = None;
    for token in jwts.take(TRIED_MAX) {
        match may(token) {
            Ok(()) => return Some(Ok(())),
            Err(error) => refused = refused.or(Some(Err(error))),
        }
    }
    refused.or(given.is_empty().then_some(Err(ApiError::AuthOrJwtMissing)))
}

/// Whether a token gives the right to create the channel that is asked for. What is wrong with the channel is told to who
/// may create one.
fn may_create(
    verifier: &Verifier,
    token: &str,
    wanted: impl FnOnce() -> Result<ChannelRequest, ApiError>,
) -> Result<(), ApiError> {
    let grant = verified(verifier, token)?;
    if !grant.may_create() {
        return Err(ApiError::JwtWithoutRight { needed: "create" });
    }
    let covered = match wanted()?.id {
        Some(id) => grant.allows(&id),
        None => grant.allows_all(),
    };
    if covered { Ok(()) } else { Err(ApiError::JwtNotForChannel) }
}

/// What is given as the API token in a request: so many in each place where it may stand.
fn tokens(request: Request<'_>, query: &str) -> Vec<String> {
    let in_query = query::parameters(query).flatten().filter(|(name, _)| name == "auth").map(|(_, token)| token.into());
    let in_query = in_query.take(rest::TOKENS_MAX);
    let content_type = request.head.fields(request.received).all("content-type").next();
    let in_body = rest::tokens_in(content_type, request.body);
    in_query.chain(bearers(request)).chain(in_body).collect()
}

/// The tokens in the headers of a request: so many of them.
pub(super) fn bearers(request: Request<'_>) -> impl Iterator<Item = String> {
    let fields = request.head.fields(request.received);
    // The second is the source's spelling.
    let in_fields = fields.all("authorization").chain(fields.all("authentification")).filter_map(bearer);
    in_fields.take(rest::TOKENS_MAX)
}

/// The token in `Bearer token` (RFC 6750, section 2.1).
fn bearer(value: &[u8]) -> Option<String> {
    let (scheme, token) = str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim_matches(' ').to_owned())
}

/// Below this lies what is for the operator.
const ADMINISTRATION: &str = "/admin/";

/// JSON Web Tokens of one request that are looked at.
const TRIED_MAX: usize = 4;
