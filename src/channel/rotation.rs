//! Round robin: who is next, in a queue that clients join and leave at any time.

use super::{Membership, Position};

/// The members of a channel in the order of their turns: a ring of links beside the list of members, by position. Every
/// operation takes constant time, and leaving does not change the order of the others.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    /// Who comes before and after the member at the same position.
    links: Vec<Link>,
    /// Who is next; of no meaning while there are no members.
    front: usize,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: usize,
    next: usize,
}

impl Rotation {
    /// Takes in the member that was just added to the list: it is the last to have its turn.
    pub(super) fn join(&mut self) {
        let position = self.links.len();
        if position == 0 {
            self.front = 0;
            self.links.push(Link { previous: 0, next: 0 });
            return;
        }
        let (next, previous) = (self.front, self.links[self.front].previous);
        self.links.push(Link { previous, next });
        self.links[previous].next = position;
        self.links[next].previous = position;
    }

    /// Lets go of the member at `position`, which the last of the list takes over (as [`Members::leave`] does it).
    ///
    /// [`Members::leave`]: super::Members::leave
    pub(super) fn leave(&mut self, position: Position) {
        let Position(position) = position;
        let Link { previous, next } = self.links[position];
        self.links[previous].next = next;
        self.links[next].previous = previous;
        if self.front == position {
            self.front = next;
        }
        self.links.swap_remove(position);
        let last = self.links.len();
        if position < last {
            let Link { previous, next } = self.links[position];
            // Alone, it is linked to itself, under its old position.
            self.links[if previous == last { position } else { previous }].next = position;
            self.links[if next == last { position } else { next }].previous = position;
            if self.front == last {
                self.front = position;
            }
        }
        if self.links.len() * 4 < self.links.capacity() {
            self.links.shrink_to(self.links.len() * 2);
        }
    }

    /// Whose turn it is for a message of the member at `sender`: the next of the queue, who moves to its end. The sender
    /// is skipped, to the end, unless it is alone. `None` = nobody takes turns.
    pub(super) fn take_turn(&mut self, sender: Membership) -> Option<Position> {
        if self.links.is_empty() {
            return None;
        }
        if sender == Membership::Listener(Position(self.front)) {
            self.front = self.links[self.front].next;
        }
        let turn = self.front;
        self.front = self.links[turn].next;
        Some(Position(turn))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Join,
        Leave(usize),
        Send(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            2 => Just(Step::Join),
            1 => (0usize..100).prop_map(Step::Leave),
            6 => (0usize..100).prop_map(Step::Send),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn turns_are_those_of_a_plain_queue(steps in steps()) {
            let mut rotation = Rotation::default();
            // Names in the order of the list and in the order of turns.
            let (mut list, mut queue) = (Vec::new(), VecDeque::new());
            for (name, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Join => {
                        list.push(name);
                        queue.push_back(name);
                        rotation.join();
                    }
                    Step::Leave(index) if !list.is_empty() => {
                        let index = index % list.len();
                        let gone = list.swap_remove(index);
                        queue.retain(|name| *name != gone);
                        rotation.leave(Position(index));
                    }
                    Step::Send(index) if !list.is_empty() => {
                        let index = index % list.len();
                        if queue.front() == Some(&list[index]) {
                            queue.rotate_left(1);
                        }
                        let expected = queue[0];
                        queue.rotate_left(1);
                        let Position(turn) = rotation.take_turn(Membership::Listener(Position(index))).unwrap();
                        prop_assert_eq!(list[turn], expected);
                    }
                    Step::Leave(_) | Step::Send(_) => {}
                }
            }
        }
    }
}
