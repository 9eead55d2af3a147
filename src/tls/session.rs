//! The records of a connection, once its handshake is done.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;

use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{AlertDescription, ContentType, ExtractedSecrets, ProtocolVersion};

use super::cipher::{Opener, Sealer};
use super::error::RecordError;
use super::record::{DATA_LEN_MAX, HEADER_LEN, Header};
use super::send_key::SendKey;
use crate::chunk::{Meter, Piece, Pieces};

/// The keys of a connection and the little that it remembers between records. Plaintext and ciphertext are its caller's:
/// the one exception is the begin of a record whose rest has not come.
pub struct Session {
    opener: Opener,
    pub(super) sealer: Sealer,
    /// The sealer's key, as long as it may still be offered to the kernel.
    pub(super) send_key: Option<SendKey>,
    /// Makes the next keys.
    pub(super) keys: KernelConnection<ServerConnectionData>,
    /// The begin of a record whose rest has not come: at most one record, and without memory while empty.
    parted: Vec<u8>,
    /// `parted` is the whole record, opened; it is kept until [`open`](Self::open) is called again.
    is_parted_open: bool,
    /// Nothing that the peer sends is read any more.
    is_deaf: bool,
    /// Records without data since the last one with some.
    control_in_a_row: u8,
    /// Key updates that the peer may send before there is more data.
    renewals_left: u64,
    /// Bytes of data opened that have not paid for a key update yet.
    renewal_len: u64,
    /// What opening has cost since [`take_toll`](Self::take_toll), besides the data.
    toll: usize,
    /// The peer has asked for our next key.
    pub(super) owes_key_update: bool,
    /// An alert to be sent before the end; nothing is sealed behind it.
    pub(super) farewell: Option<AlertDescription>,
    /// The peer has closed its side.
    is_read_closed: bool,
    /// An alert was sealed: nothing may follow it.
    pub(super) is_write_closed: bool,
}

/// What [`Session::open`] found in what was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opened {
    /// Data, which lies there; what was received is used up to `end`.
    Data { data: Range<usize>, end: usize },
    /// Data of a record that came in parts: it is in [`Session::parted`], there. Used up to `end`.
    Parted { data: Range<usize>, end: usize },
    /// No more; all that was received is used up.
    Nothing,
    /// The peer has closed its side. What may be behind that counts for nothing.
    Closed,
}

/// What sealing needs and sessions can share.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Room for one record's data, which lies in shared cells and for TLS 1.2 has to lie in one slice.
    data: Vec<u8>,
    /// Counts what is sealed.
    meter: Meter,
}

impl Scratch {
    /// For sessions whose sealed records `meter` counts.
    pub fn new(meter: Meter) -> Scratch {
        Scratch { data: Vec::new(), meter }
    }
}

impl Session {
    /// `None` = the keys are of a kind that is not known here.
    pub(super) fn new(secrets: ExtractedSecrets, keys: KernelConnection<ServerConnectionData>) -> Option<Session> {
        let suite = keys.negotiated_cipher_suite();
        let send_key = SendKey::new(keys.protocol_version(), &secrets.tx.1);
        Some(Session {
            opener: Opener::new(suite, secrets.rx)?,
            send_key,
            sealer: Sealer::new(suite, secrets.tx)?,
            keys,
            parted: Vec::new(),
            is_parted_open: false,
            is_deaf: false,
            control_in_a_row: 0,
            renewals_left: RENEWALS_MAX,
            renewal_len: 0,
            toll: 0,
            owes_key_update: false,
            farewell: None,
            is_read_closed: false,
            is_write_closed: false,
        })
    }

    /// Whether the peer has closed its side.
    pub fn is_read_closed(&self) -> bool {
        self.is_read_closed
    }

    /// Whether there is something to be sealed that is not data.
    pub fn has_control(&self) -> bool {
        !self.is_write_closed && (self.owes_key_update || self.farewell.is_some())
    }

    /// The next data in `received`, decrypted where it lies. To be called again with what is behind it until there is
    /// nothing more.
    ///
    /// # Errors
    /// The session is broken. An alert says so with the next [`seal`](Self::seal).
    pub fn open(&mut self, received: &mut [u8]) -> Result<Opened, RecordError> {
        self.next(received).inspect_err(|error| self.farewell = self.farewell.or(error.alert()))
    }

    fn next(&mut self, received: &mut [u8]) -> Result<Opened, RecordError> {
        if self.is_deaf {
            return Ok(Opened::Nothing);
        }
        if std::mem::replace(&mut self.is_parted_open, false) {
            self.parted = Vec::new();
        }
        let mut from = 0;
        while !self.is_read_closed {
            let rest = &mut received[from..];
            if self.parted.is_empty() {
                let Some(header) = self.whole_record(rest)? else {
                    self.parted = rest.to_vec();
                    return Ok(Opened::Nothing);
                };
                let end = from + header.len;
                if let Some(data) = self.open_record(&header, &mut rest[..header.len])? {
                    return Ok(Opened::Data { data: from + data.start..from + data.end, end });
                }
                from = end;
            } else {
                from += self.join(rest)?;
                let Some(header) = self.whole_record(&self.parted)? else { return Ok(Opened::Nothing) };
                let mut record = std::mem::take(&mut self.parted);
                if let Some(data) = self.open_record(&header, &mut record)? {
                    (self.parted, self.is_parted_open) = (record, true);
                    return Ok(Opened::Parted { data, end: from });
                }
            }
        }
        Ok(Opened::Closed)
    }

    /// What opening has cost since this was last asked, in bytes of data that are taken in as fast: what records hold besides
    /// data, and more for each of them and for each key update.
    pub fn take_toll(&mut self) -> usize {
        std::mem::take(&mut self.toll)
    }

    /// The record that came in parts, opened, after [`Opened::Parted`].
    pub fn parted(&mut self) -> &mut [u8] {
        debug_assert!(self.is_parted_open);
        &mut self.parted
    }

    /// Bytes of memory held for a record that comes in parts.
    pub fn parted_len(&self) -> usize {
        self.parted.capacity()
    }

    /// Gives that memory back. What the peer still sends is used up unread: it cannot be opened any more.
    pub fn forget(&mut self) {
        (self.parted, self.is_parted_open) = (Vec::new(), false);
        self.is_deaf = true;
    }

    /// Header of the record that `bytes` begin with, if all of it is there.
    fn whole_record(&self, bytes: &[u8]) -> Result<Option<Header>, RecordError> {
        let header = Header::read(bytes, self.keys.protocol_version())?;
        Ok(header.filter(|header| header.len <= bytes.len()))
    }

    /// Adds to the record that has begun, to its end at the most; returns how much of `rest` that takes.
    fn join(&mut self, rest: &[u8]) -> Result<usize, RecordError> {
        let mut used = 0;
        // First its header, which says how long it is.
        for _ in 0..2 {
            let header = Header::read(&self.parted, self.keys.protocol_version())?;
            let missing = header.map_or(HEADER_LEN, |header| header.len).saturating_sub(self.parted.len());
            let part = &rest[used..rest.len().min(used + missing)];
            self.parted.extend_from_slice(part);
            used += part.len();
        }
        Ok(used)
    }

    /// Opens a record; where its data lies in it, if it has any.
    fn open_record(&mut self, header: &Header, record: &mut [u8]) -> Result<Option<Range<usize>>, RecordError> {
        // In TLS 1.3 everything that is sealed looks like data from outside.
        let is_13 = self.is_13();
        match header.kind {
            ContentType::ApplicationData => {}
            ContentType::Alert | ContentType::Handshake if !is_13 => {}
            _ => return Err(RecordError::Unexpected),
        }
        let (kind, start, len) = self.opener.open(header, record)?;
        let data = start..start + len;
        self.toll += header.len - len + RECORD_TOLL;
        if kind == ContentType::ApplicationData && len > 0 {
            self.control_in_a_row = 0;
            self.renewal_len += len as u64;
            return Ok(Some(data));
        }
        self.control_in_a_row += 1;
        if self.control_in_a_row > CONTROL_IN_A_ROW_MAX {
            return Err(RecordError::NothingButControl);
        }
        match kind {
            ContentType::ApplicationData => Ok(None),
            ContentType::Alert => self.take_alert(&record[data]).map(|()| None),
            ContentType::Handshake if is_13 => self.take_key_update(&record[data]).map(|()| None),
            // Handshakes in TLS 1.2 are renegotiations, which nobody needs.
            _ => Err(RecordError::Unexpected),
        }
    }

    /// RFC 8446, section 6; RFC 5246, section 7.2.
    fn take_alert(&mut self, alert: &[u8]) -> Result<(), RecordError> {
        let [level, description] = alert else { return Err(RecordError::Malformed) };
        match (AlertDescription::from(*description), *level) {
            (AlertDescription::CloseNotify, _) => self.is_read_closed = true,
            // Not an end yet; the close comes behind it.
            (AlertDescription::UserCanceled, _) => {}
            (_, WARNING) if !self.is_13() => {}
            _ => return Err(RecordError::PeerAlert),
        }
        Ok(())
    }

    /// RFC 8446, section 4.6.3. Of what may come after a handshake a client sends nothing else.
    fn take_key_update(&mut self, message: &[u8]) -> Result<(), RecordError> {
        let [KEY_UPDATE, 0, 0, 1, request] = message else { return Err(RecordError::Unexpected) };
        match request {
            0 => {}
            // However often it asks until we send again, one is the answer.
            1 => self.owes_key_update = true,
            _ => return Err(RecordError::Malformed),
        }
        self.pay_for_renewal()?;
        let secrets = self.keys.update_rx_secret().map_err(|_| RecordError::Internal)?;
        let suite = self.keys.negotiated_cipher_suite();
        self.opener = Opener::new(suite, secrets).ok_or(RecordError::Internal)?;
        Ok(())
    }

    /// Counts a key update of the peer's.
    fn pay_for_renewal(&mut self) -> Result<(), RecordError> {
        self.toll += RENEWAL_TOLL;
        let earned = self.renewal_len / RENEWAL_LEN_MIN;
        self.renewal_len %= RENEWAL_LEN_MIN;
        let left = (self.renewals_left + earned).min(RENEWALS_MAX);
        self.renewals_left = left.checked_sub(1).ok_or(RecordError::TooManyKeys)?;
        Ok(())
    }

    /// Whether this is TLS 1.3, which has further keys.
    pub fn is_13(&self) -> bool {
        self.keys.protocol_version() == ProtocolVersion::TLSv1_3
    }

    // Sealing

    /// Ends the session: the peer is told with the next [`seal`](Self::seal), and nothing is sealed behind it.
    pub fn close(&mut self) {
        self.farewell = self.farewell.or(Some(AlertDescription::CloseNotify));
    }

    /// Seals what is to be said besides data, and then data from the front of `plain`, until there are as many records as
    /// one send carries. Returns the records and how many bytes of `plain` are in them; those are taken off it.
    ///
    /// # Errors
    /// The key is worn out and there is no other. An alert says so with the next call.
    pub fn seal(&mut self, plain: &mut Pieces, scratch: &mut Scratch) -> Result<(Pieces, usize), RecordError> {
        let Scratch { data, meter } = scratch;
        let mut sealed = self.seal_control()?.unwrap_or_default();
        let mut records = usize::from(!sealed.is_empty());
        let mut plain_len: usize = plain.iter().map(Piece::len).sum();
        let records_to_come = plain_len.div_ceil(DATA_LEN_MAX).min(RECORDS_MAX - records);
        if !self.is_write_closed {
            // No more than that, or it would be copied once again.
            let sealed_len = plain_len.min(records_to_come * DATA_LEN_MAX) + records_to_come * self.sealer.overhead();
            sealed.reserve_exact(sealed_len);
        }
        let before = plain_len;
        while plain_len > 0 && records < RECORDS_MAX && !self.is_write_closed {
            if self.sealer.is_worn_out() {
                if !self.is_13() && !sealed.is_empty() {
                    break;
                }
                sealed.extend(self.renew()?);
            } else {
                let len = plain_len.min(DATA_LEN_MAX);
                self.sealer.put(ContentType::ApplicationData, len, |to| take(plain, len, to), data, &mut sealed)?;
                plain_len -= len;
            }
            records += 1;
        }
        let sealed = (!sealed.is_empty()).then(|| Piece::new(sealed, meter));
        Ok((sealed.into_iter().collect(), before - plain_len))
    }

    /// The same for data that lies in one place, behind `sealed`; all of it.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn seal_bytes(&mut self, data: &[u8], sealed: &mut Vec<u8>) -> Result<(), RecordError> {
        sealed.extend(self.seal_control()?.unwrap_or_default());
        for part in data.chunks(DATA_LEN_MAX) {
            if self.is_write_closed {
                break;
            }
            if self.sealer.is_worn_out() {
                sealed.extend(self.renew()?);
            }
            sealed.extend(self.sealer.seal(ContentType::ApplicationData, part)?);
        }
        Ok(())
    }

    /// The record that goes before any further data, if there is one to be sent.
    fn seal_control(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        if self.is_write_closed {
            return Ok(None);
        }
        if let Some(alert) = self.farewell {
            self.is_write_closed = true;
            return self.sealer.seal(ContentType::Alert, &message(alert)).map(Some);
        }
        if self.owes_key_update { self.renew().map(Some) } else { Ok(None) }
    }

    /// Goes over to the next key. The record that says so is the last under the old one.
    fn renew(&mut self) -> Result<Vec<u8>, RecordError> {
        if !self.is_13() {
            self.close();
            return Err(RecordError::KeyWornOut);
        }
        self.owes_key_update = false;
        let record = self.sealer.seal(ContentType::Handshake, &NEXT_KEY)?;
        let secrets = self.keys.update_tx_secret().map_err(|_| RecordError::Internal)?;
        let suite = self.keys.negotiated_cipher_suite();
        if self.send_key.is_some() {
            self.send_key = SendKey::new(self.keys.protocol_version(), &secrets.1);
        }
        self.sealer = Sealer::new(suite, secrets).ok_or(RecordError::Internal)?;
        Ok(record)
    }

    /// Has the key wear out after as many records more.
    #[cfg(test)]
    pub(super) fn wear_out_after(&mut self, records: u64) {
        self.sealer.wear_out_after(records);
    }
}

/// Without the keys.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("version", &self.keys.protocol_version()).finish_non_exhaustive()
    }
}

/// Moves `len` bytes, of which there are as many, from the front of `pieces` to the end of `to`.
fn take(pieces: &mut Pieces, len: usize, to: &mut Vec<u8>) {
    let mut left = len;
    while left > 0
        && let Some(piece) = pieces.first_mut()
    {
        let len = piece.len().min(left);
        to.extend(piece.cells()[..len].iter().map(Cell::get));
        piece.skip(len);
        left -= len;
        if piece.is_empty() {
            pieces.remove(0);
        }
    }
}

/// Most records that one send carries: 128 KiB of data.
const RECORDS_MAX: usize = 8;

/// Records without data in a row that a peer may send: it has no reason for more than one or two.
const CONTROL_IN_A_ROW_MAX: u8 = 16;

/// Key updates that a peer may send without data worth them, and the bytes of data that are worth one: a record's. Keys last for
/// millions of records, so nobody needs as many.
const RENEWALS_MAX: u64 = 16;
const RENEWAL_LEN_MIN: u64 = DATA_LEN_MAX as u64;

/// What opening a record costs however little is in it, and what a key update costs besides, in bytes of data. In a test build
/// a record of one byte took 0.14 µs, a key update 3.6 µs and full records 1.3 to 2 ns a byte.
const RECORD_TOLL: usize = 64;
const RENEWAL_TOLL: usize = 4 * 1024;

/// The type of the message (RFC 8446, section 4).
const KEY_UPDATE: u8 = 24;

/// The message that says that what follows is sealed with our next key, and asks for none of the peer's.
pub(super) const NEXT_KEY: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 0];

/// An alert as it is sent.
pub(super) fn message(alert: AlertDescription) -> [u8; 2] {
    let level = if alert == AlertDescription::CloseNotify { WARNING } else { FATAL };
    [level, u8::from(alert)]
}

/// The levels of alerts.
const WARNING: u8 = 1;
const FATAL: u8 = 2;
