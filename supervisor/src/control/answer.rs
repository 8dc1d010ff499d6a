//! Answers: JSON bodies, NDJSON streams and errors.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use supervisor_api::{ErrorBody, ErrorCode, ErrorResponse};

use super::query::QueryError;
use super::stream::{LineBody, Lines};

/// A finished answer, or one that goes on.
pub type Answer = Response<AnswerBody>;
/// Body of an [`Answer`].
pub type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// One object.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    let mut text = to_json(value);
    // For people with curl.
    text.push(b'\n');
    with_type(status, "application/json", Full::from(text).boxed_unsync())
}

/// One object per line, for as long as `lines` has any.
pub fn ndjson(lines: impl Lines) -> Answer {
    with_type(StatusCode::OK, "application/x-ndjson", LineBody::new(lines).boxed_unsync())
}

/// Anything that can be sent, as JSON.
pub fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("wire types have no maps with other keys than strings")
}

/// A request that gets an error for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is answered.
    pub body: ErrorBody,
    /// The method that the path takes, if another one was used.
    pub allow: Option<Method>,
}

impl Failure {
    /// An error without hint and details.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::from(ErrorBody { code, message: message.into(), hint: None, details: Vec::new() })
    }

    /// The path exists, the method does not.
    pub fn method(used: &Method, allowed: Method) -> Self {
        let message = format!("this path takes {allowed}, not {used}");
        Self { allow: Some(allowed), ..Self::new(ErrorCode::MethodNotAllowed, message) }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    /// As it is sent.
    pub fn answer(self) -> Answer {
        let status = StatusCode::from_u16(self.body.code.status())
            .expect("every error code has a valid status");
        let mut answer = json(status, &ErrorResponse { error: self.body });
        if let Some(method) = self.allow {
            let value = HeaderValue::from_str(method.as_str()).expect("methods are tokens");
            answer.headers_mut().insert(ALLOW, value);
        }
        answer
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self { body, allow: None }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::new(ErrorCode::BadRequest, error.to_string())
    }
}

fn with_type(status: StatusCode, content_type: &'static str, body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
