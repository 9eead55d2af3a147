//! Paths: where one leads is where all its spellings lead, so that a rule about one is a rule about the request.
//!
//! The first byte chooses the method and the mode.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringrelay::http::Method;
use ringrelay::route::{Action, route, spellings};

const METHODS: [Method; 5] = [Method::Get, Method::Head, Method::Post, Method::Delete, Method::Options];

fuzz_target!(|data: &[u8]| {
    let Some((choice, path)) = data.split_first() else { return };
    // Targets are visible ASCII, without a query or a fragment: `http::Target` sees to that.
    let Ok(path) = str::from_utf8(path) else { return };
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
        return;
    }
    let method = METHODS[usize::from(choice >> 1) % METHODS.len()];
    let browser_only = choice & 1 == 1;
    let found = spellings(method, path, browser_only);
    assert!(!found.is_empty() && found.len() <= SPELLINGS_MAX, "{found:?}");
    let Ok(action) = route(method, path, browser_only) else { return };
    // OPTIONS changes nothing and shows nothing but methods.
    if method == Method::Options {
        return;
    }
    let led: Vec<Action> =
        found.iter().filter_map(|(method, spelling)| route(*method, spelling, browser_only).ok()).collect();
    assert!(led.contains(&action), "{method:?} {path} is {action:?}, its spellings are {found:?}");
    // A GET that creates or deletes is also the method that does so elsewhere.
    let elsewhere = match &action {
        Action::CreateByQuery => Some(Action::CreateChannel),
        _ => None,
    };
    assert!(elsewhere.is_none_or(|elsewhere| led.contains(&elsewhere)), "{path}: {found:?}");
});

/// Two names and two endings, of the request itself and of what a GET does in place of another method.
const SPELLINGS_MAX: usize = 8;
