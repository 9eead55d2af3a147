//! More bytes at once than the receive buffers of a shard hold: the kernel has none left to give (ENOBUFS).

use std::sync::Barrier;
use std::thread;

use crate::relay;
use crate::support::frame::{BINARY, Frame};
use crate::support::noise;
use crate::support::raw::RawClient;

#[test]
fn senders_that_empty_the_buffer_ring_lose_nothing() {
    // 48 MiB at once, and a shard's buffers are 16; each client's own is a fourth of what it may be behind.
    const CLIENTS: usize = 48;
    const MESSAGES: u8 = 16;
    const MESSAGE_LEN: usize = 65_537;
    let relay = relay(&["--shards", "1"]);
    let channel = relay.echo();
    let clients: Vec<RawClient> = (0..CLIENTS).map(|_| RawClient::connect(&relay, &channel)).collect();
    let start = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        for (index, mut client) in clients.into_iter().enumerate() {
            let start = &start;
            scope.spawn(move || {
                // Nobody's messages look like another's, nor like each other.
                let mut payload = noise(MESSAGE_LEN);
                payload[0] = index as u8;
                let mut burst = Vec::new();
                for number in 0..MESSAGES {
                    payload[1] = number;
                    burst.extend_from_slice(&Frame::binary(payload.clone()).encode());
                }
                for _ in 0..2 {
                    start.wait();
                    client.send_bytes(&burst);
                    for number in 0..MESSAGES {
                        payload[1] = number;
                        let (opcode, received) = client.message();
                        assert_eq!(opcode, BINARY);
                        assert!(received == payload, "message {number} of client {index} is another one");
                    }
                }
                client.expect_open();
            });
        }
    });
    relay.await_clients(&channel, 0);
}
