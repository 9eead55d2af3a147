//! The task that accepts.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_channel::oneshot;
use monoio::io::Canceller;
use monoio::net::{TcpListener, TcpStream};
use rustix::io::Errno;

use super::Front;
use super::connection::Connection;
use super::entrance::{Denial, Visitor};
use super::stream::Stream;
use crate::metrics::{Refusal, Transport};

/// Accepts until `stop`, then sees the connections off.
pub(super) async fn serve(
    listener: std::net::TcpListener,
    front: Rc<Front>,
    mut stop: oneshot::Receiver<()>,
    on_start: impl FnOnce(),
) -> io::Result<()> {
    // The ring waits for a connection itself, and would not on a non-blocking socket; the epoll driver needs one.
    listener.set_nonblocking(monoio::utils::is_legacy())?;
    let listener = TcpListener::from_std(listener)?;
    on_start();
    let refusals = Rc::new(Cell::new(0));
    let mut is_out_of_files = false;
    loop {
        match next(&listener, &mut stop).await {
            Accepted::Stream(stream, peer) => {
                is_out_of_files = false;
                admit(stream, peer, &front, &refusals);
            }
            Accepted::Failed(error) => match Errno::from_io_error(&error) {
                // The connection was gone before it was accepted (accept(2): these concern it alone).
                Some(Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::PERM | Errno::TIMEDOUT) => {}
                _ => {
                    // Files, memory, or something unforeseen: the connection stays in the backlog, so that trying again
                    // at once would spin.
                    if !is_out_of_files {
                        tracing::warn!(%error, "cannot accept connections; raise the open-files limit (ulimit -n)");
                        is_out_of_files = true;
                    }
                    front.metrics.accept_paused();
                    monoio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Accepted::Stopped => break,
        }
    }
    drop(listener);

    front.live.drain();
    if monoio::time::timeout(front.settings.stop_grace, front.live.emptied()).await.is_err() {
        front.live.cut();
        front.live.emptied().await;
    }
    // Closing is an operation of the ring's, submitted when the runtime next waits.
    monoio::time::sleep(CLOSE_PAUSE).await;
    Ok(())
}

enum Accepted {
    Stream(TcpStream, IpAddr),
    Failed(io::Error),
    Stopped,
}

/// The next connection, unless `stop` comes before it.
async fn next(listener: &TcpListener, stop: &mut oneshot::Receiver<()>) -> Accepted {
    let canceller = Canceller::new();
    let mut accept = pin!(listener.cancelable_accept(canceller.handle()));
    let accepted = poll_fn(|cx| {
        if Pin::new(&mut *stop).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        accept.as_mut().poll(cx).map(Some)
    })
    .await;
    match accepted {
        Some(Ok((stream, peer))) => Accepted::Stream(stream, peer.ip()),
        Some(Err(error)) => Accepted::Failed(error),
        None => {
            // Not dropped but cancelled and waited for: a connection accepted meanwhile would be leaked, open.
            let _ = canceller.cancel();
            let _ = accept.await;
            Accepted::Stopped
        }
    }
}

/// Starts the task of a connection.
fn admit(stream: TcpStream, peer: IpAddr, front: &Rc<Front>, refusals: &Rc<Cell<usize>>) {
    // Answers are written whole, so there is nothing to wait for. Fails if the client is gone already, which the first
    // read will tell.
    let _ = stream.set_nodelay(true);
    front.metrics.accepted();
    match front.let_in(peer) {
        Ok((entry, permit, visitor)) => {
            let open = front.metrics.open(if front.settings.speaks_tls { Transport::Tls } else { Transport::Plain });
            let front = front.clone();
            monoio::spawn(async move {
                entry.run(pin!(Connection::open(stream, front, visitor, permit))).await;
                drop(open);
            });
        }
        // Who is over a bound is told so while that costs little, and dropped beyond. A client of TLS would have to be
        // given a handshake first.
        Err(Denial::Told(error)) if refusals.get() < REFUSALS_MAX && !front.settings.speaks_tls => {
            refusals.set(refusals.get() + 1);
            let refusals = refusals.clone();
            let connection = Connection::new(Stream::Plain(stream), front.clone(), Visitor::unserved(peer));
            monoio::spawn(async move {
                connection.turn_away(&error).await;
                refusals.set(refusals.get() - 1);
            });
        }
        Err(Denial::Told(error)) => front.note_refusal(&error),
        Err(Denial::NoProxy) => front.metrics.refused(Refusal::NoProxy),
    }
}

/// How long to wait when connections cannot be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Long enough for the runtime to go through its wait once.
const CLOSE_PAUSE: Duration = Duration::from_millis(2);

/// Connections above the bound that are told so, at once.
const REFUSALS_MAX: usize = 256;
