"""Throw-away certificates."""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class Pair:
    """A certificate and its key; `authority` signs others."""

    def __init__(self, name: str, authority: "Pair | None" = None, *, key: Key | None = None, client: bool = False, days: int = 30) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = x509.CertificateBuilder(
            subject_name=subject, issuer_name=authority.certificate.subject if authority else subject, public_key=self.key.public_key(),
            serial_number=x509.random_serial_number(), not_valid_before=now - datetime.timedelta(days=60),
            not_valid_after=now + datetime.timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        if authority is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        signer = authority.key if authority else self.key
        digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        self.certificate: x509.Certificate = builder.sign(signer, digest)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
