//! A running front over real sockets: what it reads, what it refuses, and how it closes.

mod rig;

mod authentication;
mod browser_only;
mod cors;
mod framing;
mod lifetime;
mod limits;
mod listing;
mod node;
mod origins;
mod rest;
mod upgrades;
