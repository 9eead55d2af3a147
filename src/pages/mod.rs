//! The pages for people: each is one file without anything from elsewhere, and part of the binary.

mod guide;

use std::borrow::Cow;

use crate::http::{Response, Status};
use crate::route::Page;

pub use guide::{GUIDE, render_guide};

/// The answer that shows `page`.
pub fn page(page: Page) -> Response {
    let page = match page {
        Page::Landing => LANDING,
        Page::Client => CLIENT,
        Page::Docs => DOCS,
    };
    html(page)
}

/// The answer that shows this page.
pub fn html(page: impl Into<Cow<'static, str>>) -> Response {
    let content: Cow<'static, [u8]> = match page.into() {
        Cow::Borrowed(page) => page.as_bytes().into(),
        Cow::Owned(page) => page.into_bytes().into(),
    };
    Response::html(Status::OK, content).with("Content-Security-Policy", SECURITY_POLICY)
}

const LANDING: &str = include_str!("landing.html");
const CLIENT: &str = include_str!("client.html");
const DOCS: &str = include_str!("docs.html");

/// A page runs what stands in it and nothing else, and talks to relays only.
const SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                               img-src data:; connect-src 'self' http: https: ws: wss:; base-uri 'none'; \
                               form-action 'none'; frame-ancestors 'none'";
