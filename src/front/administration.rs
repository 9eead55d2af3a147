//! What is for the operator alone: who may ask, and how the shards are asked.

use std::net::IpAddr;

use super::exchange::{Request, ask};
use super::{Front, guard};
use crate::channel::{BusyChannel, SlowClient};
use crate::handoff::ToShard;
use crate::http::Response;
use crate::metrics::Refusal;
use crate::rest::{self, ApiError, TopRefusal, TopShard};

/// Lets the operator in. Where the API has no authentication, which always guards this path, that is who asks on this host, directly,
/// and is no web page: a page could be shown from anywhere, and a proxy on this host lets anyone in. With the PROXY protocol nobody
/// asks directly, and a header may name any source, even this host.
///
/// # Errors
/// Somebody else asks.
pub(super) fn check(front: &Front, request: Request<'_>, client: IpAddr) -> Result<(), ApiError> {
    if guard::is_needed(front, request) {
        return Ok(());
    }
    let fields = request.head.fields(request.received);
    let came_direct =
        !front.settings.proxy_protocol && request.visitor.is_local() && client.to_canonical().is_loopback();
    let was_passed_on = FORWARDED.iter().any(|name| fields.has(name));
    let is_of_page = fields.has("origin") || fields.has("sec-fetch-site");
    // A page whose name was made to lead here says that name.
    let says_host = fields.only("host").is_some_and(is_local_host);
    if came_direct && says_host && !was_passed_on && !is_of_page { Ok(()) } else { Err(ApiError::NotLocal) }
}

/// Whether this is a name of this host, with or without a port.
fn is_local_host(host: &[u8]) -> bool {
    let host = str::from_utf8(host).unwrap_or_default();
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Who is busy, who is slow and who was refused. Shards are asked in small parts, one after the other.
///
/// # Errors
/// A shard does not answer.
pub(super) async fn top(front: &Front) -> Result<Response, ApiError> {
    let (mut channels, mut clients): (Vec<BusyChannel>, Vec<SlowClient>) = Default::default();
    let mut is_complete = true;
    for shard in front.registry.shards() {
        let mut parts_left = PARTS_MAX;
        let mut after = None;
        while parts_left > 0 {
            parts_left -= 1;
            let part = front.answered(ask(shard, |reply| ToShard::Busiest { after, max: LISTED_MAX, reply })).await?;
            channels.extend(part.found);
            channels.sort_unstable_by_key(|channel| std::cmp::Reverse((channel.messages_per_second, channel.clients)));
            channels.truncate(LISTED_MAX);
            after = part.next;
            if after.is_none() {
                break;
            }
        }
        is_complete &= after.is_none();
        let (mut parts_left, mut next) = (PARTS_MAX, Some(0));
        while let Some(from) = next.filter(|_| parts_left > 0) {
            parts_left -= 1;
            let part = front.answered(ask(shard, |reply| ToShard::Slowest { from, max: LISTED_MAX, reply })).await?;
            clients.extend(part.found);
            clients.sort_unstable_by_key(|client| std::cmp::Reverse(client.behind));
            clients.truncate(LISTED_MAX);
            next = part.next;
        }
        is_complete &= next.is_none();
    }
    Ok(rest::top(shards(front), &channels, &clients, refusals(front), is_complete))
}

fn shards(front: &Front) -> Vec<TopShard> {
    let metrics = &front.settings.metrics;
    let parts = metrics.tallies().into_iter().zip(metrics.shard_cpu_times()).enumerate();
    let shards = parts.map(|(index, (tally, cpu_time))| TopShard {
        shard: index as u16,
        clients: tally.clients.iter().sum(),
        channels: tally.channels,
        messages_received: tally.traffic.received,
        messages_delivered: tally.traffic.delivered,
        sends: tally.turns.sends,
        sent_bytes: tally.turns.sends_len,
        busy_micros: tally.turns.times.sum,
        cpu_micros: cpu_time.map(|time| time.as_micros() as u64),
        memory: tally.memory,
        memory_budget: tally.memory_budget,
        lag: tally.lag,
        lagging: tally.lagging,
    });
    shards.collect()
}

fn refusals(front: &Front) -> Vec<TopRefusal> {
    let counts = Refusal::ALL.iter().zip(front.settings.metrics.refusals());
    let mut refusals: Vec<TopRefusal> = counts
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| TopRefusal { reason: reason.name(), count })
        .collect();
    refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.count));
    refusals
}

/// What a proxy says of those it speaks for.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Channels and clients in an answer: a screen of them.
const LISTED_MAX: usize = 16;

/// Questions of each kind to one shard for an answer; with 256 looked at in each, the first 65 536.
const PARTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_host_are_known() {
        for host in ["localhost", "LocalHost:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:8080", "[::1]"] {
            assert!(is_local_host(host.as_bytes()), "{host}");
        }
        for host in
            ["", "relay.example", "localhost.example:80", "10.0.0.1", "[2001:db8::1]:80", "[", "127.0.0.1.example"]
        {
            assert!(!is_local_host(host.as_bytes()), "{host}");
        }
    }
}
