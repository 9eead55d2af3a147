//! The sockets that the fronts accept on: our own, or those that a service manager has passed on.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ServeConfig;
use crate::front::Listener;

/// What each front accepts on.
pub(super) struct Listeners {
    /// Of the first.
    pub(super) address: SocketAddr,
    pub(super) by_front: Vec<Vec<Listener>>,
}

impl Listeners {
    /// Those that were inherited, or else new ones on the address that the settings name.
    ///
    /// # Errors
    /// That address cannot be listened on, or there are no files left.
    pub(super) fn of(config: &ServeConfig, inherited: Vec<TcpListener>) -> io::Result<Listeners> {
        if inherited.is_empty() { Listeners::bind(config) } else { Listeners::share(config, &inherited) }
    }

    /// All listen on the same address, and the kernel spreads the connections.
    fn bind(config: &ServeConfig) -> io::Result<Listeners> {
        let asked = SocketAddr::new(config.host, config.port);
        // Our own fronts share the port, so another relay could share it too, and each would deny the other's channels.
        drop(listen(asked, false)?);
        let first = listen(asked, true)?;
        // Port 0 lets the system choose; the other listeners take the same.
        let address = first.local_addr()?;
        let own = |socket| vec![Listener { socket, is_inherited: false }];
        let mut by_front = vec![own(first)];
        while by_front.len() < config.shard_count() {
            by_front.push(own(listen(address, true)?));
        }
        Ok(Listeners { address, by_front })
    }

    /// All fronts wait on the same sockets, and the kernel wakes one of those that do.
    fn share(config: &ServeConfig, inherited: &[TcpListener]) -> io::Result<Listeners> {
        let addresses: Vec<String> =
            inherited.iter().map(|socket| socket.local_addr().map(|at| at.to_string())).collect::<io::Result<_>>()?;
        tracing::info!(
            addresses = addresses.join(" "),
            "the service manager listens; host {} and port {} are not used",
            config.host,
            config.port
        );
        let share = || inherited.iter().map(|socket| Ok(Listener { socket: socket.try_clone()?, is_inherited: true }));
        let by_front = (0..config.shard_count()).map(|_| share().collect()).collect::<io::Result<_>>()?;
        Ok(Listeners { address: inherited[0].local_addr()?, by_front })
    }
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

/// Connections that may wait to be accepted, if the system's limit (`net.core.somaxconn`) allows as many.
pub(crate) const BACKLOG: i32 = 4096;
