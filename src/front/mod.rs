//! A front: one thread that accepts connections, speaks HTTP and hands WebSockets to the shards that own their channels.
//!
//! It runs on monoio and is the only part that does. Per connection there is one task (`connection`) that reads a
//! request, asks a shard (`exchange`), answers, and reads the next; per listener there is one that accepts ([`accept`]).
//! Nothing here waits for a channel's messages: that begins with the hand-off.

mod accept;
mod administration;
mod admission;
mod connection;
mod control;
mod entrance;
mod exchange;
mod guard;
mod lifecycle;
mod listing;
mod live;
mod refusal;
mod socket;
mod stream;

use std::cell::Cell;
use std::io;
use std::net::{Ipv6Addr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use crate::auth::Auth;
use crate::budget::Budget;
use crate::channel::SlowPolicy;
use crate::config::{AuthConfig, ServeConfig};
use crate::driver::Kind;
use crate::http::{HttpDate, Origins};
use crate::jwt::Verifier;
use crate::metrics::{self, Metrics};
use crate::pages;
use crate::peer::{AddressLimits, Addresses, TrustedProxies};
use crate::registry::Registry;
use crate::rest;
use crate::tls;
use live::Live;

pub use control::{Control, FrontHandle, ToFront, control};

/// What a front is told.
#[derive(Clone, Debug)]
pub struct FrontSettings {
    /// The port that channels show: where clients reach this relay.
    pub public_port: u16,
    /// Where clients reach this relay, without a slash at the end: `http://127.0.0.1:8080`.
    pub public_url: String,
    /// The page at `/readme`.
    pub readme: Arc<str>,
    /// The origins whose pages may read answers.
    pub cors: Origins,
    /// Whether a GET can create and delete channels, for clients that can do nothing else.
    pub browser_only: bool,
    /// What TLS is accepted with; `None` = connections are plain.
    pub tls: Option<tls::Acceptor>,
    /// From the connection to the end of the TLS handshake; over it: a silent close.
    pub handshake_timeout: Duration,
    /// Guards the API; `None` = it is open.
    pub auth: Option<Arc<Auth>>,
    /// Messages are compressed for clients that ask for it.
    pub deflate: bool,
    /// Checks JSON Web Tokens; `None` = there are none.
    pub jwt: Option<Arc<Verifier>>,
    /// What becomes of slow clients in channels that do not say.
    pub slow_consumers: SlowPolicy,
    /// Hexadecimal digits of a channel's token, 32 or more: each is 4 random bits.
    pub token_len: usize,
    /// Hexadecimal digits of each half of a generated id, 1 to [`rest::ID_HALF_LEN_MAX`].
    pub id_half_len: usize,
    /// Longest request target, in bytes; over it: 414.
    pub uri_len_max: usize,
    /// Longest request head, in bytes; over it: 431.
    pub head_len_max: usize,
    /// Longest request body, in bytes; over it: 413.
    pub body_len_max: usize,
    /// How long a connection may wait for a request, the first one too; over it: a silent close.
    pub idle_timeout: Duration,
    /// From the first byte of a request to the end of its head; over it: 408. The same for a PROXY header, from the
    /// connection's begin; over it: closed.
    pub head_timeout: Duration,
    /// From the end of a head to the end of its body; over it: 408.
    pub body_timeout: Duration,
    /// How long a shard may take to answer (over it: 503), and how long the client may take to receive an answer (over
    /// it: closed).
    pub answer_timeout: Duration,
    /// Most HTTP connections of this front at once; over it the one that has been idle longest is closed, or if all are being
    /// served: 503. Those handed to shards do not count.
    pub connections_max: usize,
    /// Connections of the relay, those handed to shards among them; over it: 503.
    pub connections: Budget,
    /// Most connections of this front at once that are told that they are refused; over it they are closed.
    pub refusals_max: usize,
    /// Channels of the relay; over it: 503.
    pub channels: Budget,
    /// What one address may; over it: 429.
    pub addresses: Addresses,
    /// Those whose word on a client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// Trusted proxies begin each connection with a PROXY header, and nobody else may connect.
    pub proxy_protocol: bool,
    /// Clients begin with a TLS handshake: who is refused when it comes is closed and not told.
    pub speaks_tls: bool,
    /// How long requests under way get to be answered when the front stops; over it: closed.
    pub stop_grace: Duration,
    /// What the relay counts.
    pub metrics: Arc<Metrics>,
}

impl FrontSettings {
    /// The settings of a relay that listens on `port`. All of its fronts take clones of them: what is counted is counted
    /// for the relay.
    pub fn new(
        config: &ServeConfig,
        port: u16,
        places: Places,
        tls: Option<tls::Acceptor>,
        jwt: Option<Arc<Verifier>>,
        metrics: Arc<Metrics>,
    ) -> FrontSettings {
        let public_port = config.public_port.unwrap_or(port);
        FrontSettings {
            public_port,
            public_url: public_url(config, public_port),
            readme: pages::render_guide(config.readme.as_deref().unwrap_or(pages::GUIDE)).into(),
            cors: config.cors_origins.clone(),
            browser_only: config.browser_only,
            tls,
            handshake_timeout: config.handshake_timeout(),
            auth: config.auth.as_ref().map(|auth| Arc::new(auth_of(auth))),
            deflate: config.deflate,
            jwt,
            slow_consumers: config.slow_consumers,
            token_len: config.token_length,
            id_half_len: config.id_length,
            uri_len_max: config.max_uri_size,
            head_len_max: config.max_head_size,
            body_len_max: config.max_body_size,
            idle_timeout: config.idle_timeout(),
            head_timeout: config.head_timeout(),
            body_timeout: config.head_timeout(),
            answer_timeout: ANSWER_TIMEOUT,
            connections_max: places.http_connections,
            connections: Budget::new(places.connections),
            refusals_max: places.refusals,
            channels: Budget::new(config.max_channels as usize),
            addresses: Addresses::new(address_limits(config)),
            trusted_proxies: TrustedProxies::new(&config.trusted_proxies),
            proxy_protocol: config.proxy_protocol,
            speaks_tls: config.ssl.is_some(),
            stop_grace: config.drain().min(Duration::from_secs(1)),
            metrics,
        }
    }
}

fn address_limits(config: &ServeConfig) -> AddressLimits {
    AddressLimits {
        connection_rate: config.connection_rate,
        request_rate: config.request_rate,
        connections_max: config.max_connections_per_address,
        channels_max: config.max_channels_per_address,
    }
}

/// Where clients reach the relay, without a slash at the end.
fn public_url(config: &ServeConfig, port: u16) -> String {
    let (scheme, usual_port) = if config.public_ssl { ("https", 443) } else { ("http", 80) };
    let host = match config.domain.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => config.domain.clone(),
    };
    if port == usual_port { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
}

fn auth_of(config: &AuthConfig) -> Auth {
    let token = config.token.as_ref().map(|token| token.reveal().to_owned());
    Auth::new(token, config.resources.clone())
}

/// A shard that takes longer is stuck, and so is a client that does not read its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Of the relay, at once; over it: 503.
    pub connections: usize,
    /// Of each front, at once: those that are no WebSocket, or not yet.
    pub http_connections: usize,
    /// Of each front, at once: those that are told that they are refused.
    pub refusals: usize,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    pub socket: TcpListener,
    /// Whoever passed it on keeps it too, and with it those who wait to be accepted.
    pub is_inherited: bool,
}

/// Accepts and serves connections on this thread with `driver`, once `on_start` was called, until the handle of `control` is
/// dropped; then closes `listeners`, lets requests under way be answered (see [`FrontSettings::stop_grace`]) and returns.
///
/// # Errors
/// The runtime cannot be made (open files; locked memory, if a listener is inherited), or a listener is no socket that it can
/// use.
pub fn run(
    listeners: Vec<Listener>,
    driver: Kind,
    registry: Registry,
    settings: FrontSettings,
    control: Control,
    on_start: impl FnOnce(),
) -> io::Result<()> {
    let metrics = settings.metrics.add_front();
    metrics.set_thread();
    let front = Rc::new(Front {
        live: Rc::new(Live::new(settings.connections_max)),
        registry,
        openapi: rest::document(&settings.public_url, settings.browser_only),
        metrics,
        settings,
        date: Cell::new((0, HttpDate::from_unix(0))),
    });
    let shares = listeners.iter().any(|listener| listener.is_inherited);
    let serving = lifecycle::serve(listeners, front, control, on_start);
    if driver == Kind::Uring {
        match RuntimeBuilder::<IoUringDriver>::new().enable_timer().build() {
            Ok(mut runtime) => return runtime.block_on(serving),
            // Shards come first, and have taken it; a front can do without. But io_uring waits on blocking sockets and epoll
            // on others, so fronts that share an inherited one have to use the same.
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory && !shares => tracing::warn!(
                "a front uses epoll: too little memory may be locked for io_uring (LimitMEMLOCK of systemd, ulimit -l)"
            ),
            Err(error) => return Err(error),
        }
    }
    RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?.block_on(serving)
}

/// What all tasks of a front share.
#[derive(Debug)]
struct Front {
    settings: FrontSettings,
    /// The OpenAPI document, as JSON.
    openapi: String,
    registry: Registry,
    live: Rc<Live>,
    /// What this front counts.
    metrics: Arc<metrics::Front>,
    /// The date of the last answer and the second it stands for: most answers come in the same second as another.
    date: Cell<(u64, HttpDate)>,
}

impl Front {
    fn date(&self) -> HttpDate {
        let second = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        if self.date.get().0 != second {
            self.date.set((second, HttpDate::from_unix(second)));
        }
        self.date.get().1
    }
}
