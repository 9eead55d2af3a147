//! What a message of a request and reply pattern is refused for, as its sender is told (requirements, section 1).

/// Why a message goes to nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    NotJson,
    NotAnObject,
    /// `type` is missing, given twice, or neither `request` nor `reply`.
    UnknownType,
    /// A reply says not who is to get it.
    MissingOrigin,
    /// A reply is for nobody who is connected to the channel.
    UnknownOrigin,
    /// A request, and nobody else is connected.
    NoResponders,
}

impl Refusal {
    pub const ALL: [Refusal; 6] = [
        Refusal::NotJson,
        Refusal::NotAnObject,
        Refusal::UnknownType,
        Refusal::MissingOrigin,
        Refusal::UnknownOrigin,
        Refusal::NoResponders,
    ];

    /// The message to the sender, as JSON.
    pub fn answer(self) -> &'static str {
        macro_rules! answer {
            ($code:literal, $message:literal) => {
                concat!(r#"{"type":"error","error":""#, $code, r#"","message":""#, $message, r#""}"#)
            };
        }
        match self {
            Refusal::NotJson => answer!("not_json", r#"send a JSON object such as {\"type\":\"request\"}"#),
            Refusal::NotAnObject => answer!("not_an_object", r#"send a JSON object such as {\"type\":\"request\"}"#),
            Refusal::UnknownType => {
                answer!("unknown_type", r#"send \"type\" once, as \"request\" or \"reply\""#)
            }
            Refusal::MissingOrigin => {
                answer!("missing_origin", r#"send back the \"origin\" of the request that this replies to"#)
            }
            Refusal::UnknownOrigin => {
                answer!("unknown_origin", r#"send \"origin\" once, as in the request; its client may have left"#)
            }
            Refusal::NoResponders => {
                answer!("no_responders", "nobody else is connected to the channel; send it again later")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_json_with_a_code_of_its_own() {
        let mut codes = Vec::new();
        for refusal in Refusal::ALL {
            let answer: serde_json::Value = serde_json::from_str(refusal.answer()).unwrap();
            assert_eq!(answer["type"], "error");
            assert!(answer["message"].as_str().unwrap().contains(' '));
            codes.push(answer["error"].as_str().unwrap().to_owned());
        }
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), Refusal::ALL.len());
    }
}
