//! One key that seals records.

use ring::aead::{self, Aad, LessSafeKey, UnboundKey};
use rustls::crypto::cipher::{Iv, MessageEncrypter, Nonce, OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

use super::cipher::key_and_iv;
use super::error::RecordError;
use super::record::HEADER_LEN;

/// A key, with what it takes to make records with it.
pub(super) enum Encrypter {
    /// Of TLS 1.3, where the records of all suites look alike: sealed where they lie, which saves two copies.
    InPlace(Box<InPlace>),
    /// Of TLS 1.2: rustls's, which puts each record into memory of its own.
    Rustls(Box<dyn MessageEncrypter>),
}

pub(super) struct InPlace {
    key: LessSafeKey,
    iv: Iv,
}

impl Encrypter {
    /// `None` = the key is of a kind that is not known here.
    pub(super) fn new(suite: SupportedCipherSuite, secrets: ConnectionTrafficSecrets) -> Option<Encrypter> {
        match suite {
            SupportedCipherSuite::Tls13(_) => InPlace::new(secrets).map(|key| Encrypter::InPlace(Box::new(key))),
            SupportedCipherSuite::Tls12(suite) => {
                let (key, iv) = key_and_iv(secrets)?;
                let fixed_len = suite.aead_alg.key_block_shape().fixed_iv_len;
                let (fixed, explicit) = iv.as_ref().split_at_checked(fixed_len)?;
                Some(Encrypter::Rustls(suite.aead_alg.encrypter(key, fixed, explicit)))
            }
        }
    }

    /// Puts the record with this number behind `to`. `fill` puts its data, `len` bytes, behind what it is given; `scratch` is
    /// any memory.
    pub(super) fn seal(
        &mut self,
        kind: ContentType,
        sequence: u64,
        len: usize,
        fill: impl FnOnce(&mut Vec<u8>),
        scratch: &mut Vec<u8>,
        to: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        match self {
            Encrypter::InPlace(cipher) => cipher.seal(kind, sequence, len, fill, to),
            Encrypter::Rustls(cipher) => {
                scratch.clear();
                fill(scratch);
                let payload = OutboundChunks::Single(scratch);
                let message = OutboundPlainMessage { typ: kind, version: ProtocolVersion::TLSv1_2, payload };
                let record = cipher.encrypt(message, sequence).map_err(|_| RecordError::Internal)?;
                to.extend(record.encode());
                Ok(())
            }
        }
    }

    /// Bytes of a record besides its data.
    pub(super) fn overhead(&self) -> usize {
        match self {
            Encrypter::InPlace(_) => HEADER_LEN + KIND_LEN + TAG_LEN,
            Encrypter::Rustls(cipher) => HEADER_LEN + cipher.encrypted_payload_len(0),
        }
    }
}

impl InPlace {
    fn new(secrets: ConnectionTrafficSecrets) -> Option<InPlace> {
        let algorithm = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { .. } => &aead::AES_128_GCM,
            ConnectionTrafficSecrets::Aes256Gcm { .. } => &aead::AES_256_GCM,
            ConnectionTrafficSecrets::Chacha20Poly1305 { .. } => &aead::CHACHA20_POLY1305,
            // The list of kinds is open.
            _ => return None,
        };
        let (key, iv) = key_and_iv(secrets)?;
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?);
        Some(InPlace { key, iv })
    }

    /// RFC 8446, section 5.2: data, its kind, and a tag, under a header that is authenticated.
    fn seal(
        &self,
        kind: ContentType,
        sequence: u64,
        len: usize,
        fill: impl FnOnce(&mut Vec<u8>),
        to: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let start = to.len();
        let sealed_len = u16::try_from(len + KIND_LEN + TAG_LEN).map_err(|_| RecordError::Internal)?;
        let [high, low] = sealed_len.to_be_bytes();
        let header: [u8; HEADER_LEN] = [u8::from(ContentType::ApplicationData), 3, 3, high, low];
        to.extend_from_slice(&header);
        fill(to);
        debug_assert_eq!(to.len(), start + HEADER_LEN + len);
        to.push(u8::from(kind));
        let nonce = aead::Nonce::assume_unique_for_key(Nonce::new(&self.iv, sequence).0);
        let sealed = self.key.seal_in_place_separate_tag(nonce, Aad::from(header), &mut to[start + HEADER_LEN..]);
        let Ok(tag) = sealed else {
            // Nothing may leave in the plain.
            to.truncate(start);
            return Err(RecordError::Internal);
        };
        to.extend_from_slice(tag.as_ref());
        Ok(())
    }
}

/// The kind of what is inside, behind the data.
const KIND_LEN: usize = 1;

/// The same for all suites.
const TAG_LEN: usize = 16;
