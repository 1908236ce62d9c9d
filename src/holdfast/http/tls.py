"""The TLS settings of a listener, made into one configuration that is checked as a whole.

Versions before 1.2 and names of suites that nobody has are refused by name where the configuration is read, or here.
"""
import ssl
from pathlib import Path

from holdfast._native import TlsConfig, TlsError
from holdfast.config.settings import TcpListener

__all__ = ["TlsConfig", "TlsError", "make_tls"]


def make_tls(listener: TcpListener, *, certificate: bytes, key: bytes, client_ca: bytes = b"", ticket_key: bytes) -> TlsConfig:
    """The configuration for new connections. Raises TlsError (a ValueError): also when key and certificate are not a pair.

    `certificate` (leaf first), `key`, `client_ca`: PEM. `ticket_key`: 32 bytes, the same in all processes of a node, so that each resumes
    what another one began. Client certificates: none asked for, asked for and possession proved, or verified by `client_ca`.
    """
    verifies, disabled = listener.tls_require_and_verify_client_cert, listener.tls_disable_client_certs
    if verifies and disabled:
        raise TlsError("tls_disable_client_certs and tls_require_and_verify_client_cert exclude each other")
    return TlsConfig(
        certificates=certificate, key=key, ticket_keys=[ticket_key],
        client="verify" if verifies else "none" if disabled else "possession",
        client_ca=client_ca or (_system_authorities() if verifies else None),
        min_version=listener.tls_min_version.value, max_version=listener.tls_max_version.value, suites=listener.tls_cipher_suites)


def _system_authorities() -> bytes:
    """Vault's choice when no file is named."""
    path = ssl.get_default_verify_paths().cafile
    if path is None:
        raise TlsError("tls_require_and_verify_client_cert needs tls_client_ca_file: the system has no file of authorities")
    return Path(path).read_bytes()
