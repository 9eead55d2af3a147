//! Why a connection is closed, as its peer is told (RFC 6455, sections 5.5.1 and 7.4; requirements, section 1 and 5).

/// A close code that the relay sends, with the reason that goes along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseCode {
    /// The peer closed, without a code: neither has the answer one.
    Empty,
    /// The peer closed with this code: it gets it back.
    Echo(u16),
    /// 1012: the relay ends; where there is another, or when it is back, the client may go on.
    ServiceRestart,
    /// 1002: a frame breaks RFC 6455; the text says which rule.
    ProtocolError(&'static str),
    /// 1007: text, or the reason of a close frame, is not UTF-8.
    InvalidText,
    /// 1007: a compressed message cannot be inflated. RFC 7692 names no code; as with text that is none, the payload is not
    /// what its frame says.
    BrokenDeflate,
    /// 1008: the client may not send, by the token that it was admitted with.
    MayNotPublish,
    /// 1008: the client sends more than its rate allows.
    RateLimit,
    /// 1009: a message is larger than the relay takes.
    TooLarge,
    /// 1013: what the client sent in part takes more than there is.
    OutOfMemory,
    /// 4401: the token that the client was admitted with has ended.
    TokenExpired,
    /// 4404: the channel was deleted.
    ChannelDeleted,
    /// 4408: the client reads more slowly than its lag bound allows.
    SlowConsumer,
    /// 4410: the channel's timeout ran out.
    ChannelExpired,
}

impl CloseCode {
    /// The code on the wire; `None` = a close frame without a payload.
    pub fn code(self) -> Option<u16> {
        Some(match self {
            CloseCode::Empty => return None,
            CloseCode::Echo(code) => code,
            CloseCode::ProtocolError(_) => 1002,
            CloseCode::InvalidText | CloseCode::BrokenDeflate => 1007,
            CloseCode::MayNotPublish | CloseCode::RateLimit => 1008,
            CloseCode::TooLarge => 1009,
            CloseCode::ServiceRestart => 1012,
            CloseCode::OutOfMemory => 1013,
            CloseCode::TokenExpired => 4401,
            CloseCode::ChannelDeleted => 4404,
            CloseCode::SlowConsumer => 4408,
            CloseCode::ChannelExpired => 4410,
        })
    }

    /// The reason on the wire: at most 123 bytes.
    pub fn reason(self) -> &'static str {
        match self {
            CloseCode::Empty | CloseCode::Echo(_) => "",
            CloseCode::ServiceRestart => "relay is shutting down, connect again",
            CloseCode::ProtocolError(rule) => rule,
            CloseCode::InvalidText => "text is not valid UTF-8",
            CloseCode::BrokenDeflate => "compressed data is broken",
            CloseCode::MayNotPublish => "the token has no right to publish",
            CloseCode::RateLimit => "rate limit exceeded",
            CloseCode::TooLarge => "message too large",
            CloseCode::OutOfMemory => "relay is out of memory, try again later",
            CloseCode::TokenExpired => "token expired",
            CloseCode::ChannelDeleted => "channel deleted",
            CloseCode::SlowConsumer => "slow consumer",
            CloseCode::ChannelExpired => "channel expired",
        }
    }

    /// The payload of the close frame, written to `buffer`.
    pub fn payload(self, buffer: &mut [u8; 125]) -> &[u8] {
        let Some(code) = self.code() else { return &[] };
        let reason = self.reason().as_bytes();
        buffer[..2].copy_from_slice(&code.to_be_bytes());
        buffer[2..2 + reason.len()].copy_from_slice(reason);
        &buffer[..2 + reason.len()]
    }

    /// What a close frame from the peer is answered with (RFC 6455, section 5.5.1).
    pub fn answer_to(payload: &[u8]) -> CloseCode {
        match payload {
            [] => CloseCode::Empty,
            [_] => CloseCode::ProtocolError("a close frame has no payload or a code of two bytes"),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !may_be_sent(code) {
                    CloseCode::ProtocolError("this close code must not be sent")
                } else if simdutf8::basic::from_utf8(reason).is_err() {
                    CloseCode::InvalidText
                } else {
                    CloseCode::Echo(code)
                }
            }
        }
    }
}

/// The codes that an endpoint may put into a close frame (RFC 6455, section 7.4, and the IANA registry).
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_the_registry_are_echoed() {
        let valid: Vec<u16> = (0..=u16::MAX).filter(|code| may_be_sent(*code)).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(valid, expected);
        assert_eq!(CloseCode::answer_to(&1000u16.to_be_bytes()), CloseCode::Echo(1000));
        assert_eq!(CloseCode::answer_to(&1005u16.to_be_bytes()).code(), Some(1002));
    }

    #[test]
    fn odd_close_payloads_are_told_apart() {
        assert_eq!(CloseCode::answer_to(&[]), CloseCode::Empty);
        assert_eq!(CloseCode::answer_to(&[3]).code(), Some(1002));
        assert_eq!(CloseCode::answer_to(&[3, 232, 0xff]), CloseCode::InvalidText);
        assert_eq!(CloseCode::Empty.payload(&mut [0; 125]), b"");
        assert_eq!(CloseCode::ChannelExpired.payload(&mut [0; 125]), b"\x11\x3achannel expired");
    }
}
