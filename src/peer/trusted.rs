//! The proxies whose word on a client's address counts.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// Networks of proxies; empty = nobody is trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    pub fn new(networks: &[IpNet]) -> TrustedProxies {
        TrustedProxies(networks.into())
    }

    /// Whether `address` is one of them; an IPv4 address written as IPv6 is the IPv4 address.
    pub fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}
