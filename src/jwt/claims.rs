//! What a token says, and what its bearer may do by it.

use std::time::Duration;

use serde::Deserialize;

use super::TokenError;
use crate::channel::{ChannelId, Rights};

/// The claims that are looked at; all others are not. `iss` and `aud` are checked with the signature.
#[derive(Deserialize)]
pub(super) struct Claims {
    /// Seconds since 1970, as `nbf` is.
    exp: f64,
    nbf: Option<f64>,
    sub: Option<String>,
    channel: Option<Channels>,
    #[serde(default)]
    can: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Channels {
    One(String),
    Several(Vec<String>),
}

/// What the bearer of a token may do, until it ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Who it is, by `sub`.
    pub subject: Option<String>,
    /// Since 1970.
    pub expires_at: Duration,
    channels: Vec<Cover>,
    rights: Rights,
    create: bool,
    presence: bool,
}

/// The channels that an entry of `channel` is about.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Cover {
    Exact(String),
    /// All whose id begins with this.
    Prefix(String),
}

impl Claims {
    /// What the token gives at `now`, since 1970. There is no leeway: a token is good before its `exp` and from its `nbf` on.
    pub(super) fn grant(self, now: Duration) -> Result<Grant, TokenError> {
        let expires_at = Duration::try_from_secs_f64(self.exp).map_err(|_| TokenError::Claims)?;
        if expires_at <= now {
            return Err(TokenError::Expired);
        }
        if let Some(nbf) = self.nbf
            && nbf > now.as_secs_f64()
        {
            return Err(TokenError::NotYet);
        }
        let channels = match self.channel {
            None => Vec::new(),
            Some(Channels::One(entry)) => vec![entry],
            Some(Channels::Several(entries)) => entries,
        };
        if channels.len() > CHANNELS_MAX {
            return Err(TokenError::Claims);
        }
        let can = |word: &str| self.can.iter().any(|found| found == word);
        Ok(Grant {
            rights: Rights { publish: can("pub"), subscribe: can("sub") },
            create: can("create"),
            presence: can("presence"),
            subject: self.sub,
            expires_at,
            channels: channels.into_iter().map(Cover::new).collect(),
        })
    }
}

impl Cover {
    /// A star anywhere but at the end is no wildcard, and no id has one.
    fn new(entry: String) -> Cover {
        match entry.strip_suffix('*') {
            Some(prefix) => Cover::Prefix(prefix.to_owned()),
            None => Cover::Exact(entry),
        }
    }
}

impl Grant {
    /// Whether the token is for this channel.
    pub fn allows(&self, channel: &ChannelId) -> bool {
        self.channels.iter().any(|cover| match cover {
            Cover::Exact(id) => id == channel.as_str(),
            Cover::Prefix(prefix) => channel.as_str().starts_with(prefix),
        })
    }

    /// Whether the token is for every channel, so for one whose id is still to be generated.
    pub fn allows_all(&self) -> bool {
        self.channels.iter().any(|cover| *cover == Cover::Prefix(String::new()))
    }

    /// What its bearer may do in its channels.
    pub fn rights(&self) -> Rights {
        self.rights
    }

    /// Whether its bearer may create its channels.
    pub fn may_create(&self) -> bool {
        self.create
    }

    /// Whether its bearer may see who is there.
    pub fn may_see_presence(&self) -> bool {
        self.presence
    }
}

/// Most entries of `channel`.
pub const CHANNELS_MAX: usize = 64;
