//! The thread of a shard: it drives one relay with one driver, and reads the clock for it.
//!
//! A turn of its loop: sleep until something completes or is due; take in all that has come, over several rounds, before
//! anything is sent, because a send that carries sixteen messages costs about what one with a single message costs; then
//! let the relay say what to send, once.

mod connections;
mod count;
mod kernel_tls;
mod mail;
mod offload;
mod secure;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::channel::ClientId;
use crate::config::ServeConfig;
use crate::driver::{Arrival, Completion, Driver, Size};
use crate::handoff::{Mailbox, ShardHandle};
use crate::metrics::{self, TURN_BOUNDS};
pub use crate::relay::CLOSE_TIMEOUT;
use crate::relay::{Input, Limits, Output, Relay, SEND_LEN_MAX, TURN_LEN_MAX};
use crate::time::Time;
use crate::tls::Scratch;

use connections::Connections;

pub use kernel_tls::{KernelTls, KernelTlsMissing};

/// One shard, ready to run.
pub struct Shard<D> {
    relay: Relay,
    driver: D,
    connections: Connections,
    /// What clients sent behind their upgrade, or what is left of it; to be taken in before what has arrived.
    brought: VecDeque<Brought>,
    /// Empty between turns; kept for its memory.
    completions: Vec<Completion>,
    /// Room for the data of one TLS record.
    scratch: Scratch,
    /// Whose TLS records the kernel seals.
    kernel_tls: KernelTls,
    mailbox: Mailbox,
    /// The sending end of the mailbox, for the seats that the shard gives out.
    handle: ShardHandle,
    /// Between two pings of a client; `None` = there are none.
    ping_interval: Option<Duration>,
    /// How long to look for work before sleeping; zero = not at all.
    spin: Duration,
    /// When the shard started: time zero of its relay.
    started: Instant,
    /// What has been counted so far.
    counts: metrics::Tally,
    /// When the last turn began; `None` = none has, or it was timed.
    turn_began: Option<Time>,
    /// Where it is shown.
    metrics: Arc<metrics::Shard>,
    /// Set by a shutdown: the thread ends when the last connection has.
    ending: bool,
}

impl<D: Driver> Shard<D> {
    /// A shard with this index. To be made on the thread that runs it: the driver belongs to it.
    ///
    /// # Errors
    /// The kernel gives no driver.
    pub fn new(
        index: u16,
        config: &ServeConfig,
        kernel_tls: KernelTls,
        mailbox: Mailbox,
        handle: ShardHandle,
        metrics: Arc<metrics::Shard>,
    ) -> io::Result<Shard<D>> {
        let limits = Limits {
            ping_interval: config.ping_interval,
            message_rate: config.message_rate,
            byte_rate: config.byte_rate,
            memory_max: config.shard_memory(),
            ..Limits::new(config.max_message_size, config.max_lag)
        };
        metrics.set_thread();
        let relay = Relay::new(index, limits);
        Ok(Shard {
            driver: D::new(SIZE, mailbox.eventfd())?,
            connections: Connections::default(),
            brought: VecDeque::new(),
            completions: Vec::new(),
            scratch: Scratch::new(relay.meter().clone()),
            relay,
            kernel_tls,
            mailbox,
            handle,
            ping_interval: config.ping_interval,
            spin: config.spin(),
            started: Instant::now(),
            counts: metrics::Tally { memory_budget: config.shard_memory(), ..metrics::Tally::default() },
            metrics,
            turn_began: None,
            ending: false,
        })
    }

    /// Relays until a shutdown is over.
    pub fn run(mut self) {
        while !self.ending || self.relay.has_clients() {
            self.sleep();
            let now = self.now();
            self.turn_began = Some(now);
            for round in 1.. {
                self.reap(now);
                self.receive(now);
                if self.relay.turn_is_full() || round == D::ROUNDS_MAX || !self.driver.poll() {
                    break;
                }
            }
            self.read_mail(now);
            self.act(now);
            if D::SENDS_AT_ONCE {
                self.settle(now);
            }
            self.publish(now);
        }
    }

    /// Tells the relay which sends have ended already, and starts those that follow. What is left after that has its turn
    /// again when others have had theirs.
    fn settle(&mut self, now: Time) {
        for _ in 0..SETTLE_ROUNDS_MAX {
            if !self.driver.has_completed() {
                break;
            }
            self.reap(now);
            self.act(now);
        }
    }

    fn now(&self) -> Time {
        Time::from_start(self.started.elapsed())
    }

    /// Submits what the last turn started and sleeps until there is something to do.
    fn sleep(&mut self) {
        let now = self.time_turn();
        if !self.spin.is_zero() && !self.driver.has_arrivals() {
            self.look_for_work();
        }
        if !self.brought.is_empty() || self.driver.has_arrivals() || !self.mailbox.fall_asleep() {
            return self.driver.wait(Some(Duration::ZERO));
        }
        let now = if self.spin.is_zero() { now } else { self.now() };
        let wake_at = self.relay.next_deadline().into_iter().chain(self.relay.next_look()).min();
        let timeout = wake_at.map(|wake_at| wake_at - now);
        self.driver.wait(timeout);
        self.mailbox.wake_up();
    }

    /// Counts how long the turn took that ends here; the clock is read in any case, for the time to sleep.
    fn time_turn(&mut self) -> Time {
        let now = self.now();
        if let Some(began) = self.turn_began.take() {
            self.counts.turns.times.observe(&TURN_BOUNDS, (now - began).as_micros() as u64);
        }
        now
    }

    /// Submits what the last turn started and looks for more for a while, which wakes faster than sleeping does.
    fn look_for_work(&mut self) {
        self.driver.submit();
        let begun = Instant::now();
        while self.mailbox.is_empty()
            && !self.driver.has_completed()
            && !self.driver.poll()
            && begun.elapsed() < self.spin
        {
            std::hint::spin_loop();
        }
    }

    /// Takes in what has completed: sends that have ended make room for the next ones at once.
    fn reap(&mut self, now: Time) {
        let mut completions = std::mem::take(&mut self.completions);
        self.driver.reap(&mut completions);
        for completion in completions.drain(..) {
            match completion {
                Completion::Sent { slot, len } => {
                    self.counts.turns.sent(len.unwrap_or(0));
                    let connection = self.connections.at(slot);
                    connection.sending = false;
                    match (connection.cutting, len) {
                        (true, _) => {}
                        (false, Some(len)) if connection.tls.is_some() => self.sent_sealed(now, slot, len),
                        (false, len) => {
                            let input = len.map_or(Input::SendFailed, Input::Sent);
                            self.relay.handle(now, connection.client, input);
                        }
                    }
                    self.go_on(now, slot);
                }
                // The mail is read in every turn.
                Completion::Woken => {}
            }
        }
        self.completions = completions;
    }

    /// Tells the relay what has arrived, until its turn is full, or everything.
    fn receive(&mut self, now: Time) {
        while !self.relay.turn_is_full()
            && let Some(mut brought) = self.brought.pop_front()
        {
            let connection = self.connections.at(brought.slot);
            if connection.cutting {
                continue;
            }
            brought.taken += self.relay.receive(now, connection.client, &mut brought.bytes[brought.taken..]);
            if brought.taken < brought.bytes.len() {
                self.brought.push_front(brought);
            } else if connection.tls.as_ref().is_some_and(|tls| tls.is_read_closed()) {
                self.relay.handle(now, connection.client, Input::Hangup);
            }
        }
        while !self.relay.turn_is_full()
            && let Some(arrival) = self.driver.next_arrival()
        {
            let slot = match arrival {
                Arrival::Received { slot, buffer, mut part, more } => {
                    let connection = self.connections.at(slot);
                    if !connection.cutting {
                        let bytes = self.driver.received(&buffer, part.clone());
                        let (taken, is_all) = match &mut connection.tls {
                            None => {
                                let taken = self.relay.receive(now, connection.client, bytes);
                                (taken, taken == part.len())
                            }
                            Some(tls) => secure::receive(now, &mut self.relay, connection.client, tls, bytes),
                        };
                        self.counts.turns.took_in(taken);
                        part.start += taken;
                        if !is_all {
                            self.driver.put_back(Arrival::Received { slot, buffer, part, more });
                            continue;
                        }
                    }
                    self.counts.turns.received();
                    connection.receiving = more;
                    self.driver.give_back(buffer);
                    self.send_control(now, slot);
                    slot
                }
                Arrival::Ended { slot } => {
                    self.connections.at(slot).receiving = false;
                    slot
                }
                Arrival::Hangup { slot } => {
                    let connection = self.connections.at(slot);
                    connection.receiving = false;
                    connection.hung_up = true;
                    if !connection.cutting {
                        self.relay.handle(now, connection.client, Input::Hangup);
                    }
                    slot
                }
            };
            self.go_on(now, slot);
        }
    }

    /// After an operation has ended: receives on, or closes the socket if it was the last before that.
    fn go_on(&mut self, now: Time, slot: u32) {
        let connection = self.connections.at(slot);
        if connection.cutting {
            if !connection.receiving && !connection.sending {
                let client = connection.client;
                self.connections.close(slot);
                self.relay.handle(now, client, Input::Closed);
            }
        } else if !connection.receiving && !connection.hung_up {
            connection.receiving = true;
            self.driver.receive(connection.socket(), slot);
        }
    }

    /// Does what the relay says.
    fn act(&mut self, now: Time) {
        let Shard { relay, driver, connections, scratch, .. } = self;
        let mut cut = Vec::new();
        let mut broken = Vec::new();
        relay.drain(now, |output| match output {
            Output::Send(client, pieces) => {
                let connection = connections.at(client.slot);
                match &mut connection.tls {
                    None => {
                        connection.sending = true;
                        driver.send(connection.socket(), client.slot, pieces);
                    }
                    Some(_) => {
                        if secure::send(connection, driver, scratch, pieces).is_err() {
                            broken.push(client);
                        }
                    }
                }
            }
            Output::CancelSend(client) => {
                if let Some(tls) = &mut connections.at(client.slot).tls {
                    tls.cancel();
                }
                driver.cancel_send(client.slot);
            }
            Output::ShutWrite(client) => {
                let connection = connections.at(client.slot);
                match &mut connection.tls {
                    None => connection.shut_write(),
                    Some(tls) => {
                        tls.shut();
                        if secure::go_on(connection, driver, scratch).is_err() {
                            broken.push(client);
                        }
                    }
                }
            }
            Output::Submit => driver.submit(),
            Output::Forget(client) => {
                if let Some(tls) = &mut connections.at(client.slot).tls {
                    tls.forget();
                }
            }
            Output::Cut(client) => cut.push(client),
        });
        let is_to_go_on = !broken.is_empty();
        for client in broken {
            self.relay.handle(now, client, Input::SendFailed);
        }
        for client in cut {
            self.cut(now, client);
        }
        // What broke here is cut here: nothing may come that would begin another turn.
        if is_to_go_on {
            self.act(now);
        }
    }

    fn cut(&mut self, now: Time, client: ClientId) {
        let connection = self.connections.at(client.slot);
        connection.cutting = true;
        if connection.receiving {
            self.driver.cancel_receive(client.slot);
        }
        if connection.sending {
            self.driver.cancel_send(client.slot);
        }
        self.go_on(now, client.slot);
    }

    /// Begins with a connection; `received` is what the client sent behind its request.
    fn adopt(&mut self, now: Time, client: ClientId, received: Vec<u8>) {
        let has_ended = self.connections.at(client.slot).tls.as_ref().is_some_and(|tls| tls.is_read_closed());
        if !received.is_empty() || has_ended {
            self.brought.push_back(Brought { slot: client.slot, bytes: received, taken: 0 });
        }
        self.go_on(now, client.slot);
    }
}

/// Bytes that came with a connection.
struct Brought {
    slot: u32,
    bytes: Vec<u8>,
    /// How many the relay has taken in.
    taken: usize,
}

/// Receive buffers of 64 KiB: a busy publisher's whole window arrives at once, and small receives touch only the first
/// page. The ring hands them out in turn, so there are no more than the caches hold for small messages.
const SIZE: Size = Size { submissions: 2048, buffers: 256, buffer_len: 64 * 1024 };

/// How often a turn goes on with connections that have more to be sent than a send carries.
const SETTLE_ROUNDS_MAX: usize = 5;

// A turn takes in one buffer more at the most. The message that grows most on its way is `{"type":"request"}`, for which its
// sender needs 24 bytes and its receiver 54, with the longest origin. What grows more ends the turn at once.
const _: () = assert!((TURN_LEN_MAX + SIZE.buffer_len as usize) * 54 / 24 <= SEND_LEN_MAX);
