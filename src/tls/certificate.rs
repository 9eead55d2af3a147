//! The certificate that connections are shown, and how it is exchanged while the relay runs.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{error, fmt};

use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::{InconsistentKeys, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use simple_asn1::ASN1Block;

/// What new connections are accepted with. Its clones are one: what one reloads, all accept with.
#[derive(Clone, Debug)]
pub struct Acceptor {
    shared: Arc<Shared>,
}

struct Shared {
    cert_path: PathBuf,
    key_path: PathBuf,
    /// Made once: tickets that were given out before a reload are good after it.
    ticketer: Arc<dyn ProducesTickets>,
    current: Mutex<Current>,
}

/// What was read last.
struct Current {
    config: Arc<ServerConfig>,
    /// When the certificate ends, in seconds since 1970; `None` = that cannot be told.
    not_after: Option<u64>,
}

impl Shared {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without what a configuration knows.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("cert_path", &self.cert_path).finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Reads the certificate chain and its key, both in PEM.
    ///
    /// # Errors
    /// One of the files is not what it should be, or the system gives no random numbers.
    pub fn load(cert_path: &Path, key_path: &Path) -> Result<Acceptor, CertificateError> {
        let ticketer = rustls::crypto::ring::Ticketer::new().map_err(|_| CertificateError::NoRandomness)?;
        let current = Mutex::new(read(cert_path, key_path, &ticketer)?);
        let (cert_path, key_path) = (cert_path.to_owned(), key_path.to_owned());
        Ok(Acceptor { shared: Arc::new(Shared { cert_path, key_path, ticketer, current }) })
    }

    /// What the next connection is accepted with.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.shared.current().config.clone()
    }

    /// When the certificate ends, in seconds since 1970; `None` = that cannot be told.
    pub fn not_after(&self) -> Option<u64> {
        self.shared.current().not_after
    }

    /// Reads both files again, for the connections to come.
    ///
    /// # Errors
    /// As [`load`](Self::load); then everything stays as it was.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let Shared { cert_path, key_path, ticketer, .. } = &*self.shared;
        let next = read(cert_path, key_path, ticketer)?;
        *self.shared.current() = next;
        Ok(())
    }

    /// Whether others than the owner of the key file may read or write it; also `false` if that cannot be told.
    pub fn key_is_exposed(&self) -> bool {
        fs::metadata(&self.shared.key_path).is_ok_and(|metadata| metadata.permissions().mode() & OTHERS != 0)
    }
}

/// The permissions of the group and of all others.
const OTHERS: u32 = 0o077;

fn read(cert_path: &Path, key_path: &Path, ticketer: &Arc<dyn ProducesTickets>) -> Result<Current, CertificateError> {
    let chain = read_chain(cert_path)?;
    let not_after = chain.first().and_then(end_of);
    let key = read_key(key_path)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("the provider has suites for both versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| refusal(error, cert_path, key_path))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.ticketer = ticketer.clone();
    // What could be resumed without a ticket would be kept here, for each client.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // One is enough for a client that opens one connection at a time; each costs bytes and a moment.
    config.send_tls13_tickets = 1;
    config.enable_secret_extraction = true;
    Ok(Current { config: Arc::new(config), not_after })
}

/// When a certificate ends (RFC 5280, section 4.1): the second time of its `validity`, the one sequence of its body that
/// has times.
fn end_of(certificate: &CertificateDer<'static>) -> Option<u64> {
    let blocks = simple_asn1::from_der(certificate).ok()?;
    let [ASN1Block::Sequence(_, certificate)] = blocks.as_slice() else { return None };
    let Some(ASN1Block::Sequence(_, body)) = certificate.first() else { return None };
    let end = body.iter().find_map(|part| match part {
        ASN1Block::Sequence(_, times) => match times.as_slice() {
            [_, ASN1Block::UTCTime(_, end) | ASN1Block::GeneralizedTime(_, end)] => Some(end),
            _ => None,
        },
        _ => None,
    })?;
    u64::try_from(end.assume_utc().unix_timestamp()).ok()
}

/// RFC 7301: what a client that names protocols has to name. WebSocket begins with it too.
const ALPN: &[u8] = b"http/1.1";

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let file = |what| CertificateError::File { setting: "ssl-cert-path", path: path.to_owned(), what };
    let text = fs::read(path).map_err(|error| file(FileError::Unreadable(error)))?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(file(FileError::NoCertificate)),
        Ok(chain) => Ok(chain),
        Err(_) => Err(file(FileError::NotPem)),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let file = |what| CertificateError::File { setting: "ssl-key-path", path: path.to_owned(), what };
    let text = fs::read(path).map_err(|error| file(FileError::Unreadable(error)))?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) if is_encrypted(&text) => {
            drop(key);
            Err(file(FileError::EncryptedKey))
        }
        Ok(key) => Ok(key),
        Err(_) if is_encrypted(&text) => Err(file(FileError::EncryptedKey)),
        Err(pem::Error::NoItemsFound) => Err(file(FileError::NoKey)),
        // What is wrong with it is not said: it could quote the key.
        Err(_) => Err(file(FileError::NotPem)),
    }
}

/// Whether a key in PEM is behind a password: in PKCS #8, or in the older form, which has header lines for it.
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn refusal(error: rustls::Error, cert_path: &Path, key_path: &Path) -> CertificateError {
    let (cert_path, key_path) = (cert_path.to_owned(), key_path.to_owned());
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            CertificateError::Mismatch { cert_path, key_path }
        }
        rustls::Error::InvalidCertificate(_) => {
            CertificateError::File { setting: "ssl-cert-path", path: cert_path, what: FileError::BadCertificate }
        }
        // Of all that rustls can say here, the rest is about the key.
        _ => CertificateError::File { setting: "ssl-key-path", path: key_path, what: FileError::BadKey },
    }
}

/// Why a certificate cannot be used; the operator's to change.
#[derive(Debug)]
pub enum CertificateError {
    File {
        setting: &'static str,
        path: PathBuf,
        what: FileError,
    },
    /// The key is not the certificate's.
    Mismatch {
        cert_path: PathBuf,
        key_path: PathBuf,
    },
    /// The system gave no random numbers for the key of the tickets.
    NoRandomness,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum FileError {
    Unreadable(io::Error),
    NotPem,
    NoCertificate,
    BadCertificate,
    NoKey,
    EncryptedKey,
    BadKey,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateError::File { setting, path, what } => write!(f, "{setting}: {}: {what}", path.display()),
            CertificateError::Mismatch { cert_path, key_path } => write!(
                f,
                "ssl-key-path: {}: this is not the key of the certificate in {} (ssl-cert-path); give the pair that was \
                 made together, with the server's own certificate first in its file",
                key_path.display(),
                cert_path.display()
            ),
            CertificateError::NoRandomness => write!(f, "the system gives no random numbers"),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileError::Unreadable(error) => return write!(f, "cannot be read: {error}"),
            FileError::NotPem => "not in PEM: a section is damaged or cut off; copy the file again",
            FileError::NoCertificate => "there is no certificate in it; a section BEGIN CERTIFICATE is needed",
            FileError::BadCertificate => "the first certificate in it cannot be used by a server",
            FileError::NoKey => "there is no private key in it; a section BEGIN PRIVATE KEY is needed",
            FileError::EncryptedKey => {
                "the key is behind a password, which nobody could type in; take it off (openssl pkey) and let only the \
                 relay's user read the file"
            }
            FileError::BadKey => "the key is of no kind that can be used; ECDSA (P-256, P-384), Ed25519 and RSA can",
        })
    }
}

impl error::Error for CertificateError {}
