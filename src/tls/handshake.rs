//! A connection until its keys are known.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus};

use super::error::HandshakeError;
use super::record;
use super::session::Session;

/// Whether a connection begins as TLS does; `None` = nothing has come yet. Anything else is answered in the plain.
pub fn is_handshake(received: &[u8]) -> Option<bool> {
    received.first().map(|kind| *kind == HANDSHAKE_RECORD)
}

const HANDSHAKE_RECORD: u8 = 22;

/// The server's side of a handshake.
pub struct Handshake {
    connection: UnbufferedServerConnection,
    /// Bytes at the front of what was received that rustls has been shown, whole records; it may want to see them again.
    shown: usize,
}

/// How a handshake goes on.
pub enum Progress {
    /// With more from the peer.
    Receive,
    /// It is over.
    Done,
}

impl Handshake {
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(config: Arc<ServerConfig>) -> Result<Handshake, HandshakeError> {
        let connection = UnbufferedServerConnection::new(config).map_err(HandshakeError::Refused)?;
        Ok(Handshake { connection, shown: 0 })
    }

    /// Takes whole records from the front of `received`; what is to be sent is put behind `outgoing`, an alert too.
    ///
    /// # Errors
    /// The handshake has failed. What is in `outgoing` is the last to be sent.
    pub fn advance(&mut self, received: &mut Vec<u8>, outgoing: &mut Vec<u8>) -> Result<Progress, HandshakeError> {
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut received[..self.shown]);
            let wants_more = match state {
                Ok(ConnectionState::EncodeTlsData(mut record)) => {
                    put(outgoing, |to| record.encode(to));
                    false
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    false
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => true,
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => return Err(HandshakeError::Closed),
                // The states are an open list.
                Ok(_) => return Err(HandshakeError::TooEarly),
                Err(error) => {
                    self.put_alert(outgoing);
                    return Err(HandshakeError::Refused(error));
                }
            };
            received.drain(..discard);
            self.shown -= discard;
            if !wants_more {
                continue;
            }
            // rustls is shown one record more at a time, so that it sees none behind the handshake: those are the
            // session's.
            if !self.connection.is_handshaking() {
                return Ok(Progress::Done);
            }
            let end = record::end(&received[self.shown..]).map(|len| self.shown + len);
            match end {
                Some(end) if end > RECEIVED_LEN_MAX => return Err(HandshakeError::TooLong),
                Some(end) if end <= received.len() => self.shown = end,
                _ => return Ok(Progress::Receive),
            }
        }
    }

    /// Whether it settled on TLS 1.3, once it is done.
    pub fn is_13(&self) -> bool {
        self.connection.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3)
    }

    /// Whether it took up an earlier session, once it is done.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// What comes of it, once it is done. What was received and not used up is the session's to open.
    ///
    /// # Errors
    /// The keys are of an unknown kind.
    pub fn into_session(self) -> Result<Session, HandshakeError> {
        let (secrets, keys) = self.connection.dangerous_into_kernel_connection().map_err(HandshakeError::Refused)?;
        Session::new(secrets, keys).ok_or(HandshakeError::Suite)
    }

    /// rustls keeps the alert of an error, and what it had to say before that, for the next calls. As long as there is
    /// something it looks at nothing else; shown the same bytes again it would panic.
    fn put_alert(&mut self, outgoing: &mut Vec<u8>) {
        while self.connection.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(mut record)) = self.connection.process_tls_records(&mut []).state
        {
            put(outgoing, |to| record.encode(to));
        }
    }
}

/// Puts what `encode` writes behind `outgoing`. Asked with too little room, it says how much it needs.
fn put(outgoing: &mut Vec<u8>, mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    let start = outgoing.len();
    if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = encode(&mut []) {
        outgoing.resize(start + required_size, 0);
        let written = encode(&mut outgoing[start..]).unwrap_or(0);
        outgoing.truncate(start + written);
    }
}

/// Most bytes of a handshake that wait for the rest of a message: a few records. A client's certificate, which is the
/// longest that a handshake can carry, is not asked for.
const RECEIVED_LEN_MAX: usize = 64 << 10;
