//! Errors as the API answers them.

use serde::{Deserialize, Serialize};

/// Body of every answer with a status from 400 up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// The error.
    pub error: ErrorBody,
}

/// What went wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// For people, one sentence, lower case, without full stop.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The names or fields that the error is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// What kind of error it is; each has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// 400: the request cannot be read.
    BadRequest,
    /// 403: this caller may not.
    Forbidden,
    /// 404: no such path.
    NotFound,
    /// 404: no service, group or pattern of that name; `details` has the closest names.
    UnknownService,
    /// 404: no operation with that id, or it ended long ago.
    UnknownOperation,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 409: it contradicts what the daemon is doing.
    Conflict,
    /// 410: the events asked for are no longer kept.
    Gone,
    /// 413: the body is longer than 1 MiB.
    TooLarge,
    /// 422: it can be read but makes no sense.
    Invalid,
    /// 429: too many requests.
    TooManyRequests,
    /// 503: the daemon is going down.
    ShuttingDown,
    /// 503: the daemon cannot answer now.
    Unavailable,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound | Self::UnknownService | Self::UnknownOperation => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::Gone => 410,
            Self::TooLarge => 413,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::ShuttingDown | Self::Unavailable => 503,
        }
    }
}
