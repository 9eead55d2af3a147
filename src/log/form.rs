//! What a line of the log looks like, and for whom.

use std::env;
use std::io::IsTerminal as _;

use crate::config::LogFormat;

/// The form of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// For people.
    Text { colours: bool },
    /// For programs: an object a line.
    Json,
    /// For systemd's journal, which reads the priority from the line's begin (sd-daemon(3)) and knows the time.
    Journald,
}

impl Form {
    /// The form for who reads standard output.
    pub(super) fn of_stdout(format: LogFormat) -> Form {
        let is_terminal = std::io::stdout().is_terminal();
        let colours = is_terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let journal = env::var("JOURNAL_STREAM").ok();
        Form::choose(format, is_terminal, colours, journal.is_some_and(|stream| is_stdout(&stream)))
    }

    fn choose(format: LogFormat, is_terminal: bool, colours: bool, is_journal: bool) -> Form {
        match format {
            LogFormat::Auto if is_journal => Form::Journald,
            LogFormat::Auto if is_terminal => Form::Text { colours },
            LogFormat::Auto | LogFormat::Json => Form::Json,
            LogFormat::Text => Form::Text { colours },
            LogFormat::Journald => Form::Journald,
        }
    }
}

/// Whether `stream`, a device and an inode, is standard output: a child of a service inherits the variable, but maybe not the
/// stream (systemd.exec(5)).
fn is_stdout(stream: &str) -> bool {
    let Some((device, inode)) = stream.split_once(':') else { return false };
    rustix::fs::fstat(std::io::stdout())
        .is_ok_and(|stat| device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_says_what_a_line_looks_like() {
        let auto = |is_terminal, is_journal| Form::choose(LogFormat::Auto, is_terminal, true, is_journal);
        assert_eq!(auto(true, false), Form::Text { colours: true });
        assert_eq!(auto(false, false), Form::Json);
        assert_eq!(auto(false, true), Form::Journald);
        assert_eq!(Form::choose(LogFormat::Text, false, false, true), Form::Text { colours: false });
        assert_eq!(Form::choose(LogFormat::Json, true, true, true), Form::Json);
        assert_eq!(Form::choose(LogFormat::Journald, true, true, false), Form::Journald);
    }

    #[test]
    fn another_stream_is_not_standard_output() {
        for stream in ["", "1", "0:0", "a:b"] {
            assert!(!is_stdout(stream), "{stream}");
        }
    }
}
