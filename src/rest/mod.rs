//! The bodies of the REST interface (requirements, sections 1 and 2): what may be asked, and how it is answered.
//!
//! Values in, values out: asking a shard is the front's business.

mod create;
mod error;
mod node;
mod object;
mod openapi;
mod secret;
mod top;
mod view;

pub use create::{ChannelRequest, SAFE_INTEGER_MAX};
pub use error::ApiError;
pub use node::{cluster, health, readiness};
pub use object::{TOKENS_MAX, tokens_in};
pub use openapi::document;
pub use secret::{ID_HALF_LEN_MAX, generate_id, generate_token};
pub use top::{TopRefusal, TopShard, top};
pub use view::{ListWriter, created, deleted, one, reset};
