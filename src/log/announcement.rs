//! What is said at any level: where the relay listens.

use std::io::Write as _;
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
    let _ = writeln!(std::io::stdout(), "{}", line(form, text));
}

fn line(form: Form, text: &str) -> String {
    match form {
        Form::Text { .. } => text.to_owned(),
        Form::Json => {
            let mut timestamp = String::new();
            // Writing to a String cannot fail.
            let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
            serde_json::json!({"timestamp": timestamp, "level": "INFO", "message": text}).to_string()
        }
        Form::Journald => format!("<{}>{text}", journald::INFO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_has_the_form_of_the_log() {
        assert_eq!(line(Form::Text { colours: true }, "here"), "here");
        assert_eq!(line(Form::Journald, "here"), "<6>here");
        let json: serde_json::Value = serde_json::from_str(&line(Form::Json, "here \"it\" is")).unwrap();
        assert_eq!((&json["level"], &json["message"]), (&"INFO".into(), &"here \"it\" is".into()));
        assert!(json["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    }
}
