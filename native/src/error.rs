//! The exceptions of this crate, and how the errors of its libraries become them.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::{create_exception, PyErr};
use std::fmt::Display;

create_exception!(holdfast._native, HeadError, PyValueError, "A request head that is not understood.");
create_exception!(holdfast._native, TlsError, PyValueError, "A TLS configuration that cannot be used.");
create_exception!(holdfast._native, RaftError, PyRuntimeError, "Raft cannot go on: its state may be torn.");

pub fn tls(error: impl Display) -> PyErr {
    TlsError::new_err(error.to_string())
}

pub fn raft(error: impl Display) -> PyErr {
    RaftError::new_err(error.to_string())
}
