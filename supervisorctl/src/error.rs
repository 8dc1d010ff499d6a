//! The one error of the command line: what kind, what to say, what to do about it.

use std::io;

use supervisor_api::{ClientError, ErrorBody, ErrorCode};

use crate::exit::Exit;

/// Why a command line failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CtlError {
    /// Decides the exit status.
    pub(crate) exit: Exit,
    /// One sentence, lower case, without full stop.
    pub(crate) message: String,
    /// Names that may have been meant, best first.
    pub(crate) suggestions: Vec<String>,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// Nobody answers, and the message is Supervisor's line for that.
    pub(crate) is_about_connection: bool,
}

impl CtlError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            suggestions: Vec::new(),
            hint: None,
            is_about_connection: false,
        }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What a later version will do.
    pub(crate) fn unsupported(what: &str) -> Self {
        Self::new(Exit::Failed, format!("\"{what}\" is not supported yet"))
    }

    fn about_connection(exit: Exit, message: String) -> Self {
        Self { is_about_connection: true, ..Self::new(exit, message) }
    }
}

impl From<ClientError> for CtlError {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Connect { .. } => Self::about_connection(Exit::Unreachable, message)
                .with_hint("is supervisord running? -s unix:///path says where"),
            ClientError::PermissionDenied { .. } => Self::about_connection(Exit::Denied, message),
            ClientError::Api { body, .. } => refused(body),
            ClientError::Protocol(_) | ClientError::Io(_) => Self::new(Exit::Failed, message),
        }
    }
}

/// An error while writing to stdout.
impl From<io::Error> for CtlError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::new(Exit::BrokenPipe, "the output was closed")
        } else {
            Self::new(Exit::Failed, format!("cannot write the output: {error}"))
        }
    }
}

fn refused(body: ErrorBody) -> CtlError {
    let exit = match body.code {
        ErrorCode::Forbidden => Exit::Denied,
        ErrorCode::BadRequest
        | ErrorCode::NotFound
        | ErrorCode::UnknownService
        | ErrorCode::UnknownOperation
        | ErrorCode::MethodNotAllowed
        | ErrorCode::Conflict
        | ErrorCode::Gone
        | ErrorCode::TooLarge
        | ErrorCode::Invalid
        | ErrorCode::TooManyRequests
        | ErrorCode::ShuttingDown
        | ErrorCode::Unavailable => Exit::Failed,
    };
    let mut error = CtlError::new(exit, body.message);
    error.hint = body.hint;
    if body.code == ErrorCode::UnknownService {
        // A name that the message has already is not a suggestion.
        error.suggestions = body.details;
        error.suggestions.retain(|name| !error.message.contains(&format!("\"{name}\"")));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_become_suggestions_hints_and_exit_statuses() {
        let body = |code| ErrorBody {
            code,
            message: "no service \"serach\"".into(),
            hint: Some("h".into()),
            details: vec!["serach".into(), "search".into()],
        };
        let error =
            CtlError::from(ClientError::Api { status: 404, body: body(ErrorCode::UnknownService) });
        assert_eq!((error.exit, error.hint.as_deref()), (Exit::Failed, Some("h")));
        assert_eq!(error.suggestions, ["search"]);
        let error =
            CtlError::from(ClientError::Api { status: 403, body: body(ErrorCode::Forbidden) });
        assert_eq!((error.exit, error.suggestions.len()), (Exit::Denied, 0));
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure_to_talk_about() {
        let closed = CtlError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(closed.exit, Exit::BrokenPipe);
        let full = CtlError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit, Exit::Failed);
    }
}
