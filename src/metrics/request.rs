//! HTTP requests: what they asked for, what they were answered and how long that took.

use super::counter::{Counter, HistogramCounter};
use super::label::label_values;

label_values! {
    /// What a request asked for, whatever the id in its path.
    Route {
        Channels = "/channels",
        Channel = "/channels/{id}",
        Connect = "/channels/{id}/connect",
        Reset = "/reset",
        Cluster = "/cluster",
        Health = "/healthz",
        Ready = "/readyz",
        Metrics = "/metrics",
        Top = "/admin/top",
        OpenApi = "/openapi.json",
        Page = "page",
        Options = "options",
        /// A path that there is not, a method that it does not know, or no request at all.
        None = "none",
    }
}

/// The requests of one front.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// By route, and then by status.
    counts: [[Counter; STATUSES.len() + 1]; Route::ALL.len()],
    /// Microseconds from a request being there to its answer being ready to be sent, by route.
    pub times: [HistogramCounter<{ REQUEST_BOUNDS.len() + 1 }>; Route::ALL.len()],
}

impl Requests {
    pub(super) fn count(&self, route: Route, status: u16) {
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len());
        self.counts[route as usize][status].add(1);
    }

    /// How many there were of a route, by status.
    pub(super) fn of(&self, route: Route) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        STATUS_NAMES.into_iter().zip(self.counts[route as usize].iter().map(Counter::get))
    }
}

/// Every status that is answered.
const STATUSES: [u16; 22] =
    [101, 200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 422, 426, 429, 431, 501, 503];

/// The names of these, and one for any other: 505.
const STATUS_NAMES: [&str; STATUSES.len() + 1] = [
    "101", "200", "201", "204", "400", "401", "403", "404", "405", "408", "409", "411", "413", "414", "415", "417",
    "422", "426", "429", "431", "501", "503", "505",
];

/// Microseconds.
pub(super) const REQUEST_BOUNDS: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 10_000_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_counted_under_its_name() {
        for (status, name) in STATUSES.iter().chain([&505]).zip(STATUS_NAMES) {
            assert_eq!(status.to_string(), name);
            let requests = Requests::default();
            requests.count(Route::Channel, *status);
            let counted: Vec<_> = requests.of(Route::Channel).filter(|(_, count)| *count > 0).collect();
            assert_eq!(counted, [(name, 1)]);
        }
    }
}
