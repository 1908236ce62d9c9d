//! Mutual TLS between nodes by rustls, without I/O: both sides show a certificate, and take only those that they were told of.
//!
//! No chain, name or date is looked at: a certificate is one of those expected, byte for byte, or it is nobody's. A server knows the
//! protocol that its client asks for (ALPN) before it shows a certificate, so each protocol has certificates of its own. No session is
//! ever resumed: each connection proves its keys.

use crate::error::Error;
use crate::session::{Out, Session};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::Resumption;
use rustls::crypto::{aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{Accepted, AcceptedAlert, Acceptor, NoServerSessionStorage};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, ServerConfig};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use std::sync::Arc;

/// The certificates that may be shown, as DER.
#[derive(Debug)]
struct Pinned {
    accepts: Vec<Vec<u8>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn check(&self, shown: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        match self.accepts.iter().any(|accepted| accepted.as_slice() == shown.as_ref()) {
            true => Ok(()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(shown).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check(shown).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// One protocol's certificate and key, and the certificates that it takes; for either side of a connection. Never changed.
#[pyclass(frozen)]
pub struct PeerTls {
    alpn: Vec<u8>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

#[pymethods]
impl PeerTls {
    /// `certificate` and `accepts` as DER, `key` as PKCS #8 DER. Fails if key and certificate are not a pair.
    #[new]
    #[pyo3(signature = (*, alpn, certificate, key, accepts))]
    fn new(alpn: &str, certificate: Vec<u8>, key: Vec<u8>, accepts: Vec<Vec<u8>>) -> PyResult<Self> {
        let provider = Arc::new(provider::default_provider());
        let pinned = Arc::new(Pinned { accepts, algorithms: provider.signature_verification_algorithms });
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(Error::from)?
            .with_client_cert_verifier(pinned.clone())
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(Error::from)?;
        server.alpn_protocols = vec![alpn.into()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(Error::from)?
            .dangerous()
            .with_custom_certificate_verifier(pinned)
            .with_client_auth_cert(chain, key)
            .map_err(Error::from)?;
        client.alpn_protocols = vec![alpn.into()];
        client.resumption = Resumption::disabled();
        // A pinned certificate needs no name, and whoever listens on the way learns none.
        client.enable_sni = false;
        Ok(PeerTls { alpn: alpn.into(), server: Arc::new(server), client: Arc::new(client) })
    }
}

enum State {
    /// A server whose client has not said yet which protocol it wants.
    Opening(Acceptor, Vec<(Vec<u8>, Arc<ServerConfig>)>),
    Running(Session),
    Refused(String),
}

/// One connection to another node, from its first byte on.
#[pyclass]
pub struct PeerSession {
    state: State,
}

#[pymethods]
impl PeerSession {
    /// The side that listens: what its client asks for picks one of `offers`.
    #[staticmethod]
    #[pyo3(signature = (offers, /))]
    fn accept(offers: Vec<PyRef<'_, PeerTls>>) -> Self {
        let offers = offers.iter().map(|offer| (offer.alpn.clone(), offer.server.clone())).collect();
        PeerSession { state: State::Opening(Acceptor::default(), offers) }
    }

    /// The side that dials. Its first bytes are to be had by `send(b"")`.
    #[staticmethod]
    #[pyo3(signature = (config, /))]
    fn connect(config: &PeerTls) -> PyResult<Self> {
        let name = ServerName::try_from("node").map_err(|error| Error::Tls(error.to_string()))?;
        let connection = ClientConnection::new(config.client.clone(), name).map_err(Error::from)?;
        Ok(PeerSession { state: State::Running(Session::new(connection.into())) })
    }

    /// Takes bytes from the network: (plaintext or None, bytes to send or None, whether the peer has ended it or broken the protocol).
    #[pyo3(signature = (data, /))]
    fn receive<'py>(&mut self, py: Python<'py>, mut data: &[u8]) -> PyResult<(Out<'py>, Out<'py>, bool)> {
        match &mut self.state {
            State::Running(session) => session.receive(py, data),
            State::Refused(_) => Ok((None, None, true)),
            State::Opening(acceptor, offers) => match open(acceptor, offers, &mut data) {
                Ok(None) => Ok((None, None, false)),
                Ok(Some(mut session)) => {
                    let (plain, out, ended) = session.catch_up(py)?;
                    self.state = State::Running(session);
                    if ended || data.is_empty() {
                        return Ok((plain, out, ended));
                    }
                    // No plaintext comes before the handshake's end, and that takes an answer of the client's to `out`.
                    let (plain, more, ended) = self.receive(py, data)?;
                    Ok((plain, joined(py, out, more), ended))
                }
                Err((reason, alert)) => {
                    self.state = State::Refused(reason);
                    Ok((None, (!alert.is_empty()).then(|| PyBytes::new(py, &alert)), true))
                }
            },
        }
    }

    /// Plaintext to the bytes that carry it, with whatever else is still to be sent.
    #[pyo3(signature = (data, /))]
    fn send<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Out<'py>> {
        match &mut self.state {
            State::Running(session) => session.send(py, data),
            _ => Ok(None),
        }
    }

    /// The bytes that end the session in good order.
    fn close<'py>(&mut self, py: Python<'py>) -> PyResult<Out<'py>> {
        match &mut self.state {
            State::Running(session) => session.close(py),
            _ => Ok(None),
        }
    }

    #[getter]
    fn is_handshaking(&self) -> bool {
        match &self.state {
            State::Running(session) => session.connection().is_handshaking(),
            State::Opening(..) => true,
            State::Refused(_) => false,
        }
    }

    /// Why the session failed, if it did.
    #[getter]
    fn error(&self) -> Option<String> {
        match &self.state {
            State::Running(session) => session.error().map(reason_of),
            State::Refused(reason) => Some(reason.clone()),
            State::Opening(..) => None,
        }
    }

    /// What the two sides agreed on, once they have.
    #[getter]
    fn alpn(&self) -> Option<String> {
        match &self.state {
            State::Running(session) => session.connection().alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            _ => None,
        }
    }

    /// The other side's certificate as DER, once it has proved that it holds the key.
    #[getter]
    fn peer_certificate<'py>(&self, py: Python<'py>) -> Out<'py> {
        match &self.state {
            State::Running(session) if !session.connection().is_handshaking() => {
                session.connection().peer_certificates()?.first().map(|leaf| PyBytes::new(py, leaf))
            }
            _ => None,
        }
    }
}

type Refusal = (String, Vec<u8>);

/// Takes of `data` until the client's first message is whole; then the session that it leads to.
fn open(acceptor: &mut Acceptor, offers: &[(Vec<u8>, Arc<ServerConfig>)], data: &mut &[u8]) -> Result<Option<Session>, Refusal> {
    while !data.is_empty() {
        acceptor.read_tls(data).map_err(|error| (error.to_string(), Vec::new()))?;
        if let Some(accepted) = acceptor.accept().map_err(refused)? {
            let config = pick(&accepted, offers).ok_or_else(|| (NOT_OFFERED.to_owned(), NO_APPLICATION_PROTOCOL.to_vec()))?;
            let connection = accepted.into_connection(config).map_err(refused)?;
            return Ok(Some(Session::new(connection.into())));
        }
    }
    Ok(None)
}

fn pick(accepted: &Accepted, offers: &[(Vec<u8>, Arc<ServerConfig>)]) -> Option<Arc<ServerConfig>> {
    let hello = accepted.client_hello();
    let mut asked = hello.alpn()?;
    asked.find_map(|name| offers.iter().find(|(alpn, _)| alpn.as_slice() == name).map(|(_, config)| config.clone()))
}

fn refused((error, mut alert): (rustls::Error, AcceptedAlert)) -> Refusal {
    let mut bytes = Vec::new();
    match alert.write_all(&mut bytes) {
        Ok(()) => (reason_of(&error), bytes),
        Err(_) => (reason_of(&error), Vec::new()),
    }
}

fn joined<'py>(py: Python<'py>, first: Out<'py>, second: Out<'py>) -> Out<'py> {
    match (first, second) {
        (Some(first), Some(second)) => Some(PyBytes::new(py, &[first.as_bytes(), second.as_bytes()].concat())),
        (first, second) => first.or(second),
    }
}

const NOT_OFFERED: &str = "asks for a protocol that is not offered here now";

/// The fatal alert 120 in a record of its own, before any key is agreed on: RFC 8446, 6 and RFC 7301, 3.2.
const NO_APPLICATION_PROTOCOL: [u8; 7] = [21, 3, 3, 0, 2, 2, 120];

/// In words for an operator, where a word of rustls's own says less.
fn reason_of(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(_) => "shows a certificate that is not accepted here".into(),
        rustls::Error::NoCertificatesPresented => "shows no certificate".into(),
        rustls::Error::AlertReceived(AlertDescription::AccessDenied) => "does not accept this node's certificate".into(),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => "does not offer this protocol now".into(),
        other => other.to_string(),
    }
}
