use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{
    Emission, Entry, LOCKED_MEMORY, LOCKED_MEMORY_PER_SHARD, Line, OPEN_FILES, Scope, Subject, Sysctl, Wanted, entries,
};
use crate::config::SHARDS_MAX;

fn sysctls() -> impl Iterator<Item = (&'static Entry, Sysctl)> {
    entries().filter_map(|entry| match entry.subject {
        Subject::Sysctl(sysctl) => Some((entry, sysctl)),
        Subject::Limit(_) | Subject::Host(_) => None,
    })
}

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn files_of_the_repository_are_what_the_table_emits() {
    for emission in Emission::ALL {
        let (path, word) = (emission.path(), emission.word());
        assert!(file(path) == emission.text(), "{path} is not what `ringrelay doctor --emit {word}` prints");
    }
}

#[test]
fn every_word_finds_its_emission() {
    for emission in Emission::ALL {
        assert_eq!(Emission::of_word(emission.word()), Some(emission));
    }
    assert_eq!(Emission::of_word("table"), None);
}

#[test]
fn every_entry_has_a_name_of_its_own_and_says_something() {
    let mut seen = BTreeSet::new();
    for entry in entries() {
        assert!(seen.insert(entry.id), "{} is there twice", entry.id);
        for text in [entry.what, entry.ours] {
            assert!(text.len() > 10, "{}: {text:?}", entry.id);
        }
        for text in [entry.what, entry.default, entry.ours, entry.cost, entry.sign, entry.unless] {
            assert!(!text.is_empty() && !text.contains('\n'), "{}: {text:?}", entry.id);
        }
    }
}

#[test]
fn values_are_what_is_wanted() {
    for (entry, sysctl) in sysctls() {
        if let Some(wanted) = sysctl.wanted {
            assert_eq!(wanted.is_met_by(sysctl.value), Some(true), "{}", entry.id);
        }
        // What the file sets everywhere is also asked for.
        assert!(sysctl.line != Line::Set || sysctl.wanted.is_some(), "{}", entry.id);
        // A text about a value names it.
        let named = sysctl.line != Line::Set || entry.ours.contains(sysctl.value);
        assert!(named, "{}: {:?} does not say {}", entry.id, entry.ours, sysctl.value);
        // The kernel keeps what is not of the network once for all.
        assert!(entry.id.starts_with("net.") || sysctl.scope == Scope::Host, "{}", entry.id);
    }
}

#[test]
fn listen_queue_is_as_long_as_the_relay_asks_for() {
    let (_, sysctl) = sysctls().find(|(entry, _)| entry.id == "net.core.somaxconn").expect("an entry");
    assert_eq!(sysctl.value, crate::server::BACKLOG.to_string());
    assert_eq!(sysctl.wanted, Some(Wanted::AtLeast(crate::server::BACKLOG as u64)));
}

#[test]
fn locked_memory_is_enough_for_the_most_shards() {
    assert!(LOCKED_MEMORY >= LOCKED_MEMORY_PER_SHARD * SHARDS_MAX as u64);
}

#[test]
fn unit_asks_for_as_many_files_as_the_table() {
    let unit = file("systemd/ringrelay.service");
    assert!(unit.lines().any(|line| line == format!("LimitNOFILE={OPEN_FILES}")));
    let (_, nr_open) = sysctls().find(|(entry, _)| entry.id == "fs.nr_open").expect("an entry");
    assert_eq!(nr_open.wanted.and_then(|wanted| wanted.is_met_by(&OPEN_FILES.to_string())), Some(true));
}

#[test]
fn numbers_are_held_against_what_is_wanted() {
    for (wanted, met, unmet) in [
        (Wanted::AtLeast(10), "10\n", "9"),
        (Wanted::AtMost(10), "10", "4294967295"),
        (Wanted::Exactly(0), "0", "1"),
        (Wanted::Span(10, 20), "9\t21", "10 19"),
        (Wanted::Span(10, 20), "10\t20\n", "11\t20"),
    ] {
        assert_eq!(wanted.is_met_by(met), Some(true), "{wanted:?} {met:?}");
        assert_eq!(wanted.is_met_by(unmet), Some(false), "{wanted:?} {unmet:?}");
        for nonsense in ["", "cubic", "1 2 3", "-1"] {
            assert_eq!(wanted.is_met_by(nonsense), None, "{wanted:?} {nonsense:?}");
        }
    }
}
