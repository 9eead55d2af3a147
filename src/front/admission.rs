//! What a client shows to be let into a channel: the channel's token, or a JSON Web Token that is for it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Front;
use super::exchange::Request;
use super::guard::bearers;
use crate::channel::{ChannelId, Token};
use crate::handoff::{Credentials, Terms};
use crate::http::query;
use crate::jwt::{self, Grant, TokenError, Verifier};
use crate::rest::ApiError;

/// What the shard is to be shown, and what the client may do once it is in.
pub(super) struct Admission {
    pub(super) credentials: Credentials,
    pub(super) terms: Terms,
}

impl Admission {
    /// What `request` shows for channel `id`; `None` = nothing. The parameter `token` counts before the header.
    ///
    /// # Errors
    /// It shows a JSON Web Token that does not open the channel.
    pub(super) fn of(
        front: &Front,
        request: Request<'_>,
        query: &str,
        id: &ChannelId,
    ) -> Result<Option<Admission>, ApiError> {
        let parameter = query::parameter(query, "token").map_err(|_| ApiError::Query)?;
        let Some(verifier) = &front.settings.jwt else { return Ok(parameter.map(|token| Admission::by_token(&token))) };
        match parameter {
            Some(token) if !jwt::has_form(&token) => Ok(Some(Admission::by_token(&token))),
            Some(token) => Admission::by_jwt(verifier, &token, id).map(Some),
            None => {
                let token = bearers(request).find(|token| jwt::has_form(token));
                token.map(|token| Admission::by_jwt(verifier, &token, id)).transpose()
            }
        }
    }

    fn by_token(token: &str) -> Admission {
        Admission { credentials: Credentials::Token(Token::new(token)), terms: Terms::UNLIMITED }
    }

    /// Lets the bearer of a JSON Web Token into channel `id`, until the token ends.
    pub(super) fn by_jwt(verifier: &Verifier, token: &str, id: &ChannelId) -> Result<Admission, ApiError> {
        let grant = verified(verifier, token)?;
        if !grant.allows(id) {
            return Err(ApiError::JwtNotForChannel);
        }
        let rights = grant.rights();
        if !rights.publish && !rights.subscribe {
            return Err(ApiError::JwtWithoutRight { needed: "pub or sub" });
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        // Centuries away is never.
        let ends_at = Instant::now().checked_add(grant.expires_at.saturating_sub(since_1970));
        Ok(Admission { credentials: Credentials::Checked, terms: Terms { rights, ends_at, window: None } })
    }
}

/// What a JSON Web Token gives now.
pub(super) fn verified(verifier: &Verifier, token: &str) -> Result<Grant, ApiError> {
    verifier.verify(token, SystemTime::now()).map_err(|error| match error {
        TokenError::Expired => ApiError::JwtExpired,
        TokenError::TooLong
        | TokenError::Malformed
        | TokenError::NoKey
        | TokenError::Signature
        | TokenError::Issuer
        | TokenError::Audience
        | TokenError::Claims
        | TokenError::NotYet => ApiError::JwtInvalid { why: error.message() },
    })
}
