//! HTTPS and WSS against the running relay, with rustls and tungstenite as clients.

mod handshakes;
mod relaying;
mod reloading;
mod rig;
#[path = "../support/mod.rs"]
mod support;
mod wire;
