//! The token that guards the API, and what it guards (requirements, section 2).
//!
//! It opens requests, not channels: a channel has a token of its own.

use std::fmt;

use regex::{Regex, RegexBuilder};
use subtle::ConstantTimeEq;

use crate::http::Method;

/// The API's token with the rules that say where it is needed. Never printed: `Debug` hides the token.
pub struct Auth {
    /// `None` = there is none: what is guarded is open to bearers of other tokens alone.
    token: Option<Box<str>>,
    rules: Rules,
}

impl Auth {
    pub fn new(token: impl Into<Option<String>>, rules: Rules) -> Auth {
        Auth { token: token.into().map(Box::from), rules }
    }

    /// Whether `method` on `path` needs the token. A resource that can be asked for in several ways is guarded if one of
    /// them is, so the caller asks for each.
    pub fn guards(&self, method: Method, path: &str) -> bool {
        self.rules.guard(method, path)
    }

    /// Whether this is the token, in a time that depends on the lengths alone.
    pub fn accepts(&self, given: &str) -> bool {
        self.token.as_ref().is_some_and(|token| token.as_bytes().ct_eq(given.as_bytes()).into())
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("token", &"…").field("rules", &self.rules).finish()
    }
}

/// What is guarded. Without a rule: everything.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    /// `None` = any.
    method: Option<Method>,
    path: Regex,
}

impl Rules {
    /// What [`parse`](Self::parse) takes, in words.
    pub const ALLOWED: &str = "METHOD:path-regex entries separated by spaces, such as POST:/channels or *:/reset, with the \
                               method GET, POST, PUT, PATCH, DELETE or * for any";

    /// Reads entries `METHOD:path-regex` with white space between them; `*` is any method. The expression matches from
    /// the start of a path and may end anywhere: `DELETE:/channels` is about `/channels/x` too.
    ///
    /// # Errors
    /// An entry is none; the text names it and says why. What is allowed is [`ALLOWED`](Self::ALLOWED).
    pub fn parse(text: &str) -> Result<Rules, String> {
        text.split_whitespace().map(Rule::parse).collect::<Result<_, _>>().map(Rules)
    }

    fn guard(&self, method: Method, path: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|rule| rule.matches(method, path))
    }
}

impl Rule {
    fn parse(entry: &str) -> Result<Rule, String> {
        let refused = |why: String| format!("{entry:?} {why}");
        let (method, path) = entry.split_once(':').ok_or_else(|| refused("has no colon".to_owned()))?;
        let method = match method.to_ascii_uppercase().as_str() {
            "*" => None,
            // Who may not read a resource may not know its head either.
            "GET" | "HEAD" => Some(Method::Get),
            "POST" => Some(Method::Post),
            "PUT" => Some(Method::Put),
            "PATCH" => Some(Method::Patch),
            "DELETE" => Some(Method::Delete),
            _ => return Err(refused("has a method that cannot be guarded".to_owned())),
        };
        // A rule that can match nothing would leave open what it is there to close.
        if !path.starts_with(['/', '.', '(', '[', '^', '\\']) {
            return Err(refused("matches no path, for paths begin with /".to_owned()));
        }
        let path = RegexBuilder::new(path)
            .size_limit(REGEX_LEN_MAX)
            .build()
            .map_err(|error| refused(format!("is no regular expression ({})", reason(&error))))?;
        Ok(Rule { method, path })
    }

    fn matches(&self, method: Method, path: &str) -> bool {
        let method_fits = self.method.is_none_or(|of_rule| of_rule == method);
        // The leftmost match: if one begins at the start, it is that.
        method_fits && self.path.find(path).is_some_and(|found| found.start() == 0)
    }
}

/// The last line of the error: those before it draw where it is.
fn reason(error: &regex::Error) -> String {
    error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Most bytes of one compiled expression.
const REGEX_LEN_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn guards(rules: &str, method: Method, path: &str) -> bool {
        Auth::new("secret".to_owned(), Rules::parse(rules).unwrap()).guards(method, path)
    }

    #[test]
    fn a_rule_matches_from_the_start_and_may_end_anywhere() {
        assert!(guards("DELETE:/channels", Method::Delete, "/channels/x"));
        assert!(!guards("DELETE:/channels", Method::Get, "/channels/x"));
        assert!(!guards("DELETE:/channels", Method::Delete, "/x/channels"));
        assert!(guards("*:/cluster *:/reset", Method::Delete, "/reset"));
        assert!(guards("GET:/channels/[^/]+/connect", Method::Get, "/channels/x/connect"));
        assert!(!guards("GET:/channels/[^/]+/connect", Method::Get, "/channels/x"));
        assert!(!guards("GET:/channels$", Method::Get, "/channels/x"));
        assert!(guards("GET:/a|/b", Method::Get, "/b"));
        assert!(!guards("GET:/a|/b", Method::Get, "/c/b"));
        assert!(guards("head:/x", Method::Get, "/x"));
    }

    #[test]
    fn without_rules_everything_is_guarded() {
        assert!(guards("  ", Method::Get, "/"));
        assert!(guards("", Method::Unknown, "/x"));
    }

    #[test]
    fn what_is_no_rule_is_refused_by_name() {
        let refused = |rules: &str| Rules::parse(rules).unwrap_err();
        assert!(refused("POST:/channels reset").starts_with("\"reset\" has no colon"));
        assert!(refused("OPTIONS:/").contains("a method that cannot be guarded"));
        assert!(refused("GET:channels").contains("matches no path"));
        assert!(refused("GET:").contains("matches no path"));
        assert!(refused("GET:/(").contains("unclosed group"));
        assert!(refused("GET:/\\w{9999}{9999}").contains("regular expression"));
    }

    #[test]
    fn the_token_is_compared_whole_and_not_printed() {
        let auth = Auth::new("secret".to_owned(), Rules::default());
        assert!(auth.accepts("secret"));
        for given in ["", "secre", "secret2", "Secret"] {
            assert!(!auth.accepts(given), "{given}");
        }
        assert!(!format!("{auth:?}").contains("secret"));
        assert!(!Auth::new(None, Rules::default()).accepts(""), "without a token nothing is it");
    }
}
