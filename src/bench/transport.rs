//! A connection's socket, and its session if it is one of TLS.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::ClientConnection;

pub struct Transport {
    socket: OwnedFd,
    session: Option<Box<ClientConnection>>,
}

/// What one read brought.
pub enum Received {
    /// `is_emptied`: there was nothing more in the socket. With TLS `count` is of what was opened, and 0 if no record was
    /// whole.
    Bytes { count: usize, is_emptied: bool },
    /// The server has nothing more to say.
    End,
}

impl Transport {
    /// `session` has yet to shake hands: that happens as bytes are sent and received.
    pub fn new(socket: OwnedFd, session: Option<ClientConnection>) -> Transport {
        Transport { socket, session: session.map(Box::new) }
    }

    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// One read, which is as large as `out` allows: at least [`RECEIVE_BYTES_MIN`].
    pub fn recv(&mut self, out: &mut [u8]) -> io::Result<Received> {
        debug_assert!(out.len() >= RECEIVE_BYTES_MIN);
        match &mut self.session {
            None => Ok(match read(&self.socket, out)? {
                0 => Received::End,
                count => Received::Bytes { count, is_emptied: count < out.len() },
            }),
            Some(session) => open(&self.socket, session, out),
        }
    }

    /// Puts records in the place of what stands from `sealed` on; with what the session itself has to say.
    pub fn seal(&mut self, bytes: &mut Vec<u8>, sealed: usize) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        session.writer().write_all(&bytes[sealed..])?;
        bytes.truncate(sealed);
        while session.wants_write() {
            session.write_tls(bytes)?;
        }
        Ok(())
    }

    /// How much the socket took.
    pub fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        send(&self.socket, bytes, SendFlags::NOSIGNAL)
    }
}

/// Below this a read could bring more than there is room to open it in.
pub const RECEIVE_BYTES_MIN: usize = 4 * RECORD_BYTES_MAX;

/// A record, and what TLS 1.2 may add to it (RFC 5246, section 6.2.3).
const RECORD_BYTES_MAX: usize = (16 << 10) + 2048;

/// Records are received into the second half of `out` and opened into the first, which has room for a record more: the
/// begin of one may be waiting in the session.
fn open(socket: &OwnedFd, session: &mut ClientConnection, out: &mut [u8]) -> io::Result<Received> {
    let (opened, sealed) = out.split_at_mut(out.len() / 2 + RECORD_BYTES_MAX);
    let received = read(socket, sealed)?;
    let is_emptied = received < sealed.len();
    let mut sealed = &sealed[..received];
    let mut count = 0;
    while !sealed.is_empty() {
        if session.read_tls(&mut sealed)? == 0 {
            return Ok(Received::End);
        }
        let state = session.process_new_packets().map_err(io::Error::other)?;
        let ready = state.plaintext_bytes_to_read();
        session.reader().read_exact(&mut opened[count..count + ready])?;
        count += ready;
    }
    Ok(if received == 0 { Received::End } else { Received::Bytes { count, is_emptied } })
}

fn read(socket: &OwnedFd, out: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match recv(socket, &mut *out, RecvFlags::empty()) {
            Ok((count, _)) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
