//! Who a client is, and what one address may take: the rules for addresses, without sockets and clocks.
//!
//! - [`TrustedProxies`] are those whose word on an address counts; [`client_of`] reads it from `Forwarded` and
//!   `X-Forwarded-For`, [`proxy_header`] from the PROXY protocol;
//! - [`Addresses`] counts what each address has and does, in a state that is bounded however many addresses come.

mod addresses;
mod bucket;
mod forwarded;
mod proxy_protocol;
mod trusted;

pub use addresses::{ADDRESSES_MAX, AddressLimits, AddressRefusal, Addresses};
pub use forwarded::client_of;
pub use proxy_protocol::{HEADER_LEN_MAX, ProxyHeader, ProxyHeaderError, proxy_header};
pub use trusted::TrustedProxies;
