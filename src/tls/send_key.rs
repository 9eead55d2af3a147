//! The key that a session seals with, in the form in which the kernel's TLS takes it (`linux/tls.h`).

use std::fmt;

use rustls::{ConnectionTrafficSecrets, ProtocolVersion};
use zeroize::Zeroizing;

/// A `tls12_crypto_info_…`: version, cipher, IV, key, salt, number of the next record. Its memory is zeroed when it is
/// dropped.
pub struct SendKey {
    bytes: Zeroizing<Box<[u8]>>,
}

impl SendKey {
    /// The key for the records from number 0 on; `None` = it is for a cipher that the kernel does not know.
    pub(super) fn new(version: ProtocolVersion, secrets: &ConnectionTrafficSecrets) -> Option<SendKey> {
        let is_12 = version == ProtocolVersion::TLSv1_2;
        let (cipher, key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (AES_GCM_128, key.as_ref(), iv.as_ref()),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (AES_GCM_256, key.as_ref(), iv.as_ref()),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (CHACHA20_POLY1305, key.as_ref(), iv.as_ref()),
            // The list of kinds is open.
            _ => return None,
        };
        // With AES-GCM the begin of the IV, which no record carries, is called salt and stands behind the key.
        let salt_len = if cipher == CHACHA20_POLY1305 { 0 } else { GCM_SALT_LEN };
        let (salt, nonce) = iv.split_at_checked(salt_len)?;
        let nonce_at = HEADER_LEN;
        let key_at = nonce_at + nonce.len();
        let salt_at = key_at + key.len();
        let sequence_at = salt_at + salt.len();
        let mut bytes = Zeroizing::new(vec![0; sequence_at + SEQUENCE_LEN].into_boxed_slice());
        bytes[..2].copy_from_slice(&u16::from(version).to_ne_bytes());
        bytes[2..HEADER_LEN].copy_from_slice(&cipher.to_ne_bytes());
        bytes[nonce_at..key_at].copy_from_slice(nonce);
        bytes[key_at..salt_at].copy_from_slice(key);
        bytes[salt_at..sequence_at].copy_from_slice(salt);
        // In TLS 1.2 the kernel counts the nonces of AES-GCM up from here, while those of rustls are the IV XORed with
        // the number of the record: both at once would use one twice. A count that begins 2^63 further meets none.
        if is_12 && salt_len > 0 {
            bytes[nonce_at] ^= 0x80;
        }
        Some(SendKey { bytes })
    }

    /// A key that seals nothing, to ask the kernel with whether it takes any.
    pub fn trial() -> SendKey {
        let mut bytes = vec![0; HEADER_LEN + GCM_NONCE_LEN + AES_128_KEY_LEN + GCM_SALT_LEN + SEQUENCE_LEN];
        bytes[..2].copy_from_slice(&u16::from(ProtocolVersion::TLSv1_3).to_ne_bytes());
        bytes[2..HEADER_LEN].copy_from_slice(&AES_GCM_128.to_ne_bytes());
        SendKey { bytes: Zeroizing::new(bytes.into_boxed_slice()) }
    }

    /// Sets the number of the next record.
    pub(super) fn go_on_at(&mut self, sequence: u64) {
        let at = self.bytes.len() - SEQUENCE_LEN;
        self.bytes[at..].copy_from_slice(&sequence.to_be_bytes());
    }

    /// What the kernel is given.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Without the key.
impl fmt::Debug for SendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendKey").finish_non_exhaustive()
    }
}

/// Version and cipher, in the host's order.
const HEADER_LEN: usize = 4;
/// RFC 5288, section 3.
const GCM_SALT_LEN: usize = 4;
const GCM_NONCE_LEN: usize = 8;
const AES_128_KEY_LEN: usize = 16;
/// In the order of the network, as records count.
const SEQUENCE_LEN: usize = 8;

/// The kernel's numbers of the ciphers (`TLS_CIPHER_…`).
const AES_GCM_128: u16 = 51;
const AES_GCM_256: u16 = 52;
const CHACHA20_POLY1305: u16 = 54;

#[cfg(test)]
mod tests {
    use rustls::crypto::cipher::{AeadKey, Iv};

    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const IV: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    fn encoded(version: ProtocolVersion, secrets: &ConnectionTrafficSecrets) -> Vec<u8> {
        let mut key = SendKey::new(version, secrets).unwrap();
        key.go_on_at(0x0102_0304_0506_0708);
        key.as_bytes().to_vec()
    }

    fn header(version: u16, cipher: u16) -> Vec<u8> {
        [version.to_ne_bytes(), cipher.to_ne_bytes()].concat()
    }

    const SEQUENCE: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn aes_gcm_has_its_salt_behind_the_key() {
        let secrets = ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from(KEY), iv: Iv::from(IV) };
        let expected =
            [&header(0x304, 52)[..], &[5, 6, 7, 8, 9, 10, 11, 12], &[7; 32], &[1, 2, 3, 4], &SEQUENCE].concat();
        assert_eq!(encoded(ProtocolVersion::TLSv1_3, &secrets), expected);
        assert_eq!(expected.len(), 56);
    }

    #[test]
    fn chacha20_has_its_whole_iv_before_the_key() {
        let secrets = ConnectionTrafficSecrets::Chacha20Poly1305 { key: AeadKey::from(KEY), iv: Iv::from(IV) };
        for (version, number) in [(ProtocolVersion::TLSv1_3, 0x304), (ProtocolVersion::TLSv1_2, 0x303)] {
            let expected = [&header(number, 54)[..], &IV, &[7; 32], &SEQUENCE].concat();
            assert_eq!(encoded(version, &secrets), expected);
            assert_eq!(expected.len(), 56);
        }
    }

    #[test]
    fn no_nonce_of_aes_gcm_in_tls_12_is_used_by_both() {
        let secrets = ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from(KEY), iv: Iv::from(IV) };
        let bytes = encoded(ProtocolVersion::TLSv1_2, &secrets);
        let kernels = u64::from_be_bytes(bytes[4..12].try_into().unwrap());
        let ours = u64::from_be_bytes(IV[4..].try_into().unwrap());
        // Ours differ from the IV in the bits of the number of the record alone, and no key seals 2^32 records.
        assert_eq!(kernels, ours ^ 1 << 63);
    }

    #[test]
    fn it_does_not_show_the_key() {
        let secrets = ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from(KEY), iv: Iv::from(IV) };
        let key = SendKey::new(ProtocolVersion::TLSv1_3, &secrets);
        assert_eq!(format!("{key:?}"), "Some(SendKey { .. })");
    }
}
