//! What Python would do too slowly or not at all: request heads, TLS, ciphers, words in shared memory, the shape of JSON, raft.
//!
//! A thin adapter: each module converts between Python and one library, and decides nothing that a caller could decide. What each function
//! promises to Python stands in `_native.pyi`; here stands why it does so.
//! Invariants: (1) no input makes it panic, and a panic would end the process; (2) every error becomes a Python exception of `error`.

mod error;
mod hashed_json;
mod head;
mod hex;
mod json;
mod keyed;
mod raft_node;
mod raft_window;
mod session;
mod ticket;
mod tls;
mod words;

#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::{
        error::{HeadError, RaftError, TlsError},
        hashed_json::hashed_json,
        head::parse_head,
        hex::uuids,
        json::check_json,
        keyed::{AesGcm, HmacSha256},
        raft_node::{raft_entries, raft_first_entry, RaftNode, Ready},
        session::TlsSession,
        tls::{PeerTls, TlsConfig},
        words::Words,
    };
}
