//! The task that accepts on a listener, and lets in who comes.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use monoio::io::Canceller;
use monoio::net::{TcpListener, TcpStream};
use monoio::time::sleep;
use rustix::io::Errno;

use super::Front;
use super::connection::{Connection, let_others_run};
use super::entrance::{Denial, Visitor};
use super::live::Ended;
use super::stream::Stream;
use crate::metrics::{Refusal, Transport};

/// Accepts until `stop`. Those who are in the backlog then are let in too, since closing the listener would reset them.
/// An inherited one lives on, and they wait for who inherits it next.
pub(super) async fn accept(
    listener: TcpListener,
    is_inherited: bool,
    front: Rc<Front>,
    refusals: Rc<Cell<usize>>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut is_out_of_files = false;
    let mut accepted: u32 = 0;
    loop {
        match next(&listener, &mut stop).await {
            Accepted::Stream(stream, peer) => {
                is_out_of_files = false;
                admit(stream, peer, &front, &refusals);
                accepted = accepted.wrapping_add(1);
                // On epoll accepting does not wait while there are connections: who comes would keep out who is there.
                if accepted.is_multiple_of(ACCEPTED_IN_A_ROW_MAX) {
                    let_others_run().await;
                }
            }
            Accepted::Failed(error) if is_of_connection(&error) => {}
            Accepted::Failed(error) => {
                // Files, memory, or something unforeseen: the connection stays in the backlog, so that trying again at
                // once would spin.
                if !is_out_of_files {
                    tracing::warn!(%error, "cannot accept connections; raise the open-files limit (ulimit -n)");
                    is_out_of_files = true;
                }
                front.metrics.accept_paused();
                sleep(ACCEPT_PAUSE).await;
            }
            Accepted::Stopped => break,
        }
    }
    if !is_inherited {
        empty(&listener, &front, &refusals).await;
    }
}

/// Lets in those who are in the backlog. Whoever comes meanwhile looks the same, so it takes no longer than [`EMPTYING_MAX`];
/// who is in it then is reset.
async fn empty(listener: &TcpListener, front: &Rc<Front>, refusals: &Rc<Cell<usize>>) {
    let deadline = Instant::now() + EMPTYING_MAX;
    let mut accepted: u32 = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return tracing::warn!("connections come on and on: those that are not accepted yet are reset");
        }
        match next(listener, &mut pin!(sleep(EMPTY_FOR.min(left)))).await {
            Accepted::Stream(stream, peer) => {
                admit(stream, peer, front, refusals);
                accepted = accepted.wrapping_add(1);
                if accepted.is_multiple_of(ACCEPTED_IN_A_ROW_MAX) {
                    let_others_run().await;
                }
            }
            Accepted::Failed(error) if is_of_connection(&error) => {}
            Accepted::Failed(error) => {
                return tracing::warn!(%error, "cannot accept connections: those that wait are reset");
            }
            Accepted::Stopped => return,
        }
    }
}

/// Whether this is about the connection that was to be accepted alone: it was gone before (accept(2)).
fn is_of_connection(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::CONNABORTED | Errno::INTR | Errno::PROTO | Errno::PERM | Errno::TIMEDOUT))
}

enum Accepted {
    Stream(TcpStream, IpAddr),
    Failed(io::Error),
    Stopped,
}

/// The next connection, unless `stop` comes before it.
async fn next(listener: &TcpListener, stop: &mut (impl Future + Unpin)) -> Accepted {
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
            match accept.await {
                Ok((stream, peer)) => Accepted::Stream(stream, peer.ip()),
                Err(_) => Accepted::Stopped,
            }
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
                let place = entry.place();
                let ended = entry.run(pin!(Connection::open(stream, front.clone(), visitor, permit, place))).await;
                if ended == Ended::GaveWay {
                    front.metrics.refused(Refusal::GaveWay);
                }
                drop(open);
            });
        }
        // Who is over a bound is told so while that costs little, and dropped beyond. A client of TLS would have to be
        // given a handshake first.
        Err(Denial::Told(error)) if refusals.get() < front.settings.refusals_max && !front.settings.speaks_tls => {
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

/// Connections that are accepted before the others are given the chance.
const ACCEPTED_IN_A_ROW_MAX: u32 = 16;

/// How long the backlog has to be empty before it counts as such.
const EMPTY_FOR: Duration = Duration::from_millis(5);

/// Most time to empty a backlog that never is: enough for hundreds on a core of which the front gets a tenth.
const EMPTYING_MAX: Duration = Duration::from_secs(2);
