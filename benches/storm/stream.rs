//! A client's connection, plain or with TLS.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Outcome;

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Sessions that trust this certificate alone. Without resumption: each is a whole handshake.
pub fn sessions(certificate: &Path) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(certificate)? {
        roots.add(certificate?)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let mut config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

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
