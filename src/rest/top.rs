//! Who is busy, who is slow and who was refused: the answer to `GET /admin/top`.

use serde::Serialize;
use utoipa::ToSchema;

use super::view::json;
use crate::channel::{BusyChannel, SlowClient};
use crate::http::{Response, Status};

/// The answer. `complete` says that all channels and clients were looked at.
pub fn top(
    shards: Vec<TopShard>,
    channels: &[BusyChannel],
    clients: &[SlowClient],
    refusals: Vec<TopRefusal>,
    complete: bool,
) -> Response {
    let channels = channels.iter().map(|channel| TopChannel {
        id: channel.id.as_str(),
        shard: channel.shard,
        pattern: channel.pattern.name(),
        clients: channel.clients,
        messages_per_second: channel.messages_per_second,
    });
    let clients = clients.iter().map(|slow| TopClient {
        client: format!("{}-{}", slow.client.shard, slow.client.slot),
        channel: slow.channel.as_str(),
        behind: slow.behind,
    });
    let data = TopData {
        version: env!("CARGO_PKG_VERSION"),
        shards,
        channels: channels.collect(),
        clients: clients.collect(),
        refusals,
        complete,
    };
    json(Status::OK, &Top { data })
}

#[derive(Serialize, ToSchema)]
pub(super) struct Top<'a> {
    data: TopData<'a>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TopData<'a> {
    /// Of the relay that answers.
    #[schema(example = "0.1.0")]
    version: &'a str,
    shards: Vec<TopShard>,
    /// The busiest, by the messages of the last second.
    channels: Vec<TopChannel<'a>>,
    /// Those that are furthest behind.
    clients: Vec<TopClient<'a>>,
    /// Since the start, by reason; those that never were are left out.
    refusals: Vec<TopRefusal>,
    /// Whether all channels and clients were looked at, or only as many as one answer is worth.
    complete: bool,
}

/// One shard, with what it has done since the start.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopShard {
    pub shard: u16,
    pub clients: u64,
    pub channels: u64,
    pub messages_received: u64,
    /// One for each receiver.
    pub messages_delivered: u64,
    pub sends: u64,
    pub sent_bytes: u64,
    /// Microseconds that the turns of the shard took; io_uring sends between them.
    pub busy_micros: u64,
    /// Microseconds that the thread of the shard was on a core; null = the kernel does not tell.
    pub cpu_micros: Option<u64>,
    /// Bytes held for messages.
    pub memory: u64,
    pub memory_budget: u64,
    /// Bytes that the slowest client is behind.
    pub lag: u64,
    /// Clients that are behind at all.
    pub lagging: u64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TopChannel<'a> {
    #[schema(example = "D679-05F5")]
    id: &'a str,
    shard: u16,
    #[schema(example = "pub-sub")]
    pattern: &'a str,
    clients: u64,
    messages_per_second: u32,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TopClient<'a> {
    /// Its shard and its place there.
    #[schema(example = "0-17")]
    client: String,
    channel: &'a str,
    /// Bytes.
    behind: u64,
}

/// How often was refused for one reason.
#[derive(Serialize, ToSchema)]
pub struct TopRefusal {
    #[schema(example = "channel_full")]
    pub reason: &'static str,
    pub count: u64,
}
