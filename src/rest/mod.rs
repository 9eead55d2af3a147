//! The bodies of the REST interface (requirements, sections 1 and 2): what may be asked, and how it is answered.
//!
//! Values in, values out: asking a shard is the front's business.

mod create;
mod error;
mod secret;
mod view;

pub use create::{ChannelRequest, SAFE_INTEGER_MAX};
pub use error::ApiError;
pub use secret::{generate_id, generate_token};
pub use view::{created, deleted, health, list, one};
