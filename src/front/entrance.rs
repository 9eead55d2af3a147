//! Who may come in, and how often: the bounds on addresses, held at each moment at which an address is known. That is when
//! a connection is accepted, when its PROXY header is there, and when a request from behind a proxy says whose it is.

use std::cell::Cell;
use std::net::IpAddr;
use std::time::Instant;

use super::exchange::Request;
use super::live::Entry;
use super::{Front, guard};
use crate::budget::Permit;
use crate::http::Fields;
use crate::peer::{self, AddressRefusal};
use crate::rest::ApiError;
use crate::route::{Action, RouteError};

/// Where a connection comes from.
#[derive(Debug)]
pub(super) struct Visitor {
    /// The other end of the TCP connection, or what a PROXY header has announced.
    source: IpAddr,
    /// Whether that is a trusted proxy: each request says whose it is, and is judged by that.
    is_proxy: bool,
    /// Whether the connection was counted when it came, and no WebSocket has been asked for on it since. The first one
    /// is what it was counted for; further attempts count as connections of their own, and as requests.
    is_paid: Cell<bool>,
}

/// Why a connection is not served.
#[derive(Debug)]
pub(super) enum Denial {
    /// It is told.
    Told(ApiError),
    /// Only trusted proxies may connect, and it is none.
    NoProxy,
}

impl Visitor {
    /// Who is on a connection that is not served.
    pub(super) fn unserved(source: IpAddr) -> Visitor {
        Visitor { source, is_proxy: false, is_paid: Cell::new(false) }
    }

    /// Whether it comes from this host, and from no proxy that is trusted.
    pub(super) fn is_local(&self) -> bool {
        self.source.is_loopback() && !self.is_proxy
    }

    /// Whose request it is.
    pub(super) fn client(&self, front: &Front, fields: Fields<'_>) -> IpAddr {
        if self.is_proxy { peer::client_of(self.source, &front.settings.trusted_proxies, fields) } else { self.source }
    }
}

impl Front {
    /// Lets a connection from `peer` in, or not.
    pub(super) fn let_in(&self, peer: IpAddr) -> Result<(Entry, Permit, Visitor), Denial> {
        let settings = &self.settings;
        if settings.proxy_protocol && !settings.trusted_proxies.trust(peer) {
            return Err(Denial::NoProxy);
        }
        let (visitor, place) = self.visit(peer).map_err(Denial::Told)?;
        let Some(permit) = settings.connections.take() else {
            // For who comes next: a place is free when the one that gives way is gone.
            self.live.give_way();
            return Err(Denial::Told(ApiError::TooManyConnections));
        };
        let entry = self.live.enter().ok_or(Denial::Told(ApiError::TooManyConnections))?;
        Ok((entry, both(permit, place), visitor))
    }

    /// Counts a connection from `source`, unless that is a trusted proxy; with the place among those of its address.
    pub(super) fn visit(&self, source: IpAddr) -> Result<(Visitor, Option<Permit>), ApiError> {
        let source = source.to_canonical();
        let is_proxy = self.settings.trusted_proxies.trust(source);
        let place = match is_proxy {
            true => None,
            false => self.settings.addresses.connect(source, Instant::now()).map_err(refusal)?,
        };
        Ok((Visitor { source, is_proxy, is_paid: Cell::new(!is_proxy) }, place))
    }

    /// Counts a request of `client` for what it asks for, be it allowed or not. A WebSocket from behind a proxy comes with
    /// the place among those of its client's address.
    pub(super) fn count(
        &self,
        request: Request<'_>,
        client: IpAddr,
        asked: Result<&Action, &RouteError>,
    ) -> Result<Option<Permit>, ApiError> {
        let (addresses, visitor, now) = (&self.settings.addresses, request.visitor, Instant::now());
        match asked {
            // Who watches a relay must not be told that it is gone. Where that needs a token it counts, for it could be a
            // guess.
            Ok(Action::Health | Action::Ready | Action::Metrics) if !guard::is_needed(self, request) => Ok(None),
            Ok(Action::Connect(_)) => {
                let is_paid = visitor.is_paid.take();
                // Else tokens could be tried without end on one connection, and each may cost the check of a signature.
                if !is_paid || guard::is_needed(self, request) {
                    addresses.request(client, now).map_err(refusal)?;
                }
                if is_paid {
                    Ok(None)
                } else if visitor.is_proxy {
                    addresses.connect(client, now).map_err(refusal)
                } else {
                    addresses.connect_again(client, now).map(|()| None).map_err(refusal)
                }
            }
            Ok(
                Action::ListChannels
                | Action::CreateChannel
                | Action::CreateByQuery
                | Action::ReadChannel(_)
                | Action::DeleteChannel(_)
                | Action::Page(_)
                | Action::Guide
                | Action::OpenApi
                | Action::Reset
                | Action::Cluster
                | Action::Options(_)
                | Action::AdministrationOptions(_)
                | Action::Health
                | Action::Ready
                | Action::Metrics
                | Action::Top,
            )
            | Err(_) => addresses.request(client, now).map(|()| None).map_err(refusal),
        }
    }

    /// The place for a channel that `client` creates: among all, and among those of its address.
    pub(super) fn channel_place(&self, client: IpAddr) -> Result<Permit, ApiError> {
        let permit = self.settings.channels.take().ok_or(ApiError::TooManyChannels)?;
        let place = self.settings.addresses.create(client, Instant::now()).map_err(refusal)?;
        Ok(both(permit, place))
    }
}

/// The permit of what is also counted for its address, if it is.
pub(super) fn both(permit: Permit, place: Option<Permit>) -> Permit {
    match place {
        Some(place) => permit.with(place),
        None => permit,
    }
}

/// What a page of another origin must not do: open a WebSocket, or change what there is. The rest it may, and read the
/// answer or not as the browser is told.
pub(super) fn is_for_admitted_pages(action: &Action) -> bool {
    match action {
        Action::CreateChannel
        | Action::CreateByQuery
        | Action::DeleteChannel(_)
        | Action::Connect(_)
        | Action::Reset => true,
        Action::ListChannels
        | Action::ReadChannel(_)
        | Action::Page(_)
        | Action::Guide
        | Action::OpenApi
        | Action::Cluster
        | Action::Health
        | Action::Ready
        | Action::Metrics
        | Action::Top
        | Action::Options(_)
        | Action::AdministrationOptions(_) => false,
    }
}

fn refusal(refusal: AddressRefusal) -> ApiError {
    match refusal {
        AddressRefusal::ConnectsTooOften { wait } => ApiError::ConnectionRate { wait },
        AddressRefusal::RequestsTooOften { wait } => ApiError::RequestRate { wait },
        AddressRefusal::TooManyConnections => ApiError::TooManyConnectionsFromAddress,
        AddressRefusal::TooManyChannels => ApiError::TooManyChannelsFromAddress,
    }
}
