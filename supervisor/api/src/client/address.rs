//! Where a daemon listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// Why a text is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// TCP comes later.
    #[error("\"{0}\": http is not supported yet, use unix:///path")]
    Http(String),
    /// Relative paths would mean another socket in another directory.
    #[error("\"{0}\": the path of a socket must be absolute")]
    Relative(String),
    /// Not an address.
    #[error("\"{0}\" is not an address, use unix:///path")]
    Unknown(String),
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `unix:///path` or an absolute path.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err(AddressError::Http(text.into()));
        }
        match text.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_) => Err(AddressError::Relative(text.into())),
            None if text.starts_with('/') => Ok(Self::Unix(text.into())),
            None => Err(AddressError::Unknown(text.into())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_unix_sockets_with_an_absolute_path() {
        let unix = Ok(Address::Unix("/run/x.sock".into()));
        assert_eq!("unix:///run/x.sock".parse(), unix);
        assert_eq!("/run/x.sock".parse(), unix);
        assert_eq!(Address::Unix("/run/x.sock".into()).to_string(), "unix:///run/x.sock");
        let errors = ["http://localhost:9001", "unix://x.sock", "x.sock", ""]
            .map(|text| text.parse::<Address>().expect_err("not an address").to_string());
        assert_eq!(
            errors,
            [
                "\"http://localhost:9001\": http is not supported yet, use unix:///path",
                "\"unix://x.sock\": the path of a socket must be absolute",
                "\"x.sock\" is not an address, use unix:///path",
                "\"\" is not an address, use unix:///path",
            ]
        );
    }
}
