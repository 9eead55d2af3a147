//! Why a token is not good, and why keys cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use jsonwebtoken::errors::ErrorKind;

/// Why a token opens nothing. The peer's to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenError {
    TooLong,
    /// It is not three parts of base64 with JSON in them, or its header asks for what nobody here can do.
    Malformed,
    /// No key here is of its algorithm and has its `kid`.
    NoKey,
    Signature,
    Issuer,
    Audience,
    /// A claim is missing or of the wrong type.
    Claims,
    /// `nbf` is still to come.
    NotYet,
    Expired,
}

impl TokenError {
    /// What to change, in one sentence.
    pub fn message(self) -> &'static str {
        match self {
            TokenError::TooLong => "the JSON Web Token is too long: it may have 8192 bytes",
            TokenError::Malformed => {
                "this is no JSON Web Token: send header, claims and signature in base64url, with dots between them"
            }
            TokenError::NoKey => {
                "no key of the relay is for this JSON Web Token: sign with HS256, RS256 or EdDSA, by the relay's key, and \
                 with its kid if it has one"
            }
            TokenError::Signature => "the signature of the JSON Web Token is not by the relay's key",
            TokenError::Issuer => "the JSON Web Token is not by the issuer that the relay asks for: set iss",
            TokenError::Audience => "the JSON Web Token is not meant for this relay: set aud",
            TokenError::Claims => {
                "the claims of the JSON Web Token are not well-formed: exp and nbf are numbers and exp is required, sub is \
                 a string, channel a string or up to 64 of them, can a list of strings"
            }
            TokenError::NotYet => "the JSON Web Token is not valid yet, by its nbf: try again later",
            TokenError::Expired => "the JSON Web Token has expired: get a new one",
        }
    }
}

impl From<&ErrorKind> for TokenError {
    /// The crate may add kinds; whatever they are, the token is not as it should be.
    fn from(kind: &ErrorKind) -> TokenError {
        match kind {
            ErrorKind::InvalidSignature => TokenError::Signature,
            ErrorKind::InvalidAlgorithm => TokenError::NoKey,
            ErrorKind::InvalidIssuer => TokenError::Issuer,
            ErrorKind::InvalidAudience => TokenError::Audience,
            ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => TokenError::Issuer,
            ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => TokenError::Audience,
            ErrorKind::Json(_) => TokenError::Claims,
            _ => TokenError::Malformed,
        }
    }
}

/// Why there are no keys. The operator's to change; no variant holds a key.
#[derive(Debug)]
pub struct KeyError {
    /// The setting that names the file.
    pub setting: &'static str,
    pub path: PathBuf,
    pub fault: KeyFault,
}

/// What is wrong with a file of keys.
#[derive(Debug)]
pub enum KeyFault {
    Unreadable(io::Error),
    TooLarge,
    /// It is PEM, but no public key, or more than one.
    NotPublic,
    /// A public key, but neither RSA of 2048 to 8192 bits nor Ed25519.
    Unsupported,
    ShortSecret {
        len: usize,
    },
    NotJwkSet,
    TooManyKeys,
    NoUsableKey,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, ", self.setting, self.path.display())?;
        match &self.fault {
            KeyFault::Unreadable(error) => write!(f, "which cannot be read: {error}"),
            KeyFault::TooLarge => write!(f, "which is larger than {} bytes", super::load::FILE_LEN_MAX),
            KeyFault::NotPublic => {
                f.write_str("which is PEM, but not one public key (BEGIN PUBLIC KEY or BEGIN RSA PUBLIC KEY)")
            }
            KeyFault::Unsupported => f.write_str("whose key is neither RSA of 2048 to 8192 bits nor Ed25519"),
            KeyFault::ShortSecret { len } => {
                write!(f, "whose secret has {len} bytes; HS256 needs {} or more", super::keys::SECRET_LEN_MIN)
            }
            KeyFault::NotJwkSet => f.write_str("which is no JWK set: a JSON object with a list of keys"),
            KeyFault::TooManyKeys => write!(f, "which has more than {} keys", super::keys::KEYS_MAX),
            KeyFault::NoUsableKey => f.write_str(
                "which has no key that can be used: RSA of 2048 to 8192 bits, OKP with Ed25519, or oct of 32 bytes or more",
            ),
        }
    }
}

impl std::error::Error for KeyError {}
