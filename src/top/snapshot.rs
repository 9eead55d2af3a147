//! What a relay says of itself at one moment: the answer to `GET /admin/top`, as far as it is shown.

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Answer {
    pub data: Snapshot,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Snapshot {
    pub version: String,
    pub shards: Vec<Shard>,
    pub channels: Vec<Channel>,
    pub clients: Vec<Client>,
    pub refusals: Vec<Refusal>,
    /// Whether there was nothing more to look at.
    pub complete: bool,
}

/// Counts since the relay's start.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shard {
    pub shard: u16,
    pub clients: u64,
    pub channels: u64,
    pub messages_received: u64,
    pub messages_delivered: u64,
    pub sends: u64,
    pub sent_bytes: u64,
    pub busy_micros: u64,
    /// `None` = it is not told.
    pub cpu_micros: Option<u64>,
    pub memory: u64,
    pub lag: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Channel {
    pub id: String,
    pub shard: u16,
    pub pattern: String,
    pub clients: u64,
    pub messages_per_second: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Client {
    pub client: String,
    pub channel: String,
    /// Bytes.
    pub behind: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Refusal {
    pub reason: String,
    pub count: u64,
}
