//! What tokens open, and what they do not.

#[path = "../../tests/support/issuer.rs"]
mod issuer;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::error::KeyFault;
use super::*;
use crate::channel::{ChannelId, Rights};
use issuer::{Issuer, RSA_PRIVATE_PEM, RSA_PUBLIC_PEM, pem};

/// A file that is there as long as this is.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(content: &[u8]) -> TemporaryFile {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ringrelay-jwt-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).unwrap();
        TemporaryFile(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const NONE: JwtConfig = JwtConfig { key_path: None, jwks_path: None, issuer: None, audience: None };

fn with_key(content: &[u8]) -> Result<Verifier, KeyError> {
    let file = TemporaryFile::new(content);
    Verifier::load(&JwtConfig { key_path: Some(file.0.clone()), ..NONE })
}

fn with_set(keys: &[Value]) -> Result<Verifier, KeyError> {
    let file = TemporaryFile::new(json!({ "keys": keys }).to_string().as_bytes());
    Verifier::load(&JwtConfig { jwks_path: Some(file.0.clone()), ..NONE })
}

fn verifier(issuer: &Issuer) -> Verifier {
    with_key(&issuer.key_file()).unwrap()
}

/// The second at which the tests take place.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn claims() -> Value {
    json!({ "sub": "ada", "exp": NOW + 60, "channel": "room", "can": ["pub", "sub"] })
}

/// These claims with others in place of some.
fn claims_with(others: Value) -> Value {
    let mut all = claims();
    all.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    all
}

fn id(text: &str) -> ChannelId {
    ChannelId::parse(text).unwrap()
}

fn issuers() -> [Issuer; 3] {
    [Issuer::hs256(), Issuer::rs256(), Issuer::ed_dsa()]
}

#[test]
fn a_token_of_each_algorithm_gives_what_it_says() {
    for issuer in issuers() {
        let grant = verifier(&issuer).verify(&issuer.token(&claims()), now()).unwrap();
        assert_eq!(grant.subject.as_deref(), Some("ada"), "{}", issuer.algorithm());
        assert_eq!(grant.expires_at, Duration::from_secs(NOW + 60));
        assert_eq!(grant.rights(), Rights::ALL);
        assert!(grant.allows(&id("room")) && !grant.allows(&id("room2")) && !grant.allows_all());
        assert!(!grant.may_create() && !grant.may_see_presence());
    }
}

#[test]
fn a_change_of_any_part_is_found() {
    for issuer in issuers() {
        let (verifier, token) = (verifier(&issuer), issuer.token(&claims()));
        let other = issuer.token(&claims_with(json!({ "channel": "*" })));
        let parts: Vec<&str> = token.split('.').collect();
        let claims_of_another = format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]);
        assert_eq!(verifier.verify(&claims_of_another, now()), Err(TokenError::Signature));
        let unsigned = format!("{}.{}.", parts[0], parts[1]);
        assert_eq!(verifier.verify(&unsigned, now()), Err(TokenError::Signature), "{}", issuer.algorithm());
        for form in ["", "..", "a.b.c", &token[1..], &format!("{token}.x"), &format!("{token}="), &token[..20]] {
            assert!(verifier.verify(form, now()).is_err(), "{form}");
        }
    }
}

#[test]
fn the_algorithm_is_the_keys_and_not_the_tokens() {
    let none = json!({ "alg": "none" });
    for (issuer, of_key) in issuers().iter().zip(issuers()) {
        let verifier = verifier(&of_key);
        for alg in ["none", "HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "EdDSA"] {
            if alg == of_key.algorithm() {
                continue;
            }
            // Signed with whatever a public key's file can be used as.
            let by_file = Issuer::Hs256(of_key.key_file());
            for signer in [issuer, &by_file] {
                let refused = verifier.verify(&signer.token_with(&json!({ "alg": alg }), &claims()), now());
                assert!(
                    matches!(refused, Err(TokenError::NoKey | TokenError::Malformed)),
                    "{alg} for {}: {refused:?}",
                    of_key.algorithm()
                );
            }
        }
        let unsigned = Issuer::Hs256(Vec::new()).token_with(&none, &claims());
        let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
        assert_eq!(verifier.verify(&unsigned, now()), Err(TokenError::Malformed));
    }
    // The RSA key's text as a secret: what a relay that goes by the token's word would take.
    let confused = Issuer::Hs256(RSA_PUBLIC_PEM.as_bytes().to_vec()).token(&claims());
    assert_eq!(verifier(&Issuer::rs256()).verify(&confused, now()), Err(TokenError::NoKey));
}

#[test]
fn times_have_no_leeway() {
    let issuer = Issuer::hs256();
    let verifier = verifier(&issuer);
    let at = |claims: Value| verifier.verify(&issuer.token(&claims_with(claims)), now()).map(|_| ());
    assert_eq!(at(json!({ "exp": NOW })), Err(TokenError::Expired));
    assert_eq!(at(json!({ "exp": NOW + 1 })), Ok(()));
    assert_eq!(at(json!({ "exp": NOW as f64 + 0.5 })), Ok(()));
    assert_eq!(at(json!({ "exp": 0 })), Err(TokenError::Expired));
    assert_eq!(at(json!({ "nbf": NOW })), Ok(()));
    assert_eq!(at(json!({ "nbf": NOW + 1 })), Err(TokenError::NotYet));
    assert_eq!(at(json!({ "exp": 9_007_199_254_740_991_u64 })), Ok(()));
}

#[test]
fn claims_of_the_wrong_form_are_refused() {
    let issuer = Issuer::hs256();
    let verifier = verifier(&issuer);
    for wrong in [
        json!({ "exp": null }),
        json!({ "exp": "tomorrow" }),
        json!({ "exp": -1 }),
        json!({ "exp": 1e300 }),
        json!({ "nbf": "now" }),
        json!({ "sub": 1 }),
        json!({ "channel": 1 }),
        json!({ "channel": [1] }),
        json!({ "channel": vec!["x"; CHANNELS_MAX + 1] }),
        json!({ "can": "pub" }),
        json!({ "can": [1] }),
    ] {
        let refused = verifier.verify(&issuer.token(&claims_with(wrong.clone())), now());
        assert_eq!(refused, Err(TokenError::Claims), "{wrong}");
    }
    for no_object in [json!([]), json!("x"), json!({})] {
        assert_eq!(verifier.verify(&issuer.token(&no_object), now()), Err(TokenError::Claims), "{no_object}");
    }
    let critical = json!({ "alg": "HS256", "crit": ["b64"], "b64": false });
    assert_eq!(verifier.verify(&issuer.token_with(&critical, &claims()), now()), Err(TokenError::Malformed));
    let long = claims_with(json!({ "sub": "x".repeat(TOKEN_LEN_MAX) }));
    assert_eq!(verifier.verify(&issuer.token(&long), now()), Err(TokenError::TooLong));
}

#[test]
fn channels_are_exact_or_begin_with_what_stands_before_the_star() {
    let issuer = Issuer::hs256();
    let verifier = verifier(&issuer);
    let grant = |channel: Value| {
        let claims = claims_with(json!({ "channel": channel, "can": ["create", "presence", "fly"] }));
        verifier.verify(&issuer.token(&claims), now()).unwrap()
    };
    let several = grant(json!(["a", "game-*"]));
    for (channel, allowed) in
        [("a", true), ("ab", false), ("A", false), ("game-", true), ("game-1", true), ("game", false)]
    {
        assert_eq!(several.allows(&id(channel)), allowed, "{channel}");
    }
    assert!(!several.allows_all() && grant(json!("*")).allows_all());
    assert!(!grant(json!("a*b")).allows(&id("aXb")), "a star in the middle is no wildcard");
    for nothing in [json!([]), json!(null), json!("")] {
        assert!(!grant(nothing.clone()).allows(&id("a")), "{nothing}");
    }
    assert!(several.may_create() && several.may_see_presence());
    assert_eq!(several.rights(), Rights { publish: false, subscribe: false });
    assert_eq!(grant(json!(vec!["x"; CHANNELS_MAX])).rights(), several.rights(), "as many as there may be");
}

#[test]
fn who_it_is_by_and_for_is_asked_where_the_operator_says() {
    let issuer = Issuer::ed_dsa();
    let file = TemporaryFile::new(&issuer.key_file());
    let config = JwtConfig { key_path: Some(file.0.clone()), ..NONE };
    let both = JwtConfig { issuer: Some("us".to_owned()), audience: Some("relay".to_owned()), ..config.clone() };
    let (open, asking) = (Verifier::load(&config).unwrap(), Verifier::load(&both).unwrap());
    let verify =
        |verifier: &Verifier, others: Value| verifier.verify(&issuer.token(&claims_with(others)), now()).map(|_| ());
    assert_eq!(verify(&asking, json!({ "iss": "us", "aud": "relay" })), Ok(()));
    assert_eq!(verify(&asking, json!({ "iss": "us", "aud": ["x", "relay"] })), Ok(()));
    assert_eq!(verify(&asking, json!({ "iss": "them", "aud": "relay" })), Err(TokenError::Issuer));
    assert_eq!(verify(&asking, json!({ "aud": "relay" })), Err(TokenError::Issuer));
    assert_eq!(verify(&asking, json!({ "iss": "us", "aud": "x" })), Err(TokenError::Audience));
    assert_eq!(verify(&asking, json!({ "iss": "us" })), Err(TokenError::Audience));
    assert_eq!(verify(&open, json!({ "iss": "them", "aud": "x" })), Ok(()));
}

#[test]
fn kid_selects_among_the_keys_of_a_set() {
    let (old, new, rsa) = (Issuer::ed_dsa(), Issuer::ed_dsa(), Issuer::rs256());
    let other_uses = [
        json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": "AA", "y": "AA" }),
        json!({ "kty": "something new" }),
        json!("no key"),
    ];
    let keys = [other_uses.as_slice(), &[old.jwk("old"), new.jwk("new"), rsa.jwk("rsa")]].concat();
    let verifier = with_set(&keys).unwrap();
    let by = |issuer: &Issuer, kid: Value| {
        let mut header = json!({ "alg": issuer.algorithm() });
        header.as_object_mut().unwrap().extend(kid.as_object().unwrap().clone());
        verifier.verify(&issuer.token_with(&header, &claims()), now()).map(|_| ())
    };
    for (issuer, kid) in [(&old, "old"), (&new, "new"), (&rsa, "rsa")] {
        assert_eq!(by(issuer, json!({ "kid": kid })), Ok(()), "{kid}");
        assert_eq!(by(issuer, json!({})), Ok(()), "{kid}: without it each is tried");
    }
    assert_eq!(by(&old, json!({ "kid": "new" })), Err(TokenError::Signature));
    assert_eq!(by(&old, json!({ "kid": "rsa" })), Err(TokenError::NoKey), "of another type");
    assert_eq!(by(&old, json!({ "kid": "none" })), Err(TokenError::NoKey));
}

#[test]
fn no_more_than_eight_keys_are_tried() {
    let issuers: Vec<Issuer> = (0..9).map(|_| Issuer::ed_dsa()).collect();
    let keys: Vec<Value> = issuers.iter().enumerate().map(|(at, issuer)| issuer.jwk(&at.to_string())).collect();
    let verifier = with_set(&keys).unwrap();
    assert!(verifier.verify(&issuers[7].token(&claims()), now()).is_ok());
    assert_eq!(verifier.verify(&issuers[8].token(&claims()), now()), Err(TokenError::Signature));
    let named = issuers[8].token_with(&json!({ "alg": "EdDSA", "kid": "8" }), &claims());
    assert!(verifier.verify(&named, now()).is_ok());
}

#[test]
fn keys_that_cannot_be_used_are_refused_at_start() {
    let fault = |result: Result<Verifier, KeyError>| result.unwrap_err().fault;
    assert!(matches!(fault(with_key(&[b'x'; 31])), KeyFault::ShortSecret { len: 31 }));
    assert!(matches!(fault(with_key(b"0123456789012345678901234567890\n")), KeyFault::ShortSecret { len: 31 }));
    assert!(with_key(&[b'x'; 32]).is_ok());
    assert!(matches!(fault(with_key(RSA_PRIVATE_PEM.as_bytes())), KeyFault::NotPublic));
    assert!(matches!(fault(with_key(RSA_PUBLIC_PEM.repeat(2).as_bytes())), KeyFault::NotPublic));
    assert!(matches!(fault(with_key(pem("PUBLIC KEY", b"no key").as_bytes())), KeyFault::Unsupported));
    assert!(matches!(fault(with_key(&vec![b'x'; 1 << 20])), KeyFault::TooLarge));
    let missing = Verifier::load(&JwtConfig { key_path: Some("/nowhere/key".into()), ..NONE });
    let said = missing.unwrap_err().to_string();
    assert!(said.starts_with("jwt-key-path is /nowhere/key, which cannot be read"), "{said}");

    for no_set in ["", "[]", "{}", "{\"keys\":1}"] {
        let file = TemporaryFile::new(no_set.as_bytes());
        let refused = Verifier::load(&JwtConfig { jwks_path: Some(file.0.clone()), ..NONE });
        assert!(matches!(fault(refused), KeyFault::NotJwkSet), "{no_set}");
    }
    let mut weak = Issuer::Hs256(vec![7; 31]).jwk("weak");
    assert!(matches!(fault(with_set(&[weak.take()])), KeyFault::NoUsableKey));
    let mut for_encryption = Issuer::rs256().jwk("x");
    for_encryption["use"] = json!("enc");
    assert!(matches!(fault(with_set(&[for_encryption])), KeyFault::NoUsableKey));
    let mut of_another_algorithm = Issuer::rs256().jwk("x");
    of_another_algorithm["alg"] = json!("PS256");
    assert!(matches!(fault(with_set(&[of_another_algorithm])), KeyFault::NoUsableKey));
    let short = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" });
    assert!(matches!(fault(with_set(&[short])), KeyFault::NoUsableKey));
    let many = vec![Issuer::hs256().jwk("x"); 64];
    assert!(matches!(fault(with_set(&many)), KeyFault::TooManyKeys));
}

#[test]
fn keys_read_anew_take_the_place_of_the_old_unless_they_are_bad() {
    let (old, new) = (Issuer::ed_dsa(), Issuer::hs256());
    let file = TemporaryFile::new(&old.key_file());
    let verifier = Verifier::load(&JwtConfig { key_path: Some(file.0.clone()), ..NONE }).unwrap();
    let good = |issuer: &Issuer| verifier.verify(&issuer.token(&claims()), now()).is_ok();
    fs::write(&file.0, "short").unwrap();
    assert!(verifier.reload().is_err());
    assert!(good(&old) && !good(&new));
    fs::write(&file.0, new.key_file()).unwrap();
    verifier.reload().unwrap();
    assert!(!good(&old) && good(&new));
}

#[test]
fn secrets_are_not_printed() {
    let shown = format!("{:?}", verifier(&Issuer::hs256()));
    assert!(!shown.contains("thirty-two") && !shown.contains("97, 32, 115"), "{shown}");
}

#[test]
fn the_form_of_a_token_is_three_parts() {
    assert!(has_form("a.b.c") && has_form(".."));
    assert!(!has_form("85ee97e8d2f14c7ab8f3d0c1e5a69b42") && !has_form("a.b") && !has_form("a.b.c.d"));
}

proptest! {
    #[test]
    fn no_bytes_open_anything_or_end_the_thread(text in "\\PC{0,200}", parts in prop::array::uniform3("[A-Za-z0-9_-]{0,80}")) {
        let verifier = verifier(&Issuer::hs256());
        prop_assert!(verifier.verify(&text, now()).is_err());
        prop_assert!(verifier.verify(&parts.join("."), now()).is_err());
    }

    #[test]
    fn any_signed_json_is_read_or_refused(exp in any::<f64>(), channel in "\\PC{0,20}", can in "\\PC{0,20}") {
        let issuer = Issuer::hs256();
        let claims = json!({ "exp": exp, "channel": channel, "can": [can] });
        let _ = verifier(&issuer).verify(&issuer.token(&claims), now());
    }
}
