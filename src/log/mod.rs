//! The log: a stream of lines on standard output, in the form that its reader wants.
//!
//! A line for each event in the life of the service, and one per reason and interval for what is refused ([`RefusalLog`]); none
//! for a message or a connection, unless the level is raised. No token, key or secret is ever in one.

mod announcement;
mod form;
mod journald;
mod level;
mod refusals;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry, reload};

use crate::config::LogFormat;

pub use announcement::{announce, complain};
pub use level::Level;
pub use refusals::RefusalLog;

use form::Form;
use journald::Journald;

/// Logs from now on, at `level`, the directives of an `EnvFilter`. Starts no thread: the level that it returns can be changed by
/// signals once there may be some.
pub fn start(format: LogFormat, level: &str) -> Level {
    let form = Form::of_stdout(format);
    announcement::set_form(form);
    let (filter, handle) = reload::Layer::new(EnvFilter::new(level));
    let registry = registry().with(filter);
    match form {
        Form::Text { colours } => registry.with(fmt::layer().with_ansi(colours)).init(),
        Form::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
            registry.with(layer).init();
        }
        Form::Journald => registry.with(fmt::layer().with_ansi(false).event_format(Journald)).init(),
    }
    Level::new(level, move |directives| {
        // Fails when the subscriber is gone, and with it the log.
        let _ = handle.reload(EnvFilter::new(directives));
    })
}
