//! Starts the shards and the fronts, and ends them on a signal.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use futures_channel::oneshot;
use rustix::thread::CpuSet;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ServeConfig;
use crate::front::{self, FrontSettings};
use crate::handoff::{Mailbox, ShardHandle, ToShard};
use crate::registry::Registry;
use crate::relay::Limits;
use crate::shard::Shard;

/// Runs the relay until SIGTERM or SIGINT, and says on standard output where it listens once it does.
///
/// # Errors
/// The address cannot be listened on, or the kernel gives no ring.
pub fn run(config: &ServeConfig) -> io::Result<()> {
    small_pages();
    // Before the first connection: from now on these signals mean a shutdown in order.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let cores = allowed_cores();
    let shards = start_shards(config, &cores)?;
    let registry = Registry::new(shards.iter().map(|shard| shard.handle.clone()).collect());
    let fronts = start_fronts(config, &cores, &registry)?;

    println!("ringrelay listens on http://{}", fronts.address);
    tracing::info!(shards = shards.len(), address = %fronts.address, "started");

    let signal = signals.forever().next();
    tracing::info!(?signal, "closing all connections");
    // A second signal ends the process at once.
    thread::spawn(move || {
        signals.forever().next();
        std::process::exit(1);
    });
    fronts.stop();
    for shard in &shards {
        shard.handle.send(ToShard::Shutdown { grace: config.drain() });
    }
    for shard in shards {
        join(shard.thread);
    }
    Ok(())
}

/// Has memory counted by the page. In pages of 2 MiB an idle connection holds 1 900 to 2 300 bytes instead of 700, since
/// what its neighbours gave back cannot go; throughput was the same (0.97 to 1.07, by payload).
fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "huge pages could not be turned off: idle connections will take more memory");
    }
}

struct RunningShard {
    handle: ShardHandle,
    thread: JoinHandle<()>,
}

fn start_shards(config: &ServeConfig, cores: &[usize]) -> io::Result<Vec<RunningShard>> {
    let limits = Limits { message_len_max: config.max_message_size, lag_max: config.max_lag };
    (0..config.shard_count()).map(|index| start_shard(index, limits, core_of(index, cores))).collect()
}

fn start_shard(index: usize, limits: Limits, core: Option<usize>) -> io::Result<RunningShard> {
    let (handle, mailbox) = Mailbox::new()?;
    let own_handle = handle.clone();
    let (started, start) = mpsc::channel();
    let thread = thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
        pin(core);
        match Shard::new(index as u16, limits, mailbox, own_handle) {
            Ok(shard) => {
                let _ = started.send(Ok(()));
                shard.run();
            }
            Err(error) => {
                let _ =
                    started.send(Err(io::Error::new(error.kind(), format!("no io_uring for shard {index}: {error}"))));
            }
        }
    })?;
    start.recv().expect("a shard says whether it starts")?;
    Ok(RunningShard { handle, thread })
}

struct RunningFronts {
    address: SocketAddr,
    stops: Vec<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl RunningFronts {
    /// Ends all fronts; connections that are still with them end too.
    fn stop(self) {
        drop(self.stops);
        self.threads.into_iter().for_each(join);
    }
}

/// One front beside each shard. All listen on the same address, and the kernel spreads the connections.
fn start_fronts(config: &ServeConfig, cores: &[usize], registry: &Registry) -> io::Result<RunningFronts> {
    let asked = SocketAddr::new(config.host, config.port);
    let first = listen(asked)?;
    // Port 0 lets the system choose; the other listeners take the same.
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < config.shard_count() {
        listeners.push(listen(address)?);
    }
    let settings = FrontSettings::new(config, address.port());
    let mut fronts = RunningFronts { address, stops: Vec::new(), threads: Vec::new() };
    for (index, listener) in listeners.into_iter().enumerate() {
        let (stop, stopped) = oneshot::channel();
        let (registry, settings, core) = (registry.clone(), settings.clone(), core_of(index, cores));
        let thread = thread::Builder::new().name(format!("front-{index}")).spawn(move || {
            pin(core);
            yield_to_shards();
            if let Err(error) = front::run(listener, registry, settings, stopped) {
                tracing::error!(%error, "front {index} ended");
            }
        })?;
        fronts.stops.push(stop);
        fronts.threads.push(thread);
    }
    Ok(fronts)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let says_where = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
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
