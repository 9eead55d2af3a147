//! The logs of a channel in virtual time: what their readers get, for any order of events.

mod compressing;
mod holding;
mod rig;
mod skipping;
mod turns;
