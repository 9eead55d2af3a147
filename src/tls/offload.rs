//! A session whose records the kernel seals (kTLS). What the kernel does with keys is its caller's to do; here is which
//! key comes when, and what has to be said besides data.

use rustls::ContentType;

use super::cipher::Sealer;
use super::error::RecordError;
use super::send_key::SendKey;
use super::session::{self, NEXT_KEY, Session};

/// A record that is not data, for the kernel to seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    /// An alert: the last record.
    Alert([u8; 2]),
    /// A key update: the last record under its key.
    KeyUpdate([u8; 5]),
}

/// The kernel did not take a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

impl Control {
    /// The content type of the record (RFC 8446, section 5.1).
    pub fn content_type(&self) -> u8 {
        u8::from(match self {
            Control::Alert(_) => ContentType::Alert,
            Control::KeyUpdate(_) => ContentType::Handshake,
        })
    }

    pub fn message(&self) -> &[u8] {
        match self {
            Control::Alert(message) => message,
            Control::KeyUpdate(message) => message,
        }
    }
}

impl Session {
    /// Offers the sending key to the kernel; `give` says whether it was taken. If it was, this session seals nothing any
    /// more. If not, it goes on sealing. The key is offered once, when all that was sealed is on its way.
    ///
    /// # Errors
    /// The kernel did not take it, or it cannot.
    pub fn offload(&mut self, give: impl FnOnce(&SendKey) -> Result<(), Refused>) -> Result<(), Refused> {
        let mut key = self.send_key.take().ok_or(Refused)?;
        key.go_on_at(self.sealer.sequence());
        give(&key)?;
        self.sealer.give_away();
        Ok(())
    }

    /// Forgets the copy of the key that could be offered.
    pub fn keep_sealing(&mut self) {
        self.send_key = None;
    }

    /// What the kernel is to seal before anything else. It stays due until [`control_sent`](Self::control_sent).
    /// `rekeys`: the kernel takes further keys.
    ///
    /// # Errors
    /// The peer waits for a key that cannot be had. The alert that says so is due next.
    pub fn control(&mut self, rekeys: bool) -> Result<Option<Control>, RecordError> {
        debug_assert!(self.sealer.is_given_away());
        if self.is_write_closed {
            return Ok(None);
        }
        if let Some(alert) = self.farewell {
            return Ok(Some(Control::Alert(session::message(alert))));
        }
        if !self.owes_key_update {
            return Ok(None);
        }
        if !rekeys {
            return Err(self.end(RecordError::KeyStays));
        }
        Ok(Some(Control::KeyUpdate(NEXT_KEY)))
    }

    /// The kernel has sealed `control`. Behind a key update it is given the next key.
    ///
    /// # Errors
    /// It did not take it: nothing can be sealed any more, not even an alert.
    pub fn control_sent(
        &mut self,
        control: Control,
        give: impl FnOnce(&SendKey) -> Result<(), Refused>,
    ) -> Result<(), RecordError> {
        match control {
            Control::Alert(_) => self.is_write_closed = true,
            Control::KeyUpdate(_) => {
                self.owes_key_update = false;
                let sealer = self.next_key(give).inspect_err(|_| self.is_write_closed = true)?;
                self.sealer = sealer;
            }
        }
        Ok(())
    }

    /// Gives the kernel the next key; what counts its records.
    fn next_key(&mut self, give: impl FnOnce(&SendKey) -> Result<(), Refused>) -> Result<Sealer, RecordError> {
        let secrets = self.keys.update_tx_secret().map_err(|_| RecordError::Internal)?;
        let key = SendKey::new(self.keys.protocol_version(), &secrets.1).ok_or(RecordError::Internal)?;
        let mut sealer = Sealer::new(self.keys.negotiated_cipher_suite(), secrets).ok_or(RecordError::Internal)?;
        give(&key).map_err(|Refused| RecordError::KeyStays)?;
        sealer.give_away();
        Ok(sealer)
    }

    /// Whether the kernel may seal `len` bytes of data more with its key. If not, what has to come before them is
    /// [due](Self::control). `count` asks the kernel how many records there are; `None` = it does not say, and then it
    /// may not.
    ///
    /// # Errors
    /// There is no further key. An alert that says so is due.
    pub fn may_seal(
        &mut self,
        len: usize,
        rekeys: bool,
        count: impl FnOnce() -> Option<u64>,
    ) -> Result<bool, RecordError> {
        if self.sealer.has_room_for(len as u64) {
            return Ok(true);
        }
        if let Some(records) = count() {
            self.sealer.set_sequence(records);
            if self.sealer.has_room_for(len as u64) {
                return Ok(true);
            }
        }
        if !self.is_13() {
            return Err(self.end(RecordError::KeyWornOut));
        }
        if !rekeys {
            return Err(self.end(RecordError::KeyStays));
        }
        self.owes_key_update = true;
        Ok(false)
    }

    /// The kernel has sealed `len` bytes of data.
    pub fn data_sent(&mut self, len: usize) {
        self.sealer.count(len as u64);
    }

    fn end(&mut self, error: RecordError) -> RecordError {
        self.farewell = self.farewell.or(error.alert());
        error
    }
}
