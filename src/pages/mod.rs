//! The pages for people: each is one file without anything from elsewhere, and part of the binary.

use crate::http::{Response, Status};
use crate::route::Page;

/// The answer that shows `page`.
pub fn page(page: Page) -> Response {
    let html = match page {
        Page::Landing => LANDING,
        Page::Client => CLIENT,
        Page::Docs => DOCS,
    };
    Response::html(Status::OK, html.as_bytes()).with("Content-Security-Policy", SECURITY_POLICY)
}

const LANDING: &str = include_str!("landing.html");
const CLIENT: &str = include_str!("client.html");
const DOCS: &str = include_str!("docs.html");

/// A page runs what stands in it and nothing else, and talks to relays only.
const SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                               img-src data:; connect-src 'self' http: https: ws: wss:; base-uri 'none'; \
                               form-action 'none'; frame-ancestors 'none'";
