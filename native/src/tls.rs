//! The TLS of a listener, and of one protocol between nodes, by rustls: certificate, key and rules, checked as a whole.
//!
//! A listener's client may show any certificate whose key it holds, unless it is to be verified: what it is worth, the auth method judges.
//! Between nodes no chain, name or date is looked at: a certificate is one of those expected, byte for byte, or it is nobody's, and no session
//! is ever resumed: each connection proves its keys.

use crate::error::{self, TlsError};
use crate::ticket::Tickets;
use aws_lc_rs::digest;
use pyo3::prelude::*;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::Resumption;
use rustls::crypto::{aws_lc_rs as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore};
use rustls::{Error, ServerConfig, SignatureScheme};
use std::sync::Arc;

type Der<'a> = CertificateDer<'a>;
type Proof = Result<HandshakeSignatureValid, Error>;

/// Whoever shows a certificate proves that it holds the key. `accepts`: and it is one of these; None: it may be any, or none at all.
#[derive(Debug)]
struct Holder {
    accepts: Option<Vec<Der<'static>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Holder {
    fn check(&self, shown: &Der) -> Result<(), Error> {
        let is_accepted = self.accepts.as_ref().is_none_or(|accepts| accepts.contains(shown));
        is_accepted.then_some(()).ok_or(CertificateError::ApplicationVerificationFailure.into())
    }
}

/// What both traits below want in the same words.
macro_rules! proves_possession {
    () => {
        fn verify_tls12_signature(&self, message: &[u8], shown: &Der, signed: &DigitallySignedStruct) -> Proof {
            verify_tls12_signature(message, shown, signed, &self.algorithms)
        }

        fn verify_tls13_signature(&self, message: &[u8], shown: &Der, signed: &DigitallySignedStruct) -> Proof {
            verify_tls13_signature(message, shown, signed, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

impl ClientCertVerifier for Holder {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.accepts.is_some()
    }

    fn verify_client_cert(&self, shown: &Der, _: &[Der], _: UnixTime) -> Result<ClientCertVerified, Error> {
        self.check(shown).map(|()| ClientCertVerified::assertion())
    }

    proves_possession!();
}

impl ServerCertVerifier for Holder {
    fn verify_server_cert(&self, shown: &Der, _: &[Der], _: &ServerName, _: &[u8], _: UnixTime) -> Result<ServerCertVerified, Error> {
        self.check(shown).map(|()| ServerCertVerified::assertion())
    }

    proves_possession!();
}

/// A listener's. Never changed: a reload makes another one for new connections.
#[pyclass(frozen)]
pub struct TlsConfig(pub Arc<ServerConfig>);

#[pymethods]
impl TlsConfig {
    #[new]
    #[pyo3(signature = (*, certificates, key, ticket_keys, client="possession", client_ca=None, min_version="tls12", max_version="tls13", suites=Vec::new()))]
    #[allow(clippy::too_many_arguments)] // Keywords in Python: one record there, one call here.
    fn new(
        certificates: &[u8], key: &[u8], ticket_keys: Vec<Vec<u8>>, client: &str, client_ca: Option<&[u8]>, min_version: &str,
        max_version: &str, suites: Vec<String>,
    ) -> PyResult<Self> {
        let chain = read_certificates(certificates, "certificate")?;
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::new_err("no usable private key in the key file"))?;
        let versions: &[_] = match (min_version, max_version) {
            ("tls12", "tls12") => &[&TLS12],
            ("tls12", "tls13") => &[&TLS13, &TLS12],
            ("tls13", "tls13") => &[&TLS13],
            _ => return Err(error::tls(format_args!("no TLS version from {min_version:?} to {max_version:?}"))),
        };
        let provider = Arc::new(provider_of(&suites)?);
        let verifier = verifier_of(&provider, client, client_ca)?;
        // A ticket is only worth something under the same rules for clients, and under the same name.
        let rules = digest::digest(&digest::SHA256, format!("{client} {client_ca:?} {:?}", chain.first()).as_bytes());
        let tickets = Tickets::new(&ticket_keys, rules.as_ref().to_vec());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(error::tls)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, private)
            .map_err(error::tls)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::new(tickets.map_err(|_| TlsError::new_err("a ticket key is 32 bytes long"))?);
        config.send_tls13_tickets = 1;
        Ok(TlsConfig(Arc::new(config)))
    }
}

/// One protocol's between nodes, for either side of a connection.
#[pyclass(frozen)]
pub struct PeerTls {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
}

#[pymethods]
impl PeerTls {
    #[new]
    #[pyo3(signature = (*, alpn, certificate, key, accepts))]
    fn new(alpn: &str, certificate: Vec<u8>, key: Vec<u8>, accepts: Vec<Vec<u8>>) -> PyResult<Self> {
        let accepts = accepts.into_iter().map(Der::from).collect();
        let algorithms = provider::default_provider().signature_verification_algorithms;
        let verifier = Arc::new(Holder { accepts: Some(accepts), algorithms });
        let chain = vec![Der::from(certificate)];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
        let server = ServerConfig::builder().with_client_cert_verifier(verifier.clone());
        let mut server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(error::tls)?;
        server.alpn_protocols = vec![alpn.into()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let client = ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier);
        let mut client = client.with_client_auth_cert(chain, key).map_err(error::tls)?;
        client.alpn_protocols = vec![alpn.into()];
        client.resumption = Resumption::disabled();
        // A pinned certificate needs no name, and whoever listens on the way learns none.
        client.enable_sni = false;
        Ok(PeerTls { server: Arc::new(server), client: Arc::new(client) })
    }
}

fn read_certificates(pem: &[u8], what: &str) -> PyResult<Vec<Der<'static>>> {
    let found: Result<Vec<_>, _> = Der::pem_slice_iter(pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| error::tls(format_args!("no usable certificate in the {what} file")))
}

/// The suites with these names, all if there are none; TLS 1.3's own always among them, as they cannot be chosen in Go either.
fn provider_of(names: &[String]) -> PyResult<CryptoProvider> {
    let mut all = provider::default_provider();
    let is_known = |name: &&String| all.cipher_suites.iter().any(|suite| is_named(suite.suite(), name));
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(error::tls(format_args!("cipher suite {unknown:?} is not supported")));
    }
    if !names.is_empty() {
        all.cipher_suites.retain(|suite| suite.tls13().is_some() || names.iter().any(|name| is_named(suite.suite(), name)));
    }
    Ok(all)
}

/// By IANA's name; rustls writes `TLS13_` where the registry has `TLS_`, and Go knows the ChaCha20 suites by a shorter one also.
fn is_named(suite: CipherSuite, name: &str) -> bool {
    let registered = format!("{suite:?}").replace("TLS13_", "TLS_");
    registered == name || (name.ends_with("POLY1305") && registered.strip_suffix("_SHA256") == Some(name))
}

fn verifier_of(provider: &Arc<CryptoProvider>, client: &str, ca: Option<&[u8]>) -> PyResult<Arc<dyn ClientCertVerifier>> {
    match (client, ca) {
        ("none", _) => Ok(WebPkiClientVerifier::no_client_auth()),
        ("possession", _) => Ok(Arc::new(Holder { accepts: None, algorithms: provider.signature_verification_algorithms })),
        ("verify", Some(pem)) => {
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates(pem, "client CA")? {
                roots.add(certificate).map_err(error::tls)?;
            }
            Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().map_err(error::tls)?)
        }
        ("verify", None) => Err(TlsError::new_err("verifying client certificates needs a client CA file")),
        _ => Err(error::tls(format_args!("no such way to treat client certificates: {client:?}"))),
    }
}
