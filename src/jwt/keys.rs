//! Keys, each for one algorithm, and which of them may have signed a token.

use std::collections::HashSet;
use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation};

use crate::config::JwtConfig;

/// All keys; at least one, at most [`KEYS_MAX`].
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn new(keys: Vec<Key>) -> Keys {
        debug_assert!((1..=KEYS_MAX).contains(&keys.len()));
        Keys(keys)
    }

    /// The keys that may have signed a token: those of its algorithm, and of its `kid` if both have one. No more than
    /// [`TRIED_MAX`] of them, so that a wrong token costs no more than that.
    pub(super) fn for_token(&self, algorithm: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &Key> {
        let fits = move |key: &&Key| {
            let names_another = key.id.as_deref().zip(kid).is_some_and(|(of_key, of_token)| of_key != of_token);
            key.algorithm == algorithm && !names_another
        };
        self.0.iter().filter(fits).take(TRIED_MAX)
    }
}

/// A key for one algorithm. Never printed.
pub(super) struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    validation: Validation,
}

impl Key {
    /// `None` = HS256 would be weaker with so short a secret.
    pub(super) fn from_secret(secret: &[u8], config: &JwtConfig) -> Option<Key> {
        (secret.len() >= SECRET_LEN_MIN).then(|| Key::new(Algorithm::HS256, DecodingKey::from_secret(secret), config))
    }

    /// From PEM that is said to be a public key; `None` = it is none, or none that can be used.
    pub(super) fn from_pem(pem: &[u8], config: &JwtConfig) -> Option<Key> {
        if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            return Key::from_ed25519(key, config);
        }
        let key = DecodingKey::from_rsa_pem(pem).ok()?;
        let (modulus, exponent) = rsa_components(key.try_get_as_bytes().ok()?)?;
        Key::from_rsa(modulus, exponent, config)
    }

    /// `None` = it is of another type, for another purpose, or too short.
    pub(super) fn from_jwk(jwk: &Jwk, config: &JwtConfig) -> Option<Key> {
        let is_for_signatures =
            jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
                && jwk.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !is_for_signatures {
            return None;
        }
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        let (mut key, name) = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => {
                let DecodingKeyKind::RsaModulusExponent { n, e } = decoding.kind() else { return None };
                (Key::from_rsa(n, e, config)?, KeyAlgorithm::RS256)
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                (Key::from_ed25519(decoding, config)?, KeyAlgorithm::EdDSA)
            }
            AlgorithmParameters::OctetKey(_) => {
                (Key::from_secret(decoding.try_get_as_bytes().ok()?, config)?, KeyAlgorithm::HS256)
            }
            _ => return None,
        };
        key.id = jwk.common.key_id.as_deref().map(Box::from);
        jwk.common.key_algorithm.is_none_or(|said| said == name).then_some(key)
    }

    fn from_ed25519(key: DecodingKey, config: &JwtConfig) -> Option<Key> {
        let is_point = key.try_get_as_bytes().is_ok_and(|point| point.len() == ED25519_LEN);
        is_point.then(|| Key::new(Algorithm::EdDSA, key, config))
    }

    fn from_rsa(modulus: &[u8], exponent: &[u8], config: &JwtConfig) -> Option<Key> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        // An even exponent is none, and 1 would make a signature of every message.
        let is_exponent = exponent.last().is_some_and(|last| last % 2 == 1) && exponent != [1] && exponent.len() <= 4;
        let key = || Key::new(Algorithm::RS256, DecodingKey::from_rsa_raw_components(modulus, exponent), config);
        (RSA_LEN_MIN..=RSA_LEN_MAX).contains(&modulus.len()).then_some(is_exponent).filter(|good| *good).map(|_| key())
    }

    fn new(algorithm: Algorithm, decoding: DecodingKey, config: &JwtConfig) -> Key {
        let mut validation = Validation::new(algorithm);
        // Times are looked at by `Claims`, without leeway and with the caller's clock.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        validation.required_spec_claims = HashSet::new();
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        validation.validate_aud = config.audience.is_some();
        if let Some(audience) = &config.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        Key { id: None, algorithm, decoding, validation }
    }

    pub(super) fn is_secret(&self) -> bool {
        self.algorithm == Algorithm::HS256
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    /// What a token has to be: of the key's algorithm, and by and for whom the operator says.
    pub(super) fn validation(&self) -> &Validation {
        &self.validation
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Modulus and exponent of an RSAPublicKey (RFC 8017, appendix A.1.1): a SEQUENCE of two INTEGERs, in DER.
fn rsa_components(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = der_value(der, 0x30)?;
    let (modulus, after) = der_value(sequence, 0x02)?;
    let (exponent, end) = der_value(after, 0x02)?;
    (rest.is_empty() && end.is_empty()).then_some((modulus, exponent))
}

/// The content of the value that `der` begins with, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [first, len, rest @ ..] = der else { return None };
    let (len, rest) = match (len, rest) {
        (len @ ..=0x7f, rest) => (usize::from(*len), rest),
        (0x81, [len, rest @ ..]) => (usize::from(*len), rest),
        (0x82, [high, low, rest @ ..]) => (usize::from(*high) << 8 | usize::from(*low), rest),
        _ => return None,
    };
    (*first == tag).then(|| rest.split_at_checked(len)).flatten()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// Most keys of one relay.
pub(super) const KEYS_MAX: usize = 64;
/// Most keys that one token is held against.
const TRIED_MAX: usize = 8;
/// RFC 7518, section 3.2: as long as the hash.
pub(super) const SECRET_LEN_MIN: usize = 32;
/// RFC 7518, section 3.3, and what `ring` takes at most, in bytes.
const RSA_LEN_MIN: usize = 256;
const RSA_LEN_MAX: usize = 1024;
const ED25519_LEN: usize = 32;
