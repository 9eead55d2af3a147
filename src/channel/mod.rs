//! Channels: what they are asked to be, who is in them, and the log that broadcasts are read from.
//!
//! Nothing here knows of WebSocket or HTTP: the log holds encoded records and does not look into them.

mod spec;

pub use spec::{ChannelId, ChannelSpec, ChannelView, Pattern, Token};
