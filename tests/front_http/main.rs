//! A running front over real sockets: what it reads, what it refuses, and how it closes.

mod rig;

mod framing;
mod lifetime;
mod rest;
mod upgrades;
