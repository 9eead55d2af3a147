//! Clients that are there no longer and did not say so: pings find them.

use std::net::TcpStream;

use serde_json::json;
use socket2::{SockFilter, SockRef};

use crate::live::Live;
use crate::relay;
use crate::support::eventually;
use crate::support::frame::{Frame, PING};
use crate::support::raw::RawClient;

/// Not so often that who answers is too late for two of them, whoever else needs the cores.
const PINGING: &[&str] = &["--ping-interval", "1000"];

#[test]
fn a_client_that_vanished_is_cut() {
    let relay = relay(PINGING);
    let live = Live::start(&relay);
    let channel = relay.pub_sub();
    let files = relay.open_files();
    let gone: Vec<RawClient> = (0..20).map(|_| RawClient::connect(&relay, &channel)).collect();
    gone.iter().for_each(|client| vanish(client.stream()));
    relay.await_clients(&channel, 0);
    eventually("their sockets are closed", || (relay.open_files() <= files).then_some(()));
    // Who answers stays.
    live.finish();
}

#[test]
fn a_client_that_vanished_while_it_was_sent_to_is_cut() {
    let relay = relay(PINGING);
    let channel = relay.create(json!({"pattern": "pub-sub", "excludeSender": true}));
    let live = Live::on(&relay, channel.clone());
    let gone = RawClient::connect(&relay, &channel);
    // The live channel's five, and this one.
    relay.await_clients(&channel, 6);
    vanish(gone.stream());
    relay.await_clients(&channel, 5);
    live.finish();
}

#[test]
fn a_client_that_answers_no_ping_is_cut_without_a_word() {
    let relay = relay(PINGING);
    let channel = relay.echo();
    let mut client = RawClient::connect(&relay, &channel);
    let mut pings = 0;
    while let Some(frame) = client.frame_or_end() {
        assert_eq!(frame.opcode, PING, "{frame:?}");
        pings += 1;
    }
    assert!(pings >= 1, "cut before it was asked");
    relay.await_clients(&channel, 0);
}

#[test]
fn a_client_that_speaks_is_not_silent() {
    let relay = relay(PINGING);
    let channel = relay.echo();
    let mut client = RawClient::connect(&relay, &channel);
    let mut pings = 0;
    // More than an answer is waited for, and it gives none.
    while pings < 5 {
        if client.frame().opcode == PING {
            pings += 1;
            client.send(&Frame::text("busy with other things"));
        }
    }
    client.expect_text("busy with other things");
}

/// Lets nothing reach this socket any more, as if its host had lost power: the kernel drops every packet before TCP sees
/// it, so that nothing is acknowledged, answered or reset.
fn vanish(stream: &TcpStream) {
    // One instruction, BPF_RET | BPF_K: take 0 bytes of the packet.
    const DROP: u16 = 0x06;
    SockRef::from(stream).attach_filter(&[SockFilter::new(DROP, 0, 0, 0)]).expect("a TCP socket");
}
