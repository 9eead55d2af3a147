//! What is noted about places in a chain.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;

use super::Meter;

/// Notes in the order of the places that they are about, such as who is not to get what lies there. A note can take more
/// memory than what it is about, so that memory is counted with that of the chunks. It is given back as the notes go.
pub struct Notes<T> {
    notes: VecDeque<T>,
    /// Counts the memory of the notes, but for the room that is kept in any case.
    meter: Meter,
}

impl<T> Notes<T> {
    /// No notes yet; `meter` will count their memory.
    pub fn new(meter: &Meter) -> Notes<T> {
        Notes { notes: VecDeque::new(), meter: meter.clone() }
    }

    /// Changes the notes, and then counts and gives back memory.
    #[inline]
    pub fn change<R>(&mut self, change: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        let before = self.notes.capacity();
        let result = change(&mut self.notes);
        let after = self.notes.capacity();
        if after != before || (after > ROOM_KEPT && self.notes.len() * SPARSE < after) {
            self.recount(before);
        }
        result
    }

    /// Bytes of memory that the notes take and do not keep in any case.
    pub fn held_len(&self) -> usize {
        counted_len::<T>(self.notes.capacity())
    }

    /// Gives back what is far too much, and counts what is left; `before` is the room that was counted.
    #[cold]
    fn recount(&mut self, before: usize) {
        if self.notes.len() * SPARSE < self.notes.capacity() {
            self.notes.shrink_to((self.notes.len() * 2).max(ROOM_KEPT));
        }
        self.meter.add(self.held_len());
        self.meter.sub(counted_len::<T>(before));
    }
}

impl<T> Deref for Notes<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.notes
    }
}

impl<T> Drop for Notes<T> {
    fn drop(&mut self) {
        self.meter.sub(self.held_len());
    }
}

impl<T: fmt::Debug> fmt::Debug for Notes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notes.fmt(f)
    }
}

/// Bytes that count of the room for so many notes.
fn counted_len<T>(room: usize) -> usize {
    if room > ROOM_KEPT { room * size_of::<T>() } else { 0 }
}

/// Notes for which there is room once there has been one: they come and go with each message, and so few cost a client
/// little.
const ROOM_KEPT: usize = 4;

/// There may be room for this many times as many notes as there are.
const SPARSE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_count_while_there_are_many_and_give_their_memory_back() {
        let meter = Meter::default();
        let mut notes = Notes::new(&meter);
        for note in 0..1000u64 {
            notes.change(|notes| notes.push_back(note));
            assert_eq!(meter.held(), notes.held_len() as u64);
        }
        assert!((8_000..=16_384).contains(&meter.held()), "{}", meter.held());
        for left in (0..1000usize).rev() {
            notes.change(VecDeque::pop_front);
            assert!(notes.capacity() <= (left * SPARSE).max(ROOM_KEPT), "room for {} of {left}", notes.capacity());
            assert_eq!(meter.held(), notes.held_len() as u64);
        }
        assert_eq!((meter.held(), notes.held_len()), (0, 0));
    }

    #[test]
    fn a_few_notes_are_no_memory_that_counts_and_keep_their_room() {
        let meter = Meter::default();
        let mut notes = Notes::new(&meter);
        for note in 0..ROOM_KEPT as u64 {
            notes.change(|notes| notes.push_back((note, note)));
        }
        let room = notes.capacity();
        notes.change(VecDeque::clear);
        assert_eq!((meter.held(), notes.capacity()), (0, room));
    }

    #[test]
    fn notes_that_are_dropped_or_exchanged_count_no_more() {
        let meter = Meter::default();
        let many = || {
            let mut notes = Notes::new(&meter);
            notes.change(|notes| notes.extend(0..100u64));
            notes
        };
        let mut notes = many();
        let held = meter.held();
        drop(std::mem::replace(&mut notes, many()));
        assert!(meter.held() == held && notes.held_len() as u64 == held);
        drop(notes);
        assert_eq!(meter.held(), 0);
    }
}
