//! ringrelay: a WebSocket relay for one Linux host.
//!
//! The modules along the path of a byte, from the socket in to the socket out:
//!
//! - [`server`] starts everything and ends it on a signal, and says so to a service manager ([`service`], [`pulse`]);
//! - [`front`] accepts connections and speaks HTTP ([`http`], [`route`], [`rest`], [`pages`], [`auth`], [`jwt`]);
//! - [`handoff`] carries requests and upgraded sockets from a front to the shard that owns the channel ([`registry`]);
//! - [`tls`] is what lies between them and the socket, if there is a certificate;
//! - [`shard`] is the thread that drives one io_uring ([`ring`]; [`epoll`] where that is refused: a [`driver`]) and, with
//!   it, one [`relay`];
//! - [`relay`] decides, without sockets or clocks: it holds the connections ([`session`], [`ws`], [`outbox`]) and the
//!   channels ([`channel`]) whose logs they read ([`chunk`]);
//! - [`metrics`] is what all of them count; [`log`] is what they say.
//!
//! [`cgroup`] is what the relay may use of its host. [`doctor`] holds a host against the advice of [`tuning`]; the relay
//! does not need them.
//! [`bench`] is the load generator behind `ringrelay bench`, [`top`] the view behind `ringrelay top`, and [`install`] what
//! `ringrelay install` puts on a host; they share nothing with the relay. [`health`] asks a relay how it is.

pub mod config;

pub mod health;
pub mod log;
pub mod server;
pub mod service;

pub mod auth;
pub mod front;
pub mod http;
pub mod jwt;
pub mod pages;
pub mod rest;
pub mod route;

pub mod budget;
pub mod cgroup;
pub mod handoff;
pub mod peer;
pub mod pulse;
pub mod registry;
pub mod tls;

pub mod metrics;

pub mod driver;
pub mod epoll;
pub mod ring;
pub mod shard;

pub mod channel;
pub mod chunk;
pub mod outbox;
pub mod relay;
pub mod session;
pub mod time;
pub mod ws;

pub mod doctor;
pub mod tuning;

pub mod bench;
pub mod install;
pub mod top;
