//! HTTPS and WSS against the running relay, with rustls and tungstenite as clients.

mod benching;
mod draining;
mod handshakes;
mod offload;
mod relaying;
mod reloading;
mod rig;
mod stalling;
#[path = "../support/mod.rs"]
mod support;
mod wire;
