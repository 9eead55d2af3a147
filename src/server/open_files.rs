//! The limit of open files, and what it is shared out for.
//!
//! Connections that took the last file would leave the relay deaf: who comes then is told nothing, nobody can ask how it is, and
//! no certificate can be read anew. So there are fewer of them than files.

use std::{error, fmt};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::ServeConfig;
use crate::front::Places;

/// Takes as many open files as the system lets this process have; returns how many that are.
pub(super) fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, limit = limit.current, "the limit of open files could not be raised");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}

/// The connections that so many open files are enough for. `inherited` = the sockets that a service manager has passed on.
///
/// # Errors
/// They are not enough for the relay's own files and one client.
pub(super) fn share_out(limit: u64, shards: usize, inherited: usize) -> Result<Places, TooFewFiles> {
    // Own listeners are one for each front; inherited ones are copied for all of them.
    let (shards, listeners) = (shards as u64, inherited.max(1) as u64);
    let own = FILES + listeners + shards * (FILES_PER_SHARD + listeners);
    let needed = own + shards * REFUSALS_MIN + 1;
    let Some(spare) = limit.checked_sub(needed) else { return Err(TooFewFiles { limit, needed, shards }) };
    let refusals = (limit / shards / REFUSALS_SHARE).clamp(REFUSALS_MIN, REFUSALS_MAX);
    let refusals = refusals.min(REFUSALS_MIN + spare / shards);
    let connections = as_count(limit - own - shards * refusals);
    Ok(Places { connections, http_connections: connections, refusals: as_count(refusals) })
}

/// The same with no more connections than the settings say.
pub(super) fn bounded(places: Places, config: &ServeConfig) -> Places {
    let connections = match config.max_connections {
        Some(wanted) if as_count(wanted) > places.connections => {
            tracing::warn!(
                wanted,
                max_connections = places.connections,
                "the limit of open files leaves less room than max-connections asks for (LimitNOFILE of systemd, ulimit -n)"
            );
            places.connections
        }
        Some(wanted) => as_count(wanted),
        None => places.connections,
    };
    let shards = config.shard_count();
    let http_connections = match config.max_http_connections {
        Some(wanted) => as_count(wanted).div_ceil(shards).min(connections),
        // Who has a request must not be kept out by who has none, nor take the place of every WebSocket.
        None => (connections / 2 / shards).clamp(1, HTTP_CONNECTIONS_MAX),
    };
    Places { connections, http_connections, ..places }
}

fn as_count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// There are not enough open files for one client.
#[derive(Debug)]
pub struct TooFewFiles {
    limit: u64,
    needed: u64,
    shards: u64,
}

impl fmt::Display for TooFewFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooFewFiles { limit, needed, shards } = self;
        write!(
            f,
            "{limit} files may be open, and shards: {shards} needs {needed} with one client; raise the limit (LimitNOFILE of \
             systemd, ulimit -n), or take fewer shards"
        )
    }
}

impl error::Error for TooFewFiles {}

/// Most connections of a front that are no WebSocket, where no setting says so. With the longest head and body each they are
/// 1.3 GB.
const HTTP_CONNECTIONS_MAX: usize = 16_384;

/// Of the whole process: standard streams, the pipes of signals, the manager's socket; certificate and keys while they are read
/// anew, what the kernel tells `/metrics`, and what a parent has left open.
const FILES: u64 = 24;

/// Of a shard an eventfd and its ring or epoll, of its front the same; the others for sockets whose connection has ended and
/// that are about to be closed.
const FILES_PER_SHARD: u64 = 8;

/// The part of all files that is for those who are told that they are refused.
const REFUSALS_SHARE: u64 = 64;

/// How many of them a front tells at once: some with few files, and with many no more than cost little.
const REFUSALS_MIN: u64 = 2;
const REFUSALS_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn shared(limit: u64, shards: usize, inherited: usize) -> Option<(usize, usize)> {
        share_out(limit, shards, inherited).ok().map(|places| (places.connections, places.refusals))
    }

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(shared(1 << 20, 2, 0), Some((1_048_576 - 25 - 18 - 512, 256)));
        assert_eq!(shared(20_000, 2, 0), Some((20_000 - 25 - 18 - 312, 156)));
        assert_eq!(shared(1024, 2, 0), Some((1024 - 25 - 18 - 16, 8)));
        assert_eq!(shared(1024, 2, 3), Some((1024 - 27 - 22 - 16, 8)), "each front has a copy of each listener");
    }

    #[test]
    fn one_client_is_the_least_and_nothing_is_given_twice() {
        for shards in [1, 2, 16, 1024] {
            for inherited in [0, 1, 100] {
                let least =
                    (0..1 << 20).find(|limit| shared(*limit, shards, inherited).is_some()).expect("enough at last");
                assert_eq!(shared(least, shards, inherited), Some((1, 2)), "{shards} shards, {inherited} listeners");
                assert_eq!(share_out(least - 1, shards, inherited).unwrap_err().needed, least);
                for limit in (least..least + 20_000).step_by(7) {
                    let (connections, refusals) = shared(limit, shards, inherited).expect("more than enough");
                    assert!(connections >= 1 && (2..=256).contains(&refusals));
                    assert!((connections + shards * refusals) as u64 <= limit - 24);
                }
            }
        }
        assert!(shared(u64::MAX, 1, 0).is_some());
    }

    #[test]
    fn settings_may_only_ask_for_less() {
        let places = Places { connections: 100, http_connections: 100, refusals: 2 };
        let with = |max_connections, max_http_connections| {
            let config = ServeConfig {
                shards: NonZeroUsize::new(2),
                max_connections,
                max_http_connections,
                ..ServeConfig::default()
            };
            let Places { connections, http_connections, refusals } = bounded(places, &config);
            assert_eq!(refusals, 2);
            (connections, http_connections)
        };
        assert_eq!(with(None, None), (100, 25), "half of them, shared by two fronts");
        assert_eq!(with(Some(7), None), (7, 1));
        assert_eq!(with(Some(1 << 32), None), (100, 25));
        assert_eq!(with(None, Some(9)), (100, 5));
        assert_eq!(with(Some(3), Some(1000)), (3, 3));
        let many = Places { connections: 1 << 20, http_connections: 1 << 20, refusals: 2 };
        let config = ServeConfig { shards: NonZeroUsize::new(2), ..ServeConfig::default() };
        assert_eq!(bounded(many, &config).http_connections, HTTP_CONNECTIONS_MAX);
    }

    #[test]
    fn too_few_files_are_told_with_what_is_needed() {
        let said = share_out(30, 4, 0).unwrap_err().to_string();
        assert!(said.starts_with("30 files may be open, and shards: 4 needs 70 with one client"), "{said}");
    }
}
