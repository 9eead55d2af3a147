//! From a request to its answer, by way of the shards.

use std::net::IpAddr;
use std::time::Instant;

use futures_channel::oneshot;

use super::admission::Admission;
use super::entrance::{Visitor, is_for_admitted_pages};
use super::listing::Listing;
use super::{Front, administration, guard};
use crate::budget::Permit;
use crate::channel::ChannelId;
use crate::handoff::{CreateError, Reply, Seat, ShardHandle, Terms, ToShard};
use crate::http::upgrade::UpgradeError;
use crate::http::{Framing, Head, Response, Status, Target, upgrade};
use crate::metrics::{Format, Route};
use crate::pages;
use crate::rest::{self, ApiError, ChannelRequest};
use crate::route::{self, Action};
use crate::ws::deflate::{self, Agreed, MalformedExtensions};

/// A whole request.
#[derive(Clone, Copy)]
pub(super) struct Request<'b> {
    pub(super) head: &'b Head,
    /// What was received, beginning with the head.
    pub(super) received: &'b [u8],
    pub(super) body: &'b [u8],
    /// Where the connection comes from that it came on.
    pub(super) visitor: &'b Visitor,
}

pub(super) enum Answer {
    Response(Response),
    /// More than one answer is to hold: the head is still to be sent, and behind it `text`, and the rest of the list.
    Listing {
        listing: Listing,
        text: Vec<u8>,
    },
    /// The connection becomes a WebSocket: `response` is what the shard sends first.
    Join {
        seat: Seat,
        terms: Terms,
        response: Vec<u8>,
        /// Among the connections of its client's address, if it comes from behind a proxy and they are counted.
        place: Option<Permit>,
    },
}

/// Does what a request asks for.
pub(super) async fn answer(front: &Front, request: Request<'_>) -> Answer {
    let began = Instant::now();
    let answer = match act(front, request).await {
        Ok(answer) => answer,
        Err(error) => {
            front.note_refusal(&error);
            Answer::Response(error.response())
        }
    };
    let status = match &answer {
        Answer::Response(response) => response.status().code,
        Answer::Listing { .. } => Status::OK.code,
        Answer::Join { .. } => SWITCHING_PROTOCOLS,
    };
    front.metrics.answered(route_of(front, request), status, Some(began.elapsed()));
    answer
}

/// What a request counts as.
fn route_of(front: &Front, request: Request<'_>) -> Route {
    let Target::Resource { path, .. } = &request.head.target else { return Route::Options };
    let path = text(&request.received[path.clone()]);
    match route::route(request.head.method, path, front.settings.browser_only) {
        Ok(Action::ListChannels | Action::CreateChannel | Action::CreateByQuery) => Route::Channels,
        Ok(Action::ReadChannel(_) | Action::DeleteChannel(_)) => Route::Channel,
        Ok(Action::Connect(_)) => Route::Connect,
        Ok(Action::Page(_) | Action::Guide) => Route::Page,
        Ok(Action::OpenApi) => Route::OpenApi,
        Ok(Action::Reset) => Route::Reset,
        Ok(Action::Cluster) => Route::Cluster,
        Ok(Action::Health) => Route::Health,
        Ok(Action::Ready) => Route::Ready,
        Ok(Action::Metrics) => Route::Metrics,
        Ok(Action::Top) => Route::Top,
        Ok(Action::Options(_) | Action::AdministrationOptions(_)) => Route::Options,
        Err(_) => Route::None,
    }
}

async fn act(front: &Front, request: Request<'_>) -> Result<Answer, ApiError> {
    let settings = &front.settings;
    let fields = request.head.fields(request.received);
    let client = request.visitor.client(front, fields);
    let Target::Resource { path, query } = &request.head.target else {
        front.count(request, client, Ok(&Action::Options(route::METHODS)))?;
        return Ok(Answer::Response(options(front, request, route::METHODS)));
    };
    let path = text(&request.received[path.clone()]);
    let query = text(&request.received[query.clone()]);
    let asked = route::route(request.head.method, path, settings.browser_only);
    // Before the tokens are looked at, so that they are not tried out any faster.
    let place = front.count(request, client, asked.as_ref())?;
    // Before what is asked for, so that the refusal does not tell what there is.
    guard::check(front, request)?;
    let action = asked?;
    if is_for_admitted_pages(&action) && !settings.cors.admit(fields) {
        return Err(ApiError::OriginNotAllowed);
    }
    let response = match action {
        Action::ListChannels => return list(front).await,
        Action::CreateChannel => create(front, client, posted(request)?).await?,
        Action::CreateByQuery => create(front, client, ChannelRequest::from_query(query)?).await?,
        Action::ReadChannel(id) => read(front, id).await?,
        Action::DeleteChannel(id) => delete(front, id).await?,
        Action::Connect(id) => return connect(front, request, query, id, place).await,
        Action::Page(page) => pages::page(page),
        Action::Guide => pages::html(settings.readme.to_string()),
        Action::OpenApi => Response::json(Status::OK, front.openapi.as_bytes().to_vec()),
        Action::Reset => reset(front).await?,
        Action::Cluster => rest::cluster(&settings.public_url),
        Action::Health => rest::health(),
        Action::Ready => rest::readiness(front.live.is_draining()),
        Action::Metrics => {
            let format = Format::accepted(fields.all("accept"));
            Response::of_type(format.content_type(), Status::OK, settings.metrics.text(format).into_bytes())
        }
        Action::Top => {
            administration::check(front, request, client)?;
            administration::top(front).await?
        }
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

async fn list(front: &Front) -> Result<Answer, ApiError> {
    let mut text = Vec::new();
    let listing = Listing::begin(front, &mut text).await?;
    if listing.is_at_end() {
        return Ok(Answer::Response(Response::json(Status::OK, text)));
    }
    Ok(Answer::Listing { listing, text })
}

/// The channel that a body asks for.
pub(super) fn posted(request: Request<'_>) -> Result<ChannelRequest, ApiError> {
    if request.head.framing == Framing::None {
        return Err(ApiError::BodyMissing);
    }
    let fields = request.head.fields(request.received);
    ChannelRequest::parse(fields.all("content-type").next(), request.body)
}

async fn create(front: &Front, client: IpAddr, wanted: ChannelRequest) -> Result<Response, ApiError> {
    let settings = &front.settings;
    let token = rest::generate_token(settings.token_len).map_err(|_| ApiError::Unavailable)?;
    for attempts_left in (0..GENERATED_ID_ATTEMPTS).rev() {
        let id = match &wanted.id {
            Some(id) => id.clone(),
            None => rest::generate_id(settings.id_half_len).map_err(|_| ApiError::Unavailable)?,
        };
        let permit = front.channel_place(client)?;
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

async fn connect(
    front: &Front,
    request: Request<'_>,
    query: &str,
    id: ChannelId,
    place: Option<Permit>,
) -> Result<Answer, ApiError> {
    let accept = upgrade::check(request.head, request.head.fields(request.received));
    let admission = Admission::of(front, request, query, &id)?;
    let shard = front.registry.owner(&id).clone();
    match (accept, admission) {
        (Ok(accept), Some(Admission { credentials, terms })) => {
            let compression = compression(front, request)?;
            let reply = ask(&shard, |reply| ToShard::Admit { id, credentials, reply });
            let seat = front.answered(reply).await??;
            let terms = Terms { window: compression.map(|agreed| agreed.window), ..terms };
            let response = accept.response(compression.map(Agreed::response).as_deref());
            Ok(Answer::Join { seat, terms, response, place })
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

/// How messages are to be compressed; `None` = not at all.
fn compression(front: &Front, request: Request<'_>) -> Result<Option<Agreed>, ApiError> {
    if !front.settings.deflate {
        return Ok(None);
    }
    let offers = request.head.fields(request.received).all("sec-websocket-extensions");
    deflate::negotiate(offers).map_err(|MalformedExtensions| UpgradeError::Extensions.into())
}

pub(super) fn ask<T>(shard: &ShardHandle, question: impl FnOnce(Reply<T>) -> ToShard) -> oneshot::Receiver<T> {
    let (reply, receiver) = oneshot::channel();
    shard.send(question(reply));
    receiver
}

impl Front {
    /// What the shard answers. Nobody answers when it is gone, or hangs.
    pub(super) async fn answered<T>(&self, reply: oneshot::Receiver<T>) -> Result<T, ApiError> {
        match monoio::time::timeout(self.settings.answer_timeout, reply).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(oneshot::Canceled)) | Err(_) => Err(ApiError::Unavailable),
        }
    }
}

/// The status that opens a WebSocket.
const SWITCHING_PROTOCOLS: u16 = 101;

/// With the usual 32 random bits and a million channels, one attempt in 4 000 meets a taken id; eight never do.
const GENERATED_ID_ATTEMPTS: u32 = 8;
