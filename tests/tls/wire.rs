//! What a client can do to the records of an upgraded connection.

use std::io::{Read, Write};

use rustls::version::TLS13;
use rustls::{AlertDescription, Error};
use tungstenite::Message;

use crate::rig::{BOTH, Rig, Socket, message};
use crate::support::eventually;
use crate::support::frame::Frame;

/// Writes bytes past the client's TLS.
fn write_raw(socket: &mut Socket, bytes: &[u8]) {
    socket.get_mut().sock.write_all(bytes).unwrap();
}

/// The alert that ends the connection.
fn alert(socket: &mut Socket) -> AlertDescription {
    match socket.read() {
        Err(tungstenite::Error::Io(error)) => {
            match error.into_inner().and_then(|error| error.downcast::<Error>().ok()).as_deref() {
                Some(Error::AlertReceived(alert)) => *alert,
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn broken_records_get_their_alert_and_hurt_nobody_else() {
    let rig = Rig::start();
    let channel = rig.channel("pub-sub");
    let mut other = rig.websocket(&channel, &TLS13);
    let cases: [(&[u8], AlertDescription); 5] = [
        (&[23, 3, 3, 0, 3, 1, 2, 3], AlertDescription::BadRecordMac),
        (&[23, 3, 3, 0xff, 0xff], AlertDescription::RecordOverflow),
        (&[20, 3, 3, 0, 1, 1], AlertDescription::UnexpectedMessage),
        (b"GET / HTTP/1.1\r\n\r\n", AlertDescription::UnexpectedMessage),
        (
            &[
                23, 3, 3, 0, 40, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
                24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
            ],
            AlertDescription::BadRecordMac,
        ),
    ];
    for version in BOTH {
        for (bytes, expected) in cases {
            let mut socket = rig.websocket(&channel, version);
            rig.await_clients(&channel, 2);
            socket.send(Message::from("before")).unwrap();
            assert_eq!(message(&mut other), Message::from("before"));
            assert_eq!(message(&mut socket), Message::from("before"));
            write_raw(&mut socket, bytes);
            assert_eq!(alert(&mut socket), expected, "{version:?} {bytes:?}");
            rig.await_clients(&channel, 1);
        }
    }
}

#[test]
fn who_sends_on_behind_a_broken_request_gets_the_alert_all_the_same() {
    let rig = Rig::start();
    for version in BOTH {
        let mut stream = rig.tls(rig.config(version));
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 15]).unwrap();
        // Far more than is read at once behind the record that cannot be opened.
        stream.sock.write_all(&[&[23, 3, 3, 0, 40][..], &[0; 200_000]].concat()).unwrap();
        let error = std::io::copy(&mut stream, &mut std::io::sink()).expect_err("an alert");
        let alert = error.into_inner().and_then(|error| error.downcast::<Error>().ok());
        assert_eq!(alert.as_deref(), Some(&Error::AlertReceived(AlertDescription::BadRecordMac)), "{version:?}");
        assert_eq!(stream.sock.read(&mut [0]).expect("an end, and no reset"), 0, "{version:?}");
    }
}

#[test]
fn a_client_that_ends_in_the_middle_of_a_record_is_gone() {
    let rig = Rig::start();
    let channel = rig.channel("pub-sub");
    for version in BOTH {
        let mut socket = rig.websocket(&channel, version);
        rig.await_clients(&channel, 1);
        write_raw(&mut socket, &[23, 3, 3, 1, 0, 1, 2, 3]);
        drop(socket);
        rig.await_clients(&channel, 0);
    }
}

#[test]
fn a_client_that_closes_its_side_is_gone_when_it_has_been_heard() {
    let rig = Rig::start();
    let channel = rig.channel("pub-sub");
    for version in BOTH {
        let mut other = rig.websocket(&channel, version);
        let mut socket = rig.websocket(&channel, version);
        rig.await_clients(&channel, 2);
        socket.send(Message::from("last words")).unwrap();
        let stream = socket.get_mut();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        assert_eq!(message(&mut other), Message::from("last words"));
        rig.await_clients(&channel, 1);
        drop(other);
        rig.await_clients(&channel, 0);
    }
}

/// What the client seals of `data`, not yet sent.
fn sealed(socket: &mut Socket, data: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    for part in data.chunks(16 << 10) {
        socket.get_mut().conn.writer().write_all(part).unwrap();
        sealed.extend(unsent(socket));
    }
    sealed
}

/// What the client has sealed and not sent.
fn unsent(socket: &mut Socket) -> Vec<u8> {
    let (conn, mut bytes) = (&mut socket.get_mut().conn, Vec::new());
    while conn.wants_write() {
        conn.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// The memory of messages, of all shards.
fn shard_memory(rig: &Rig) -> u64 {
    let (_, metrics) = rig.request(rig.config(&TLS13), "GET", "/metrics", "");
    let of_shards = metrics.lines().filter_map(|line| line.strip_prefix("ringrelay_shard_memory_bytes{"));
    of_shards.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn a_record_counts_as_memory_of_its_shard_until_all_of_it_has_come() {
    let rig = Rig::start();
    let channel = rig.channel("echo");
    for version in BOTH {
        let mut socket = rig.websocket(&channel, version);
        let message_len = 10_000u16;
        let mut frame = vec![0x82, 0xfe];
        frame.extend(message_len.to_be_bytes());
        frame.resize(8 + usize::from(message_len), 0);
        let record = sealed(&mut socket, &frame);
        write_raw(&mut socket, &record[..9_000]);
        eventually("the record counts", || (shard_memory(&rig) >= 9_000).then_some(()));
        write_raw(&mut socket, &record[9_000..]);
        assert_eq!(message(&mut socket), Message::from(vec![0; usize::from(message_len)]));
        eventually("it counts no more", || (shard_memory(&rig) < 9_000).then_some(()));
    }
}

/// What had come of the record is forgotten, so what still comes of it cannot be read: the client hears of its end all the same.
#[test]
fn who_is_closed_for_lack_of_memory_inside_a_record_is_told_so() {
    const CLIENTS: usize = 24;
    let rig = Rig::start_with(&["--shards", "1", "--shard-memory", "16777216"]);
    let channel = rig.channel("pub-sub");
    // A message of a mebibyte, of which the end is missing.
    let mut begin = vec![0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
    begin.resize(1_000_000, 0);
    // All of them first: who comes when there is no memory is not let in.
    let mut sockets: Vec<Socket> = (0..CLIENTS).map(|number| rig.websocket(&channel, BOTH[number % 2])).collect();
    let mut rests = Vec::new();
    for socket in &mut sockets {
        let mut records = sealed(socket, &begin);
        rests.push(records.split_off(records.len() - 100));
        write_raw(socket, &records);
    }
    eventually("some are closed, and there is room", || {
        let (_, body) = rig.request(rig.config(&TLS13), "GET", &format!("/channels/{}", channel.id), "");
        let body: serde_json::Value = serde_json::from_str(&body).ok()?;
        let clients = body["data"]["clients"].as_u64()?;
        (clients < CLIENTS as u64 && shard_memory(&rig) <= 16 << 20).then_some(())
    });
    rig.request(rig.config(&TLS13), "DELETE", &format!("/channels/{}", channel.id), "");
    let mut codes = Vec::new();
    for (socket, rest) in sockets.iter_mut().zip(rests) {
        // The relay may have gone already.
        let _ = socket.get_mut().sock.write_all(&rest);
        match message(socket) {
            Message::Close(Some(frame)) => codes.push(u16::from(frame.code)),
            other => panic!("{other:?}"),
        }
    }
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes, [1013, 4404]);
}

#[test]
fn who_only_renews_keys_is_cut() {
    let rig = Rig::start();
    let channel = rig.channel("pub-sub");
    let mut socket = rig.websocket(&channel, &TLS13);
    for _ in 0..40 {
        let stream = socket.get_mut();
        stream.conn.refresh_traffic_keys().unwrap();
        let mut bytes = Vec::new();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut bytes).unwrap();
        }
        if stream.sock.write_all(&bytes).is_err() {
            break;
        }
    }
    rig.await_clients(&channel, 0);
}

/// Bytes, each in a record of its own; behind each a key update, if that is wanted.
fn in_records_of_a_byte(socket: &mut Socket, bytes: &[u8], renews: bool) -> Vec<u8> {
    let mut records = Vec::new();
    for byte in bytes {
        socket.get_mut().conn.writer().write_all(&[*byte]).unwrap();
        if renews {
            socket.get_mut().conn.refresh_traffic_keys().unwrap();
        }
        records.extend(unsent(socket));
    }
    records
}

#[test]
fn who_renews_keys_between_single_bytes_is_cut_and_holds_up_nobody() {
    let rig = Rig::start_with(&["--shards", "1"]);
    let channel = rig.channel("echo");
    let mut neighbour = rig.websocket(&channel, &TLS13);
    let mut socket = rig.websocket(&channel, &TLS13);
    // Sixteen in all are nobody's harm, and what is said between them is heard.
    let frame = Frame::binary(*b"ten bytes!").encode();
    let renewing = in_records_of_a_byte(&mut socket, &frame, true);
    assert_eq!(frame.len(), 16);
    write_raw(&mut socket, &renewing);
    assert_eq!(message(&mut socket), Message::from(b"ten bytes!".to_vec()));
    let flood = in_records_of_a_byte(&mut socket, &frame.repeat(100), true);
    // It may be cut in the middle of that.
    let _ = socket.get_mut().sock.write_all(&flood);
    neighbour.send(Message::from("beside it")).unwrap();
    assert_eq!(message(&mut neighbour), Message::from("beside it"));
    rig.await_clients(&channel, 1);
}

/// Turns that the relay's only shard has taken.
fn turns(rig: &Rig) -> u64 {
    let metrics = rig.request(rig.config(&TLS13), "GET", "/metrics", "").1;
    let line =
        metrics.lines().find(|line| line.starts_with("ringrelay_shard_turn_seconds_count")).expect("a histogram");
    line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number")
}

#[test]
fn records_of_a_byte_take_as_many_turns_as_they_are_work() {
    const LEN: usize = 60_000;
    let rig = Rig::start_with(&["--shards", "1"]);
    let channel = rig.channel("echo");
    let mut socket = rig.websocket(&channel, &TLS13);
    let records = in_records_of_a_byte(&mut socket, &Frame::binary(vec![7; LEN]).encode(), false);
    let before = turns(&rig);
    write_raw(&mut socket, &records);
    assert!(message(&mut socket) == Message::from(vec![7; LEN]));
    // 23 bytes each, which count as 87 with one of data; a turn takes 256 KiB.
    let least = (LEN * 87 / (256 << 10)) as u64;
    assert!(turns(&rig) - before >= least, "{} turns, {least} at least", turns(&rig) - before);
}

#[test]
fn messages_may_come_byte_by_byte() {
    let rig = Rig::start();
    for version in BOTH {
        let mut socket = rig.websocket(&rig.channel("echo"), version);
        socket.write(Message::from("in many parts")).unwrap();
        let stream = socket.get_mut();
        let mut bytes = Vec::new();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut bytes).unwrap();
        }
        for byte in bytes {
            stream.sock.write_all(&[byte]).unwrap();
        }
        socket.flush().unwrap();
        assert_eq!(message(&mut socket), Message::from("in many parts"));
    }
}
