//! Which request asks for what: method and path to an [`Action`] (requirements, section 2).

use crate::channel::ChannelId;
use crate::http::{Method, query};

/// What a request asks for. `HEAD` asks for what `GET` does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    ListChannels,
    CreateChannel,
    ReadChannel(ChannelId),
    DeleteChannel(ChannelId),
    Connect(ChannelId),
    Page(Page),
    Health,
    /// Which methods there are: the value of `Allow`.
    Options(&'static str),
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

/// Finds what `method` on `path` asks for. One slash at the end makes no difference.
///
/// # Errors
/// There is no such resource, or it does not know the method.
pub fn route(method: Method, path: &str) -> Result<Action, RouteError> {
    let resource = Resource::find(path)?;
    let allow = resource.methods();
    match (method, resource) {
        (Method::Options, _) => Ok(Action::Options(allow)),
        (Method::Get | Method::Head, Resource::Channels) => Ok(Action::ListChannels),
        (Method::Post, Resource::Channels) => Ok(Action::CreateChannel),
        (Method::Get | Method::Head, Resource::Channel(id)) => Ok(Action::ReadChannel(id)),
        (Method::Delete, Resource::Channel(id)) => Ok(Action::DeleteChannel(id)),
        (Method::Get | Method::Head, Resource::Connect(id)) => Ok(Action::Connect(id)),
        (Method::Get | Method::Head, Resource::Page(page)) => Ok(Action::Page(page)),
        (Method::Get | Method::Head, Resource::Health) => Ok(Action::Health),
        (Method::Unknown, _) => Err(RouteError::MethodUnknown),
        (Method::Post | Method::Delete | Method::Put | Method::Patch | Method::Trace, _) => {
            Err(RouteError::MethodNotAllowed(allow))
        }
    }
}

enum Resource {
    Channels,
    Channel(ChannelId),
    Connect(ChannelId),
    Page(Page),
    Health,
}

impl Resource {
    fn find(path: &str) -> Result<Resource, RouteError> {
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
            (Some("channels" | "channel"), Some(id), None, _) => Ok(Resource::Channel(channel_id(id)?)),
            (Some("channels" | "channel"), Some(id), Some("connect"), None) => Ok(Resource::Connect(channel_id(id)?)),
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
            Resource::Connect(_) | Resource::Page(_) | Resource::Health => "GET, HEAD, OPTIONS",
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

    fn id(text: &str) -> ChannelId {
        ChannelId::parse(text).unwrap()
    }

    #[test]
    fn both_spellings_lead_to_the_same_action() {
        for prefix in ["/channels", "/channel"] {
            let get = |rest: &str| route(Method::Get, &format!("{prefix}{rest}"));
            assert_eq!(get(""), Ok(Action::ListChannels));
            assert_eq!(get("/"), Ok(Action::ListChannels));
            assert_eq!(get("/D679-05F5"), Ok(Action::ReadChannel(id("D679-05F5"))));
            assert_eq!(get("/a%2Db/"), Ok(Action::ReadChannel(id("a-b"))));
            assert_eq!(get("/x/connect"), Ok(Action::Connect(id("x"))));
            assert_eq!(route(Method::Post, prefix), Ok(Action::CreateChannel));
            assert_eq!(route(Method::Delete, &format!("{prefix}/x")), Ok(Action::DeleteChannel(id("x"))));
        }
        assert_eq!(route(Method::Head, "/healthz"), Ok(Action::Health));
        assert_eq!(route(Method::Get, "/"), Ok(Action::Page(Page::Landing)));
        assert_eq!(route(Method::Get, "/client"), Ok(Action::Page(Page::Client)));
    }

    #[test]
    fn what_there_is_not_is_told_apart() {
        for path in ["//", "x", "/x", "/channelsx", "/channels/x/y", "/channels/x/connect/y", "/healthz/x", "/Channels"]
        {
            assert_eq!(route(Method::Get, path), Err(RouteError::NoSuchPath), "{path}");
        }
        for path in ["/channels/a.b", "/channels/%2F", "/channels//connect"] {
            assert_eq!(route(Method::Get, path), Err(RouteError::NoSuchChannel), "{path}");
        }
        assert_eq!(route(Method::Get, "/channels/%zz"), Err(RouteError::NoSuchPath));
    }

    #[test]
    fn methods_are_refused_with_those_allowed() {
        let allow = "GET, HEAD, POST, OPTIONS";
        for method in [Method::Delete, Method::Put, Method::Patch, Method::Trace] {
            assert_eq!(route(method, "/channels"), Err(RouteError::MethodNotAllowed(allow)));
        }
        assert_eq!(route(Method::Options, "/channels"), Ok(Action::Options(allow)));
        assert_eq!(route(Method::Unknown, "/channels"), Err(RouteError::MethodUnknown));
        let allow = "GET, HEAD, OPTIONS";
        assert_eq!(route(Method::Post, "/channels/x/connect"), Err(RouteError::MethodNotAllowed(allow)));
    }
}
