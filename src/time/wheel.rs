//! A hierarchical timing wheel: what is to happen when, in constant time however much that is.
//!
//! A tick is a millisecond, and nothing happens early: a time within a tick counts as the tick's end. The six lowest bits of
//! a tick are its slot on the lowest level, the next six its slot on the level above, and so on. An entry lies on the level
//! of the highest bits in which its tick differs from the wheel's, so it comes first that lies on the lowest level that has
//! any, and one bitmap per level tells its slot. When the wheel reaches a slot of a higher level, its entries move down; each
//! does so once per level at the most.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Time;

/// Entries of type `T`, each with the time when it is due.
///
/// An entry takes 24 bytes beside a small `T`; there is room for a quarter more than there have been at once, which is
/// given back when none is left. The empty wheel takes 2.6 KB.
#[derive(Debug)]
pub struct Wheel<T> {
    /// Those in use lie in one of the lists, the others in the list of the free ones.
    nodes: Vec<Node<T>>,
    /// The first free node; `None` = there is none.
    free: Link,
    /// Nodes in use.
    len: usize,
    /// The tick that has been reached.
    tick: u64,
    /// Entries of ticks up to `tick`, to be taken.
    due: Link,
    levels: [Level; LEVELS],
}

/// Names an entry until it is taken or unset. In an `Option` it takes four bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key(NonZeroU32);

#[derive(Debug)]
struct Node<T> {
    /// When it is due.
    tick: u64,
    entry: T,
    /// Its neighbours in the list that it lies in; the list of the free ones has no way back.
    previous: Link,
    next: Link,
}

type Link = Option<Key>;

#[derive(Clone, Copy, Debug)]
struct Level {
    /// A bit for each slot that is not empty.
    occupied: u64,
    /// The first node of each slot.
    slots: [Link; SLOTS],
}

/// Where a node lies.
#[derive(Clone, Copy)]
enum List {
    Due,
    Slot { level: usize, slot: usize },
}

impl<T> Default for Wheel<T> {
    fn default() -> Wheel<T> {
        let level = Level { occupied: 0, slots: [None; SLOTS] };
        Wheel { nodes: Vec::new(), free: None, len: 0, tick: 0, due: None, levels: [level; LEVELS] }
    }
}

impl<T: Copy + Eq + std::fmt::Debug> Wheel<T> {
    /// Has `entry` come up at `at`.
    pub fn set(&mut self, at: Time, entry: T) -> Key {
        let node = Node { tick: at.0.div_ceil(TICK), entry, previous: None, next: None };
        let key = match self.free {
            Some(key) => {
                self.free = self.node(key).next;
                *self.node(key) = node;
                key
            }
            None => {
                if self.nodes.len() == self.nodes.capacity() {
                    self.nodes.reserve_exact((self.nodes.len() / 4).max(NODES_MIN));
                }
                self.nodes.push(node);
                // Memory ends long before the numbers do.
                let count = u32::try_from(self.nodes.len()).ok().and_then(NonZeroU32::new);
                Key(count.expect("fewer than 2^32 timers"))
            }
        };
        self.len += 1;
        self.link(key);
        key
    }

    /// Takes back `entry`, which is still to come up.
    pub fn unset(&mut self, key: Key, entry: T) {
        debug_assert_eq!(self.node(key).entry, entry, "the key is of an entry that is still there");
        self.unlink(key);
        self.give_back(key);
    }

    /// When an entry comes up that is still to do so.
    pub fn due_at(&self, key: Key) -> Time {
        time_of(self.nodes[index(key)].tick)
    }

    /// When there is something to do: the first entry comes up, or some move down.
    pub fn next(&self) -> Option<Time> {
        if self.due.is_some() {
            return Some(time_of(self.tick));
        }
        self.first_slot().map(|(_, _, tick)| time_of(tick))
    }

    /// Takes an entry that is due; those of earlier ticks come first.
    pub fn take_due(&mut self, now: Time) -> Option<T> {
        let tick_now = now.0 / TICK;
        while self.due.is_none() {
            let first = self.first_slot().filter(|(_, _, tick)| *tick <= tick_now);
            let Some((level, slot, tick)) = first else {
                self.tick = self.tick.max(tick_now);
                return None;
            };
            self.tick = tick;
            let level = &mut self.levels[level];
            level.occupied &= !(1 << slot);
            let mut left = level.slots[slot].take();
            while let Some(key) = left {
                left = self.node(key).next;
                self.link(key);
            }
        }
        let key = self.due?;
        let entry = self.node(key).entry;
        self.unlink(key);
        self.give_back(key);
        Some(entry)
    }

    /// The slot that is reached first: its level, its number there, and its first tick.
    fn first_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        let slot = self.levels[level].occupied.trailing_zeros() as usize;
        let shift = level * SLOT_BITS;
        let before = self.tick >> shift >> SLOT_BITS << SLOT_BITS << shift;
        Some((level, slot, before | (slot as u64) << shift))
    }

    /// The list that entries of this tick lie in.
    fn list_of(&self, tick: u64) -> List {
        if tick <= self.tick {
            return List::Due;
        }
        let level = (tick ^ self.tick).ilog2() as usize / SLOT_BITS;
        List::Slot { level, slot: (tick >> (level * SLOT_BITS)) as usize % SLOTS }
    }

    fn link(&mut self, key: Key) {
        let tick = self.node(key).tick;
        let first = match self.list_of(tick) {
            List::Due => &mut self.due,
            List::Slot { level, slot } => {
                let level = &mut self.levels[level];
                level.occupied |= 1 << slot;
                &mut level.slots[slot]
            }
        };
        let next = first.replace(key);
        let node = self.node(key);
        (node.previous, node.next) = (None, next);
        if let Some(next) = next {
            self.node(next).previous = Some(key);
        }
    }

    fn unlink(&mut self, key: Key) {
        let Node { tick, previous, next, .. } = *self.node(key);
        if let Some(next) = next {
            self.node(next).previous = previous;
        }
        match (previous, self.list_of(tick)) {
            (Some(previous), _) => self.node(previous).next = next,
            (None, List::Due) => self.due = next,
            (None, List::Slot { level, slot }) => {
                let level = &mut self.levels[level];
                level.slots[slot] = next;
                if next.is_none() {
                    level.occupied &= !(1 << slot);
                }
            }
        }
    }

    /// Puts a node that lies in no list to the free ones.
    fn give_back(&mut self, key: Key) {
        self.len -= 1;
        if self.len == 0 {
            (self.nodes, self.free) = (Vec::new(), None);
            return;
        }
        let free = self.free.replace(key);
        self.node(key).next = free;
    }

    fn node(&mut self, key: Key) -> &mut Node<T> {
        &mut self.nodes[index(key)]
    }
}

fn index(key: Key) -> usize {
    key.0.get() as usize - 1
}

/// The begin of a tick.
fn time_of(tick: u64) -> Time {
    Time::ZERO + Duration::from_micros(tick.saturating_mul(TICK))
}

/// Microseconds of a tick.
const TICK: u64 = 1000;

const SLOT_BITS: usize = 6;
const SLOTS: usize = 1 << SLOT_BITS;

/// As many as the last tick of all has bits for.
const LEVELS: usize = 10;
const _: () = assert!((u64::MAX / TICK) >> (LEVELS * SLOT_BITS) == 0);

/// Nodes that there is room for at first.
const NODES_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(micros: u64) -> Time {
        Time::ZERO + Duration::from_micros(micros)
    }

    /// All that is due at `now`, in order.
    fn take_all(wheel: &mut Wheel<u32>, now: Time) -> Vec<u32> {
        std::iter::from_fn(|| wheel.take_due(now)).collect()
    }

    #[test]
    fn an_entry_comes_up_at_the_end_of_its_tick_and_not_before() {
        let mut wheel = Wheel::default();
        wheel.set(at(1_500), 1);
        assert_eq!(wheel.next(), Some(at(2_000)));
        assert_eq!(wheel.take_due(at(1_999)), None);
        assert_eq!(wheel.take_due(at(2_000)), Some(1));
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn what_is_due_already_comes_up_at_once() {
        let mut wheel = Wheel::default();
        assert_eq!(wheel.take_due(at(70_000_000)), None);
        wheel.set(at(5), 1);
        assert!(wheel.next() <= Some(at(70_000_000)));
        assert_eq!(wheel.take_due(at(70_000_000)), Some(1));
    }

    #[test]
    fn the_end_of_time_is_never_reached_and_does_no_harm() {
        let mut wheel = Wheel::default();
        let key = wheel.set(at(u64::MAX), 1);
        wheel.set(at(3_000), 2);
        assert_eq!(take_all(&mut wheel, at(u64::MAX / 2)), [2]);
        assert!(wheel.next().is_some());
        wheel.unset(key, 1);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn one_far_entry_wakes_nobody_but_once_per_level() {
        let day = 86_400_000_000;
        let mut wheel = Wheel::default();
        wheel.set(at(day), 1);
        let (mut now, mut wakes) = (at(0), 0);
        while now < at(day) {
            now = wheel.next().unwrap();
            wakes += 1;
            assert_eq!(wheel.take_due(now).is_some(), now == at(day));
        }
        assert!(wakes <= 5, "{wakes}");
    }

    #[test]
    fn an_entry_takes_24_bytes_and_all_are_given_back() {
        assert_eq!(size_of::<Node<(u32, u32)>>(), 24);
        assert_eq!(size_of::<Option<Key>>(), 4);
        assert!(size_of::<Wheel<u64>>() <= 2700, "{}", size_of::<Wheel<u64>>());
        let mut wheel = Wheel::default();
        let keys: Vec<Key> = (0..100_000).map(|entry| wheel.set(at(u64::from(entry) * 977), entry)).collect();
        assert!(wheel.nodes.capacity() <= 125_000, "{}", wheel.nodes.capacity());
        for (entry, key) in keys.into_iter().enumerate() {
            wheel.unset(key, entry as u32);
        }
        assert_eq!(wheel.nodes.capacity(), 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Something is set, so many microseconds ahead.
        Set(u64),
        /// One of what is set is taken back.
        Unset(usize),
        /// Time goes on, and what is due is taken, but for so many at the most.
        Pass(u64, usize),
        /// Time goes on to when there is something to do.
        Wake,
    }

    /// Short times and long ones, so that every level has its turn.
    fn span() -> impl Strategy<Value = u64> {
        (0u32..50, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => span().prop_map(Step::Set),
            2 => any::<usize>().prop_map(Step::Unset),
            3 => (span(), prop_oneof![Just(usize::MAX), 0usize..4]).prop_map(|(span, max)| Step::Pass(span, max)),
            3 => Just(Step::Wake),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn everything_comes_up_in_its_tick(steps in steps()) {
            let mut wheel = Wheel::default();
            // By tick, as the wheel rounds.
            let mut model: BTreeSet<(u64, u32)> = BTreeSet::new();
            let mut keys: Vec<Option<(Key, u64)>> = Vec::new();
            let mut now = 0;
            for step in steps {
                let max = match step {
                    Step::Set(span) => {
                        let (time, entry) = (now + span, keys.len() as u32);
                        let key = wheel.set(at(time), entry);
                        prop_assert_eq!(wheel.due_at(key), at(time.div_ceil(1000) * 1000));
                        keys.push(Some((key, time.div_ceil(1000))));
                        model.insert((time.div_ceil(1000), entry));
                        0
                    }
                    Step::Unset(entry) => {
                        let entry = entry % keys.len().max(1);
                        if let Some((key, tick)) = keys.get_mut(entry).and_then(Option::take) {
                            wheel.unset(key, entry as u32);
                            prop_assert!(model.remove(&(tick, entry as u32)));
                        }
                        0
                    }
                    Step::Pass(span, max) => {
                        now += span;
                        max
                    }
                    Step::Wake => {
                        if let Some(next) = wheel.next() {
                            now = now.max(next.0);
                        }
                        usize::MAX
                    }
                };
                let mut taken = 0;
                while taken < max {
                    let first = model.first().copied().filter(|(tick, _)| *tick <= now / 1000);
                    let got = wheel.take_due(at(now));
                    prop_assert_eq!(got.is_some(), first.is_some());
                    let (Some(entry), Some((tick, _))) = (got, first) else { break };
                    prop_assert!(model.remove(&(tick, entry)), "{} is not of the first tick", entry);
                    keys[entry as usize] = None;
                    taken += 1;
                }
                prop_assert_eq!(wheel.len, model.len());
                let (next, first) = (wheel.next(), model.first().map(|(tick, _)| *tick));
                prop_assert_eq!(next.is_some(), first.is_some());
                if let (Some(next), Some(tick)) = (next, first) {
                    prop_assert!(next.0 <= (tick * 1000).max(now), "nothing is missed");
                    prop_assert!(max < usize::MAX || next.0 > now / 1000 * 1000, "nobody is woken for nothing");
                }
            }
        }
    }
}
