//! Paths and methods of the API.

use hyper::Method;
use supervisor_api::{ErrorBody, ErrorCode};

use super::answer::Failure;
use super::query::decode;

/// What a request is for. Names are decoded but not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /v1`
    Info,
    /// `GET /v1/services`
    Services,
    /// `GET /v1/services/{name}`
    Service(String),
    /// `POST /v1/operations`
    Operate,
    /// `GET /v1/operations/{id}`
    Operation(u64),
    /// `POST /v1/shutdown`
    Shutdown,
    /// `GET /v1/events`
    Events,
    /// `GET /v1/logs`
    Logs,
    /// `GET /livez`
    Live,
    /// `GET /readyz`, `GET /readyz/{name}`
    Ready(Option<String>),
}

impl Route {
    /// Finds the route of a path, as it stands in the request line.
    pub fn find(method: &Method, path: &str) -> Result<Self, Failure> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let (allowed, route) = match *segments.as_slice() {
            ["v1"] => (Method::GET, Self::Info),
            ["v1", "services"] => (Method::GET, Self::Services),
            ["v1", "services", name] if !name.is_empty() => {
                (Method::GET, Self::Service(decode(name)?))
            }
            ["v1", "operations"] => (Method::POST, Self::Operate),
            ["v1", "operations", id] => {
                let id = id.parse().map_err(|_| unknown_operation(id))?;
                (Method::GET, Self::Operation(id))
            }
            ["v1", "shutdown"] => (Method::POST, Self::Shutdown),
            ["v1", "events"] => (Method::GET, Self::Events),
            ["v1", "logs"] => (Method::GET, Self::Logs),
            ["livez"] => (Method::GET, Self::Live),
            ["readyz"] => (Method::GET, Self::Ready(None)),
            ["readyz", name] if !name.is_empty() => (Method::GET, Self::Ready(Some(decode(name)?))),
            _ => return Err(not_found(path)),
        };
        // RFC 9110, 9.3.2: HEAD is GET without the content, which hyper leaves out.
        let asked = if *method == Method::HEAD { &Method::GET } else { method };
        if *asked == allowed { Ok(route) } else { Err(Failure::method(method, allowed)) }
    }

    /// Whether its requests have a body; that of others is not read.
    pub const fn takes_body(&self) -> bool {
        matches!(self, Self::Operate | Self::Shutdown)
    }

    /// Whether anybody may ask, as a kubelet or a load balancer does.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Live | Self::Ready(_))
    }
}

fn not_found(path: &str) -> Failure {
    Failure::from(ErrorBody {
        code: ErrorCode::NotFound,
        message: format!("there is nothing at {path}"),
        hint: Some("paths begin with /v1, or are /livez and /readyz".into()),
        details: Vec::new(),
    })
}

fn unknown_operation(id: &str) -> Failure {
    Failure::from(ErrorBody {
        code: ErrorCode::UnknownOperation,
        message: format!("no operation \"{id}\""),
        hint: Some("an operation is a number, as POST /v1/operations answers it".into()),
        details: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_route() {
        for (method, path, route) in [
            (Method::GET, "/v1", Route::Info),
            (Method::GET, "/v1/services", Route::Services),
            (Method::GET, "/v1/services/web%401", Route::Service("web@1".into())),
            (Method::GET, "/v1/services/a%2Fb", Route::Service("a/b".into())),
            (Method::POST, "/v1/operations", Route::Operate),
            (Method::GET, "/v1/operations/7", Route::Operation(7)),
            (Method::POST, "/v1/shutdown", Route::Shutdown),
            (Method::GET, "/v1/events", Route::Events),
            (Method::GET, "/v1/logs", Route::Logs),
            (Method::GET, "/livez", Route::Live),
            (Method::GET, "/readyz", Route::Ready(None)),
            (Method::GET, "/readyz/web", Route::Ready(Some("web".into()))),
        ] {
            assert_eq!(Route::find(&method, path).unwrap(), route, "{path}");
        }
    }

    #[test]
    fn everything_else_is_not_found() {
        for path in [
            "",
            "/",
            "*",
            "//v1",
            "/v1/",
            "/v2",
            "/v1/services/",
            "/v1/services/a/b",
            "/V1",
            "/readyz/",
            "/livez/web",
            "/v1/operations/",
            "/v1/operations/-1",
            "/v1/operations/x",
        ] {
            let failure = Route::find(&Method::GET, path).unwrap_err();
            assert_eq!(failure.body.code.status(), 404, "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_one() {
        let failure = Route::find(&Method::DELETE, "/v1/operations").unwrap_err();
        assert_eq!(failure.body.code, ErrorCode::MethodNotAllowed);
        assert_eq!(failure.allow, Some(Method::POST));
    }

    #[test]
    fn head_is_get_without_the_content() {
        assert_eq!(Route::find(&Method::HEAD, "/livez").unwrap(), Route::Live);
        assert!(Route::find(&Method::HEAD, "/v1/operations").is_err());
    }

    #[test]
    fn only_the_probes_are_open() {
        assert!(Route::Live.is_open() && Route::Ready(None).is_open());
        assert!(!Route::Info.is_open() && !Route::Shutdown.is_open());
    }
}
