//! The opening handshake and the hand-off.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::rig::{PATIENCE, Rig, get, post, request, upgrade};

/// Creates a channel and returns the path to connect to it.
fn create(rig: &Rig, id: &str, fields: &str) -> String {
    let created = rig.ask(&post(&format!(r#"{{"pattern":"echo","id":"{id}"{fields}}}"#))).json();
    format!("/channels/{id}/connect?token={}", created["token"].as_str().unwrap())
}

#[test]
fn the_socket_reaches_the_shard_with_every_byte_behind_the_request() {
    let rig = Rig::start();
    let path = create(&rig, "room", "");
    let behind = b"\x81\x85\x01\x02\x03\x04frame\x00\xff GET / HTTP/1.1\r\n\r\n".to_vec();
    for split in [0, 1, 7, behind.len()] {
        let mut client = rig.client();
        // Behind another request on the same connection.
        client.send([get("/healthz").as_bytes(), upgrade(&path).as_bytes(), &behind[..split]].concat());
        assert_eq!(client.response().status, 200);
        let join = rig.joined.recv_timeout(PATIENCE).unwrap();
        assert_eq!(
            String::from_utf8(join.upgraded.response).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
        let mut on_shard = TcpStream::from(join.upgraded.socket);
        on_shard.set_nonblocking(false).unwrap();
        on_shard.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(on_shard.nodelay().unwrap());
        client.send(&behind[split..]);
        let mut received = join.upgraded.received;
        while received.len() < behind.len() {
            let mut buffer = [0; 64];
            let len = on_shard.read(&mut buffer).unwrap();
            assert_ne!(len, 0);
            received.extend_from_slice(&buffer[..len]);
        }
        assert_eq!(received, behind, "{split} bytes with the request");
        on_shard.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert_eq!(client.head().status, 200, "the shard's bytes reach the client");
        drop(on_shard);
        client.assert_closed();
    }
}

#[test]
fn a_handshake_byte_by_byte_is_a_handshake() {
    let rig = Rig::start();
    let path = create(&rig, "room", "");
    let mut client = rig.client();
    for byte in upgrade(&path.replace("channels", "channel")).as_bytes() {
        client.send([*byte]);
    }
    let join = rig.joined.recv_timeout(PATIENCE).unwrap();
    assert!(join.upgraded.received.is_empty());
}

#[test]
fn a_connection_is_refused_before_the_upgrade_and_kept() {
    let rig = Rig::start();
    let path = create(&rig, "room", "");
    let full = create(&rig, "full", r#","clientLimit":0"#);
    let mut client = rig.client();
    for (request, status, code) in [
        (get(&path), 426, "bad_upgrade"),
        (get("/channels/none/connect"), 426, "bad_upgrade"),
        (get("/channels/room/connect?token=x"), 401, "token_wrong"),
        (get("/channels/none/connect?token=x"), 404, "no_such_channel"),
        (get(&full), 403, "channel_full"),
        (upgrade(&path).replace("Version: 13", "Version: 12"), 426, "bad_upgrade"),
        (upgrade(&path).replace("ZQ==", ""), 400, "bad_upgrade"),
        (upgrade("/channels/room/connect"), 401, "token_missing"),
        (upgrade("/channels/room/connect?token="), 401, "token_wrong"),
        (upgrade(&path[..path.len() - 1]), 401, "token_wrong"),
        (upgrade("/channels/room/connect?token=%"), 400, "bad_query"),
        (upgrade("/channels/none/connect?token=x"), 404, "no_such_channel"),
        (upgrade(&full), 403, "channel_full"),
        (upgrade(&full.replace("/channels/full", "/channels/room")), 401, "token_wrong"),
    ] {
        client.send(&request);
        let refused = client.response();
        assert_eq!((refused.status, refused.error_code().as_str()), (status, code), "{request}");
        assert!(!refused.body.contains("token=%") && !refused.body.contains(&path[path.len() - 32..]), "{refused:?}");
        if status == 426 {
            assert_eq!(refused.header("upgrade"), Some("websocket"));
        }
        if request.contains("Version: 12") {
            assert_eq!(refused.header("sec-websocket-version"), Some("13"));
        }
    }
    client.send(request("HEAD /channels/room/connect", &[], ""));
    assert_eq!(client.head().status, 426);
    client.send(upgrade(&path));
    rig.joined.recv_timeout(PATIENCE).expect("the same connection, with the right token");
}

#[test]
fn a_handshake_with_a_body_is_refused() {
    let rig = Rig::start();
    let path = create(&rig, "room", "");
    let with_body = upgrade(&path).replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\n\u{1}\u{2}");
    assert_eq!(rig.ask(&with_body).status, 400);
    assert!(rig.joined.try_recv().is_err());
}
