//! JSON Web Tokens: whatever is sent ends in a grant or a refusal, and nothing unsigned in a grant.
//!
//! The first byte says what the rest is: a token as it stands, or the claims of one that is signed well, so that what
//! reads claims is reached.
#![no_main]

use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use ring::hmac;
use ringrelay::channel::ChannelId;
use ringrelay::config::JwtConfig;
use ringrelay::jwt::{CHANNELS_MAX, Verifier, has_form};

const SECRET: &[u8; 32] = b"a secret of thirty-two bytes, ok";

const NOW: Duration = Duration::from_secs(1_800_000_000);

fuzz_target!(|data: &[u8]| {
    let Some((kind, input)) = data.split_first() else { return };
    let now = UNIX_EPOCH + NOW;
    if kind % 2 == 0 {
        let Ok(token) = str::from_utf8(input) else { return };
        let _ = has_form(token);
        assert!(verifier().verify(token, now).is_err(), "nobody has signed it");
        return;
    }
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(input));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
    if let Ok(grant) = verifier().verify(&token, now) {
        assert!(grant.expires_at > NOW, "an expired token gives nothing");
        let room = ChannelId::parse("room").expect("it is an id");
        assert!(!grant.allows_all() || grant.allows(&room), "all is also this one");
        let _ = (grant.rights(), grant.may_create(), grant.may_see_presence(), CHANNELS_MAX);
    }
});

fn verifier() -> &'static Verifier {
    static VERIFIER: OnceLock<Verifier> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("ringrelay-fuzz-jwt-{}", std::process::id()));
        std::fs::write(&path, SECRET).expect("the temporary directory can be written to");
        let config = JwtConfig { key_path: Some(path.clone()), jwks_path: None, issuer: None, audience: None };
        let verifier = Verifier::load(&config).expect("the secret is long enough");
        std::fs::remove_file(&path).expect("it was just written");
        verifier
    })
}
