//! One TLS session of either side, without I/O: bytes in, plaintext and bytes to send out.

use crate::error::Error;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustls::Connection;
use std::io::{Read, Write};

pub type Out<'py> = Option<Bound<'py, PyBytes>>;

/// Capacity that a session keeps between two calls.
const KEPT_BYTES: usize = 4096;

/// After an error it only says what is still to be sent.
pub struct Session {
    connection: Connection,
    out: Vec<u8>,
    plain: Vec<u8>,
    error: Option<rustls::Error>,
}

impl Session {
    pub fn new(mut connection: Connection) -> Self {
        // The caller takes everything out at once: no bound of rustls's own.
        connection.set_buffer_limit(None);
        Session { connection, out: Vec::new(), plain: Vec::new(), error: None }
    }

    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn error(&self) -> Option<&rustls::Error> {
        self.error.as_ref()
    }

    /// Takes bytes from the network: (plaintext or None, bytes to send or None, whether the peer has ended it or broken the protocol).
    pub fn receive<'py>(&mut self, py: Python<'py>, mut data: &[u8]) -> PyResult<(Out<'py>, Out<'py>, bool)> {
        let mut ended = self.error.is_some();
        self.plain.clear();
        while !data.is_empty() && !ended {
            ended = self.note(|session| session.advance(&mut data));
        }
        let plain = (!self.plain.is_empty()).then(|| PyBytes::new(py, &self.plain));
        self.plain.shrink_to(KEPT_BYTES);
        Ok((plain, self.take_out(py)?, ended))
    }

    /// The same for what the session holds already, having taken it over from an `Acceptor`.
    pub fn catch_up<'py>(&mut self, py: Python<'py>) -> PyResult<(Out<'py>, Out<'py>, bool)> {
        self.plain.clear();
        let ended = self.note(Session::process);
        let plain = (!self.plain.is_empty()).then(|| PyBytes::new(py, &self.plain));
        Ok((plain, self.take_out(py)?, ended))
    }

    /// Plaintext to the bytes that carry it, with whatever else is still to be sent.
    pub fn send<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Out<'py>> {
        self.connection.writer().write_all(data).map_err(Error::from)?;
        self.take_out(py)
    }

    /// The bytes that end the session in good order.
    pub fn close<'py>(&mut self, py: Python<'py>) -> PyResult<Out<'py>> {
        self.connection.send_close_notify();
        self.take_out(py)
    }

    pub fn take_out<'py>(&mut self, py: Python<'py>) -> PyResult<Out<'py>> {
        if !self.connection.wants_write() {
            return Ok(None);
        }
        self.out.clear();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.out).map_err(Error::from)?;
        }
        let out = PyBytes::new(py, &self.out);
        // What one large answer needed must not stay as this session's memory.
        self.out.shrink_to(KEPT_BYTES);
        Ok(Some(out))
    }

    fn note(&mut self, step: impl FnOnce(&mut Self) -> Result<bool, rustls::Error>) -> bool {
        match step(self) {
            Ok(ended) => ended,
            Err(error) => {
                self.error = Some(error);
                true
            }
        }
    }

    /// Takes as much of `data` as the session takes at once. True: the peer has ended the session.
    fn advance(&mut self, data: &mut &[u8]) -> Result<bool, rustls::Error> {
        let taken = self.connection.read_tls(data).map_err(|error| rustls::Error::General(error.to_string()))?;
        Ok(self.process()? || taken == 0)
    }

    fn process(&mut self) -> Result<bool, rustls::Error> {
        let state = self.connection.process_new_packets()?;
        let size = state.plaintext_bytes_to_read();
        if size > 0 {
            let from = self.plain.len();
            self.plain.resize(from + size, 0);
            let read = self.connection.reader().read_exact(&mut self.plain[from..]);
            read.map_err(|error| rustls::Error::General(error.to_string()))?;
        }
        Ok(state.peer_has_closed())
    }
}
