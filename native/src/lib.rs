//! What Python would do too slowly or not at all: request heads, TLS, ciphers, words in shared memory, the shape of JSON, raft.
//!
//! A thin adapter: each module converts between Python and one library, and decides nothing that a caller could decide.
//! Invariants: (1) no input makes it panic, and a panic would end the process; (2) every error becomes a Python exception in `error`.

mod cluster_tls;
mod error;
mod hashed_json;
mod head;
mod json;
mod keyed;
mod raft_node;
mod raft_window;
mod session;
mod ticket;
mod tls;
mod uuid;
mod words;

use pyo3::prelude::*;

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("HeadError", m.py().get_type::<error::HeadError>())?;
    m.add("TlsError", m.py().get_type::<error::TlsError>())?;
    m.add_function(wrap_pyfunction!(head::parse_head, m)?)?;
    m.add_function(wrap_pyfunction!(hashed_json::hashed_json, m)?)?;
    m.add_function(wrap_pyfunction!(json::check_json, m)?)?;
    m.add_function(wrap_pyfunction!(uuid::uuids, m)?)?;
    m.add_class::<cluster_tls::PeerTls>()?;
    m.add_class::<cluster_tls::PeerSession>()?;
    m.add_class::<keyed::AesGcm>()?;
    m.add_class::<keyed::HmacSha256>()?;
    m.add_class::<tls::TlsConfig>()?;
    m.add_class::<tls::TlsConnection>()?;
    m.add_class::<words::Words>()?;
    m.add("RaftError", m.py().get_type::<raft_node::RaftError>())?;
    m.add_class::<raft_node::RaftNode>()?;
    m.add_class::<raft_node::Ready>()?;
    m.add_function(wrap_pyfunction!(raft_node::raft_entries, m)?)?;
    m.add_function(wrap_pyfunction!(raft_node::raft_first_entry, m)?)?;
    Ok(())
}
