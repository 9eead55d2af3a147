//! What is said at any level: where the relay listens, or why it does not.

use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::form::Form;
use super::journald;

/// The form of the log, once it has begun.
static FORM: OnceLock<Form> = OnceLock::new();

pub(super) fn set_form(form: Form) {
    // Only the first start of a log in a process counts, as with the subscriber.
    let _ = FORM.set(form);
}

/// Says `text` on standard output, as a line of the log that no level hides.
pub fn announce(text: &str) {
    let form = FORM.get().copied().unwrap_or(Form::Text { colours: false });
    // Whoever does not listen does not want to know.
    let _ = writeln!(std::io::stdout(), "{}", announcement(form, text));
}

/// Says why the relay does not start, once: as a line of the log that no level hides, or, where there is no log or people look at
/// it on a terminal, on standard error like what is wrong with a setting.
pub fn complain(text: &str) {
    let is_logged = match FORM.get() {
        None => false,
        Some(Form::Text { .. }) if std::io::stdout().is_terminal() => false,
        Some(form) => writeln!(std::io::stdout(), "{}", complaint(*form, text)).is_ok(),
    };
    if !is_logged {
        let _ = writeln!(std::io::stderr(), "ringrelay: {text}");
    }
}

fn announcement(form: Form, text: &str) -> String {
    match form {
        Form::Text { .. } => text.to_owned(),
        Form::Json => object("INFO", text),
        Form::Journald => format!("<{}>{text}", journald::INFO),
    }
}

fn complaint(form: Form, text: &str) -> String {
    match form {
        Form::Text { .. } => format!("{} ERROR ringrelay: {text}", timestamp()),
        Form::Json => object("ERROR", text),
        Form::Journald => format!("<{}>ringrelay: {text}", journald::ERROR),
    }
}

fn object(level: &str, text: &str) -> String {
    serde_json::json!({"timestamp": timestamp(), "level": level, "message": text}).to_string()
}

fn timestamp() -> String {
    let mut timestamp = String::new();
    // Writing to a String cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    timestamp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_has_the_form_of_the_log() {
        assert_eq!(announcement(Form::Text { colours: true }, "here"), "here");
        assert_eq!(announcement(Form::Journald, "here"), "<6>here");
        let json: serde_json::Value = serde_json::from_str(&announcement(Form::Json, "here \"it\" is")).unwrap();
        assert_eq!((&json["level"], &json["message"]), (&"INFO".into(), &"here \"it\" is".into()));
        assert!(json["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    }

    #[test]
    fn a_complaint_is_an_error_of_the_log() {
        let text = complaint(Form::Text { colours: false }, "no port");
        assert!(text.ends_with("Z ERROR ringrelay: no port"), "{text}");
        assert_eq!(complaint(Form::Journald, "no port"), "<3>ringrelay: no port");
        let json: serde_json::Value = serde_json::from_str(&complaint(Form::Json, "no \"port\"")).unwrap();
        assert_eq!((&json["level"], &json["message"]), (&"ERROR".into(), &"no \"port\"".into()));
        assert!(json["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    }
}
