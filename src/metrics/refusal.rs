//! What is refused for the sake of a limit, of a right, or of the grammar.

use super::label::label_values;

label_values! {
    /// Why a connection or a request was refused. That there is no such channel, or a field out of its range, is an answer
    /// and not counted here.
    Refusal {
        TooManyConnections = "too_many_connections",
        /// It had been idle longest when there were as many as there may be.
        GaveWay = "gave_way",
        TooManyConnectionsFromAddress = "too_many_connections_from_address",
        ConnectionRate = "connection_rate",
        RequestRate = "request_rate",
        TooManyChannels = "too_many_channels",
        TooManyChannelsFromAddress = "too_many_channels_from_address",
        ChannelFull = "channel_full",
        /// Of the channel.
        TokenMissing = "token_missing",
        TokenWrong = "token_wrong",
        /// The API's token.
        AuthMissing = "auth_missing",
        AuthWrong = "auth_wrong",
        OriginNotAllowed = "origin_not_allowed",
        /// What is for the operator alone, asked for from elsewhere.
        NotLocal = "not_local",
        /// A JSON Web Token that is none, or that no key here has signed.
        JwtInvalid = "jwt_invalid",
        JwtExpired = "jwt_expired",
        /// It is for other channels, or does not give the right.
        JwtNotEnough = "jwt_not_enough",
        /// A PROXY header that is none, or did not come in time.
        ProxyHeader = "proxy_header",
        /// Only trusted proxies may connect, and it is none.
        NoProxy = "no_proxy",
        /// What came to the port of TLS is no TLS.
        NotTls = "not_tls",
        /// A handshake that breaks the protocol, or that has nothing in common with what is spoken here.
        TlsHandshake = "tls_handshake",
        HandshakeTimeout = "handshake_timeout",
        HeadTimeout = "head_timeout",
        BodyTimeout = "body_timeout",
        UriTooLong = "uri_too_long",
        HeadTooLong = "head_too_long",
        BodyTooLong = "body_too_long",
        /// A head or a body breaks the grammar of HTTP.
        Malformed = "malformed",
        OutOfMemory = "out_of_memory",
        /// The relay closes, or a part of it does not answer.
        Unavailable = "unavailable",
    }
}
