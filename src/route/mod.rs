//! Which request asks for what: method and path to an [`Action`] (requirements, section 2).

mod spelling;

use crate::channel::ChannelId;
use crate::http::{Method, query};

pub use spelling::spellings;

/// What a request asks for. `HEAD` asks for what `GET` does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    ListChannels,
    CreateChannel,
    /// As `CreateChannel`, with the fields in the query (browser-only mode).
    CreateByQuery,
    ReadChannel(ChannelId),
    DeleteChannel(ChannelId),
    Connect(ChannelId),
    Page(Page),
    /// The API guide.
    Guide,
    /// The OpenAPI document.
    OpenApi,
    /// Deletes every channel.
    Reset,
    Cluster,
    Health,
    Ready,
    /// What the relay counts.
    Metrics,
    /// Who is busy, who is slow, and who was refused.
    Top,
    /// Which methods there are: the value of `Allow`.
    Options(&'static str),
    /// The same of what is for administration: no business of every page.
    AdministrationOptions(&'static str),
}

/// A page for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Page {
    /// What this is, and where to go on.
    Landing,
    /// The test client.
    Client,
    /// The OpenAPI document, rendered.
    Docs,
}

/// Why a request asks for nothing that there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteError {
    /// No resource has this path.
    NoSuchPath,
    /// It would be a channel's, but no channel can have this id.
    NoSuchChannel,
    /// The resource knows other methods: the value of `Allow`.
    MethodNotAllowed(&'static str),
    /// No resource knows the method.
    MethodUnknown,
}

/// All methods that any resource knows.
pub const METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// Finds what `method` on `path` asks for. One slash at the end makes no difference. With `browser_only`, a GET can also
/// create and delete channels; without, those paths are as any other.
///
/// # Errors
/// There is no such resource, or it does not know the method.
pub fn route(method: Method, path: &str, browser_only: bool) -> Result<Action, RouteError> {
    let resource = Resource::find(path, browser_only)?;
    let allow = resource.methods();
    match (method, resource) {
        (Method::Options, Resource::Reset | Resource::Top) => Ok(Action::AdministrationOptions(allow)),
        (Method::Options, _) => Ok(Action::Options(allow)),
        (Method::Get | Method::Head, Resource::Channels) => Ok(Action::ListChannels),
        (Method::Post, Resource::Channels) => Ok(Action::CreateChannel),
        (Method::Get | Method::Head, Resource::Channel(id)) => Ok(Action::ReadChannel(id)),
        // No HEAD: it would create or delete, and be answered nothing.
        (Method::Get, Resource::Create(_)) => Ok(Action::CreateByQuery),
        (Method::Get, Resource::Delete(id)) | (Method::Delete, Resource::Channel(id) | Resource::Create(id)) => {
            Ok(Action::DeleteChannel(id))
        }
        (Method::Get | Method::Head, Resource::Connect(id)) => Ok(Action::Connect(id)),
        (Method::Get | Method::Head, Resource::Page(page)) => Ok(Action::Page(page)),
        (Method::Get | Method::Head, Resource::Guide) => Ok(Action::Guide),
        (Method::Get | Method::Head, Resource::OpenApi) => Ok(Action::OpenApi),
        (Method::Delete, Resource::Reset) => Ok(Action::Reset),
        (Method::Get | Method::Head, Resource::Cluster) => Ok(Action::Cluster),
        (Method::Get | Method::Head, Resource::Health) => Ok(Action::Health),
        (Method::Get | Method::Head, Resource::Ready) => Ok(Action::Ready),
        (Method::Get | Method::Head, Resource::Metrics) => Ok(Action::Metrics),
        (Method::Get | Method::Head, Resource::Top) => Ok(Action::Top),
        (Method::Unknown, _) => Err(RouteError::MethodUnknown),
        (
            Method::Get
            | Method::Head
            | Method::Post
            | Method::Delete
            | Method::Put
            | Method::Patch
            | Method::Trace
            | Method::Query,
            _,
        ) => Err(RouteError::MethodNotAllowed(allow)),
    }
}

enum Resource {
    Channels,
    Channel(ChannelId),
    Connect(ChannelId),
    /// Where a GET creates a channel. It is also the channel of that id, which a GET cannot show then.
    Create(ChannelId),
    /// Where a GET deletes the channel.
    Delete(ChannelId),
    Page(Page),
    Guide,
    OpenApi,
    Reset,
    Cluster,
    Health,
    Ready,
    Metrics,
    Top,
}

impl Resource {
    fn find(path: &str, browser_only: bool) -> Result<Resource, RouteError> {
        // An absolute URL may have no path, which means the same (RFC 9110, section 4.2.3).
        if matches!(path, "" | "/") {
            return Ok(Resource::Page(Page::Landing));
        }
        let path = path.strip_prefix('/').ok_or(RouteError::NoSuchPath)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = path.split('/');
        // More segments than any resource has make four.
        match (segments.next(), segments.next(), segments.next(), segments.next()) {
            (Some("channels" | "channel"), None, ..) => Ok(Resource::Channels),
            (Some("channels" | "channel"), Some("create"), None, _) if browser_only => {
                Ok(Resource::Create(channel_id("create")?))
            }
            (Some("channels" | "channel"), Some(id), None, _) => Ok(Resource::Channel(channel_id(id)?)),
            (Some("channels" | "channel"), Some(id), Some("connect"), None) => Ok(Resource::Connect(channel_id(id)?)),
            (Some("channels" | "channel"), Some(id), Some("delete"), None) if browser_only => {
                Ok(Resource::Delete(channel_id(id)?))
            }
            (Some("readme"), None, ..) => Ok(Resource::Guide),
            (Some("openapi.json"), None, ..) => Ok(Resource::OpenApi),
            (Some("reset"), None, ..) => Ok(Resource::Reset),
            (Some("cluster"), None, ..) => Ok(Resource::Cluster),
            (Some("readyz"), None, ..) => Ok(Resource::Ready),
            (Some("metrics"), None, ..) => Ok(Resource::Metrics),
            (Some("admin"), Some("top"), None, _) => Ok(Resource::Top),
            (Some("client"), None, ..) => Ok(Resource::Page(Page::Client)),
            (Some("docs"), None, ..) => Ok(Resource::Page(Page::Docs)),
            (Some("healthz"), None, ..) => Ok(Resource::Health),
            _ => Err(RouteError::NoSuchPath),
        }
    }

    fn methods(&self) -> &'static str {
        match self {
            Resource::Channels => "GET, HEAD, POST, OPTIONS",
            Resource::Channel(_) => "GET, HEAD, DELETE, OPTIONS",
            Resource::Create(_) => "GET, DELETE, OPTIONS",
            Resource::Delete(_) => "GET, OPTIONS",
            Resource::Reset => "DELETE, OPTIONS",
            Resource::Connect(_)
            | Resource::Page(_)
            | Resource::Guide
            | Resource::OpenApi
            | Resource::Cluster
            | Resource::Health
            | Resource::Ready
            | Resource::Metrics
            | Resource::Top => "GET, HEAD, OPTIONS",
        }
    }
}

fn channel_id(segment: &str) -> Result<ChannelId, RouteError> {
    let decoded = query::decode_segment(segment).map_err(|_| RouteError::NoSuchPath)?;
    ChannelId::parse(&decoded).ok_or(RouteError::NoSuchChannel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, path: &str) -> Result<Action, RouteError> {
        route(method, path, false)
    }

    fn id(text: &str) -> ChannelId {
        ChannelId::parse(text).unwrap()
    }

    #[test]
    fn both_spellings_lead_to_the_same_action() {
        for prefix in ["/channels", "/channel"] {
            let get = |rest: &str| asked(Method::Get, &format!("{prefix}{rest}"));
            assert_eq!(get(""), Ok(Action::ListChannels));
            assert_eq!(get("/"), Ok(Action::ListChannels));
            assert_eq!(get("/D679-05F5"), Ok(Action::ReadChannel(id("D679-05F5"))));
            assert_eq!(get("/a%2Db/"), Ok(Action::ReadChannel(id("a-b"))));
            assert_eq!(get("/x/connect"), Ok(Action::Connect(id("x"))));
            assert_eq!(asked(Method::Post, prefix), Ok(Action::CreateChannel));
            assert_eq!(asked(Method::Delete, &format!("{prefix}/x")), Ok(Action::DeleteChannel(id("x"))));
        }
        assert_eq!(asked(Method::Head, "/healthz"), Ok(Action::Health));
        assert_eq!(asked(Method::Get, "/metrics/"), Ok(Action::Metrics));
        assert_eq!(asked(Method::Get, "/admin/top/"), Ok(Action::Top));
        assert_eq!(asked(Method::Get, "/admin"), Err(RouteError::NoSuchPath));
        assert_eq!(asked(Method::Get, "/"), Ok(Action::Page(Page::Landing)));
        assert_eq!(asked(Method::Get, "/client"), Ok(Action::Page(Page::Client)));
    }

    #[test]
    fn what_there_is_not_is_told_apart() {
        for path in ["//", "x", "/x", "/channelsx", "/channels/x/y", "/channels/x/connect/y", "/healthz/x", "/Channels"]
        {
            assert_eq!(asked(Method::Get, path), Err(RouteError::NoSuchPath), "{path}");
        }
        for path in ["/channels/a.b", "/channels/%2F", "/channels//connect"] {
            assert_eq!(asked(Method::Get, path), Err(RouteError::NoSuchChannel), "{path}");
        }
        assert_eq!(asked(Method::Get, "/channels/%zz"), Err(RouteError::NoSuchPath));
    }

    #[test]
    fn methods_are_refused_with_those_allowed() {
        let allow = "GET, HEAD, POST, OPTIONS";
        for method in [Method::Delete, Method::Put, Method::Patch, Method::Trace, Method::Query] {
            assert_eq!(asked(method, "/channels"), Err(RouteError::MethodNotAllowed(allow)));
        }
        assert_eq!(asked(Method::Options, "/channels"), Ok(Action::Options(allow)));
        assert_eq!(asked(Method::Unknown, "/channels"), Err(RouteError::MethodUnknown));
        let allow = "GET, HEAD, OPTIONS";
        assert_eq!(asked(Method::Post, "/channels/x/connect"), Err(RouteError::MethodNotAllowed(allow)));
    }

    #[test]
    fn in_browser_only_mode_a_get_creates_and_deletes() {
        let asked = |method, path: &str| route(method, path, true);
        for prefix in ["/channels", "/channel"] {
            assert_eq!(asked(Method::Get, &format!("{prefix}/create")), Ok(Action::CreateByQuery));
            assert_eq!(asked(Method::Get, &format!("{prefix}/x/delete")), Ok(Action::DeleteChannel(id("x"))));
        }
        assert_eq!(asked(Method::Get, "/channels/x"), Ok(Action::ReadChannel(id("x"))));
        assert_eq!(asked(Method::Delete, "/channels/create"), Ok(Action::DeleteChannel(id("create"))));
        let get_alone = Err(RouteError::MethodNotAllowed("GET, OPTIONS"));
        assert_eq!(asked(Method::Head, "/channels/x/delete"), get_alone);
        assert!(matches!(asked(Method::Head, "/channels/create"), Err(RouteError::MethodNotAllowed(_))));
        assert_eq!(route(Method::Get, "/channels/create", false), Ok(Action::ReadChannel(id("create"))));
        assert_eq!(route(Method::Get, "/channels/x/delete", false), Err(RouteError::NoSuchPath));
    }
}
