//! A client's connection as HTTP sees it: bytes that come and go, whether there is TLS below them or not.

use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::time::Duration;

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use monoio::time::{Instant, timeout, timeout_at};

use super::socket::into_owned_fd;
use crate::metrics::{self, Refusal, Resumption, TlsVersion};
use crate::tls::{self, Handshake, Opened, Progress, Session};

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// A connection whose handshake is done.
pub(super) struct TlsStream {
    socket: TcpStream,
    session: Session,
    /// Data opened and not yet read; at most what one receive and a record begun before it hold.
    data: Vec<u8>,
}

/// Why there is no stream.
pub(super) enum AcceptError {
    /// What came is no TLS.
    NotTls(TcpStream),
    /// The handshake failed, and the client was sent an alert if there is one for it: it is to be let read that.
    Refused(TcpStream),
    /// It took too long, or the connection broke.
    Failed,
}

impl Stream {
    /// Shakes hands with a client, which gets `time` for it; `received` is what has come already.
    pub(super) async fn accept(
        socket: TcpStream,
        acceptor: &tls::Acceptor,
        received: Vec<u8>,
        time: Duration,
        metrics: &metrics::Front,
    ) -> Result<Stream, AcceptError> {
        match timeout(time, shake_hands(socket, acceptor, received, metrics)).await {
            Ok(outcome) => {
                match &outcome {
                    Ok(_) | Err(AcceptError::NotTls(_)) => {}
                    Err(AcceptError::Refused(_)) => {
                        metrics.refused(Refusal::TlsHandshake);
                        metrics.handshake_failed();
                    }
                    Err(AcceptError::Failed) => metrics.handshake_failed(),
                }
                outcome
            }
            Err(_) => {
                metrics.refused(Refusal::HandshakeTimeout);
                metrics.handshake_failed();
                Err(AcceptError::Failed)
            }
        }
    }

    /// Reads behind what is in `buffer`, to `end` at the most, for which it has capacity. No bytes are the end.
    pub(super) async fn read(&mut self, buffer: Vec<u8>, end: usize) -> (io::Result<usize>, Vec<u8>) {
        match self {
            Stream::Plain(socket) => {
                let len = buffer.len();
                let (result, slice) = socket.read(buffer.slice_mut(len..end)).await;
                (result, slice.into_inner())
            }
            // Boxed: it would make the future of every connection larger.
            Stream::Tls(stream) => Box::pin(stream.read(buffer, end)).await,
        }
    }

    pub(super) async fn write_all(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(bytes).await.0.map(|_| ()),
            Stream::Tls(stream) => {
                let mut sealed = Vec::new();
                // If it fails, what is sealed is an alert.
                let result = stream.session.seal_bytes(&bytes, &mut sealed);
                drop(bytes);
                stream.socket.write_all(sealed).await.0?;
                result.map_err(io::Error::other)
            }
        }
    }

    /// Says that nothing more will come. A client that does not read gets `time` until there is room for that.
    pub(super) async fn shutdown(&mut self, time: Duration) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.shutdown().await,
            // Boxed: it would make the future of every connection larger.
            Stream::Tls(stream) => Box::pin(timeout(time, stream.shutdown())).await?,
        }
    }

    /// What is below, for a stream that is at its end.
    pub(super) fn socket(&mut self) -> &mut TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &mut stream.socket,
        }
    }

    /// The socket, the session if there is one, and the data that was received and not read. No operation may be under
    /// way.
    pub(super) fn into_parts(self) -> (OwnedFd, Option<Box<Session>>, Vec<u8>) {
        match self {
            Stream::Plain(socket) => (into_owned_fd(socket), None, Vec::new()),
            Stream::Tls(stream) => {
                let TlsStream { socket, session, data } = *stream;
                (into_owned_fd(socket), Some(Box::new(session)), data)
            }
        }
    }
}

impl TlsStream {
    async fn read(&mut self, mut buffer: Vec<u8>, end: usize) -> (io::Result<usize>, Vec<u8>) {
        while self.data.is_empty() {
            if self.session.is_read_closed() {
                return (Ok(0), buffer);
            }
            let (result, mut received) = self.socket.read(Vec::with_capacity(RECEIVE_LEN)).await;
            match result {
                Ok(0) | Err(_) => return (result, buffer),
                Ok(_) => {}
            }
            if let Err(error) = self.open(&mut received) {
                self.end_broken(error).await;
                return (Err(io::Error::other(error)), buffer);
            }
        }
        let len = self.data.len().min(end - buffer.len());
        buffer.extend(self.data.drain(..len));
        if self.data.is_empty() {
            self.data = Vec::new();
        }
        (Ok(len), buffer)
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.session.close();
        let mut farewell = Vec::new();
        self.session.seal_bytes(&[], &mut farewell).map_err(io::Error::other)?;
        self.socket.write_all(farewell).await.0?;
        self.socket.shutdown().await
    }

    /// Sends the alert of a session that cannot go on, and sees to it that the client can read it.
    async fn end_broken(&mut self, error: tls::RecordError) {
        tracing::debug!(%error, "a TLS session is broken");
        let mut alert = Vec::new();
        let _ = self.session.seal_bytes(&[], &mut alert);
        if self.socket.write_all(alert).await.0.is_ok() && self.socket.shutdown().await.is_ok() {
            drain(&mut self.socket).await;
        }
    }

    /// Opens all of `received`.
    fn open(&mut self, mut received: &mut [u8]) -> Result<(), tls::RecordError> {
        loop {
            let end = match self.session.open(received)? {
                Opened::Data { data, end } => {
                    self.data.extend_from_slice(&received[data]);
                    end
                }
                Opened::Parted { data, end } => {
                    self.data.extend_from_slice(&self.session.parted()[data]);
                    end
                }
                Opened::Nothing | Opened::Closed => return Ok(()),
            };
            received = &mut mem::take(&mut received)[end..];
        }
    }
}

/// Nothing is made for a client that says nothing.
async fn shake_hands(
    mut socket: TcpStream,
    acceptor: &tls::Acceptor,
    mut received: Vec<u8>,
    metrics: &metrics::Front,
) -> Result<Stream, AcceptError> {
    let mut handshake: Option<Handshake> = None;
    let mut is_unread = !received.is_empty();
    loop {
        if !mem::take(&mut is_unread) {
            let len = received.len();
            received.reserve_exact(RECEIVE_LEN);
            let (result, slice) = socket.read(received.slice_mut(len..len + RECEIVE_LEN)).await;
            received = slice.into_inner();
            if !result.is_ok_and(|len| len > 0) {
                return Err(AcceptError::Failed);
            }
        }
        if handshake.is_none() && tls::is_handshake(&received) == Some(false) {
            return Err(AcceptError::NotTls(socket));
        }
        let mut at_work = match handshake.take() {
            Some(handshake) => handshake,
            None => Handshake::new(acceptor.current()).map_err(failed)?,
        };
        let mut outgoing = Vec::new();
        let progress = at_work.advance(&mut received, &mut outgoing);
        if !outgoing.is_empty() && socket.write_all(outgoing).await.0.is_err() {
            return Err(AcceptError::Failed);
        }
        match progress {
            Ok(Progress::Receive) => handshake = Some(at_work),
            Ok(Progress::Done) => {
                let version = if at_work.is_13() { TlsVersion::Tls13 } else { TlsVersion::Tls12 };
                metrics.handshake(version, if at_work.is_resumed() { Resumption::Resumed } else { Resumption::Full });
                let session = at_work.into_session().map_err(failed)?;
                let mut stream = TlsStream { socket, session, data: Vec::new() };
                return match stream.open(&mut received) {
                    Ok(()) => Ok(Stream::Tls(Box::new(stream))),
                    Err(error) => {
                        stream.end_broken(error).await;
                        Err(AcceptError::Refused(stream.socket))
                    }
                };
            }
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return Err(AcceptError::Refused(socket));
            }
        }
    }
}

/// Takes what a client still sends that has been told the end, until it ends too. Closed at once, with bytes unread, the
/// socket would be reset, and the client could lose what it was told.
pub(super) async fn drain(socket: &mut TcpStream) {
    let deadline = Instant::now() + LINGER_TIME;
    let mut buffer = Vec::with_capacity(LINGER_RECEIVE_LEN);
    let mut len_left = LINGER_LEN_MAX;
    while let Ok((Ok(len), rest)) = timeout_at(deadline, socket.read(buffer)).await {
        buffer = rest;
        buffer.clear();
        match len_left.checked_sub(len) {
            Some(left) if len > 0 => len_left = left,
            _ => return,
        }
    }
}

fn failed(error: tls::HandshakeError) -> AcceptError {
    tracing::debug!(%error, "a TLS handshake failed");
    AcceptError::Failed
}

/// Received at once: a ClientHello with the post-quantum key share is about 1 800 bytes, and a connection that waits for
/// its next request holds this.
const RECEIVE_LEN: usize = 2 << 10;
/// How long a connection is read after the last that it was sent, and how far.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_LEN_MAX: usize = 1 << 20;
const LINGER_RECEIVE_LEN: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use monoio::{LegacyDriver, RuntimeBuilder};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustls::ProtocolVersion;

    use super::*;
    use crate::tls::tests::connect;

    /// Writes until no byte fits any more, and goes on not to: what is on its way to the peer's buffer makes room yet.
    fn fill(socket: &mut std::net::TcpStream) {
        let is_full = |written: io::Result<usize>| {
            written.is_err_and(|error| {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                true
            })
        };
        loop {
            while !is_full(socket.write(&[0; 1 << 16])) {}
            let mut room = [PollFd::new(socket, PollFlags::OUT)];
            let is_over = poll(&mut room, Some(&Timespec { tv_sec: 0, tv_nsec: 100_000_000 })).unwrap() == 0;
            if is_over && is_full(socket.write(&[0])) {
                return;
            }
        }
    }

    /// Its alert is 24 bytes, and there may be room for one less when all the rest has been sent.
    #[test]
    fn who_does_not_read_is_not_waited_for_to_be_told_the_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        fill(&mut server);
        let mut runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().unwrap();
        runtime.block_on(async {
            let socket = TcpStream::from_std(server).unwrap();
            let (session, _) = connect(ProtocolVersion::TLSv1_3);
            let mut stream = Stream::Tls(Box::new(TlsStream { socket, session, data: Vec::new() }));
            let error = stream.shutdown(Duration::from_millis(20)).await.expect_err("there is no room");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }
}
