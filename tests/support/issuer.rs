//! Who issues JSON Web Tokens in the tests: keys, and what they sign. Shared with the tests of `jwt`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

/// A key of one algorithm.
pub enum Issuer {
    Hs256(Vec<u8>),
    Rs256(Box<RsaKeyPair>),
    EdDsa(Ed25519KeyPair),
}

impl Issuer {
    pub fn hs256() -> Issuer {
        Issuer::Hs256(b"a secret of thirty-two bytes, ok".to_vec())
    }

    /// The one in `tests/keys`: nothing here can make another.
    pub fn rs256() -> Issuer {
        let base64: String = RSA_PRIVATE_PEM.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(base64).expect("PEM is base64");
        Issuer::Rs256(Box::new(RsaKeyPair::from_pkcs8(&der).expect("it was made by openssl")))
    }

    /// A new one.
    pub fn ed_dsa() -> Issuer {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("there is randomness");
        Issuer::EdDsa(Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("it was just made"))
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Issuer::Hs256(_) => "HS256",
            Issuer::Rs256(_) => "RS256",
            Issuer::EdDsa(_) => "EdDSA",
        }
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "typ": "JWT", "alg": self.algorithm() }), claims)
    }

    /// A token with a header that says what it likes.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Issuer::Hs256(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec(),
            Issuer::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("it can sign");
                signature
            }
            Issuer::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// What a relay checks with: the content of a key file.
    pub fn key_file(&self) -> Vec<u8> {
        match self {
            Issuer::Hs256(secret) => [secret.as_slice(), b"\n"].concat(),
            Issuer::Rs256(_) => RSA_PUBLIC_PEM.as_bytes().to_vec(),
            // RFC 8410, section 4: the algorithm, and the key as a bit string.
            Issuer::EdDsa(pair) => {
                let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
                pem("PUBLIC KEY", &[&head, pair.public_key().as_ref()].concat()).into_bytes()
            }
        }
    }

    /// The same as a JWK.
    pub fn jwk(&self, kid: &str) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Issuer::Hs256(secret) => json!({ "kty": "oct", "kid": kid, "k": encode(secret) }),
            Issuer::Rs256(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "n": encode(&n), "e": encode(&e) })
            }
            Issuer::EdDsa(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encode(pair.public_key().as_ref()) })
            }
        }
    }
}

/// Bytes as PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

pub const RSA_PRIVATE_PEM: &str = include_str!("../keys/rsa-private.pem");
pub const RSA_PUBLIC_PEM: &str = include_str!("../keys/rsa-public.pem");
