//! An `echo` channel with one client on it, for tests of what the relay does with that client's bytes.

use super::frame::Frame;
use super::raw::RawClient;
use super::relay::{Channel, Relay};

/// An echo channel with one client.
pub struct Echo {
    // Fields are dropped in this order: the client leaves before the relay ends.
    pub client: RawClient,
    pub channel: Channel,
    pub relay: Relay,
}

impl Echo {
    pub fn start() -> Echo {
        let relay = Relay::start();
        let channel = relay.echo();
        let client = RawClient::connect(&relay, &channel);
        Echo { client, channel, relay }
    }

    /// Waits for a close frame with `code` as the next frame, then for the end, without answering.
    #[track_caller]
    pub fn expect_failure(&mut self, code: u16) {
        self.client.expect_close(code);
        self.client.expect_end();
        self.relay.await_clients(&self.channel, 0);
    }
}

/// Sends these frames at once; none of them may have an effect but a close with `code`.
#[track_caller]
pub fn fails(frames: &[Frame], code: u16) {
    let mut echo = Echo::start();
    echo.client.send_all(frames);
    echo.expect_failure(code);
}
