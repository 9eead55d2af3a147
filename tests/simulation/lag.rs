//! How far clients are behind, and may be.

use ringrelay::channel::Pattern;

use super::client::{Client, Due, frame_len};
use super::world::{Channel, RESPONSE, World};

impl World {
    /// What a client was to get and has not, in bytes of frames, compressed if they come so.
    pub(super) fn lag(&self, index: usize) -> u64 {
        let client = &self.clients[index];
        let due: u64 = client.expected.iter().map(|due| due.len).sum();
        let pongs: u64 = client.pongs.iter().map(|payload| frame_len(payload.len())).sum();
        (due + pongs + RESPONSE.len() as u64).saturating_sub(client.got_len)
    }

    /// No open client is further behind than its bound, two turns' worth, and the history that it was given: as it comes,
    /// compressed or not. Who may miss messages has its bound in the relay.
    pub(super) fn check_lag(&mut self) {
        let is_known = |client: &Client| client.is_open() && !client.may_miss;
        for (index, client) in self.clients.iter().enumerate().filter(|(_, client)| is_known(client)) {
            let lag = self.lag(index);
            let bound =
                self.lag_max + 2 * self.turn_len_max + history_len(&client.expected, &self.channels[client.channel]);
            assert!(lag <= bound, "{:?} is {lag} bytes behind", client.id);
            self.seen.compressing_behind += u64::from(client.window.is_some() && lag > self.lag_max / 2);
        }
    }

    /// Who was being sent something when more came for it has not been waiting for more than its bound until then; the others
    /// have the benefit of the doubt, up to twice the bound. Of requests and replies, which come by two ways, each has its own.
    pub(super) fn check_judgement(&mut self, were_sending: &[bool]) {
        for (index, was_sending) in were_sending.iter().enumerate() {
            let client = &mut self.clients[index];
            let fresh_len = std::mem::take(&mut client.fresh_len);
            if fresh_len > 0 {
                client.last_fresh_len = fresh_len;
            }
            let client = &self.clients[index];
            let channel = &self.channels[client.channel];
            if client.is_open() && !client.may_miss && channel.pattern != Pattern::ReqRepl {
                let due: u64 = client.expected.iter().map(|due| due.len).sum();
                let lag = (due + RESPONSE.len() as u64).saturating_sub(client.got_len);
                let is_judged = *was_sending && fresh_len > 0;
                let lag_max = if is_judged { self.lag_max } else { 2 * self.lag_max + 1 };
                let bound = lag_max + client.last_fresh_len + history_len(&client.expected, channel);
                assert!(lag <= bound, "{:?} is {lag} bytes behind, judged: {is_judged}", client.id);
            }
        }
    }
}

/// The most that history can have added to a client's lag, in bytes of frames.
fn history_len(expected: &[Due], channel: &Channel) -> u64 {
    expected.iter().take(channel.history).map(|due| due.len).sum()
}
