//! The one place where errors of this crate become Python exceptions.

use pyo3::create_exception;
use pyo3::exceptions::{PyIndexError, PyOSError, PyValueError};
use pyo3::PyErr;

create_exception!(holdfast._native, HeadError, PyValueError, "A request head that is not understood.");
create_exception!(holdfast._native, TlsError, PyValueError, "A TLS configuration that cannot be used.");

pub enum Error {
    /// A request head breaks a rule; the text names the rule and never shows the head.
    Head(&'static str),
    /// Certificates, keys or settings that do not make a TLS server.
    Tls(String),
    /// An index outside of the words, or bytes.
    Range(&'static str),
    /// The operating system refused.
    Os(std::io::Error),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::Os(error)
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        Error::Tls(error.to_string())
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Head(text) => HeadError::new_err(text),
            Error::Tls(text) => TlsError::new_err(text),
            Error::Range(text) => PyIndexError::new_err(text),
            Error::Os(error) => match error.raw_os_error() {
                Some(number) => PyOSError::new_err((number, error.to_string())),
                None => PyOSError::new_err(error.to_string()),
            },
        }
    }
}
