//! What a channel is asked to be, and what it tells about itself (requirements, section 1).

use std::fmt;
use std::time::Duration;

use subtle::ConstantTimeEq;

use crate::budget::Permit;

/// The name of a channel: `[A-Za-z0-9_-]{1,64}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(Box<str>);

impl ChannelId {
    pub const LEN_MAX: usize = 64;

    /// `None` if `text` is no channel id.
    pub fn parse(text: &str) -> Option<ChannelId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = (1..=Self::LEN_MAX).contains(&text.len());
        (fits && text.bytes().all(allowed)).then(|| ChannelId(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The secret that opens a channel to a client. Never printed: `Debug` hides it, and there is no `Display`.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    pub fn new(secret: impl Into<Box<str>>) -> Token {
        Token(secret.into())
    }

    /// Compares in a time that depends on the lengths alone.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// The secret itself, for the one answer that shows it: the one to its creation.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How a channel's messages travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// A message goes back to its sender.
    Echo,
    /// A message goes to every connected client.
    PubSub,
    /// A message goes to one client, all in turn.
    PushPull,
    /// A request goes to every other client, a reply to the one that asked.
    ReqRepl,
    /// A request goes to one other client, all in turn, a reply to the one that asked.
    FanInOut,
}

impl Pattern {
    pub const ALL: [Pattern; 5] =
        [Pattern::Echo, Pattern::PubSub, Pattern::PushPull, Pattern::ReqRepl, Pattern::FanInOut];

    /// The name in REST bodies.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::Echo => "echo",
            Pattern::PubSub => "pub-sub",
            Pattern::PushPull => "push-pull",
            Pattern::ReqRepl => "req-repl",
            Pattern::FanInOut => "fan-in-out",
        }
    }

    pub fn parse(name: &str) -> Option<Pattern> {
        Pattern::ALL.into_iter().find(|pattern| pattern.name() == name)
    }
}

/// What becomes of a client that falls further behind than it may (requirements, section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlowPolicy {
    /// It is closed with 4408.
    Disconnect,
    /// It goes on at the newest message. Only pub-sub has this: what others are to get goes to one client alone.
    Skip,
}

impl SlowPolicy {
    pub const ALL: [SlowPolicy; 2] = [SlowPolicy::Disconnect, SlowPolicy::Skip];

    /// The name in REST bodies and settings.
    pub fn name(self) -> &'static str {
        match self {
            SlowPolicy::Disconnect => "disconnect",
            SlowPolicy::Skip => "skip",
        }
    }

    pub fn parse(name: &str) -> Option<SlowPolicy> {
        SlowPolicy::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

/// The fields a channel keeps from its creation to its end.
#[derive(Debug)]
pub struct ChannelSpec {
    pub id: ChannelId,
    pub token: Token,
    pub pattern: Pattern,
    /// Most clients connected at once; `None` = no limit.
    pub client_limit: Option<u64>,
    /// Inactivity after which the channel is deleted; `None` = never.
    pub timeout: Option<Duration>,
    /// pub-sub: the sender does not get its own message.
    pub exclude_sender: bool,
    /// Messages kept for late joiners; 0 = none.
    pub history: u32,
    /// What becomes of clients that fall too far behind; `Skip` in pub-sub alone.
    pub slow_consumers: SlowPolicy,
    /// The right to be one of the relay's channels; `None` = nobody counts them.
    pub permit: Option<Permit>,
}

/// What a channel shows of itself at one moment. It has no token in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelView {
    pub id: ChannelId,
    pub pattern: Pattern,
    pub client_limit: Option<u64>,
    pub timeout: Option<Duration>,
    /// What is left of the timeout; `None` where there is none.
    pub countdown: Option<Duration>,
    pub exclude_sender: bool,
    pub history: u32,
    pub slow_consumers: SlowPolicy,
    /// Connected clients.
    pub clients: u64,
}

/// Why a channel was not created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreateError {
    /// The id is in use.
    IdTaken,
    /// The relay is closing.
    ShuttingDown,
}

/// What a client may do in its channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rights {
    /// Send messages. One that may not is closed with 1008 when it does.
    pub publish: bool,
    /// Get the messages of others. One that may not still gets its own in an echo, and replies to its requests.
    pub subscribe: bool,
}

impl Rights {
    /// What the channel's token gives.
    pub const ALL: Rights = Rights { publish: true, subscribe: true };
}

/// Why a client was not admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AdmitError {
    NoSuchChannel,
    WrongToken,
    /// The channel's client limit is reached.
    Full,
    /// The relay is closing.
    ShuttingDown,
}

/// A channel's slot on its shard and the slot's generation: a place in a channel that was deleted meanwhile fits no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub slot: u32,
    pub generation: u32,
}
