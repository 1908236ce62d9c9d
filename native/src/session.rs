//! One TLS connection of either side, without I/O: bytes in, plaintext and bytes to send out.
//!
//! Between nodes, a server learns what its client asks for (ALPN) before it shows a certificate, so each protocol has certificates of its own.

use crate::error;
use crate::tls::{PeerTls, TlsConfig};
use pyo3::prelude::*;
use rustls::pki_types::ServerName;
use rustls::server::{Accepted, AcceptedAlert, Acceptor};
use rustls::{AlertDescription, ClientConnection, Connection, Error, ServerConfig, ServerConnection};
use std::io::{self, Read, Write};
use std::sync::Arc;

/// The fatal alert 120 in a record of its own, before any key is agreed on: RFC 8446, 6 and RFC 7301, 3.2.
const NO_APPLICATION_PROTOCOL: [u8; 7] = [21, 3, 3, 0, 2, 2, 120];

type Out = Option<Vec<u8>>;

enum State {
    /// A server whose client has not said yet which protocol it wants.
    Opening(Acceptor, Vec<Arc<ServerConfig>>),
    Running(Connection),
}

impl State {
    fn running(connection: impl Into<Connection>) -> Self {
        let mut connection = connection.into();
        // The caller takes everything out at once: no bound of rustls's own.
        connection.set_buffer_limit(None);
        State::Running(connection)
    }
}

/// After an error it only says what is still to be sent.
#[pyclass]
pub struct TlsSession {
    state: State,
    error: Option<Error>,
}

#[pymethods]
impl TlsSession {
    #[new]
    fn new(config: &TlsConfig) -> PyResult<Self> {
        let connection = ServerConnection::new(config.0.clone()).map_err(error::tls)?;
        Ok(TlsSession { state: State::running(connection), error: None })
    }

    #[staticmethod]
    fn accept(offers: Vec<PyRef<'_, PeerTls>>) -> Self {
        let offers = offers.iter().map(|offer| offer.server.clone()).collect();
        TlsSession { state: State::Opening(Acceptor::default(), offers), error: None }
    }

    #[staticmethod]
    fn connect(config: &PeerTls) -> PyResult<Self> {
        let name = ServerName::try_from("node").map_err(error::tls)?;
        let connection = ClientConnection::new(config.client.clone(), name).map_err(error::tls)?;
        Ok(TlsSession { state: State::running(connection), error: None })
    }

    fn receive(&mut self, mut data: &[u8]) -> PyResult<(Out, Out, bool)> {
        let (mut plain, mut out, mut ended) = (vec![], vec![], self.error.is_some());
        while !data.is_empty() && !ended {
            ended = self.advance(&mut data, &mut plain, &mut out).unwrap_or_else(|error| {
                self.error = Some(error);
                true
            });
        }
        Ok((some(plain), self.take_out(out)?, ended))
    }

    fn send(&mut self, data: &[u8]) -> PyResult<Out> {
        if let State::Running(connection) = &mut self.state {
            connection.writer().write_all(data)?;
        }
        self.take_out(vec![])
    }

    fn close(&mut self) -> PyResult<Out> {
        if let State::Running(connection) = &mut self.state {
            connection.send_close_notify();
        }
        self.take_out(vec![])
    }

    #[getter]
    fn is_handshaking(&self) -> bool {
        self.connection().map_or(self.error.is_none(), |connection| connection.is_handshaking())
    }

    /// In words for an operator, where a word of rustls's own says less.
    #[getter]
    fn error(&self) -> Option<String> {
        Some(match self.error.as_ref()? {
            Error::InvalidCertificate(_) => "shows a certificate that is not accepted here".into(),
            Error::NoCertificatesPresented => "shows no certificate".into(),
            Error::NoApplicationProtocol => "asks for a protocol that is not offered here now".into(),
            Error::AlertReceived(AlertDescription::AccessDenied) => "does not accept this node's certificate".into(),
            Error::AlertReceived(AlertDescription::NoApplicationProtocol) => "does not offer this protocol now".into(),
            other => other.to_string(),
        })
    }

    #[getter]
    fn alpn(&self) -> Option<String> {
        Some(String::from_utf8_lossy(self.connection()?.alpn_protocol()?).into_owned())
    }

    /// None while the handshake goes on: nothing is proved yet.
    #[getter]
    fn peer_certificate(&self) -> Option<&[u8]> {
        let connection = self.connection().filter(|connection| !connection.is_handshaking())?;
        connection.peer_certificates()?.first().map(|leaf| leaf.as_ref())
    }
}

impl TlsSession {
    fn connection(&self) -> Option<&Connection> {
        match &self.state {
            State::Running(connection) => Some(connection),
            State::Opening(..) => None,
        }
    }

    /// Takes as much of `data` as rustls takes at once. True: the peer has ended the session.
    fn advance(&mut self, data: &mut &[u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<bool, Error> {
        if let State::Opening(acceptor, offers) = &mut self.state {
            acceptor.read_tls(data).map_err(general)?;
            let Some(accepted) = acceptor.accept().map_err(|refusal| told(refusal, out))? else { return Ok(false) };
            let Some(config) = pick(&accepted, offers) else {
                out.extend(NO_APPLICATION_PROTOCOL);
                return Err(Error::NoApplicationProtocol);
            };
            let connection = accepted.into_connection(config).map_err(|refusal| told(refusal, out))?;
            self.state = State::running(connection);
        }
        let State::Running(connection) = &mut self.state else { return Ok(false) };
        // To rustls an empty read is the end of the stream, and it takes nothing more once the peer has ended the session.
        let has_ended = !data.is_empty() && connection.read_tls(data).map_err(general)? == 0;
        let found = connection.process_new_packets()?;
        let (from, size) = (plain.len(), found.plaintext_bytes_to_read());
        plain.resize(from + size, 0);
        connection.reader().read_exact(&mut plain[from..]).map_err(general)?;
        Ok(has_ended || found.peer_has_closed())
    }

    /// `out`, and whatever is still to be sent.
    fn take_out(&mut self, mut out: Vec<u8>) -> PyResult<Out> {
        if let State::Running(connection) = &mut self.state {
            while connection.wants_write() {
                connection.write_tls(&mut out)?;
            }
        }
        Ok(some(out))
    }
}

fn some(bytes: Vec<u8>) -> Out {
    (!bytes.is_empty()).then_some(bytes)
}

fn general(error: io::Error) -> Error {
    Error::General(error.to_string())
}

fn told((error, mut alert): (Error, AcceptedAlert), out: &mut Vec<u8>) -> Error {
    alert.write_all(out).map_or_else(general, |()| error)
}

fn pick(accepted: &Accepted, offers: &[Arc<ServerConfig>]) -> Option<Arc<ServerConfig>> {
    let hello = accepted.client_hello();
    let mut asked = hello.alpn()?;
    asked.find_map(|name| offers.iter().find(|offer| offer.alpn_protocols.iter().any(|own| own == name)).cloned())
}
