//! The load generator behind `ringrelay bench`: one thread, one epoll, against any WebSocket server.
//!
//! Along the path of a run:
//!
//! - [`options`] checks what was asked for, [`target`] says where the rooms are ([`channels`] creates them over REST);
//! - [`topology`] seats every connection, [`connect`] opens them all ([`transport`], with TLS [`trust`]; [`upgrade`]);
//! - [`load`] is the loop over [`wire`]: [`publish`] writes, [`receive`] checks, what goes to everyone in [`broadcast`]
//!   ([`window`]), what goes to one at a time in [`rotation`] ([`journey`], [`request`], [`nats`]), both with [`frame`],
//!   [`control`] and [`payload`], and tells [`ledger`];
//! - [`process`] reads what it cost the server, [`report`] says it.
//!
//! It shares nothing with the relay: an error in the relay's codec must not be hidden by the same error here. It has to
//! outrun a relay that delivers some twenty million small frames per second and core, so a received frame costs a few
//! nanoseconds: frames are checked where they were received, with no state machine while they look as expected.

mod broadcast;
mod channels;
mod connect;
mod control;
mod error;
mod frame;
mod journey;
mod ledger;
mod load;
mod nats;
mod options;
mod payload;
mod process;
mod publish;
mod receive;
mod report;
mod request;
mod rotation;
mod target;
mod topology;
mod transport;
mod trust;
mod upgrade;
mod window;
mod wire;

use std::process::ExitCode;

pub use error::Failure;
pub use options::BenchConfig;
pub use report::Report;
pub use trust::Trust;

use channels::Channels;
use options::Plan;

/// Runs the bench and prints its report. Fails if the run could not be made, or if a message was lost, out of order or
/// damaged.
pub fn run(config: &BenchConfig) -> ExitCode {
    match config.plan().and_then(|plan| measure(&plan)) {
        Ok(report) => {
            if config.json {
                println!("{}", report.json());
            } else {
                print!("{}", report.table());
            }
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(failure) => {
            eprintln!("ringrelay bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(plan: &Plan) -> Result<Report, Failure> {
    process::prepare(plan)?;
    match &plan.server {
        None => load::run(plan, &plan.room_targets),
        Some(server) => {
            let channels = Channels::create(server, plan)?;
            let report = load::run(plan, channels.targets());
            // Channels go away after a failed run too; that failure is the one to tell.
            let deleted = channels.delete();
            let report = report?;
            deleted?;
            Ok(report)
        }
    }
}

#[cfg(test)]
mod end_to_end_tests;
