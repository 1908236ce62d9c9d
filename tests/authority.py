"""A certificate authority of a test's own: its nodes' certificates are checked as an operator's would be."""
from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = datetime.timedelta(days=2)
CLOCK_SKEW = datetime.timedelta(minutes=5)


class Authority:
    """`ca`: its own certificate, PEM, below `folder`."""

    def __init__(self, folder: Path, name: str = "Authority of a test") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / "ca.pem"
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), _named(name)
        own = _builder(self._name, self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(self._key, hashes.SHA256())
        self.ca.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def issue(self, certificate: Path, key: Path, *names: str) -> None:
        """A pair for these host names and addresses, the first of which is its subject; the key can be read by its owner alone."""
        private = ec.generate_private_key(ec.SECP256R1())
        made = _builder(_named(names[0]), self._name, private.public_key()).add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False).sign(self._key, hashes.SHA256())
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        key.touch(mode=0o600)
        key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW).not_valid_after(now + VALID))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
