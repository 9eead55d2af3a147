//! The two directions of a session's keys.

use rustls::crypto::cipher::{AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter};
use rustls::{ConnectionTrafficSecrets, ContentType, Error, SupportedCipherSuite};

use super::encrypter::Encrypter;
use super::error::RecordError;
use super::record::{HEADER_LEN, Header};

/// Opens what the peer seals.
pub(super) struct Opener {
    cipher: Box<dyn MessageDecrypter>,
    /// Records opened with this key.
    sequence: u64,
}

/// Seals what the peer opens.
pub(super) struct Sealer {
    /// `None` = the kernel has the key, and seals.
    cipher: Option<Encrypter>,
    /// Records sealed with this key; if the kernel seals, no fewer than it has sealed.
    sequence: u64,
    /// Records after which there has to be another key.
    records_max: u64,
}

impl Opener {
    /// `None` = the keys are of a kind that is not known here.
    pub(super) fn new(suite: SupportedCipherSuite, secrets: (u64, ConnectionTrafficSecrets)) -> Option<Opener> {
        let (sequence, (key, iv)) = (secrets.0, key_and_iv(secrets.1)?);
        let cipher = match suite {
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.decrypter(key, iv),
            SupportedCipherSuite::Tls12(suite) => {
                let fixed_len = suite.aead_alg.key_block_shape().fixed_iv_len;
                suite.aead_alg.decrypter(key, iv.as_ref().get(..fixed_len)?)
            }
        };
        Some(Opener { cipher, sequence })
    }

    /// Opens one whole record where it lies; what it says, of which kind, and where in `record` it begins.
    pub(super) fn open(
        &mut self,
        header: &Header,
        record: &mut [u8],
    ) -> Result<(ContentType, usize, usize), RecordError> {
        // rustls hands the data out as a shared slice; where it lies in the record tells the place of the writable one.
        let record_at = record.as_ptr().addr();
        let message = InboundOpaqueMessage::new(header.kind, header.version, &mut record[HEADER_LEN..]);
        let plain = self.cipher.decrypt(message, self.sequence).map_err(|error| match error {
            Error::DecryptError => RecordError::BadMac,
            Error::PeerSentOversizedRecord => RecordError::Overflow,
            // A record of TLS 1.3 that is all padding, or holds what may not be sealed. (The list of errors is open.)
            _ => RecordError::Unexpected,
        })?;
        self.sequence += 1;
        Ok((plain.typ, plain.payload.as_ptr().addr() - record_at, plain.payload.len()))
    }
}

impl Sealer {
    /// `None` = the keys are of a kind that is not known here.
    pub(super) fn new(suite: SupportedCipherSuite, secrets: (u64, ConnectionTrafficSecrets)) -> Option<Sealer> {
        let (sequence, secrets) = secrets;
        let records_max = match suite {
            SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
            SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
        };
        let cipher = Encrypter::new(suite, secrets)?;
        Some(Sealer { cipher: Some(cipher), sequence, records_max: records_max.saturating_sub(RECORDS_SPARED) })
    }

    /// Whether there has to be another key before more data is sealed.
    pub(super) fn is_worn_out(&self) -> bool {
        self.sequence >= self.records_max
    }

    /// One record with `payload` in it.
    pub(super) fn seal(&mut self, kind: ContentType, payload: &[u8]) -> Result<Vec<u8>, RecordError> {
        let mut record = Vec::with_capacity(payload.len() + self.overhead());
        let (fill, mut scratch) = (|to: &mut Vec<u8>| to.extend_from_slice(payload), Vec::new());
        self.put(kind, payload.len(), fill, &mut scratch, &mut record)?;
        Ok(record)
    }

    /// Puts a record behind `to`; `len`, `fill` and `scratch` as in [`Encrypter::seal`].
    pub(super) fn put(
        &mut self,
        kind: ContentType,
        len: usize,
        fill: impl FnOnce(&mut Vec<u8>),
        scratch: &mut Vec<u8>,
        to: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let cipher = self.cipher.as_mut().ok_or(RecordError::Internal)?;
        cipher.seal(kind, self.sequence, len, fill, scratch, to)?;
        self.sequence += 1;
        Ok(())
    }

    /// Bytes of a record besides its data; 0 if the kernel seals.
    pub(super) fn overhead(&self) -> usize {
        self.cipher.as_ref().map_or(0, Encrypter::overhead)
    }

    /// Records sealed with this key.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    // When the kernel seals

    /// Forgets the key, which the kernel has now.
    pub(super) fn give_away(&mut self) {
        self.cipher = None;
    }

    /// Whether the kernel seals.
    pub(super) fn is_given_away(&self) -> bool {
        self.cipher.is_none()
    }

    /// Whether the kernel may seal `len` bytes more with this key, into however many records.
    pub(super) fn has_room_for(&self, len: u64) -> bool {
        self.sequence.saturating_add(len) <= self.records_max
    }

    /// The kernel has sealed `len` bytes more. A record holds at least one, so there are no more records than bytes.
    pub(super) fn count(&mut self, len: u64) {
        self.sequence = self.sequence.saturating_add(len);
    }

    /// How many records there are, as the kernel has counted them.
    pub(super) fn set_sequence(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    #[cfg(test)]
    pub(super) fn wear_out_after(&mut self, records: u64) {
        self.records_max = self.sequence + records;
    }
}

pub(super) fn key_and_iv(secrets: ConnectionTrafficSecrets) -> Option<(AeadKey, Iv)> {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Some((key, iv)),
        // The list of kinds is open.
        _ => None,
    }
}

/// Records of a key that are left for the end: a key update, or an alert.
const RECORDS_SPARED: u64 = 16;
