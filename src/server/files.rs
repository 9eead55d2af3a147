//! The files that the relay reads at its start, and anew on SIGHUP: the certificate, and the keys of JSON Web Tokens.

use std::error::Error;
use std::sync::Arc;

use crate::config::ServeConfig;
use crate::jwt::Verifier;
use crate::metrics::{Metrics, Reload};
use crate::tls::Acceptor;

/// What came of the files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// `None` = no TLS.
    pub(super) tls: Option<Acceptor>,
    /// `None` = JSON Web Tokens are not taken.
    pub(super) jwt: Option<Arc<Verifier>>,
}

impl Files {
    /// # Errors
    /// A file that a setting names cannot be used; the error says which, and why.
    pub(super) fn load(config: &ServeConfig) -> Result<Files, Box<dyn Error + Send + Sync>> {
        let tls = config.ssl.as_ref().map(|ssl| Acceptor::load(&ssl.cert_path, &ssl.key_path)).transpose()?;
        let jwt = config.jwt.as_ref().map(Verifier::load).transpose()?.map(Arc::new);
        let files = Files { tls, jwt };
        files.warn_of_exposed_key();
        Ok(files)
    }

    /// Has `metrics` tell when the certificate ends.
    pub(super) fn note_certificate(&self, metrics: &Metrics) {
        if let Some(tls) = &self.tls {
            metrics.reloads().set_certificate_not_after(tls.not_after().unwrap_or(0));
        }
    }

    /// Whether there is anything to read anew.
    pub(super) fn are_there(&self) -> bool {
        self.tls.is_some() || self.jwt.is_some()
    }

    /// Reads them anew. New connections get what they hold now, and those that there are stay as they are; what cannot be
    /// used leaves the old in use.
    pub(super) fn reload(&self, metrics: &Metrics) {
        if let Some(tls) = &self.tls {
            note(tls.reload(), Reload::Certificate, "the certificate", metrics);
            self.note_certificate(metrics);
            self.warn_of_exposed_key();
        }
        if let Some(jwt) = &self.jwt {
            note(jwt.reload(), Reload::JwtKeys, "the keys of JSON Web Tokens", metrics);
        }
    }

    fn warn_of_exposed_key(&self) {
        if self.tls.as_ref().is_some_and(Acceptor::key_is_exposed) {
            tracing::warn!("ssl-key-path: others than its owner may read the key; take that away (chmod 600)");
        }
    }
}

fn note(outcome: Result<(), impl std::fmt::Display>, what: Reload, name: &str, metrics: &Metrics) {
    match outcome {
        Ok(()) => {
            tracing::info!("read anew: {name}");
            metrics.reloads().succeeded(what);
        }
        Err(error) => {
            tracing::error!("{name} cannot be read anew, and what was read before stays in use: {error}");
            metrics.reloads().failed(what);
        }
    }
}
