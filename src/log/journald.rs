//! Lines for the journal: `<6>ringrelay::server: started shards=2`.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes priority, module and message; the journal adds the time, and is told the level by the priority alone.
pub(super) struct Journald;

impl<S, N> FormatEvent<S, N> for Journald
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        write!(line, "<{}>{}: ", priority(*metadata.level()), metadata.target())?;
        context.format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}

/// The priority of syslog (RFC 5424, section 6.2.1).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => ERROR,
        Level::WARN => 4,
        Level::INFO => INFO,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Of what ends the relay.
pub(super) const ERROR: u8 = 3;

/// Of what is said in the normal course of things.
pub(super) const INFO: u8 = 6;
