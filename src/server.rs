//! Starts the shards and the fronts, and ends them on a signal.

mod files;
mod shards;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::{error, fmt};

use futures_channel::oneshot;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::CpuSet;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ServeConfig;
use crate::driver::Kind;
use crate::front::{self, FrontSettings};
use crate::handoff::ToShard;
use crate::metrics::Metrics;
use crate::registry::Registry;

use files::Files;

/// Runs the relay until SIGTERM or SIGINT, and says on standard output where it listens once it does.
///
/// # Errors
/// A file that a setting names cannot be used, the address cannot be listened on, or the kernel does not give what
/// shards need.
pub fn run(config: &ServeConfig) -> Result<(), StartError> {
    small_pages();
    raise_open_files();
    let files = Files::load(config).map_err(StartError::File)?;
    // Before the first connection: from now on these signals mean a shutdown in order.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    // Without files it ends the relay, as a closed terminal does.
    if files.are_there() {
        signals.add_signal(SIGHUP)?;
    }
    let cores = allowed_cores();
    let metrics = Arc::new(Metrics::new());
    files.note_certificate(&metrics);
    let (driver, shards) = shards::start(config, &cores, &metrics)?;
    let registry = Registry::new(shards.iter().map(|shard| shard.handle.clone()).collect());
    let fronts = start_fronts(config, &cores, driver, &registry, &files, metrics.clone())?;

    let scheme = if files.tls.is_some() { "https" } else { "http" };
    println!("ringrelay listens on {scheme}://{}", fronts.address);
    tracing::info!(shards = shards.len(), driver = driver.name(), address = %fronts.address, "started");

    let mut signal = signals.forever().next();
    while signal == Some(SIGHUP) {
        files.reload(&metrics);
        signal = signals.forever().next();
    }
    tracing::info!(?signal, "closing all connections");
    // A second signal ends the process at once.
    thread::spawn(move || {
        signals.forever().find(|signal| *signal != SIGHUP);
        std::process::exit(1);
    });
    let fronts = fronts.stop();
    for shard in &shards {
        shard.handle.send(ToShard::Shutdown { grace: config.drain() });
    }
    shards.into_iter().map(|shard| shard.thread).chain(fronts).for_each(join);
    Ok(())
}

/// Why the relay does not start.
#[derive(Debug)]
pub enum StartError {
    /// A certificate, or a file of keys: the setting is wrong.
    File(Box<dyn error::Error + Send + Sync>),
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

/// Takes as many open files as the system lets this process have: each client is one.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files could not be raised");
    }
}

struct RunningFronts {
    address: SocketAddr,
    /// Set before the fronts are told to end: one that ends earlier has failed.
    stopping: Arc<AtomicBool>,
    stops: Vec<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl RunningFronts {
    /// Has all fronts end, and the connections that are still with them. They are to be joined.
    fn stop(self) -> Vec<JoinHandle<()>> {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.stops);
        self.threads
    }
}

/// One front beside each shard. All listen on the same address, and the kernel spreads the connections.
fn start_fronts(
    config: &ServeConfig,
    cores: &[usize],
    driver: Kind,
    registry: &Registry,
    files: &Files,
    metrics: Arc<Metrics>,
) -> io::Result<RunningFronts> {
    let asked = SocketAddr::new(config.host, config.port);
    // Our own fronts share the port, so another relay could share it too, and each would deny the other's channels.
    drop(listen(asked, false)?);
    let first = listen(asked, true)?;
    // Port 0 lets the system choose; the other listeners take the same.
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < config.shard_count() {
        listeners.push(listen(address, true)?);
    }
    let settings = FrontSettings::new(config, address.port(), files.tls.clone(), files.jwt.clone(), metrics);
    let stopping = Arc::new(AtomicBool::new(false));
    let mut fronts = RunningFronts { address, stopping, stops: Vec::new(), threads: Vec::new() };
    for (index, listener) in listeners.into_iter().enumerate() {
        let (stop, stopped) = oneshot::channel();
        let (started, start) = mpsc::channel();
        let (registry, settings, core) = (registry.clone(), settings.clone(), core_of(index, cores));
        let stopping = fronts.stopping.clone();
        let thread = thread::Builder::new().name(format!("front-{index}")).spawn(move || {
            pin(core);
            yield_to_shards();
            let on_start = || drop(started.send(Ok(())));
            let ended = front::run(listener, driver, registry, settings, stopped, on_start);
            if let Err(error) = ended {
                let error = io::Error::new(error.kind(), format!("front {index}: {error}"));
                // Nobody listens for this once it has started.
                if started.send(Err(error)).is_err() && !stopping.load(Ordering::Relaxed) {
                    tracing::error!("front {index} has failed: the relay would be deaf in part");
                    std::process::exit(1);
                }
            }
        })?;
        start.recv().expect("a front says whether it starts")?;
        fronts.stops.push(stop);
        fronts.threads.push(thread);
    }
    Ok(fronts)
}

/// Listens on `address`, together with others that say so, or alone.
fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let says_where = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into()).map_err(says_where)?;
    socket.listen(BACKLOG).map_err(says_where)?;
    Ok(socket.into())
}

/// The cores that this process may run on, ascending.
fn allowed_cores() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// The core of a shard and of the front beside it; with more shards than cores they share.
fn core_of(index: usize, cores: &[usize]) -> Option<usize> {
    (!cores.is_empty()).then(|| cores[index % cores.len()])
}

/// Keeps the calling thread on one core, where its caches are. Where that is not allowed it runs anywhere.
fn pin(core: Option<usize>) {
    let Some(core) = core else { return };
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        tracing::warn!(core, %error, "a thread could not be pinned");
    }
}

/// Lowers the calling thread's priority: a storm of handshakes must not slow live traffic.
fn yield_to_shards() {
    // On Linux the niceness belongs to the thread.
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), FRONT_NICENESS) {
        tracing::warn!(%error, "a front could not lower its priority");
    }
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread panicked");
        std::process::exit(101);
    }
}

/// Connections that may wait to be accepted, if the system's limit (`net.core.somaxconn`) allows as many.
const BACKLOG: i32 = 4096;

/// A third of the weight of a shard.
const FRONT_NICENESS: i32 = 5;
