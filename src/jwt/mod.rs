//! JSON Web Tokens (RFC 7519) in place of a channel's token, or of the API's for creating channels.
//!
//! A token says which channels it is for, what its bearer may do there, and until when; what says so is the operator's
//! own server, which signs it. The way in: [`Verifier::verify`] finds the keys that may have signed a token (`keys`), has
//! the signature checked (`signature`), and reads its claims into a [`Grant`] (`claims`). Which algorithm a signature is
//! checked with is the key's business and never the token's.

mod claims;
mod error;
mod keys;
mod load;
mod signature;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, decode, decode_header};

use crate::config::JwtConfig;

use claims::Claims;
use keys::Keys;

pub use claims::{CHANNELS_MAX, Grant};
pub use error::{KeyError, TokenError};

/// Checks tokens with the keys of an operator. Shared by all fronts; the keys can be read anew.
#[derive(Debug)]
pub struct Verifier {
    config: JwtConfig,
    keys: RwLock<Arc<Keys>>,
}

impl Verifier {
    /// Reads the keys.
    ///
    /// # Errors
    /// A file cannot be read, or holds no key that can be used.
    pub fn load(config: &JwtConfig) -> Result<Verifier, KeyError> {
        signature::install();
        let keys = load::keys(config)?;
        Ok(Verifier { config: config.clone(), keys: RwLock::new(Arc::new(keys)) })
    }

    /// Reads the keys anew. Clients that are connected stay.
    ///
    /// # Errors
    /// As with [`load`](Self::load); the keys of before stay in use.
    pub fn reload(&self) -> Result<(), KeyError> {
        let keys = Arc::new(load::keys(&self.config)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// What the bearer of `token` may do, if it is good `now`.
    ///
    /// # Errors
    /// It is not, and why.
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Grant, TokenError> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(TokenError::TooLong);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        // Extensions that have to be understood, and none is (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let claims = self.claims(token, &header)?;
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        claims.grant(since_1970)
    }

    /// The claims of a token that one of the keys has signed.
    fn claims(&self, token: &str, header: &Header) -> Result<Claims, TokenError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut error = TokenError::NoKey;
        for key in keys.for_token(header.alg, header.kid.as_deref()) {
            match decode(token, key.decoding(), key.validation()) {
                Ok(data) => return Ok(data.claims),
                Err(refused) if matches!(refused.kind(), ErrorKind::InvalidSignature) => error = TokenError::Signature,
                Err(refused) => return Err(TokenError::from(refused.kind())),
            }
        }
        Err(error)
    }
}

/// Whether `text` has the form of a token: three parts with dots between them. A channel's token has none.
pub fn has_form(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Longest token, in bytes: nothing longer fits an HTTP head of the usual size twice.
pub const TOKEN_LEN_MAX: usize = 8 << 10;
