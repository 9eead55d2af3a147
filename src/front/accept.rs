//! The tasks that accept, one per listener, and the one that the server talks to.

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
use monoio::task::JoinHandle;
use rustix::io::Errno;

use super::connection::{Connection, let_others_run};
use super::control::{Control, ToFront};
use super::entrance::{Denial, Visitor};
use super::live::Ended;
use super::stream::Stream;
use super::{Front, Listener};
use crate::metrics::{Refusal, Transport};

/// Accepts until the front is to drain, and sees the connections off when it is to end.
pub(super) async fn serve(
    listeners: Vec<Listener>,
    front: Rc<Front>,
    mut control: Control,
    on_start: impl FnOnce(),
) -> io::Result<()> {
    let mut sockets = Vec::new();
    for Listener { socket, is_inherited } in listeners {
        // The ring waits for a connection itself, and would not on a non-blocking socket; the epoll driver needs one.
        socket.set_nonblocking(monoio::utils::is_legacy())?;
        sockets.push((TcpListener::from_std(socket)?, is_inherited));
    }
    on_start();
    let refusals = Rc::new(Cell::new(0));
    let mut accepting = Vec::new();
    for (socket, is_inherited) in sockets {
        let (stop, stopped) = oneshot::channel();
        let task = accept(socket, is_inherited, front.clone(), refusals.clone(), stopped);
        accepting.push((stop, monoio::spawn(task)));
    }
    while let Some(message) = control.next().await {
        match message {
            ToFront::Beat(beat) => beat.answer(),
            ToFront::Drain => stop_accepting(&front, &mut accepting).await,
        }
    }
    stop_accepting(&front, &mut accepting).await;
    // What has been sent by those who were let in last is read, and is then under way.
    monoio::time::sleep(READ_PAUSE).await;

    front.live.end();
    if monoio::time::timeout(front.settings.stop_grace, front.live.emptied()).await.is_err() {
        front.live.cut();
        front.live.emptied().await;
    }
    // Closing is an operation of the ring's, submitted when the runtime next waits.
    monoio::time::sleep(CLOSE_PAUSE).await;
    Ok(())
}

/// From the first answer that says that the relay closes, nobody is let in any more.
async fn stop_accepting(front: &Front, accepting: &mut Vec<(oneshot::Sender<()>, JoinHandle<()>)>) {
    front.live.drain();
    for (stop, task) in accepting.drain(..) {
        drop(stop);
        task.await;
    }
}

/// Accepts until `stop`. Those who are in the backlog then are answered too, since closing the listener would reset them.
/// An inherited one lives on, and they wait for who inherits it next.
async fn accept(
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
    if is_inherited {
        return;
    }
    for _ in 0..BACKLOG_MAX {
        match next(&listener, &mut pin!(monoio::time::sleep(BACKLOG_PAUSE))).await {
            Accepted::Stream(stream, peer) => admit(stream, peer, &front, &refusals),
            Accepted::Failed(_) | Accepted::Stopped => break,
        }
    }
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

/// How long the backlog has to be empty before it counts as such; and most that are taken from it, if it never is.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);
const BACKLOG_MAX: usize = 4096;

/// Long enough to read what is there already.
const READ_PAUSE: Duration = Duration::from_millis(10);

/// Long enough for the runtime to go through its wait once.
const CLOSE_PAUSE: Duration = Duration::from_millis(2);
