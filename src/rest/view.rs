//! The bodies of good answers.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::SAFE_INTEGER_MAX;
use super::create::{id_schema, pattern_schema, slow_consumers_schema};
use crate::channel::{ChannelId, ChannelView, Token};
use crate::http::{Response, Status};

/// The answer to the creation of a channel: the only one that shows its token.
pub fn created(view: &ChannelView, token: &Token, port: u16) -> Response {
    let message = format!("Success creating channel {}", view.id);
    json(Status::CREATED, &Created { message, token: token.reveal(), data: Data::new(view, port) })
        .with("Location", format!("/channels/{}", view.id))
        .with("Cache-Control", NOT_STORED)
}

/// One channel.
pub fn one(view: &ChannelView, port: u16) -> Response {
    json(Status::OK, &One { data: Data::new(view, port) })
}

/// All channels, in the order given.
pub fn list(views: &[ChannelView], port: u16) -> Response {
    json(Status::OK, &List { data: views.iter().map(|view| Data::new(view, port)).collect() })
}

/// The answer to the deletion of a channel.
pub fn deleted(id: &ChannelId) -> Response {
    json(Status::OK, &Done { message: format!("Success deleting channel {id}") }).with("Cache-Control", NOT_STORED)
}

/// The answer to the deletion of all channels, of which there were `count`.
pub fn reset(count: u64) -> Response {
    let channels = if count == 1 { "channel" } else { "channels" };
    json(Status::OK, &Done { message: format!("Success deleting {count} {channels}") })
}

#[derive(Serialize, ToSchema)]
pub(super) struct Created<'a> {
    message: String,
    /// Opens the channel to clients. Shown this once.
    #[schema(example = "85ee97e8d2f14c7ab8f3d0c1e5a69b42", min_length = 32)]
    token: &'a str,
    data: Data<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChannelAnswer)]
pub(super) struct One<'a> {
    data: Data<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChannelList)]
pub(super) struct List<'a> {
    data: Vec<Data<'a>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    /// What was done.
    message: String,
}

/// A channel as REST shows it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Channel)]
pub(super) struct Data<'a> {
    #[schema(schema_with = id_schema)]
    id: &'a str,
    /// Where to connect, as seen from outside.
    port: u16,
    #[schema(schema_with = pattern_schema)]
    pattern: &'static str,
    /// Milliseconds without a message after which the channel is deleted; -1 = never.
    #[schema(minimum = -1)]
    timeout: i64,
    /// What is left of the timeout, in milliseconds; -1 = no timeout.
    #[schema(minimum = -1)]
    countdown: i64,
    /// Most clients at once; -1 = no limit.
    #[schema(minimum = -1)]
    client_limit: i64,
    /// Connected clients.
    clients: u64,
    /// pub-sub: the sender does not get its own message.
    exclude_sender: bool,
    /// Messages kept for clients that join later.
    history: u32,
    #[schema(schema_with = slow_consumers_schema)]
    slow_consumers: &'static str,
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
            slow_consumers: view.slow_consumers.name(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn or_none(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| limit.min(SAFE_INTEGER_MAX) as i64)
}

/// In browser-only mode a GET creates and deletes: a cache that answered the next one would do neither, and would show the
/// token again.
const NOT_STORED: &str = "no-store";

pub(super) fn json(status: Status, body: &impl Serialize) -> Response {
    // Numbers and strings under fixed names can always be written.
    Response::json(status, serde_json::to_vec(body).unwrap_or_default())
}
