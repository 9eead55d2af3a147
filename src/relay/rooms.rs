//! The channels of a shard, by id and by slot.

use std::collections::BTreeMap;
use std::ops::{Bound, Index, IndexMut};

use slab::Slab;

use crate::channel::{Channel, ChannelId, Log, Pattern, Place};
use crate::chunk::Meter;
use crate::session::Session;
use crate::time::Key;
use crate::ws::deflate::Window;

use super::compression::CompressedLogs;

/// A channel and what the relay notes about it.
#[derive(Debug)]
pub(super) struct Room {
    pub channel: Channel,
    /// Tells this channel from those that had the slot before.
    pub generation: u32,
    /// Whether the log has grown since the last drain.
    pub grown: bool,
    /// Its log for those who compress; `None` = nobody has yet.
    pub compressed: Option<Box<CompressedLogs>>,
    /// Its `Timer::Expire`; `None` = it has none.
    pub expire: Option<Key>,
    /// Its `Timer::Cool`; `None` = it has none: the log holds no memory.
    pub cool: Option<Key>,
}

impl Room {
    /// The log that is read in this form; `None` = the plain one.
    pub(super) fn log(&self, reads: Option<Window>) -> &Log {
        match (reads, &self.compressed) {
            (Some(window), Some(logs)) => logs.log(window),
            (None, _) | (_, None) => &self.channel.log,
        }
    }

    pub(super) fn log_mut(&mut self, reads: Option<Window>) -> &mut Log {
        match (reads, &mut self.compressed) {
            (Some(window), Some(logs)) => logs.log_mut(window),
            (None, _) | (_, None) => &mut self.channel.log,
        }
    }

    /// Has a session that is coming, and has a right to the log, read it compressed.
    pub(super) fn compress_for(&mut self, session: &mut Session, window: Window, meter: &Meter) {
        // Requests stay plain: replies are put behind them by their places in that log.
        if self.channel.spec().pattern != Pattern::PubSub {
            return;
        }
        let (log, head) = (&self.channel.log, self.channel.log.head());
        let logs = self.compressed.get_or_insert_with(|| Box::new(CompressedLogs::new(head, meter)));
        logs.join(window, head);
        session.reads = Some(window);
        let cursor = logs.log(window).join();
        if log.has_history() {
            session.read_history_first(head, cursor, meter);
        } else {
            session.read_from(cursor);
        }
    }

    /// Whether the logs hold memory that [`cool`](Self::cool) might give back.
    pub(super) fn is_warm(&self) -> bool {
        // What history holds stays, and whoever appends next looks again.
        let plain = self.channel.log.is_warm() && !self.channel.log.has_history();
        plain || self.compressed.as_ref().is_some_and(|logs| logs.are_warm())
    }

    /// Gives back memory that nobody reads.
    pub(super) fn cool(&mut self) {
        self.channel.log.cool();
        if let Some(logs) = &mut self.compressed {
            logs.cool();
        }
    }
}

/// All channels of a shard.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    slots: Slab<Room>,
    /// In order, so that a list can be told page by page.
    by_id: BTreeMap<ChannelId, u32>,
    /// Generation of the last channel created.
    generation: u32,
}

impl Rooms {
    /// Takes a channel in and says where it is; `None` = its id is taken.
    pub(super) fn insert(&mut self, channel: Channel) -> Option<u32> {
        let id = channel.spec().id.clone();
        if self.by_id.contains_key(&id) {
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        let room =
            Room { channel, generation: self.generation, grown: false, compressed: None, expire: None, cool: None };
        let slot = self.slots.insert(room) as u32;
        self.by_id.insert(id, slot);
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: u32) -> Room {
        let room = self.slots.remove(slot as usize);
        self.by_id.remove(&room.channel.spec().id);
        room
    }

    pub(super) fn find(&self, id: &ChannelId) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The channel in which a place was reserved, unless it has been deleted since.
    pub(super) fn at(&mut self, place: Place) -> Option<&mut Room> {
        self.get_mut(place.slot).filter(|room| room.generation == place.generation)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Room> {
        self.slots.get_mut(slot as usize)
    }

    /// The channels behind `id` by their ids, in order; `None` = all.
    pub(super) fn behind(&self, id: Option<&ChannelId>) -> impl Iterator<Item = &Room> {
        let start = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_id.range((start, Bound::Unbounded)).map(|(_, slot)| &self[*slot])
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Room> {
        self.slots.iter_mut().map(|(_, room)| room)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.slots.iter().map(|(_, room)| room)
    }
}

impl Index<u32> for Rooms {
    type Output = Room;

    fn index(&self, slot: u32) -> &Room {
        &self.slots[slot as usize]
    }
}

impl IndexMut<u32> for Rooms {
    fn index_mut(&mut self, slot: u32) -> &mut Room {
        &mut self.slots[slot as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelSpec, Pattern, SlowPolicy, Token};
    use crate::time::Time;
    use crate::ws::frame_len;

    fn channel(id: &str) -> Channel {
        let spec = ChannelSpec {
            id: ChannelId::parse(id).unwrap(),
            token: Token::new("secret"),
            pattern: Pattern::Echo,
            client_limit: None,
            timeout: None,
            exclude_sender: false,
            history: 0,
            slow_consumers: SlowPolicy::Disconnect,
            permit: None,
        };
        Channel::new(spec, Time::ZERO, frame_len, &Meter::default())
    }

    fn behind(rooms: &Rooms, id: Option<&str>) -> Vec<String> {
        let id = id.map(|id| ChannelId::parse(id).unwrap());
        rooms.behind(id.as_ref()).map(|room| room.channel.spec().id.to_string()).collect()
    }

    #[test]
    fn a_page_begins_behind_a_channel_be_it_there_or_gone() {
        let mut rooms = Rooms::default();
        assert_eq!(behind(&rooms, None), [""; 0]);
        for id in ["c", "a", "d", "b"] {
            rooms.insert(channel(id)).unwrap();
        }
        assert_eq!(behind(&rooms, None), ["a", "b", "c", "d"]);
        assert_eq!(behind(&rooms, Some("b")), ["c", "d"]);
        let slot = rooms.find(&ChannelId::parse("b").unwrap()).unwrap();
        rooms.remove(slot);
        assert_eq!(behind(&rooms, Some("b")), ["c", "d"]);
        assert_eq!(behind(&rooms, Some("d")), [""; 0]);
    }
}
