//! What can be wrong with the files.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn refusal(files: &Files) -> String {
    files.load().unwrap_err().to_string()
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_setting_and_path() {
    let files = Files::new("wrong");
    let key = files.certificate.signing_key.serialize_pem();
    let cert = files.certificate.cert.pem();
    let cases: [(&str, &str, &str, &str); 8] = [
        ("cert.pem", "", "ssl-cert-path", "no certificate in it"),
        ("cert.pem", &key, "ssl-cert-path", "no certificate in it"),
        ("cert.pem", &cert[..cert.len() / 2], "ssl-cert-path", "damaged or cut off"),
        (
            "cert.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "ssl-cert-path",
            "cannot be used",
        ),
        ("key.pem", "", "ssl-key-path", "no private key in it"),
        ("key.pem", &key[..key.len() / 2], "ssl-key-path", "damaged or cut off"),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "ssl-key-path", "of no kind"),
        (
            "key.pem",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "ssl-key-path",
            "behind a password",
        ),
    ];
    for (name, text, setting, what) in cases {
        let whole = std::fs::read_to_string(files.directory.join(name)).unwrap();
        files.write(name, text);
        let refusal = refusal(&files);
        for part in [setting, what, files.directory.to_str().unwrap()] {
            assert!(refusal.contains(part), "{part:?} is not in {refusal:?}");
        }
        files.write(name, &whole);
    }
    files.write("key.pem", &certificate().signing_key.serialize_pem());
    assert!(refusal(&files).contains("not the key of the certificate"), "{}", refusal(&files));
    std::fs::remove_file(files.directory.join("key.pem")).unwrap();
    assert!(refusal(&files).contains("cannot be read"), "{}", refusal(&files));
}

#[test]
fn a_bad_file_keeps_the_old_certificate() {
    let files = Files::new("reload");
    let acceptor = files.load().unwrap();
    let old = acceptor.current();
    files.write("cert.pem", "nothing");
    assert!(acceptor.clone().reload().is_err());
    assert!(Arc::ptr_eq(&old, &acceptor.current()));
    let next = certificate();
    files.write("cert.pem", &next.cert.pem());
    files.write("key.pem", &next.signing_key.serialize_pem());
    acceptor.clone().reload().unwrap();
    assert!(!Arc::ptr_eq(&old, &acceptor.current()), "a clone's reload counts for all");
}

#[test]
fn a_key_that_others_may_read_is_noticed() {
    let files = Files::new("mode");
    let acceptor = files.load().unwrap();
    for (mode, is_exposed) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o666, true)] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(files.directory.join("key.pem"), permissions).unwrap();
        assert_eq!(acceptor.key_is_exposed(), is_exposed, "{mode:o}");
    }
}

#[test]
fn nothing_prints_a_key() {
    let files = Files::new("debug");
    let key = files.certificate.signing_key.serialize_pem();
    let secret = key.lines().nth(1).unwrap();
    let broken = key.replacen(&secret[..8], "!!!!!!!!", 1);
    let acceptor = files.load().unwrap();
    assert!(!format!("{acceptor:?}").contains(&secret[8..]));
    files.write("key.pem", &broken);
    let error = files.load().unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&secret[8..24]), "{error:?}");
}
