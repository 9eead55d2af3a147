//! Starts the shards and the fronts, and ends them on a signal.

mod attendance;
mod ending;
mod files;
mod listeners;
mod open_files;
mod rounds;
mod scheduling;
mod shards;
mod signals;
mod slice;

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::{error, fmt};

use crossbeam_channel::{Receiver, bounded};

use crate::config::{Ktls, ServeConfig};
use crate::driver::Kind;
use crate::front::{self, FrontHandle, FrontSettings};
use crate::handoff::ShardHandle;
use crate::log::{self, RefusalLog};
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::ring::Refusal;
use crate::service::{self, InheritError, Manager};
use crate::shard::{KernelTls, KernelTlsMissing};

use ending::Ending;
use files::Files;
use listeners::Listeners;
use open_files::TooFewFiles;
use rounds::{Rounds, Working};

#[cfg(test)]
pub(crate) use listeners::BACKLOG;

/// Runs the relay until SIGTERM or SIGINT, and says on standard output where it listens once it does. Whoever runs it as a
/// service is told too. `level` is that of the log, which signals change from then on.
///
/// # Errors
/// A file that a setting names cannot be used, the kernel has no TLS or no io_uring although it was asked for, too few files may
/// be open, the address cannot be listened on, or the kernel does not give what shards need.
pub fn run(config: &ServeConfig, level: log::Level) -> Result<(), StartError> {
    // While this is the only thread.
    let inherited = service::inherited_listeners().map_err(StartError::Inherited)?;
    let places = open_files::share_out(open_files::raise_limit(), config.shard_count(), inherited.len());
    let places = open_files::bounded(places.map_err(StartError::OpenFiles)?, config);
    let manager = Manager::of_environment()?;
    level.watch_signals()?;
    small_pages();
    let files = Files::load(config).map_err(StartError::File)?;
    // Before the first connection: from now on these signals mean a shutdown in order.
    let signals = signals::signals(files.are_there() || manager.is_there())?;
    let cores = scheduling::allowed_cores();
    let metrics = Arc::new(Metrics::new());
    files.note_certificate(&metrics);
    let kernel_tls = if files.tls.is_some() { config.ktls } else { Ktls::Off };
    let kernel_tls = KernelTls::settle(kernel_tls).map_err(StartError::KernelTls)?;
    let (alive, gone) = bounded(0);
    let (driver, shards) = shards::start(config, kernel_tls, &cores, &metrics, &alive)?;
    drop(alive);
    let registry = Registry::new(shards.iter().map(|shard| shard.handle.clone()).collect());
    let listeners = Listeners::of(config, inherited)?;
    let url = format!("{}://{}", if files.tls.is_some() { "https" } else { "http" }, listeners.address);
    let (tls, jwt) = (files.tls.clone(), files.jwt.clone());
    let settings = FrontSettings::new(config, listeners.address.port(), places, tls, jwt, metrics.clone());
    let fronts = start_fronts(listeners, settings, &cores, driver, &registry)?;

    log::announce(&format!("ringrelay listens on {url}"));
    tracing::info!(
        shards = shards.len(),
        driver = driver.name(),
        max_connections = places.connections,
        %url,
        "started"
    );

    let refusals = RefusalLog::start(metrics.clone())?;
    let handles: Vec<ShardHandle> = shards.iter().map(|shard| shard.handle.clone()).collect();
    let working = Working { shards: &handles, fronts: &fronts.handles, url: &url };
    let rounds = Rounds::new(&manager, &metrics, &signals, Some(working));
    let signal = attendance::attend(rounds, &files, &gone);
    tracing::info!(?signal, "closing all connections");
    let mut ending = Ending::new(Rounds::new(&manager, &metrics, &signals, None), config.drain());
    ending.drain(shards, &gone, &fronts.handles);
    ending.stop(fronts);
    drop(refusals);
    tracing::info!("ended");
    Ok(())
}

/// Why the relay does not start.
#[derive(Debug)]
pub enum StartError {
    /// A certificate, or a file of keys: the setting is wrong.
    File(Box<dyn error::Error + Send + Sync>),
    /// A kernel with TLS is asked for, and this one is none.
    KernelTls(KernelTlsMissing),
    /// io_uring is asked for, and refused.
    Driver(Refusal),
    /// The limit of open files leaves no room for a client.
    OpenFiles(TooFewFiles),
    /// The socket unit is wrong.
    Inherited(InheritError),
    /// The system does not give what is needed.
    System(io::Error),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> StartError {
        StartError::System(error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::File(error) => error.fmt(f),
            StartError::KernelTls(error) => error.fmt(f),
            StartError::Driver(refusal) => write!(f, "driver is uring, and io_uring is refused here ({refusal})"),
            StartError::OpenFiles(error) => error.fmt(f),
            StartError::Inherited(error) => error.fmt(f),
            StartError::System(error) => error.fmt(f),
        }
    }
}

impl error::Error for StartError {}

/// Has memory counted by the page. In pages of 2 MiB an idle connection holds 1 900 to 2 300 bytes instead of 700, since
/// what its neighbours gave back cannot go; throughput was the same (0.96 to 1.07, by case).
fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "huge pages could not be turned off: idle connections will take more memory");
    }
}

struct RunningFronts {
    /// Set before the fronts are told to end: one that ends earlier has failed.
    stopping: Arc<AtomicBool>,
    handles: Vec<FrontHandle>,
    threads: Vec<JoinHandle<()>>,
    /// Tells when all have ended.
    gone: Receiver<Infallible>,
}

impl RunningFronts {
    /// Has all fronts end, and the connections that are still with them. They are to be joined when they have.
    fn stop(self) -> (Vec<JoinHandle<()>>, Receiver<Infallible>) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.handles);
        (self.threads, self.gone)
    }
}

/// One front beside each shard.
fn start_fronts(
    listeners: Listeners,
    settings: FrontSettings,
    cores: &[usize],
    driver: Kind,
    registry: &Registry,
) -> io::Result<RunningFronts> {
    let stopping = Arc::new(AtomicBool::new(false));
    let (alive, gone) = bounded(0);
    let mut fronts = RunningFronts { stopping, handles: Vec::new(), threads: Vec::new(), gone };
    for (index, listeners) in listeners.by_front.into_iter().enumerate() {
        let (handle, control) = front::control();
        let (started, start) = mpsc::channel();
        let (registry, settings, core) = (registry.clone(), settings.clone(), scheduling::core_of(index, cores));
        let (stopping, alive) = (fronts.stopping.clone(), alive.clone());
        let thread = thread::Builder::new().name(format!("front-{index}")).spawn(move || {
            scheduling::pin(core);
            scheduling::yield_to_shards();
            let on_start = || drop(started.send(Ok(())));
            let ended = front::run(listeners, driver, registry, settings, control, on_start);
            if let Err(error) = ended {
                let error = io::Error::new(error.kind(), format!("front {index}: {error}"));
                // Nobody listens for this once it has started.
                if started.send(Err(error)).is_err() && !stopping.load(Ordering::Relaxed) {
                    tracing::error!("front {index} has failed: the relay would be deaf in part");
                    std::process::exit(FAILED);
                }
            }
            drop(alive);
        })?;
        start.recv().expect("a front says whether it starts")?;
        fronts.handles.push(handle);
        fronts.threads.push(thread);
    }
    Ok(fronts)
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread panicked");
        std::process::exit(101);
    }
}

/// The exit status of a relay that cannot go on, or does not end in time.
const FAILED: i32 = 1;
