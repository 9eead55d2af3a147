//! What fronts ask of a shard, and the sockets that they hand over.

use std::os::fd::AsFd;

use crate::driver::Driver;
use crate::handoff::{Join, Seat, ToShard, Upgraded};
use crate::relay::{Input, Terms};
use crate::time::Time;

use super::Shard;
use super::secure::Secure;

impl<D: Driver> Shard<D> {
    /// Answers what is in the mailbox, at most [`MAIL_MAX`] messages: those who are connected go between.
    pub(super) fn read_mail(&mut self, now: Time) {
        for _ in 0..MAIL_MAX {
            let Ok(message) = self.mailbox.try_recv() else { break };
            self.answer(now, message);
        }
    }

    /// A front that no longer waits for an answer does not get one, and that is all.
    fn answer(&mut self, now: Time, message: ToShard) {
        match message {
            ToShard::Create { spec, reply } => {
                let id = spec.id.clone();
                // Nobody would know the token of a channel whose creator has gone.
                if let Err(Ok(_)) = reply.send(self.relay.create(now, spec)) {
                    self.relay.delete(now, &id);
                }
            }
            ToShard::Read { id, reply } => drop(reply.send(self.relay.read(now, &id))),
            ToShard::List { after, max, reply } => drop(reply.send(self.relay.list(now, after.as_ref(), max))),
            ToShard::Delete { id, reply } => drop(reply.send(self.relay.delete(now, &id))),
            ToShard::Reset { reply } => drop(reply.send(self.relay.reset(now))),
            ToShard::Admit { id, credentials, reply } => {
                let admission = self.relay.admit(&id, credentials.token());
                // Unsent, the seat is dropped here and gives its place back by mail.
                drop(reply.send(admission.map(|place| Seat::new(place, self.handle.clone()))));
            }
            ToShard::Check { id, credentials, reply } => {
                let admission = self.relay.admit(&id, credentials.token());
                let _ = reply.send(admission.map(|place| self.relay.leave(place)));
            }
            ToShard::Busiest { after, max, reply } => drop(reply.send(self.relay.busiest(now, after.as_ref(), max))),
            ToShard::Slowest { from, max, reply } => drop(reply.send(self.relay.slowest(from, max))),
            ToShard::Join(join) => self.join(now, join),
            ToShard::Leave { place } => self.relay.leave(place),
            ToShard::Beat(beat) => beat.answer(),
            ToShard::Shutdown { spread } => {
                self.ending = true;
                self.relay.shut_down(now, spread);
            }
        }
    }

    fn join(&mut self, now: Time, join: Join) {
        let Join { seat, upgraded } = join;
        let Upgraded { socket, tls, terms, response, received, permit } = upgraded;
        let Some(place) = seat.take() else { return };
        // A socket that says "try again" instead of waiting would keep the ring from waiting for it.
        if rustix::io::ioctl_fionbio(&socket, false).is_err() {
            self.relay.leave(place);
            return;
        }
        // Sent bytes that nobody acknowledges for as long as a silent client is kept tell of a dead peer too.
        if let Some(interval) = self.ping_interval {
            let unacked_ms_max = UNACKED_INTERVALS_MAX * interval.as_millis() as u32;
            let _ = rustix::net::sockopt::set_tcp_user_timeout(&socket, unacked_ms_max);
        }
        let ends_at = terms.ends_at.map(|at| Time::from_start(at.saturating_duration_since(self.started)));
        let terms = Terms { rights: terms.rights, ends_at, window: terms.window };
        let client = self.relay.join(now, place, &response, terms);
        self.counts.handoffs += 1;
        let is_adopted = self.driver.adopt(socket.as_fd(), client.slot);
        let tls = tls.map(|session| Secure::new(session, self.kernel_tls, socket.as_fd()));
        if let Some(tls) = &tls {
            self.relay.hold_part(client, tls.parted_len());
        }
        self.connections.open(client, socket, tls, permit);
        match is_adopted {
            Ok(()) => self.adopt(now, client, received),
            // Nobody would hear of it: it is as good as broken.
            Err(_) => self.relay.handle(now, client, Input::SendFailed),
        }
    }
}

/// How long sent data may be unacknowledged, in ping intervals.
const UNACKED_INTERVALS_MAX: u32 = 2;

/// Messages that a turn answers.
const MAIL_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_channel::oneshot;

    use super::*;
    use crate::config::ServeConfig;
    use crate::handoff::Mailbox;
    use crate::metrics;
    use crate::ring::Ring;
    use crate::shard::KernelTls;

    #[test]
    fn a_turn_answers_a_part_of_much_mail_and_the_next_goes_on() {
        let (handle, mailbox) = Mailbox::new().unwrap();
        let metrics = Arc::new(metrics::Shard::default());
        let mut shard =
            Shard::<Ring>::new(0, &ServeConfig::default(), KernelTls::NONE, mailbox, handle.clone(), metrics).unwrap();
        let mut answers: Vec<_> = (0..MAIL_MAX + 1)
            .map(|_| {
                let (reply, answer) = oneshot::channel();
                handle.send(ToShard::Reset { reply });
                answer
            })
            .collect();
        let mut answered = || answers.iter_mut().filter_map(|answer| answer.try_recv().ok().flatten()).count();
        shard.read_mail(shard.now());
        assert_eq!(answered(), MAIL_MAX);
        shard.read_mail(shard.now());
        assert_eq!(answered(), 1);
    }
}
