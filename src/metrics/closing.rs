//! How WebSockets end.

use super::label::label_values;

label_values! {
    /// The close code that ended a WebSocket.
    Closing {
        /// The client closed first, with a code or without.
        Client = "client",
        /// Neither side closed: the connection broke, or was cut.
        Lost = "lost",
        ProtocolError = "1002",
        InvalidText = "1007",
        PolicyViolation = "1008",
        TooLarge = "1009",
        ServiceRestart = "1012",
        TryAgainLater = "1013",
        TokenEnded = "4401",
        ChannelDeleted = "4404",
        SlowConsumer = "4408",
        ChannelExpired = "4410",
    }
}
