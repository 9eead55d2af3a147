//! The end of the relay, as clients with TLS see it.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tungstenite::Message;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::rig::{BOTH, Rig, Socket, message};

const DRAIN: Duration = Duration::from_secs(3);

#[test]
fn clients_are_closed_one_after_the_other_and_then_told_that_tls_ends() {
    let rig = Rig::start_with(&["--drain", "3"]);
    let channels: Vec<_> = ["pub-sub", "echo", "req-repl", "pub-sub"].map(|pattern| rig.channel(pattern)).into();
    let sockets: Vec<Socket> =
        (0..60).map(|number| rig.websocket(&channels[number % 4], BOTH[number / 4 % 2])).collect();
    let Rig { relay, files: _files } = rig;
    let begun = Instant::now();
    let closings: Vec<_> = sockets.into_iter().map(|socket| thread::spawn(move || closed_at(socket))).collect();
    let ended = relay.end(Signal::TERM);
    ended.assert_clean();
    let mut times: Vec<Duration> =
        closings.into_iter().map(|closing| closing.join().expect("closed") - begun).collect();
    times.sort();
    // The relay is never early; how late it is depends on who else needs the cores.
    for part in 0..6_u32 {
        let until = DRAIN * part / 6;
        let count = times.iter().filter(|time| **time < until).count();
        assert!(count <= (10 * part + 4) as usize, "{count} of 60 within {until:?}");
    }
    assert!(times[59] > DRAIN * 5 / 6 && ended.after >= DRAIN * 5 / 6, "{times:?}, ended after {:?}", ended.after);
}

/// Waits for the close, answers it, and checks that what follows is the end, sealed. Gives the time of the close.
fn closed_at(mut socket: Socket) -> Instant {
    let Message::Close(Some(close)) = message(&mut socket) else { panic!("a close was due") };
    let time = Instant::now();
    assert_eq!(close.code, CloseCode::from(1012));
    socket.flush().expect("the relay waits for the answer");
    // Without close_notify this is an error.
    assert_eq!(socket.get_mut().read(&mut [0]).expect("close_notify"), 0);
    assert_eq!(socket.get_mut().sock.read(&mut [0]).expect("an end, and no reset"), 0);
    time
}
