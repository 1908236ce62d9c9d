//! TLS servers by rustls, without I/O: bytes in, plaintext and bytes to send out.

use crate::error::Error;
use crate::session::{Out, Session};
use crate::ticket::{Tickets, KEY_SIZE};
use aws_lc_rs::digest;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::sync::Arc;

/// Asks for a certificate, and checks only that the client holds its key. Whether it is worth anything, the auth method judges.
#[derive(Debug)]
struct Possession(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Possession {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// A server's certificate, key and rules, checked as a whole. Never changed: a reload makes another one for new connections.
#[pyclass(frozen)]
pub struct TlsConfig(Arc<ServerConfig>);

#[pymethods]
impl TlsConfig {
    /// `certificates` and `key` as PEM. `client`: "none", "possession" or "verify", the last by `client_ca`. An empty `suites`: all that we have.
    #[new]
    #[pyo3(signature = (*, certificates, key, ticket_keys, client="possession", client_ca=None, min_version="tls12", max_version="tls13", suites=Vec::new()))]
    #[allow(clippy::too_many_arguments)] // Keywords in Python: one record there, one call here.
    fn new(
        certificates: &[u8],
        key: &[u8],
        ticket_keys: Vec<Vec<u8>>,
        client: &str,
        client_ca: Option<&[u8]>,
        min_version: &str,
        max_version: &str,
        suites: Vec<String>,
    ) -> PyResult<Self> {
        if ticket_keys.iter().any(|key| key.len() != KEY_SIZE) {
            return Err(Error::Tls(format!("a ticket key is {KEY_SIZE} bytes long")).into());
        }
        let chain = read_certificates(certificates, "certificate")?;
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|_| Error::Tls("no usable private key in the key file".into()))?;
        let provider = Arc::new(provider_of(&suites)?);
        let verifier = verifier_of(&provider, client, client_ca)?;
        let context = ticket_context(client, client_ca, &chain);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions_of(min_version, max_version)?)
            .map_err(Error::from)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, private)
            .map_err(Error::from)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(Tickets::new(&ticket_keys, context));
        config.send_tls13_tickets = 1;
        Ok(TlsConfig(Arc::new(config)))
    }
}

fn read_certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::Tls(format!("no usable certificate in the {what} file"))),
    }
}

fn versions_of(min: &str, max: &str) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    match (min, max) {
        ("tls12", "tls12") => Ok(vec![&TLS12]),
        ("tls12", "tls13") => Ok(vec![&TLS13, &TLS12]),
        ("tls13", "tls13") => Ok(vec![&TLS13]),
        _ => Err(Error::Tls(format!("no TLS version from {min:?} to {max:?}"))),
    }
}

/// The suites with these names, TLS 1.3's own always among them, as they cannot be chosen in Go either.
fn provider_of(names: &[String]) -> Result<CryptoProvider, Error> {
    let mut all = provider::default_provider();
    if names.is_empty() {
        return Ok(all);
    }
    let is_tls13 = |suite: CipherSuite| format!("{suite:?}").starts_with("TLS13_");
    for name in names {
        if !all.cipher_suites.iter().any(|suite| is_named(suite.suite(), name)) {
            return Err(Error::Tls(format!("cipher suite {name:?} is not supported")));
        }
    }
    all.cipher_suites.retain(|suite| is_tls13(suite.suite()) || names.iter().any(|name| is_named(suite.suite(), name)));
    Ok(all)
}

/// By IANA's name; rustls writes `TLS13_` where the registry has `TLS_`, and Go knows the ChaCha20 suites by a shorter one also.
fn is_named(suite: CipherSuite, name: &str) -> bool {
    let registered = format!("{suite:?}").replace("TLS13_", "TLS_");
    registered == name || registered.strip_suffix("_SHA256").is_some_and(|short| short == name && short.ends_with("POLY1305"))
}

fn verifier_of(provider: &Arc<CryptoProvider>, client: &str, ca: Option<&[u8]>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    match (client, ca) {
        ("none", _) => Ok(WebPkiClientVerifier::no_client_auth()),
        ("possession", _) => Ok(Arc::new(Possession(provider.signature_verification_algorithms))),
        ("verify", Some(pem)) => {
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates(pem, "client CA")? {
                roots.add(certificate)?;
            }
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|error| Error::Tls(error.to_string()))
        }
        ("verify", None) => Err(Error::Tls("verifying client certificates needs a client CA file".into())),
        _ => Err(Error::Tls(format!("no such way to treat client certificates: {client:?}"))),
    }
}

/// A digest of what decides whether a client may come in: a session ticket is only worth something under the same rules and the same name.
fn ticket_context(client: &str, ca: Option<&[u8]>, chain: &[CertificateDer<'_>]) -> Vec<u8> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let leaf: &[u8] = chain.first().map_or(&[], |leaf| leaf);
    for part in [client.as_bytes(), ca.unwrap_or_default(), leaf] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finish().as_ref().to_vec()
}

/// One connection, from its first byte on. After an error it only says what is still to be sent.
#[pyclass]
pub struct TlsConnection(Session);

#[pymethods]
impl TlsConnection {
    #[new]
    fn new(config: &TlsConfig) -> PyResult<Self> {
        let connection = ServerConnection::new(config.0.clone()).map_err(Error::from)?;
        Ok(TlsConnection(Session::new(connection.into())))
    }

    /// Takes bytes from the network: (plaintext or None, bytes to send or None, whether the peer has ended it or broken the protocol).
    #[pyo3(signature = (data, /))]
    fn receive<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<(Out<'py>, Out<'py>, bool)> {
        self.0.receive(py, data)
    }

    /// Plaintext to the bytes that carry it, with whatever else is still to be sent.
    #[pyo3(signature = (data, /))]
    fn send<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Out<'py>> {
        self.0.send(py, data)
    }

    /// The bytes that end the session in good order.
    fn close<'py>(&mut self, py: Python<'py>) -> PyResult<Out<'py>> {
        self.0.close(py)
    }

    #[getter]
    fn is_handshaking(&self) -> bool {
        self.0.connection().is_handshaking()
    }

    /// True once the handshake has resumed an earlier session.
    #[getter]
    fn is_resumed(&self) -> bool {
        self.0.connection().handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// Why the session failed, if it did.
    #[getter]
    fn error(&self) -> Option<String> {
        self.0.error().map(ToString::to_string)
    }

    /// The client's own certificate as DER, if it gave one; it holds the key.
    #[getter]
    fn peer_certificate<'py>(&self, py: Python<'py>) -> Out<'py> {
        self.0.connection().peer_certificates()?.first().map(|leaf| PyBytes::new(py, leaf))
    }
}
