//! Status codes (RFC 9110, section 15).

/// A status code with its reason phrase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    pub code: u16,
    pub reason: &'static str,
}

impl Status {
    pub const OK: Status = Status { code: 200, reason: "OK" };
    pub const CREATED: Status = Status { code: 201, reason: "Created" };
    pub const NO_CONTENT: Status = Status { code: 204, reason: "No Content" };
    pub const BAD_REQUEST: Status = Status { code: 400, reason: "Bad Request" };
    pub const UNAUTHORIZED: Status = Status { code: 401, reason: "Unauthorized" };
    pub const FORBIDDEN: Status = Status { code: 403, reason: "Forbidden" };
    pub const NOT_FOUND: Status = Status { code: 404, reason: "Not Found" };
    pub const METHOD_NOT_ALLOWED: Status = Status { code: 405, reason: "Method Not Allowed" };
    pub const REQUEST_TIMEOUT: Status = Status { code: 408, reason: "Request Timeout" };
    pub const CONFLICT: Status = Status { code: 409, reason: "Conflict" };
    pub const LENGTH_REQUIRED: Status = Status { code: 411, reason: "Length Required" };
    pub const CONTENT_TOO_LARGE: Status = Status { code: 413, reason: "Content Too Large" };
    pub const URI_TOO_LONG: Status = Status { code: 414, reason: "URI Too Long" };
    pub const UNSUPPORTED_MEDIA_TYPE: Status = Status { code: 415, reason: "Unsupported Media Type" };
    pub const EXPECTATION_FAILED: Status = Status { code: 417, reason: "Expectation Failed" };
    pub const UNPROCESSABLE_CONTENT: Status = Status { code: 422, reason: "Unprocessable Content" };
    pub const UPGRADE_REQUIRED: Status = Status { code: 426, reason: "Upgrade Required" };
    pub const TOO_MANY_REQUESTS: Status = Status { code: 429, reason: "Too Many Requests" };
    pub const FIELDS_TOO_LARGE: Status = Status { code: 431, reason: "Request Header Fields Too Large" };
    pub const NOT_IMPLEMENTED: Status = Status { code: 501, reason: "Not Implemented" };
    pub const SERVICE_UNAVAILABLE: Status = Status { code: 503, reason: "Service Unavailable" };
    pub const VERSION_NOT_SUPPORTED: Status = Status { code: 505, reason: "HTTP Version Not Supported" };

    /// Whether an answer with this status may have content (RFC 9110, section 6.4.1).
    pub fn has_content(self) -> bool {
        self.code >= 200 && self.code != 204 && self.code != 304
    }
}
