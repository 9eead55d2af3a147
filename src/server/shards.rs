//! The threads of the shards, and what drives them.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::config::{self, ServeConfig};
use crate::driver::{Driver, Kind};
use crate::epoll::Epoll;
use crate::handoff::{Mailbox, ShardHandle, ToShard};
use crate::metrics::{self, Metrics};
use crate::ring::{self, Refusal, Ring};
use crate::shard::{KernelTls, Shard};

use super::{StartError, join, scheduling};

pub(super) struct RunningShard {
    pub handle: ShardHandle,
    pub thread: JoinHandle<()>,
}

/// Starts all shards, with the driver that was asked for; or with the better one that there is. Every shard holds an `alive`
/// as long as it runs.
///
/// # Errors
/// The kernel gives no threads, no files, or not the driver that was asked for.
pub(super) fn start(
    config: &ServeConfig,
    kernel_tls: KernelTls,
    cores: &[usize],
    metrics: &Metrics,
    alive: &Sender<Infallible>,
) -> Result<(Kind, Vec<RunningShard>), StartError> {
    let all = Shards { config, kernel_tls, cores, alive };
    let parts: Vec<_> = (0..config.shard_count()).map(|_| metrics.add_shard()).collect();
    let on_epoll = || Ok((Kind::Epoll, all.start::<Epoll>(&parts)?));
    // With a small one for a try, nothing has to be taken back in most cases.
    let on_uring = || {
        ring::probe()?;
        let shards = all.start::<Ring>(&parts).map_err(Refusal::of)?;
        Ok((Kind::Uring, shards))
    };
    match config.driver {
        config::Driver::Epoll => on_epoll(),
        config::Driver::Auto | config::Driver::Uring => match on_uring() {
            Ok(shards) => Ok(shards),
            // It is no matter of io_uring: files, or threads.
            Err(Refusal::Other(error)) => Err(error.into()),
            Err(refusal) if config.driver == config::Driver::Uring => Err(StartError::Driver(refusal)),
            Err(refusal) => {
                tracing::warn!("io_uring is refused here ({refusal}): shards use epoll; `ringrelay doctor` explains");
                on_epoll()
            }
        },
    }
}

/// What shards are started with, whatever drives them.
struct Shards<'a> {
    config: &'a ServeConfig,
    kernel_tls: KernelTls,
    cores: &'a [usize],
    alive: &'a Sender<Infallible>,
}

impl Shards<'_> {
    /// One shard for each part of the metrics, or none.
    fn start<D: Driver + 'static>(&self, metrics: &[Arc<metrics::Shard>]) -> io::Result<Vec<RunningShard>> {
        let mut shards = Vec::new();
        for (index, part) in metrics.iter().enumerate() {
            match self.start_one::<D>(index, part.clone()) {
                Ok(shard) => shards.push(shard),
                Err(error) => {
                    for shard in shards {
                        shard.handle.send(ToShard::Shutdown { spread: Duration::ZERO });
                        join(shard.thread);
                    }
                    return Err(error);
                }
            }
        }
        Ok(shards)
    }

    fn start_one<D: Driver + 'static>(&self, index: usize, metrics: Arc<metrics::Shard>) -> io::Result<RunningShard> {
        let (handle, mailbox) = Mailbox::new()?;
        let (own_handle, config, alive) = (handle.clone(), self.config.clone(), self.alive.clone());
        let (kernel_tls, core) = (self.kernel_tls, scheduling::core_of(index, self.cores));
        let (started, start) = mpsc::channel();
        let thread = thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            scheduling::pin(core);
            scheduling::run_soon();
            match Shard::<D>::new(index as u16, &config, kernel_tls, mailbox, own_handle, metrics) {
                Ok(shard) => {
                    let _ = started.send(Ok(()));
                    shard.run();
                    drop(alive);
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        start.recv().expect("a shard says whether it starts")?;
        Ok(RunningShard { handle, thread })
    }
}
