//! The patterns in the model: who is to get what, said as plainly as the requirements do.

use ringrelay::channel::Pattern;
use serde_json::Value;

use super::client::{Due, Frame, frame_len};
use super::world::World;

/// The stream of what the relay itself says.
const OWN_STREAM: usize = usize::MAX;

impl World {
    /// A client writes a request, a reply, or something that is neither.
    pub(super) fn ask_or_reply(&mut self, index: usize) {
        self.messages += 1;
        let (number, pad) = (self.messages, "é\\n".repeat(self.random.usize(..30)));
        let origin = match self.random.u32(0..10) {
            0 => "nobody".to_owned(),
            // Of this or another channel, connected or not.
            _ => self.clients[self.random.usize(..self.clients.len())].origin.clone(),
        };
        let message = match self.random.u32(0..20) {
            0..=9 => format!(r#"{{"type" : "request","n":{number}.0e0,"pad":"{pad}"}}"#),
            10 => format!(r#"{{"n":{number}, "origin": "{origin}" ,"type":"request","pad":"{pad}"}}"#),
            11..=16 => format!(r#"{{"n":{number},"origin":"{origin}","type":"reply","pad":"{pad}"}}"#),
            17 => format!(r#"{{"type":"reply","n":{number}}}"#),
            18 => format!(r#"{{"type":"tell","n":{number}}}"#),
            _ => format!(r#"[{number},{{"type":"request"}}]"#),
        };
        let frame = (self.random.u8(1..=2), message.into_bytes());
        self.queue_message(index, frame);
    }

    /// What a message that has arrived means.
    pub(super) fn route(&mut self, sender: usize, frame: Frame) {
        let room = self.clients[sender].channel;
        let delivered = match self.channels[room].pattern {
            Pattern::Echo => {
                self.expect_compressed(sender, 0, frame);
                Ok(())
            }
            Pattern::PubSub => {
                self.broadcast(sender, frame);
                Ok(())
            }
            Pattern::PushPull => {
                let receiver = self.take_turn(sender);
                self.seen.turns += 1;
                self.expect_compressed(receiver, 0, frame);
                Ok(())
            }
            Pattern::ReqRepl | Pattern::FanInOut => self.converse(sender, &frame).map_err(|code| (code, frame.0)),
        };
        match delivered {
            Ok(()) => self.channels[room].active_at = self.now,
            Err((code, opcode)) => {
                if code == "no_responders" {
                    self.channels[room].active_at = self.now;
                }
                self.seen.refusals += 1;
                self.expect_error(sender, opcode, code);
            }
        }
    }

    fn broadcast(&mut self, sender: usize, frame: Frame) {
        let room = self.clients[sender].channel;
        let exclude_sender = self.channels[room].exclude_sender;
        self.channels[room].sequence.push(frame.clone());
        self.clients[sender].left_out += u64::from(exclude_sender) * (2 * 16 + 4 + frame.1.len() as u64);
        for reader in self.in_room(room) {
            if !(exclude_sender && reader == sender) {
                self.expect_compressed(reader, 0, frame.clone());
            }
        }
    }

    /// A request or reply; `Err` = the code that its sender is told.
    fn converse(&mut self, sender: usize, frame: &Frame) -> Result<(), &'static str> {
        let room = self.clients[sender].channel;
        let pattern = self.channels[room].pattern;
        let message: Value = serde_json::from_slice(&frame.1).map_err(|_| "not_json")?;
        let message = message.as_object().ok_or("not_an_object")?;
        match message.get("type").and_then(Value::as_str) {
            Some("request") => {
                let others: Vec<usize> = self.in_room(room).into_iter().filter(|other| *other != sender).collect();
                if others.is_empty() {
                    return Err("no_responders");
                }
                self.seen.requests += 1;
                let request = (frame.0, self.with_origin(sender, &frame.1));
                self.turn_len += ORIGIN_LEN;
                if pattern == Pattern::FanInOut {
                    let responder = self.take_turn(sender);
                    self.expect_compressed(responder, 0, request);
                } else {
                    self.clients[sender].has_asked = true;
                    self.clients[sender].left_out += 16 + 4 + request.1.len() as u64;
                    // They have an origin in them, and their places in the log are those of the plain one.
                    for other in others {
                        self.expect(other, sender, request.clone());
                    }
                }
                Ok(())
            }
            Some("reply") => {
                let origin = message.get("origin").ok_or("missing_origin")?.as_str().ok_or("unknown_origin")?;
                let asker = self.in_room(room).into_iter().find(|other| self.clients[*other].origin == origin);
                let asker = asker.ok_or("unknown_origin")?;
                self.seen.replies += 1;
                if pattern == Pattern::FanInOut {
                    self.expect_compressed(asker, 0, frame.clone());
                } else {
                    if self.clients[sender].has_asked {
                        // The reply may carry a copy of all that the asker is still to get.
                        self.clients[asker].left_out += 16 + self.lag(asker);
                        self.seen.replies_behind_requests += 1;
                    }
                    self.expect_compressed(asker, sender, frame.clone());
                }
                Ok(())
            }
            _ => Err("unknown_type"),
        }
    }

    /// The next of the queue, who goes to its end; the sender is skipped unless it is alone.
    fn take_turn(&mut self, sender: usize) -> usize {
        let open = self.in_room(self.clients[sender].channel);
        let queue = &mut self.channels[self.clients[sender].channel].queue;
        queue.retain(|client| open.contains(client));
        if queue[0] == sender {
            queue.rotate_left(1);
        }
        queue.rotate_left(1);
        queue[queue.len() - 1]
    }

    /// The clients connected to a channel.
    fn in_room(&self, room: usize) -> Vec<usize> {
        let is_in = |index: &usize| self.clients[*index].channel == room && self.clients[*index].is_open();
        (0..self.clients.len()).filter(is_in).collect()
    }

    /// The request as others get it. Its sender writes an origin in one way only, and at the same place.
    fn with_origin(&self, sender: usize, message: &[u8]) -> Vec<u8> {
        let text = str::from_utf8(message).expect("text");
        let origin = format!("\"{}\"", self.clients[sender].origin);
        match text.split_once("\"origin\": ") {
            Some((before, after)) => {
                let (_, rest) = after.split_once(" ,").expect("a value, and more members");
                format!("{before}\"origin\": {origin} ,{rest}").into_bytes()
            }
            None => text.replacen('{', &format!("{{\"origin\":{origin},"), 1).into_bytes(),
        }
    }

    /// A client is to get this, as it is.
    fn expect(&mut self, client: usize, stream: usize, frame: Frame) {
        let len = frame_len(frame.1.len());
        self.clients[client].expect(Due { frame, stream, len });
    }

    /// The same, compressed if the client agreed on that and it is worth it.
    fn expect_compressed(&mut self, client: usize, stream: usize, frame: Frame) {
        let len = match self.clients[client].window {
            Some(window) => frame_len(self.lens.compressed(window, &frame.1)),
            None => frame_len(frame.1.len()),
        };
        self.clients[client].expect(Due { frame, stream, len });
    }

    fn expect_error(&mut self, client: usize, opcode: u8, code: &str) {
        let all = ringrelay::channel::Refusal::ALL.map(ringrelay::channel::Refusal::answer);
        let answer = all.into_iter().find(|answer| answer.contains(&format!("\"{code}\""))).expect("a code");
        self.turn_len += answer.len() as u64;
        let stream =
            if self.channels[self.clients[client].channel].pattern == Pattern::ReqRepl { OWN_STREAM } else { 0 };
        self.expect(client, stream, (opcode, answer.as_bytes().to_vec()));
    }
}

/// What an origin adds to a request at the most.
const ORIGIN_LEN: u64 = ringrelay::channel::ORIGIN_MEMBER_LEN_MAX as u64;
