//! Keys from files.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;

use super::error::{KeyError, KeyFault};
use super::keys::{KEYS_MAX, Key, Keys};
use crate::config::JwtConfig;

/// The keys of all files that the operator names.
pub(super) fn keys(config: &JwtConfig) -> Result<Keys, KeyError> {
    let mut keys = Vec::new();
    for (setting, path, parse) in [
        ("jwt-key-path", &config.key_path, single as fn(&[u8], &JwtConfig) -> Result<Vec<Key>, KeyFault>),
        ("jwt-jwks-path", &config.jwks_path, set),
    ] {
        let Some(path) = path else { continue };
        let refused = |fault| KeyError { setting, path: path.clone(), fault };
        let (text, mode) = read(path).map_err(refused)?;
        let found = parse(&text, config).map_err(refused)?;
        if found.iter().any(Key::is_secret) && mode & READABLE_BY_OTHERS != 0 {
            tracing::warn!("{setting}: other users of the host can read the secret in {}: chmod o-r", path.display());
        }
        keys.extend(found);
    }
    Ok(Keys::new(keys))
}

/// A public key in PEM, or a secret.
fn single(text: &[u8], config: &JwtConfig) -> Result<Vec<Key>, KeyFault> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let begins: Vec<&[u8]> = text
        .windows(BEGIN.len())
        .enumerate()
        .filter(|(_, window)| *window == BEGIN)
        .map(|(at, _)| &text[at + BEGIN.len()..])
        .collect();
    match begins.as_slice() {
        [] => {
            let secret = text.strip_suffix(b"\n").unwrap_or(text);
            let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
            let key = Key::from_secret(secret, config).ok_or(KeyFault::ShortSecret { len: secret.len() })?;
            Ok(vec![key])
        }
        // A private key is refused: whoever only checks signatures has no use for it, and it would lie about.
        [label] if label.starts_with(b"PUBLIC KEY-----") || label.starts_with(b"RSA PUBLIC KEY-----") => {
            Ok(vec![Key::from_pem(text, config).ok_or(KeyFault::Unsupported)?])
        }
        _ => Err(KeyFault::NotPublic),
    }
}

/// A JWK set (RFC 7517, section 5). Keys that are not known are left out, as it says there.
fn set(text: &[u8], config: &JwtConfig) -> Result<Vec<Key>, KeyFault> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(text).map_err(|_| KeyFault::NotJwkSet)?;
    // One place is the single key's.
    if set.keys.len() >= KEYS_MAX {
        return Err(KeyFault::TooManyKeys);
    }
    let mut keys = Vec::new();
    for (index, value) in set.keys.into_iter().enumerate() {
        match serde_json::from_value::<Jwk>(value).ok().and_then(|jwk| Key::from_jwk(&jwk, config)) {
            Some(key) => keys.push(key),
            None => tracing::warn!(
                "jwt-jwks-path: key {index} of the set is not used: it is neither RSA of 2048 to 8192 bits, nor OKP with \
                 Ed25519, nor oct of 32 bytes or more, or it is for something else than RS256, EdDSA or HS256"
            ),
        }
    }
    if keys.is_empty() { Err(KeyFault::NoUsableKey) } else { Ok(keys) }
}

/// What a file holds, and its permissions.
fn read(path: &Path) -> Result<(Vec<u8>, u32), KeyFault> {
    let read = || -> io::Result<(Vec<u8>, u32)> {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut text = Vec::new();
        file.take(FILE_LEN_MAX + 1).read_to_end(&mut text)?;
        Ok((text, mode))
    };
    let (text, mode) = read().map_err(KeyFault::Unreadable)?;
    if text.len() as u64 > FILE_LEN_MAX { Err(KeyFault::TooLarge) } else { Ok((text, mode)) }
}

/// Largest file of keys, in bytes.
pub(super) const FILE_LEN_MAX: u64 = 256 << 10;

/// Of a file's mode.
const READABLE_BY_OTHERS: u32 = 0o004;
