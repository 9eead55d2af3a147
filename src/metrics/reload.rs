//! Files that are read anew while the relay runs, on SIGHUP.

use std::sync::atomic::{AtomicU64, Ordering};

use super::label::label_values;

label_values! {
    /// What was read anew.
    Reload {
        Certificate = "certificate",
        JwtKeys = "jwt_keys",
    }
}

/// How often it went well and how often the old was kept, and when the certificate ends. Seldom written, so by anyone.
#[derive(Debug, Default)]
pub struct Reloads {
    succeeded: [AtomicU64; Reload::ALL.len()],
    failed: [AtomicU64; Reload::ALL.len()],
    /// Seconds since 1970; 0 = there is no certificate, or none that says it.
    certificate_not_after: AtomicU64,
}

impl Reloads {
    pub fn succeeded(&self, what: Reload) {
        self.succeeded[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The old one stays in use.
    pub fn failed(&self, what: Reload) {
        self.failed[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// When the certificate in use ends, in seconds since 1970; 0 = it does not say.
    pub fn set_certificate_not_after(&self, seconds: u64) {
        self.certificate_not_after.store(seconds, Ordering::Relaxed);
    }

    /// How many went well, and how many did not.
    pub(super) fn of(&self, what: Reload) -> (u64, u64) {
        let count = |counts: &[AtomicU64]| counts[what as usize].load(Ordering::Relaxed);
        (count(&self.succeeded), count(&self.failed))
    }

    pub(super) fn certificate_not_after(&self) -> Option<u64> {
        Some(self.certificate_not_after.load(Ordering::Relaxed)).filter(|seconds| *seconds > 0)
    }
}
