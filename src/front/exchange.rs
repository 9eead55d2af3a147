//! From a request to its answer, by way of the shards.

use futures_channel::oneshot;

use super::admission::Admission;
use super::{Front, guard};
use crate::channel::{ChannelId, ChannelView};
use crate::handoff::{CreateError, Reply, Seat, ShardHandle, Terms, ToShard};
use crate::http::{Framing, Head, Response, Status, Target, upgrade};
use crate::metrics;
use crate::pages;
use crate::rest::{self, ApiError, ChannelRequest};
use crate::route::{self, Action};

/// A whole request.
#[derive(Clone, Copy)]
pub(super) struct Request<'b> {
    pub(super) head: &'b Head,
    /// What was received, beginning with the head.
    pub(super) received: &'b [u8],
    pub(super) body: &'b [u8],
}

pub(super) enum Answer {
    Response(Response),
    /// The connection becomes a WebSocket: `response` is what the shard sends first.
    Join {
        seat: Seat,
        terms: Terms,
        response: Vec<u8>,
    },
}

/// Does what a request asks for.
pub(super) async fn answer(front: &Front, request: Request<'_>) -> Answer {
    match act(front, request).await {
        Ok(answer) => answer,
        Err(error) => {
            front.count(&error);
            Answer::Response(error.response())
        }
    }
}

async fn act(front: &Front, request: Request<'_>) -> Result<Answer, ApiError> {
    let Target::Resource { path, query } = &request.head.target else {
        return Ok(Answer::Response(options(front, request, route::METHODS)));
    };
    // First, so that the refusal does not tell what there is.
    guard::check(front, request)?;
    let path = text(&request.received[path.clone()]);
    let query = text(&request.received[query.clone()]);
    let settings = &front.settings;
    let response = match route::route(request.head.method, path, settings.browser_only)? {
        Action::ListChannels => list(front).await?,
        Action::CreateChannel => create(front, posted(request)?).await?,
        Action::CreateByQuery => create(front, ChannelRequest::from_query(query)?).await?,
        Action::ReadChannel(id) => read(front, id).await?,
        Action::DeleteChannel(id) => delete(front, id).await?,
        Action::Connect(id) => return connect(front, request, query, id).await,
        Action::Page(page) => pages::page(page),
        Action::Guide => pages::html(settings.readme.to_string()),
        Action::OpenApi => Response::json(Status::OK, front.openapi.as_bytes().to_vec()),
        Action::Reset => reset(front).await?,
        Action::Cluster => rest::cluster(&settings.public_url),
        Action::Health => rest::health(),
        Action::Ready => rest::readiness(front.live.is_draining()),
        Action::Metrics => Response::of_type(metrics::CONTENT_TYPE, Status::OK, settings.metrics.text().into_bytes()),
        Action::AdministrationOptions(allow) if !settings.cors.is_list() => allowing(allow),
        Action::Options(allow) | Action::AdministrationOptions(allow) => options(front, request, allow),
    };
    Ok(Answer::Response(response))
}

/// A part of the request target, which is ASCII.
pub(super) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

fn options(front: &Front, request: Request<'_>, allow: &'static str) -> Response {
    front.settings.cors.preflight(request.head.fields(request.received), allow, allowing(allow))
}

fn allowing(methods: &'static str) -> Response {
    Response::empty(Status::NO_CONTENT).with("Allow", methods)
}

async fn list(front: &Front) -> Result<Response, ApiError> {
    // All are asked before the first is waited for.
    let asked: Vec<_> =
        front.registry.shards().iter().map(|shard| ask(shard, |reply| ToShard::List { reply })).collect();
    let mut views: Vec<ChannelView> = Vec::new();
    for reply in asked {
        views.extend(front.answered(reply).await?);
    }
    views.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(rest::list(&views, front.settings.public_port))
}

/// The channel that a body asks for.
pub(super) fn posted(request: Request<'_>) -> Result<ChannelRequest, ApiError> {
    if request.head.framing == Framing::None {
        return Err(ApiError::BodyMissing);
    }
    let fields = request.head.fields(request.received);
    ChannelRequest::parse(fields.all("content-type").next(), request.body)
}

async fn create(front: &Front, wanted: ChannelRequest) -> Result<Response, ApiError> {
    let settings = &front.settings;
    let token = rest::generate_token(settings.token_len).map_err(|_| ApiError::Unavailable)?;
    for attempts_left in (0..GENERATED_ID_ATTEMPTS).rev() {
        let id = match &wanted.id {
            Some(id) => id.clone(),
            None => rest::generate_id(settings.id_half_len).map_err(|_| ApiError::Unavailable)?,
        };
        let permit = settings.channels.take().ok_or(ApiError::TooManyChannels)?;
        let spec = wanted.spec(id.clone(), token.clone(), settings.slow_consumers, permit);
        let reply = ask(front.registry.owner(&id), |reply| ToShard::Create { spec, reply });
        match front.answered(reply).await? {
            Ok(view) => return Ok(rest::created(&view, &token, settings.public_port)),
            Err(CreateError::IdTaken) if wanted.id.is_none() && attempts_left > 0 => {}
            Err(CreateError::IdTaken) if wanted.id.is_none() => break,
            Err(error) => return Err(ApiError::from_create(error, id)),
        }
    }
    Err(ApiError::Unavailable)
}

async fn read(front: &Front, id: ChannelId) -> Result<Response, ApiError> {
    let reply = ask(&front.registry.owner(&id).clone(), |reply| ToShard::Read { id, reply });
    let view = front.answered(reply).await?.ok_or(ApiError::NoSuchChannel)?;
    Ok(rest::one(&view, front.settings.public_port))
}

async fn delete(front: &Front, id: ChannelId) -> Result<Response, ApiError> {
    let reply = ask(front.registry.owner(&id), |reply| ToShard::Delete { id: id.clone(), reply });
    if front.answered(reply).await? { Ok(rest::deleted(&id)) } else { Err(ApiError::NoSuchChannel) }
}

/// Deletes every channel. A shard that does not answer keeps the others from nothing, but the answer is 503.
async fn reset(front: &Front) -> Result<Response, ApiError> {
    let asked: Vec<_> =
        front.registry.shards().iter().map(|shard| ask(shard, |reply| ToShard::Reset { reply })).collect();
    let mut count = 0;
    for reply in asked {
        count += front.answered(reply).await?;
    }
    Ok(rest::reset(count))
}

async fn connect(front: &Front, request: Request<'_>, query: &str, id: ChannelId) -> Result<Answer, ApiError> {
    let accept = upgrade::check(request.head, request.head.fields(request.received));
    let admission = Admission::of(front, request, query, &id)?;
    let shard = front.registry.owner(&id).clone();
    match (accept, admission) {
        (Ok(accept), Some(Admission { credentials, terms })) => {
            let reply = ask(&shard, |reply| ToShard::Admit { id, credentials, reply });
            let seat = front.answered(reply).await??;
            Ok(Answer::Join { seat, terms, response: accept.response() })
        }
        (Ok(_), None) => Err(ApiError::TokenMissing),
        // A browser does not tell a page why its WebSocket was refused. The same request without the upgrade does, and
        // takes no place that another could have.
        (Err(error @ upgrade::UpgradeError::NotAsked), Some(Admission { credentials, .. })) => {
            let reply = ask(&shard, |reply| ToShard::Check { id, credentials, reply });
            front.answered(reply).await??;
            Err(error.into())
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn ask<T>(shard: &ShardHandle, question: impl FnOnce(Reply<T>) -> ToShard) -> oneshot::Receiver<T> {
    let (reply, receiver) = oneshot::channel();
    shard.send(question(reply));
    receiver
}

impl Front {
    /// What the shard answers. Nobody answers when it is gone, or hangs.
    async fn answered<T>(&self, reply: oneshot::Receiver<T>) -> Result<T, ApiError> {
        match monoio::time::timeout(self.settings.answer_timeout, reply).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(oneshot::Canceled)) | Err(_) => Err(ApiError::Unavailable),
        }
    }
}

/// With the usual 32 random bits and a million channels, one attempt in 4 000 meets a taken id; eight never do.
const GENERATED_ID_ATTEMPTS: u32 = 8;
