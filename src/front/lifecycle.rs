//! The life of a front, as the server wants it: it begins, answers beats, drains and ends.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use monoio::net::TcpListener;
use monoio::task::JoinHandle;

use super::accept::accept;
use super::control::{Control, ToFront};
use super::{Front, Listener};

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

/// From the first answer that says that the relay closes, nobody is let in any more but those who wait for it already.
async fn stop_accepting(front: &Front, accepting: &mut Vec<(oneshot::Sender<()>, JoinHandle<()>)>) {
    front.live.drain();
    // All are told before any is waited for: each has a time of its own.
    let tasks: Vec<JoinHandle<()>> = accepting.drain(..).map(|(_stop, task)| task).collect();
    for task in tasks {
        task.await;
    }
}

/// Long enough to read what is there already.
const READ_PAUSE: Duration = Duration::from_millis(10);

/// Long enough for the runtime to go through its wait once.
const CLOSE_PAUSE: Duration = Duration::from_millis(2);
