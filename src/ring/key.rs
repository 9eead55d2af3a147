//! What a completion carries back to tell its operation: kind and slot in one word.

/// The operations of a [`Ring`](super::Ring).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Receive,
    Send,
    Wake,
    Cancel,
}

/// The `user_data` of an entry: the kind in the upper half, the slot in the lower one.
///
/// There is no generation in it: a slot is used again only when all its operations have completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct UserData(u64);

impl UserData {
    pub(super) fn new(kind: Kind, slot: u32) -> UserData {
        UserData((kind as u64) << 32 | u64::from(slot))
    }

    pub(super) fn kind(self) -> Kind {
        match self.0 >> 32 {
            0 => Kind::Receive,
            1 => Kind::Send,
            2 => Kind::Wake,
            3 => Kind::Cancel,
            _ => unreachable!("the kernel returns what it was given"),
        }
    }

    pub(super) fn slot(self) -> u32 {
        self.0 as u32
    }
}

impl From<u64> for UserData {
    fn from(word: u64) -> UserData {
        UserData(word)
    }
}

impl From<UserData> for u64 {
    fn from(user_data: UserData) -> u64 {
        user_data.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_slot_come_back() {
        for kind in [Kind::Receive, Kind::Send, Kind::Wake, Kind::Cancel] {
            for slot in [0, 1, u32::MAX] {
                let user_data = UserData::from(u64::from(UserData::new(kind, slot)));
                assert_eq!((user_data.kind(), user_data.slot()), (kind, slot));
            }
        }
    }
}
