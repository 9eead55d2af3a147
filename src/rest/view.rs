//! The bodies of good answers.

use std::time::Duration;

use serde::Serialize;

use super::SAFE_INTEGER_MAX;
use crate::channel::{ChannelId, ChannelView, Token};
use crate::http::{Response, Status};

/// The answer to the creation of a channel: the only one that shows its token.
pub fn created(view: &ChannelView, token: &Token, port: u16) -> Response {
    #[derive(Serialize)]
    struct Created<'a> {
        message: String,
        token: &'a str,
        data: Data<'a>,
    }
    let message = format!("Success creating channel {}", view.id);
    json(Status::CREATED, &Created { message, token: token.reveal(), data: Data::new(view, port) })
        .with("Location", format!("/channels/{}", view.id))
}

/// One channel.
pub fn one(view: &ChannelView, port: u16) -> Response {
    #[derive(Serialize)]
    struct One<'a> {
        data: Data<'a>,
    }
    json(Status::OK, &One { data: Data::new(view, port) })
}

/// All channels, in the order given.
pub fn list(views: &[ChannelView], port: u16) -> Response {
    #[derive(Serialize)]
    struct List<'a> {
        data: Vec<Data<'a>>,
    }
    json(Status::OK, &List { data: views.iter().map(|view| Data::new(view, port)).collect() })
}

/// The answer to the deletion of a channel.
pub fn deleted(id: &ChannelId) -> Response {
    #[derive(Serialize)]
    struct Deleted {
        message: String,
    }
    json(Status::OK, &Deleted { message: format!("Success deleting channel {id}") })
}

/// The answer of a relay that lives.
pub fn health() -> Response {
    Response::json(Status::OK, br#"{"status":"ok"}"#.as_slice())
}

/// A channel as REST shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    id: &'a str,
    /// Where to connect, as seen from outside.
    port: u16,
    pattern: &'static str,
    /// In milliseconds; -1 = none.
    timeout: i64,
    /// In milliseconds; -1 = no timeout.
    countdown: i64,
    /// -1 = none.
    client_limit: i64,
    clients: u64,
    exclude_sender: bool,
    history: u32,
}

impl Data<'_> {
    fn new(view: &ChannelView, port: u16) -> Data<'_> {
        Data {
            id: view.id.as_str(),
            port,
            pattern: view.pattern.name(),
            timeout: or_none(view.timeout.map(millis)),
            countdown: or_none(view.countdown.map(millis)),
            client_limit: or_none(view.client_limit),
            clients: view.clients,
            exclude_sender: view.exclude_sender,
            history: view.history,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn or_none(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| limit.min(SAFE_INTEGER_MAX) as i64)
}

fn json(status: Status, body: &impl Serialize) -> Response {
    // Numbers and strings under fixed names can always be written.
    Response::json(status, serde_json::to_vec(body).unwrap_or_default())
}
