//! What a client sends, on its way to those who get it.

use crate::channel::{ClientId, Delivery, Membership, Origin, OriginMember, Refusal};
use crate::session::{Phase, opcode_of, push_frame};
use crate::time::Time;
use crate::ws::{CloseCode, Decoder, Event, MessageKind, Opcode, server_header};

use super::compression::compressing_len;
use super::{Relay, TURN_LEN_MAX};

impl Relay {
    /// Takes in what came from a connection, unmasked in place, until that is everything or the turn has had its fill.
    /// Returns how much it was: the rest is to be given again in the next turn, before anything that came later.
    pub fn receive(&mut self, now: Time, client: ClientId, mut bytes: &mut [u8]) -> usize {
        debug_assert_eq!(client.shard, self.shard);
        let (slot, len) = (client.slot, bytes.len());
        self.sessions[slot as usize].silent_for = 0;
        // Out of its session for as long as it is read: what it hands out goes to other sessions.
        let mut decoder = std::mem::replace(&mut self.sessions[slot as usize].decoder, Decoder::new(0));
        self.partial_len -= decoder.held_len() as u64;
        let mut left = 0;
        while matches!(self.sessions[slot as usize].phase, Phase::Open | Phase::Closing) {
            if self.made_len >= TURN_LEN_MAX {
                left = bytes.len();
                break;
            }
            match decoder.next(&mut bytes) {
                Ok(Some(event)) => self.take_in(now, slot, event),
                Ok(None) => break,
                Err(code) => self.end(now, slot, code),
            }
        }
        self.partial_len += decoder.held_len() as u64;
        self.sessions[slot as usize].decoder = decoder;
        self.taken_len += len - left;
        if let Some(rates) = &self.rates
            && let Some(allowance) = &mut self.sessions[slot as usize].allowance
            && !allowance.take_bytes(rates, now, len - left)
        {
            self.close(now, slot, CloseCode::RateLimit);
        }
        len - left
    }

    /// Counts a message, a ping or a pong; `false` = it was one too many, and the client is closed.
    fn may_send(&mut self, now: Time, slot: u32) -> bool {
        if let Some(rates) = &self.rates
            && let Some(allowance) = &mut self.sessions[slot as usize].allowance
            && !allowance.take_message(rates, now)
        {
            self.close(now, slot, CloseCode::RateLimit);
            return false;
        }
        true
    }

    fn take_in(&mut self, now: Time, slot: u32, event: Event<'_>) {
        match event {
            Event::Close(code) => self.end(now, slot, code),
            Event::Message(..) | Event::Compressed(..) | Event::Ping(_) | Event::Pong if !self.may_send(now, slot) => {}
            Event::Pong => {}
            Event::Message(..) | Event::Compressed(..) | Event::Ping(_)
                if self.sessions[slot as usize].phase == Phase::Closing => {}
            Event::Ping(payload) => self.push(slot, Opcode::Pong, payload),
            Event::Message(kind, payload) => self.deliver(now, slot, kind, payload),
            Event::Compressed(kind, payload) => self.inflate(now, slot, kind, payload),
        }
    }

    /// Passes a message on as the pattern of its channel says.
    pub(super) fn deliver(&mut self, now: Time, slot: u32, kind: MessageKind, payload: &[u8]) {
        let session = &mut self.sessions[slot as usize];
        let (room_slot, membership) = session.place.expect("an open session is in a channel");
        if !session.may_publish {
            return self.end(now, slot, CloseCode::MayNotPublish);
        }
        self.messages += 1;
        let listens = matches!(membership, Membership::Listener(_));
        let room = &mut self.rooms[room_slot];
        let channel = &mut room.channel;
        let opcode = opcode_of(kind);
        match channel.deliver(membership, payload) {
            Ok(Delivery::Back) => {
                channel.touch(now);
                return self.push_message(slot, opcode, [payload, &[], &[]]);
            }
            Ok(Delivery::All { exclude_sender }) => {
                channel.touch(now);
                let header = server_header(opcode, payload.len());
                let offset = channel.log.append([&header, payload]);
                if exclude_sender && listens {
                    match &mut room.compressed {
                        Some(logs) if session.reads.is_some() => {
                            logs.leave_out(offset, slot, session.serial);
                            session.leave_out_plain(offset..channel.log.head());
                        }
                        _ => session.leave_out(offset..channel.log.head()),
                    }
                }
                if let Some(logs) = &room.compressed {
                    self.made_len += logs.readable() * compressing_len(payload.len());
                }
                return self.grow(now, room_slot);
            }
            Ok(Delivery::One(client)) => self.push_message(client.slot, opcode, [payload, &[], &[]]),
            Ok(Delivery::RequestToOne(client, request)) => {
                let origin = OriginMember::new(self.origin_of(slot));
                self.push_message(client.slot, opcode, request.parts(&origin));
            }
            Ok(Delivery::RequestToOthers(request)) => {
                let origin = OriginMember::new(self.origin_of(slot));
                let [before, origin, after] = request.parts(&origin);
                let header = server_header(opcode, before.len() + origin.len() + after.len());
                let log = &mut self.rooms[room_slot].channel.log;
                let offset = log.append([&header, before, origin, after]);
                let session = &mut self.sessions[slot as usize];
                if listens {
                    session.leave_out(offset..log.head());
                }
                session.requested(log.head());
                self.grow(now, room_slot);
            }
            Ok(Delivery::Reply(origin)) => match self.find(room_slot, origin) {
                Some(receiver) => self.reply(slot, receiver, opcode, payload),
                // Who breaks the rules does not keep the channel alive.
                None => return self.refuse(slot, opcode, Refusal::UnknownOrigin),
            },
            Err(refusal) => {
                self.refuse(slot, opcode, refusal);
                if refusal != Refusal::NoResponders {
                    return;
                }
            }
        }
        self.rooms[room_slot].channel.touch(now);
    }

    /// Tells a sender why its message goes to nobody.
    fn refuse(&mut self, slot: u32, opcode: Opcode, refusal: Refusal) {
        let answer = refusal.answer().as_bytes();
        self.made_len += answer.len();
        self.push(slot, opcode, answer);
    }

    /// Delivers a reply behind the requests that its sender made before.
    fn reply(&mut self, sender: u32, receiver: u32, opcode: Opcode, payload: &[u8]) {
        let requested_to = self.sessions[sender as usize].requested_to();
        if requested_to > 0 {
            let session = &mut self.sessions[receiver as usize];
            // Who does not get the requests of others can get a reply at once.
            if let Some((room, Membership::Listener(_))) = session.place {
                let log = &self.rooms[room].channel.log;
                log.attach(session.cursor_mut());
                session.go_on_after(requested_to, log.head());
            }
        }
        self.push_message(receiver, opcode, [payload, &[], &[]]);
    }

    /// Puts a frame into a client's outbox.
    pub(super) fn push(&mut self, slot: u32, opcode: Opcode, payload: &[u8]) {
        push_frame(&mut self.sessions[slot as usize].outbox, opcode, payload);
        self.queue(slot);
    }

    fn origin_of(&self, slot: u32) -> Origin {
        let client = ClientId { shard: self.shard, slot };
        Origin { client, serial: self.sessions[slot as usize].serial }
    }

    /// The slot of the client with this origin, if it is in the room.
    fn find(&self, room: u32, origin: Origin) -> Option<u32> {
        let slot = origin.client.slot;
        let session = self.sessions.get(slot as usize)?;
        let is_here = session.place.is_some_and(|(place, _)| place == room);
        (is_here && self.origin_of(slot) == origin).then_some(slot)
    }
}
