//! What a shard does when the memory for its messages is used up: those who are furthest behind are closed first, then
//! history is given up, and at last those are closed who hold a chunk of a log, be it for its last byte; until that has
//! helped, nobody is let in.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::channel::ClientId;
use crate::chunk::Meter;
use crate::session::Phase;
use crate::time::Time;
use crate::ws::{CloseCode, Decoder};

use super::rooms::Room;
use super::{Output, Relay};

impl Relay {
    /// Bytes that messages take: logs, history, outboxes, notes on who is not to get what, and what has arrived in part.
    pub fn memory_len(&self) -> u64 {
        self.meter.held() + self.partial_len
    }

    /// What counts the memory of messages, for those who keep them outside of the relay.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Says how many bytes of memory a client's TLS holds for a record of which a part has come.
    pub fn hold_part(&mut self, client: ClientId, len: usize) {
        debug_assert_eq!(client.shard, self.shard);
        let session = &mut self.sessions[client.slot as usize];
        self.partial_len -= session.parted_len as u64;
        session.parted_len = len;
        self.partial_len += len as u64;
    }

    /// Whether the shard holds as much as it may.
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.memory_len() > self.limits.memory_max
    }

    /// Makes room, if there is none. What is closed gives its memory back only when its last send has ended, so there is a
    /// pause before more is closed.
    pub(super) fn reclaim(&mut self, now: Time) {
        if !self.is_out_of_memory() || now < self.reclaim_at {
            return;
        }
        self.reclaim_at = now + RECLAIM_PAUSE;
        self.rooms.iter_mut().for_each(Room::cool);
        if !self.is_out_of_memory() {
            return;
        }
        // Some more than is asked for, so that the next message is not the next reason.
        let mut wanted = self.memory_len() - self.limits.memory_max / 8 * 7;
        let history_len: u64 = self.rooms.iter().map(|room| room.channel.log.history_len()).sum();
        if history_len > self.limits.memory_max / 2 {
            return self.halve_histories();
        }
        let mut holders: Vec<(u64, u32)> = self.holders().collect();
        holders.sort_unstable_by(|one, other| other.cmp(one));
        for (held, slot) in holders {
            if wanted == 0 {
                return;
            }
            wanted = wanted.saturating_sub(held);
            self.close_for_memory(now, slot, held);
        }
        if wanted > 0 && history_len > 0 {
            self.halve_histories();
        } else {
            self.reclaim_chunks(now, wanted);
        }
    }

    /// Closes those who hold most memory, until `wanted` bytes of it are free. A chunk of a log is free when nobody holds it
    /// or one before it: what closing a reader frees is what it holds more than those who are left.
    fn reclaim_chunks(&mut self, now: Time, mut wanted: u64) {
        if wanted == 0 {
            return;
        }
        let mut holders = Vec::new();
        // By log: what its readers hold of it, and how many hold as much.
        let mut logs: BTreeMap<_, BTreeMap<u64, usize>> = BTreeMap::new();
        for (slot, session) in self.sessions.iter().filter(|(_, session)| session.phase == Phase::Open) {
            let holding = session.holding();
            for (form, len) in &holding.logs {
                *logs.entry((session.room(), *form)).or_default().entry(*len).or_default() += 1;
            }
            if !holding.is_empty() {
                holders.push((holding.len(), slot as u32));
            }
        }
        holders.sort_unstable_by(|one, other| other.cmp(one));
        for (held, slot) in holders {
            if wanted == 0 {
                return;
            }
            let session = &self.sessions[slot as usize];
            let holding = session.holding();
            let mut freed = holding.own;
            for (form, len) in holding.logs {
                let Some(readers) = logs.get_mut(&(session.room(), form)) else { continue };
                let most = |readers: &BTreeMap<u64, usize>| readers.last_key_value().map_or(0, |(len, _)| *len);
                let before = most(readers);
                if let Some(count) = readers.get_mut(&len) {
                    *count -= 1;
                    if *count == 0 {
                        readers.remove(&len);
                    }
                }
                freed += before - most(readers);
            }
            wanted = wanted.saturating_sub(freed);
            self.close_for_memory(now, slot, held);
        }
    }

    /// Closes a session that holds this much.
    fn close_for_memory(&mut self, now: Time, slot: u32, held: u64) {
        self.tally.reclaimed += 1;
        let session = &mut self.sessions[slot as usize];
        let partial_len = session.partial_len();
        if partial_len * 2 > held {
            // Nothing more is expected of it.
            session.decoder = Decoder::new(0);
            if std::mem::take(&mut session.parted_len) > 0 {
                self.outputs.push(Output::Forget(ClientId { shard: self.shard, slot }));
            }
            self.partial_len -= partial_len;
            self.close(now, slot, CloseCode::OutOfMemory);
        } else {
            self.close(now, slot, CloseCode::SlowConsumer);
        }
    }

    /// The open sessions that are far enough behind to be worth closing, and how many bytes that is.
    fn holders(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.sessions.iter().filter(|(_, session)| session.phase == Phase::Open).filter_map(|(slot, session)| {
            let held = session.held_len(self.flushed_of(session)) + session.partial_len();
            (held >= HELD_MIN).then_some((held, slot as u32))
        })
    }

    /// Has every channel forget the older half of its history.
    fn halve_histories(&mut self) {
        for room in self.rooms.iter_mut() {
            let len = room.channel.log.history_len();
            if len > 0 {
                room.channel.log.trim_history(len / 2);
                // Without a history the last chunk is for the next message alone, and no timer is set to give it back.
                room.cool();
                self.tally.histories_cut += 1;
            }
        }
    }
}

/// A connection that is less behind is not closed before history is given up, in bytes.
const HELD_MIN: u64 = 4 * 1024;

/// Time for those that were closed to give their memory back.
const RECLAIM_PAUSE: Duration = Duration::from_millis(50);
