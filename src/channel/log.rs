//! The log of a channel: what is broadcast, written once and read by every subscriber through a cursor of its own.

use std::rc::Rc;

use crate::chunk::{Chain, Chunk, Cursor, Meter, RecordLen};

/// Encoded records in the order of their offsets. Trimmed behind the slowest reader, but for what history keeps.
#[derive(Debug)]
pub struct Log {
    chain: Chain,
    /// The chunk in which the first record since the last flush lies; `None` = there was none.
    ///
    /// A reader that had read everything is detached and stands at `flushed`, and this is where it goes on.
    fresh: Option<Rc<Chunk>>,
    /// The head at the last flush; `flushed <= head`.
    flushed: u64,
    /// Records appended so far; begins anew behind its end.
    appended: u32,
    history: History,
}

impl Log {
    /// An empty log that keeps the last `history_records` records (and no more than [`HISTORY_LEN_MAX`] bytes of them)
    /// for readers to come. `record_len` tells how long a record is.
    pub fn new(history_records: u32, record_len: RecordLen, meter: &Meter) -> Log {
        let history = History { records_max: history_records, records: 0, first: None, record_len };
        Log { chain: Chain::new(CHUNK_SIZE_MIN, meter), fresh: None, flushed: 0, appended: 0, history }
    }

    /// Offset behind the last record.
    pub fn head(&self) -> u64 {
        self.chain.head()
    }

    /// The head at the last flush: what a reader has not sent of it has waited for at least one tick.
    pub fn flushed(&self) -> u64 {
        self.flushed
    }

    /// Records appended so far, of which only differences mean something.
    pub fn appended(&self) -> u32 {
        self.appended
    }

    /// The same without those that are kept for readers to come: what such a reader has behind it.
    pub fn appended_before_history(&self) -> u32 {
        self.appended.wrapping_sub(self.history.records)
    }

    /// Appends a record and returns its offset.
    pub fn append<const N: usize>(&mut self, parts: [&[u8]; N]) -> u64 {
        let offset = self.chain.head();
        let head = offset + parts.iter().map(|part| part.len() as u64).sum::<u64>();
        let chunk = self.chain.append(parts);
        self.appended = self.appended.wrapping_add(1);
        self.history.push(offset, chunk, head);
        if self.fresh.is_none() {
            self.fresh = Some(chunk.clone());
        }
        offset
    }

    /// A cursor for a new reader: at the oldest record of the history, or behind the last one.
    pub fn join(&self) -> Cursor {
        self.history.start().unwrap_or_else(|| self.chain.end())
    }

    /// Lets a cursor that had read everything see what was appended since.
    pub fn attach(&self, cursor: &mut Cursor) {
        if cursor.is_detached() && cursor.offset() < self.head() {
            cursor.attach(self.fresh.as_ref().expect("there are records since the flush"));
        }
    }

    /// Says that every reader is attached or stands at the head.
    pub fn mark_flushed(&mut self) {
        self.fresh = None;
        self.flushed = self.chain.head();
    }

    /// Whether the log holds memory that [`cool`](Self::cool) might give back.
    pub fn is_warm(&self) -> bool {
        self.chain.is_warm()
    }

    /// Bytes kept for readers to come.
    pub fn history_len(&self) -> u64 {
        self.history.first.as_ref().map_or(0, |first| self.head() - first.offset())
    }

    /// Forgets the oldest records that are kept for readers to come, until there are at most `len_max` bytes of them.
    pub fn trim_history(&mut self, len_max: u64) {
        self.history.trim(self.chain.head(), len_max);
    }

    /// Whether records are kept for readers to come.
    pub fn has_history(&self) -> bool {
        self.history.first.is_some()
    }

    /// Gives back memory that nobody reads.
    pub fn cool(&mut self) {
        self.chain.cool();
    }
}

/// The records kept for readers to come. Where each begins is not noted: the least of them is shorter than such a note, and
/// each tells where the next begins.
#[derive(Debug)]
struct History {
    /// How many at most; 0 = no history.
    records_max: u32,
    /// How many there are: at most `records_max`, and at most `HISTORY_LEN_MAX` bytes in all unless it is a single one.
    records: u32,
    /// A cursor at the first of them; `None` = there is none. It keeps the chain alive from there on.
    first: Option<Cursor>,
    /// How long a record is, by its first bytes.
    record_len: RecordLen,
}

impl History {
    fn push(&mut self, offset: u64, chunk: &Rc<Chunk>, head: u64) {
        if self.records_max == 0 {
            return;
        }
        self.records += 1;
        let first = self.first.get_or_insert_with(|| Cursor::at(chunk.clone(), offset));
        while self.records > self.records_max || (self.records > 1 && head - first.offset() > HISTORY_LEN_MAX) {
            first.advance(first.record_len(self.record_len), head);
            self.records -= 1;
        }
    }

    fn trim(&mut self, head: u64, len_max: u64) {
        let Some(first) = &mut self.first else { return };
        while self.records > 0 && head - first.offset() > len_max {
            first.advance(first.record_len(self.record_len), head);
            self.records -= 1;
        }
        debug_assert!((self.records == 0) == (first.offset() == head));
        if self.records == 0 {
            self.first = None;
        }
    }

    fn start(&self) -> Option<Cursor> {
        self.first.clone()
    }
}

/// First chunk of a log that was idle: sixty small messages, one page.
const CHUNK_SIZE_MIN: usize = 4096;

/// Most bytes of history per channel, so that 65 536 messages of a megabyte cannot fill the host.
pub const HISTORY_LEN_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::chunk::{Piece, Pieces};
    use crate::ws::{Opcode, frame_len, server_header};

    /// Of logs without a history, whose records are not asked for it.
    fn unasked(_: &[Cell<u8>]) -> usize {
        panic!("there is no history")
    }

    fn read(cursor: &mut Cursor, log: &Log) -> Vec<u8> {
        log.attach(cursor);
        let mut all = Vec::new();
        while cursor.offset() < log.head() {
            let mut pieces = Pieces::new();
            let len = cursor.gather(log.head(), usize::MAX, &mut pieces);
            all.extend(pieces.iter().flat_map(Piece::to_vec));
            drop(pieces);
            cursor.advance(len, log.head());
        }
        all
    }

    #[test]
    fn readers_see_what_came_after_they_joined() {
        let mut log = Log::new(0, unasked, &Meter::default());
        let mut early = log.join();
        log.append([b"1", b"!"]);
        let mut late = log.join();
        log.append([b"2", b"!"]);
        assert_eq!(read(&mut early, &log), b"1!2!");
        assert_eq!(read(&mut late, &log), b"2!");
        log.mark_flushed();
        log.append([b"3", b"!"]);
        assert_eq!(read(&mut early, &log), b"3!");
        assert_eq!(read(&mut late, &log), b"3!");
    }

    #[test]
    fn a_reader_that_joins_in_the_middle_of_a_tick_is_attached_where_it_stands() {
        let mut log = Log::new(0, unasked, &Meter::default());
        for _ in 0..10 {
            log.append([&[1; 3000], &[]]);
        }
        let mut late = log.join();
        log.append([&[2; 3000], &[]]);
        assert_eq!(read(&mut late, &log), [2; 3000]);
    }

    #[test]
    fn history_keeps_the_last_records() {
        let mut log = Log::new(3, |_| 201, &Meter::default());
        for i in 0..100u8 {
            log.append([&[i], &[i; 200]]);
            log.mark_flushed();
        }
        let expected: Vec<u8> = (97..100).flat_map(|i| [i; 201]).collect();
        assert_eq!(read(&mut log.join(), &log), expected);
    }

    #[test]
    fn history_is_bounded_in_bytes_but_holds_one_record_of_any_size() {
        let mut log = Log::new(100, |_| (1 << 20) + 1, &Meter::default());
        for _ in 0..5 {
            log.append([&[0; 1 << 20], b"x"]);
        }
        assert_eq!(read(&mut log.join(), &log).len(), 3 * ((1 << 20) + 1));
        log.append([&[0; 5 << 20], b"x"]);
        assert_eq!(read(&mut log.join(), &log).len(), (5 << 20) + 1);
    }

    #[test]
    fn a_trimmed_history_gives_its_memory_back() {
        let meter = Meter::default();
        let mut log = Log::new(1000, |_| 1001, &meter);
        for _ in 0..500 {
            log.append([&[7; 1000], b"x"]);
            log.mark_flushed();
        }
        let (before, len) = (meter.held(), log.history_len());
        assert_eq!(len, 500 * 1001);
        log.trim_history(len / 2);
        assert_eq!(log.history_len(), 250 * 1001);
        assert_eq!(read(&mut log.join(), &log).len(), 250 * 1001);
        assert!(meter.held() < before);
        log.trim_history(0);
        assert!(log.history_len() == 0 && !log.has_history());
        log.append([b"y", &[]]);
        assert_eq!(read(&mut log.join(), &log), b"y", "what comes later is kept");
        log.cool();
        drop(log);
        assert_eq!(meter.held(), 0);
    }

    /// What happens to a history.
    #[derive(Clone, Debug)]
    enum Step {
        /// Messages of this length.
        Append { count: usize, len: usize },
        /// So many parts of a hundred are left.
        Trim { part: u64 },
        /// The channel rests.
        Cool,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let len = prop_oneof![4 => 0usize..10, 3 => 100usize..5_000, 1 => 60_000usize..70_000, 1 => Just(3usize << 20)];
        let step = prop_oneof![
            8 => (1usize..40, len).prop_map(|(count, len)| Step::Append { count: if len < 1 << 20 { count } else { 1 }, len }),
            1 => (0u64..=100).prop_map(|part| Step::Trim { part }),
            1 => Just(Step::Cool),
        ];
        prop::collection::vec(step, 0..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn history_keeps_what_a_list_of_its_records_would(
            steps in steps(), records_max in prop_oneof![1u32..5, 50u32..200],
        ) {
            let mut log = Log::new(records_max, frame_len, &Meter::default());
            let mut records: VecDeque<u64> = VecDeque::new();
            let mut appended = 0u32;
            for step in steps {
                match step {
                    Step::Append { count, len } => for _ in 0..count {
                        records.push_back(log.append([&server_header(Opcode::Binary, len), &vec![7; len]]));
                        appended += 1;
                        while records.len() > records_max as usize
                            || (records.len() > 1 && log.head() - records[0] > HISTORY_LEN_MAX)
                        {
                            records.pop_front();
                        }
                    }
                    Step::Trim { part } => {
                        let len_max = log.history_len() * part / 100;
                        log.trim_history(len_max);
                        while records.front().is_some_and(|record| log.head() - record > len_max) {
                            records.pop_front();
                        }
                    }
                    Step::Cool => {
                        log.mark_flushed();
                        log.cool();
                    }
                }
                prop_assert_eq!(log.join().offset(), records.front().copied().unwrap_or(log.head()));
                prop_assert_eq!(log.has_history(), !records.is_empty());
                prop_assert_eq!(log.history_len(), records.front().map_or(0, |first| log.head() - first));
                prop_assert_eq!(log.appended_before_history(), appended - records.len() as u32);
            }
            let len = log.history_len();
            prop_assert_eq!(read(&mut log.join(), &log).len() as u64, len);
        }
    }

    #[test]
    fn an_idle_log_gives_its_memory_back() {
        let mut log = Log::new(0, unasked, &Meter::default());
        let mut reader = log.join();
        log.append([b"x", &[]]);
        log.cool();
        assert!(log.is_warm(), "there is a reader to come");
        read(&mut reader, &log);
        log.mark_flushed();
        log.cool();
        assert!(!log.is_warm());
    }
}
