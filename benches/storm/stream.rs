//! A client's connection, plain or with TLS.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::Outcome;

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Sessions that believe any certificate. Without resumption: each is a whole handshake.
pub fn sessions() -> Outcome<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.dangerous();
    let mut config = builder.with_custom_certificate_verifier(Arc::new(Credulous)).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Believes that every server is who it says.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> TlsResult<ServerCertVerified> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> TlsResult<HandshakeSignatureValid> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> TlsResult<HandshakeSignatureValid> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

type TlsResult<T> = std::result::Result<T, rustls::Error>;

impl Stream {
    /// With TLS `request` waits in the session until hands are shaken.
    pub fn ask(
        mut socket: TcpStream,
        tls: Option<(&Arc<ClientConfig>, &ServerName<'static>)>,
        request: &[u8],
    ) -> Outcome<Stream> {
        let Some((config, name)) = tls else {
            socket.write_all(request)?;
            return Ok(Stream::Plain(socket));
        };
        let mut session = ClientConnection::new(Arc::clone(config), name.clone())?;
        session.writer().write_all(request)?;
        while session.wants_write() {
            session.write_tls(&mut socket)?;
        }
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, socket))))
    }

    /// Shakes hands to the end, behind which the request is on its way. What rustls has for this goes on to wait for the
    /// answer.
    pub fn shake_hands(&mut self) -> Result<()> {
        let Stream::Tls(stream) = self else { return Ok(()) };
        let StreamOwned { conn, sock } = stream.as_mut();
        loop {
            while conn.wants_write() {
                conn.write_tls(sock)?;
            }
            if !conn.is_handshaking() {
                return Ok(());
            }
            if conn.read_tls(sock)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            conn.process_new_packets().map_err(Error::other)?;
        }
    }

    pub fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(buffer),
            Stream::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
