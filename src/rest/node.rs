//! What this relay says of itself.

use serde::Serialize;
use utoipa::ToSchema;

use super::ApiError;
use super::error::ErrorDetail;
use super::view::json;
use crate::http::{Response, Status};

/// The answer of a relay that lives.
pub fn health() -> Response {
    json(Status::OK, &Health { status: "ok" })
}

/// The answer of a relay that takes requests, or takes no more of them.
pub fn readiness(is_closing: bool) -> Response {
    if !is_closing {
        return json(Status::OK, &Readiness { status: "ready", error: None });
    }
    let error = ApiError::Unavailable;
    let (status, code) = error.status_and_code();
    let detail = ErrorDetail { code, message: &error.message() };
    json(status, &Readiness { status: "closing", error: Some(detail) }).with("Retry-After", "1")
}

/// This relay as a cluster: it is the only node. `url` is where clients reach it.
pub fn cluster(url: &str) -> Response {
    let name = url.split_once("://").map_or(url, |(_, authority)| authority);
    let role = "single";
    json(Status::OK, &Cluster { data: ClusterView { name, role, url, nodes: [Node { name, role, url }] } })
}

#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Readiness<'a> {
    /// `ready` or `closing`.
    #[schema(example = "ready")]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<ErrorDetail<'a>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Cluster<'a> {
    data: ClusterView<'a>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ClusterView<'a> {
    /// Of the node that answers.
    #[schema(example = "127.0.0.1:8080")]
    name: &'a str,
    /// `single`: there are no others.
    #[schema(example = "single")]
    role: &'static str,
    /// Where clients reach it.
    #[schema(example = "http://127.0.0.1:8080")]
    url: &'a str,
    /// All nodes.
    #[schema(value_type = Vec<Node>)]
    nodes: [Node<'a>; 1],
}

#[derive(Serialize, ToSchema)]
pub(super) struct Node<'a> {
    #[schema(example = "127.0.0.1:8080")]
    name: &'a str,
    /// `single`: there are no others.
    #[schema(example = "single")]
    role: &'static str,
    /// Where clients reach it.
    #[schema(example = "http://127.0.0.1:8080")]
    url: &'a str,
}
