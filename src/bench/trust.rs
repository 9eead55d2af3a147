//! Whose certificate is believed, when the server's URL is one of TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::error::Failure;

/// How the connections of a run begin their sessions.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// In the certificates of this file.
    pub fn in_file(path: &Path) -> Result<Trust, Failure> {
        let unusable = |what: String| Failure::Setting {
            name: "--ca",
            allowed: format!("a PEM file with certificates; {}: {what}", path.display()),
        };
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("no certificate in it".into()));
        }
        Trust::new(|provider| {
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
            Ok(builder.with_root_certificates(roots).with_no_client_auth())
        })
    }

    /// In anyone.
    pub fn in_anyone() -> Result<Trust, Failure> {
        Trust::new(|provider| {
            let verifier = Arc::new(Anyone(Arc::clone(&provider)));
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
            Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
        })
    }

    /// A session with the host of this authority.
    pub fn session(&self, authority: &str) -> Result<ClientConnection, Failure> {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| Failure::Setting {
            name: "--server",
            allowed: format!("a host that a certificate can be for, not {authority} ({error})"),
        })?;
        let mut session = ClientConnection::new(Arc::clone(&self.0), name).map_err(unconfigurable)?;
        // What waits is bounded by windows and by what the schedule holds back, as without TLS.
        session.set_buffer_limit(None);
        Ok(session)
    }

    fn new(config: impl FnOnce(Arc<CryptoProvider>) -> Result<ClientConfig, rustls::Error>) -> Result<Trust, Failure> {
        let mut config = config(Arc::new(ring::default_provider())).map_err(unconfigurable)?;
        // Every connection costs the server the same, whichever came before it.
        config.resumption = Resumption::disabled();
        Ok(Trust(Arc::new(config)))
    }
}

fn unconfigurable(error: rustls::Error) -> Failure {
    Failure::system("TLS", std::io::Error::other(error))
}

/// Believes every certificate, signed by whomever.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
