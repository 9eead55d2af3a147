//! All the ways in which what a request asks for can be asked for: a rule about one of them is about the request.

use std::borrow::Cow;

use crate::http::{Method, query};

/// The methods and paths that stand for the same as `method` on `path`, decoded: the paths of both names of the channels,
/// with and without a slash at the end; `HEAD` as `GET`; and with `browser_only`, what a GET does in place of another
/// method. Of a path that leads nowhere too, so that a guarded one looks like any other.
pub fn spellings(method: Method, path: &str, browser_only: bool) -> Vec<(Method, String)> {
    let method = if method == Method::Head { Method::Get } else { method };
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<Cow<'_, str>> =
        path.split('/').map(|segment| query::decode_segment(segment).unwrap_or(Cow::Borrowed(segment))).collect();
    let mut found = Vec::new();
    match segments.as_slice() {
        [first, rest @ ..] if first == "channels" || first == "channel" => {
            push_channel(&mut found, method, rest);
            match rest {
                [word] if browser_only && method == Method::Get && word == "create" => {
                    push_channel(&mut found, Method::Post, &[]);
                }
                [id, word] if browser_only && method == Method::Get && word == "delete" => {
                    push_channel(&mut found, Method::Delete, std::slice::from_ref(id));
                }
                _ => {}
            }
        }
        [root] if root.is_empty() => found.push((method, "/".to_owned())),
        segments => push(&mut found, method, format!("/{}", segments.join("/"))),
    }
    found
}

fn push_channel(found: &mut Vec<(Method, String)>, method: Method, rest: &[Cow<'_, str>]) {
    for name in ["/channels", "/channel"] {
        let mut path = name.to_owned();
        for segment in rest {
            path.push('/');
            path.push_str(segment);
        }
        push(found, method, path);
    }
}

fn push(found: &mut Vec<(Method, String)>, method: Method, path: String) {
    found.push((method, format!("{path}/")));
    found.push((method, path));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(method: Method, path: &str, browser_only: bool, spelling: (Method, &str)) -> bool {
        spellings(method, path, browser_only).contains(&(spelling.0, spelling.1.to_owned()))
    }

    #[test]
    fn each_way_to_a_channel_is_every_other() {
        for path in ["/channels/a-b", "/channel/a-b", "/channels/a%2Db/", "channel/a%2db"] {
            for spelling in ["/channels/a-b", "/channel/a-b", "/channels/a-b/", "/channel/a-b/"] {
                assert!(has(Method::Head, path, false, (Method::Get, spelling)), "{path} as {spelling}");
            }
        }
        assert!(has(Method::Get, "/channel/", false, (Method::Get, "/channels")));
        assert!(has(Method::Get, "/%63hannel", false, (Method::Get, "/channels")));
    }

    #[test]
    fn other_paths_are_decoded_and_kept() {
        assert_eq!(spellings(Method::Get, "", false), [(Method::Get, "/".to_owned())]);
        assert_eq!(spellings(Method::Get, "/", false), [(Method::Get, "/".to_owned())]);
        assert!(has(Method::Delete, "/%72eset", false, (Method::Delete, "/reset")));
        assert!(has(Method::Get, "/%zz/x", false, (Method::Get, "/%zz/x")));
    }

    #[test]
    fn in_browser_only_mode_a_get_is_what_it_does() {
        assert!(has(Method::Get, "/channel/create", true, (Method::Post, "/channels")));
        assert!(has(Method::Get, "/channels/x/delete", true, (Method::Delete, "/channel/x")));
        assert!(!has(Method::Get, "/channels/create", false, (Method::Post, "/channels")));
        assert!(!has(Method::Post, "/channels/x/delete", true, (Method::Delete, "/channels/x")));
    }
}
