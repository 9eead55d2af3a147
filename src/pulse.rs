//! Whether all threads still turn: each is asked, and answers where it does everything else.
//!
//! A question comes to a shard by its mailbox and to a front by its own channel, and wakes who sleeps. Nothing is counted
//! or looked at while nobody asks.

use crossbeam_channel::{Receiver, Sender, unbounded};

/// One question to one thread. Dropped unanswered by a thread that has ended.
#[derive(Debug)]
pub struct Beat {
    answer: Answer,
    answers: Sender<Answer>,
}

impl Beat {
    /// Says that this thread turns.
    pub fn answer(self) {
        // Who asked may have gone.
        let _ = self.answers.send(self.answer);
    }
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    thread: usize,
    round: u64,
}

/// Asks all threads, round by round.
#[derive(Debug)]
pub struct Pulse {
    round: u64,
    /// By thread: whether its answer to this round is missing.
    silent: Vec<bool>,
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
}

impl Pulse {
    pub fn new(threads: usize) -> Pulse {
        // Holds one answer per thread at the most: there is no new round before all have answered.
        let (sender, answers) = unbounded();
        Pulse { round: 0, silent: vec![false; threads], sender, answers }
    }

    /// Begins a round, unless answers to the last are missing: a thread that hangs is not asked for ever. `false` = it
    /// does not begin.
    pub fn ask(&mut self, mut send: impl FnMut(usize, Beat)) -> bool {
        if self.silent().next().is_some() {
            return false;
        }
        self.round += 1;
        self.silent.fill(true);
        for thread in 0..self.silent.len() {
            send(thread, Beat { answer: Answer { thread, round: self.round }, answers: self.sender.clone() });
        }
        true
    }

    /// Where the answers come.
    pub fn answers(&self) -> &Receiver<Answer> {
        &self.answers
    }

    /// Takes one in. `true` = with it, all have answered.
    pub fn take(&mut self, answer: Answer) -> bool {
        if answer.round == self.round {
            self.silent[answer.thread] = false;
        }
        self.silent().next().is_none()
    }

    /// The threads whose answers are missing.
    pub fn silent(&self) -> impl Iterator<Item = usize> {
        self.silent.iter().enumerate().filter(|(_, is_silent)| **is_silent).map(|(thread, _)| thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_over_when_all_have_answered_and_no_sooner() {
        let mut pulse = Pulse::new(2);
        let mut asked = Vec::new();
        assert!(pulse.ask(|_, beat| asked.push(beat)));
        asked.pop().unwrap().answer();
        let answer = pulse.answers().recv().unwrap();
        assert!(!pulse.take(answer));
        assert_eq!(pulse.silent().collect::<Vec<_>>(), [0]);
        assert!(!pulse.ask(|_, _| panic!("nobody is asked twice")));
        asked.pop().unwrap().answer();
        let answer = pulse.answers().recv().unwrap();
        assert!(pulse.take(answer));
        assert!(pulse.ask(|_, beat| beat.answer()));
    }
}
